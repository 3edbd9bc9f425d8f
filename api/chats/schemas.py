"""Bodies, queries and replies of the chat routes.

Keys that are unknown inside `llm` and `prompt` are stored and returned unchanged.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.http import Body, LooseBody, Reply
from api.paging import PageQuery

ShortText = Annotated[str, StringConstraints(max_length=255)]
LongText = Annotated[str, StringConstraints(max_length=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Ids = Annotated[list[str], Field(max_length=1000)]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Llm(_Open):
    """The model and its sampling parameters, in OpenAI's names; not merged with the defaults."""

    model_name: str | None = Field(None, description="`model@provider`; null: the tenant's default")
    model_type: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None


class Variable(_Open):
    """A `{key}` of the system prompt; `knowledge` is filled by retrieval."""

    key: str
    optional: bool


class Prompt(_Open):
    """How a question is asked and answered."""

    prompt: str | None = Field(None, description="system prompt; empty: the built-in one")
    opener: str | None = Field(None, description="the assistant's first message")
    variables: list[Variable] | None = None
    empty_response: str | None = Field(
        None, description="said when nothing is found; null: the model answers"
    )
    show_quote: bool | None = Field(None, description="citations in answers")
    similarity_threshold: Share | None = None
    keywords_similarity_weight: Share | None = Field(
        None, description="stored as the weight of the vector and shown as 1 minus it, as RAGFlow does"
    )
    top_n: Count | None = Field(None, description="chunks that a question is answered from")
    top_k: Count | None = Field(None, description="candidates that are scored")
    rerank_model: str | None = None
    tts: bool | None = None
    refine_multiturn: bool | None = None
    cross_languages: list[str] | None = None
    system: str | None = Field(None, description="another name of `prompt`")
    prologue: str | None = Field(None, description="another name of `opener`")
    parameters: list[Variable] | None = Field(None, description="another name of `variables`")
    quote: bool | None = Field(None, description="another name of `show_quote`")
    rerank_id: str | None = Field(None, description="another name of `rerank_model`")
    vector_similarity_weight: Share | None = Field(
        None, description="another name of `keywords_similarity_weight`"
    )


class _ChatFields(BaseModel):
    avatar: LongText | None = None
    description: LongText | None = None
    dataset_ids: Annotated[list[str | None], Field(max_length=1000)] | None = None
    llm: Llm | None = None
    prompt: Prompt | None = None
    meta_data_filter: dict[str, Any] | None = None
    language: Annotated[str, StringConstraints(max_length=32)] | None = None
    prompt_type: Annotated[str, StringConstraints(max_length=16)] | None = None
    similarity_threshold: Share | None = None
    vector_similarity_weight: Share | None = None
    top_n: Count | None = None
    top_k: Count | None = None
    rerank_id: str | None = None
    do_refer: Literal["0", "1"] | bool | None = None


class ChatCreate(_ChatFields, LooseBody):
    """Body of POST /api/v1/chats; unknown keys are ignored."""

    name: ShortText | None = None
    tenant_id: Any = Field(None, description="must not be sent")


class ChatUpdate(_ChatFields, Body):
    """Body of PUT /api/v1/chats/{chat_id}; only what is sent changes. `dataset_ids` null or []: none."""

    name: ShortText | None = None
    show_quotation: bool | None = None


SortColumn = Literal["create_time", "update_time", "create_date", "update_date", "name", "id"]


class ChatListQuery(PageQuery):
    """Query of GET /api/v1/chats."""

    orderby: SortColumn = "create_time"
    id: str | None = None
    name: str | None = Field(None, description="the whole name, ignoring case")


class _ChatReply(Reply):
    id: str
    tenant_id: str
    name: str
    description: str
    avatar: str
    language: str
    prompt_type: str
    do_refer: str
    status: str
    meta_data_filter: dict[str, Any]
    llm: dict[str, Any]
    prompt: dict[str, Any]
    create_time: int = Field(description="milliseconds since the epoch, UTC")
    update_time: int
    create_date: str
    update_date: str


class ChatReply(_ChatReply):
    """A chat as POST shows it."""

    dataset_ids: list[str]


class ListedChatReply(_ChatReply):
    """A chat as a list shows it, with whole datasets under their inner names."""

    datasets: list[dict[str, Any]]
    top_k: int
