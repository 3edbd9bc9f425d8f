"""What a model is to the rest of the program. One conformance suite per protocol, in `tests/rag/models`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rag.chunks import FloatArray


@dataclass(frozen=True, slots=True)
class Embeddings:
    """vectors: (n, d) float32, L2-normalised, in the order of the texts; token_count: as the provider counts."""

    vectors: FloatArray
    token_count: int


class EmbeddingModel(Protocol):
    """Texts to vectors."""

    @property
    def name(self) -> str:
        """As it stands in a dataset: `model@provider`."""

    @property
    def dimension(self) -> int:
        """d; for a remote model known after the first call, else 0."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents. An empty text gets a vector too. Raises ModelError."""

    async def embed_query(self, text: str) -> FloatArray:
        """(d,) of a question. Raises ModelError."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatPassage:
    """A retrieved passage behind an answer; its place in the sequence is its citation number."""

    content: str
    title: str
    similarity: float
    vector: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to a chat model.

    messages: system first, the last is the user's.
    settings: sampling parameters in OpenAI's names (temperature, top_p, max_tokens, ...).
    passages: what retrieval found, in citation order. Remote models read them from the system message,
        where they stand as well; the built-in answerer quotes from here.
    is_citing: whether the reply should cite the passages; a remote model is told so in the system message.
    """

    messages: Sequence[Message]
    settings: Mapping[str, Any] = field(default_factory=dict)
    passages: Sequence[ChatPassage] = ()
    is_citing: bool = True


@dataclass(frozen=True, slots=True)
class ChatUsage:
    """Tokens as the provider counts them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of a reply. The last piece has a finish reason, and usage where the provider tells it."""

    text: str = ""
    reasoning: str = ""
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"] | None = None
    usage: ChatUsage | None = None


class ChatModel(Protocol):
    """A conversation to a reply."""

    @property
    def name(self) -> str:
        """As it stands in a chat: `model@provider`."""

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Reply piece by piece; closing the iterator cancels the call. Raises ModelError."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class Scores:
    """values: (n,) float32, 0..1, in the order of the texts; token_count: as the provider counts, 0 if it does not."""

    values: FloatArray
    token_count: int


class RerankModel(Protocol):
    """How well texts answer a question."""

    @property
    def name(self) -> str:
        """As it stands in a request: `model@provider`."""

    async def rerank(self, question: str, texts: Sequence[str]) -> Scores:
        """One score per text; an empty text gets one too. Raises ModelError."""

    async def close(self) -> None:
        """Close connections."""


class SpeechToText(Protocol):
    """Recordings to text."""

    @property
    def name(self) -> str:
        """`model@provider`."""

    async def transcribe(self, audio: bytes, file_name: str) -> str:
        """What is said. file_name: its extension tells the format. Raises ModelError."""

    async def close(self) -> None:
        """Close connections."""


class TextToSpeech(Protocol):
    """Text to recordings."""

    @property
    def name(self) -> str:
        """`model@provider`."""

    def speak(self, text: str) -> AsyncIterator[bytes]:
        """MP3, piece by piece; closing the iterator cancels the call. Raises ModelError."""

    async def close(self) -> None:
        """Close connections."""
