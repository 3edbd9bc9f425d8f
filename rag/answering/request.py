"""What an answer is asked with: the chat's settings, the conversation, and the search it may call."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rag.models.protocol import Message
from rag.retrieval.result import RetrievalResult


@dataclass(frozen=True, slots=True)
class PromptVariable:
    """A `{key}` of the system prompt; `knowledge` is filled by retrieval, others by the request."""

    key: str
    is_optional: bool = True


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """A chat as its owner set it up.

    system_prompt: "" stands for the built-in one.
    opener: the assistant's first message; None or "" for none.
    empty_response: said when nothing is found; None or "" lets the model answer.
    llm: sampling parameters in OpenAI's names.
    vector_similarity_weight: share of the vector, as stored (on the wire a chat shows 1 minus it).

    The flags below `llm` switch stages on. toc_enhance, use_kg and rerank_model are kept for stages that are
    not built, and change nothing.
    """

    system_prompt: str = ""
    opener: str | None = None
    empty_response: str | None = None
    show_quote: bool = True
    variables: Sequence[PromptVariable] = (PromptVariable("knowledge"),)
    top_n: int = 6
    top_k: int = 1024
    similarity_threshold: float = 0.2
    vector_similarity_weight: float = 0.3
    llm: Mapping[str, Any] = field(default_factory=dict)
    refine_multiturn: bool = False
    keyword: bool = False
    reasoning: bool = False
    toc_enhance: bool = False
    use_kg: bool = False
    cross_languages: Sequence[str] = ()
    meta_data_filter: Mapping[str, Any] = field(default_factory=dict)
    rerank_model: str = ""
    tavily_api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One question.

    messages: the conversation as it is stored; the last is the user's. System messages are ignored.
    variables: values for the system prompt's variables; unknown names are ignored.
    quote: False switches citations off for this question.
    document_ids: restrict retrieval to these documents; None: all of the datasets.
    has_datasets: False for a chat without datasets and web search: nothing is retrieved.
    document_metadata: fields of a document that its knowledge entries show, by document id.
    """

    settings: ChatSettings
    messages: Sequence[Message]
    has_datasets: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    quote: bool = True
    document_ids: Sequence[str] | None = None
    document_metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassageQuery:
    """What the pipeline asks of retrieval; datasets, store and rerank model are the caller's affair.

    is_reranked: by the chat's rerank model, if it has one.
    """

    question: str
    top_n: int
    top_k: int
    similarity_threshold: float
    vector_similarity_weight: float
    document_ids: Sequence[str] | None = None
    is_reranked: bool = True


class Retrieve(Protocol):
    """Search, bound to datasets, store and embedding model by the caller. Raises RagError."""

    def __call__(self, query: PassageQuery, /) -> Coroutine[Any, Any, RetrievalResult]: ...
