"""What the stages of an answer may use beside search and the chat model."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag.answering.prompts import Prompts
from rag.answering.web_search import WebPage
from rag.models.protocol import ChatModel

LoadMetadata = Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Metadata of the datasets' documents, by document id."""

SearchWeb = Callable[[str], Awaitable[Sequence[WebPage]]]
"""A query to pages of the web; failures are an empty list."""


@dataclass(frozen=True, slots=True)
class Helpers:
    """What the stages of an answer may use beside search and the chat model.

    instructed: a model that follows instructions, for rewriting, keywords, conditions and research; None
        switches these stages off.
    step_timeout_s: longest time of one such call. research_timeout_s: of deep research in all.
    """

    instructed: ChatModel | None = None
    load_metadata: LoadMetadata | None = None
    search_web: SearchWeb | None = None
    prompts: Prompts = field(default_factory=Prompts)
    step_timeout_s: float = 30.0
    research_timeout_s: float = 180.0
