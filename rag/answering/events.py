"""What an answer is made of; every endpoint renders these events in its own shape.

Order of a whole answer: Thinking* and Text in turns, [Failed], then Done, always last and exactly once.
ReferenceFound comes before the first text, behind the Thinking* of deep research. An empty response is one EmptyResponse in place of the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from rag.answering.reference import Reference


class FailureCode(StrEnum):
    """Why a model failed, in words that clients may match."""

    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    AUTH_ERROR = "AUTH_ERROR"
    INVALID_REQUEST = "INVALID_REQUEST"
    SERVER_ERROR = "SERVER_ERROR"
    TIMEOUT = "TIMEOUT"
    CONNECTION_ERROR = "CONNECTION_ERROR"
    MODEL_ERROR = "MODEL_ERROR"
    CONTENT_FILTERED = "CONTENT_FILTERED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    MAX_RETRIES_EXCEEDED = "MAX_RETRIES_EXCEEDED"
    GENERIC_ERROR = "GENERIC_ERROR"


@dataclass(frozen=True, slots=True)
class ThinkingStarted:
    """What follows is the model's reasoning."""


@dataclass(frozen=True, slots=True)
class ThinkingText:
    """A piece of reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingEnded:
    """The reasoning is over."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, to be appended to those before."""

    text: str


@dataclass(frozen=True, slots=True)
class EmptyResponse:
    """Nothing was found; this text is the whole answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReferenceFound:
    """What retrieval found; not sent when nothing was, or for a chat without datasets."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the chat model's calls; `is_counted_here` where the provider told none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_counted_here: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """The model failed, before or after its first text; `answer_text` is what clients get to read.

    retry_after_s: when another try makes sense, where that is known.
    """

    code: FailureCode
    detail: str
    retry_after_s: float | None = None

    @property
    def answer_text(self) -> str:
        """The stable form of a failure inside an answer."""
        return f"**ERROR**: {self.code} - {self.detail}"


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer.

    answer: all text as it was streamed (with `Failed.answer_text` and `EmptyResponse.text`), no reasoning.
    cited_answer: the same with citations repaired and, where the model wrote none, inserted.
    reference: with the documents that are cited; None where citations are off or nothing was retrieved.
    prompt: the system prompt without the retrieved knowledge, then question, times and tokens.
    timings_ms: by stage, in the order they ended.
    finish_reason: "length" where the model stopped at its limit; the text then says so at its end.
    """

    answer: str
    cited_answer: str
    reasoning: str = ""
    reference: Reference | None = None
    usage: Usage = field(default_factory=Usage)
    prompt: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    failure: Failed | None = None
    is_empty_response: bool = False
    finish_reason: Literal["stop", "length"] = "stop"


AnswerEvent = (
    ThinkingStarted | ThinkingText | ThinkingEnded | Text | EmptyResponse | ReferenceFound | Failed | Done
)
