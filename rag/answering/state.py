"""What the stages of an answer hand on."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag.answering.helpers import Helpers
from rag.answering.prompt import Knowledge
from rag.answering.prompts import PromptLanguage
from rag.answering.reference import Reference
from rag.answering.request import AnswerRequest, Retrieve
from rag.models.protocol import ChatModel, EmbeddingModel, Message


@dataclass(slots=True)
class AnswerState:
    """What the stages have found so far.

    question: the last one, self-contained once it was refined. translations, keywords: added to it when
    searching. document_ids: what retrieval may find; None: all documents, []: none.
    """

    request: AnswerRequest
    retrieve: Retrieve
    chat_model: ChatModel
    embedding: EmbeddingModel | None
    helpers: Helpers = field(default_factory=Helpers)
    history: list[Message] = field(default_factory=list)
    question: str = ""
    translations: Sequence[str] = ()
    keywords: str = ""
    document_ids: Sequence[str] | None = None
    language: PromptLanguage = "en"
    values: dict[str, str] = field(default_factory=dict)
    reference: Reference | None = None
    knowledge: Knowledge = field(default_factory=lambda: Knowledge("", 0))
    plain_system: str = ""  # the system prompt without the knowledge, for the reply's `prompt`
    messages: list[Message] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_citing(self) -> bool:
        """Whether this answer cites."""
        return self.request.quote and self.request.settings.show_quote and self.knowledge.entry_count > 0

    @property
    def wants_passages(self) -> bool:
        """Whether anything is searched for this answer."""
        has_knowledge = any(variable.key == "knowledge" for variable in self.request.settings.variables)
        return self.request.has_datasets and has_knowledge and bool(self.question)

    @property
    def search_texts(self) -> list[str]:
        """The question as it is searched for, in each language on its own."""
        own = f"{self.question} {self.keywords}" if self.keywords else self.question
        return [own, *self.translations]

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long what happens inside took."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[name] = (time.perf_counter() - started) * 1000


Stage = Callable[[AnswerState], Awaitable[None]]
