"""Models whose calls, tokens and failures are counted."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from api.metrics import Metrics
from rag.chunks import FloatArray
from rag.errors import ModelBusy
from rag.models.catalog import ModelCatalog, ModelsConfig, ModelSpec
from rag.models.factories import factories
from rag.models.protocol import (
    ChatDelta,
    ChatModel,
    ChatRequest,
    EmbeddingModel,
    Embeddings,
    RerankModel,
    Scores,
)

CountTokens = Callable[[ModelSpec, int], None]
"""Told the tokens of each call of a model that a tenant registered."""


def _count_nothing(spec: ModelSpec, count: int) -> None:
    """Where nobody keeps them."""


def label_of(spec: ModelSpec) -> str:
    """The model in figures. Of tenants' own models only names that everybody has: labels must stay few."""
    known = factories().get(spec.provider)
    if spec.row_id and not (known and spec.name in known.models.get(spec.kind, {})):
        return f"*@{spec.provider}"
    return spec.id


class Observer:
    """Counts the calls of one model."""

    def __init__(self, spec: ModelSpec, metrics: Metrics, count_tokens: CountTokens = _count_nothing) -> None:
        self._spec = spec
        self._label = label_of(spec)
        self._metrics = metrics
        self._count_tokens = count_tokens

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count what happens inside: `abandoned` when nobody wanted the rest any more."""
        started = perf_counter()
        outcome = "abandoned"
        try:
            yield
            outcome = "ok"
        except ModelBusy:
            outcome = "busy"
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            self._metrics.observe_model_call(self._spec.kind, self._label, outcome, perf_counter() - started)

    def tokens(self, sent: int, received: int = 0) -> None:
        """Count what a call took and gave."""
        self._metrics.observe_model_tokens(self._spec.kind, self._label, sent, received)
        if self._spec.row_id and sent + received:
            self._count_tokens(self._spec, sent + received)


class ObservedChat:
    """A chat model that counts its calls."""

    def __init__(self, inner: ChatModel, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    @property
    def name(self) -> str:
        """See `ChatModel`."""
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        """See `ChatModel`."""
        return self._inner.context_tokens

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """See `ChatModel`. Counted to the end of the reply."""
        with self._observer.call():
            deltas = self._inner.stream(request)
            try:
                async for delta in deltas:
                    if delta.usage is not None:
                        self._observer.tokens(delta.usage.prompt_tokens, delta.usage.completion_tokens)
                    yield delta
            finally:
                aclose = getattr(deltas, "aclose", None)
                if aclose is not None:
                    await aclose()

    async def close(self) -> None:
        """See `ChatModel`."""
        await self._inner.close()


class ObservedEmbedding:
    """An embedding model that counts its calls."""

    def __init__(self, inner: EmbeddingModel, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    @property
    def name(self) -> str:
        """See `EmbeddingModel`."""
        return self._inner.name

    @property
    def dimension(self) -> int:
        """See `EmbeddingModel`."""
        return self._inner.dimension

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `EmbeddingModel`."""
        with self._observer.call():
            result = await self._inner.embed(texts)
        self._observer.tokens(result.token_count)
        return result

    async def embed_query(self, text: str) -> FloatArray:
        """See `EmbeddingModel`. Its tokens are not told, and too few to matter."""
        with self._observer.call():
            return await self._inner.embed_query(text)

    async def close(self) -> None:
        """See `EmbeddingModel`."""
        await self._inner.close()


class ObservedRerank:
    """A rerank model that counts its calls."""

    def __init__(self, inner: RerankModel, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    @property
    def name(self) -> str:
        """See `RerankModel`."""
        return self._inner.name

    async def rerank(self, question: str, texts: Sequence[str]) -> Scores:
        """See `RerankModel`."""
        with self._observer.call():
            scores = await self._inner.rerank(question, texts)
        self._observer.tokens(scores.token_count)
        return scores

    async def close(self) -> None:
        """See `RerankModel`."""
        await self._inner.close()


class ObservedCatalog(ModelCatalog):
    """A catalog whose models count their calls."""

    def __init__(
        self, config: ModelsConfig, metrics: Metrics, count_tokens: CountTokens = _count_nothing
    ) -> None:
        super().__init__(config)
        self._metrics = metrics
        self._count_tokens = count_tokens

    def open_chat(self, spec: ModelSpec) -> ChatModel:
        """See `ModelCatalog`."""
        return ObservedChat(super().open_chat(spec), self._observer(spec))

    def open_embedding(self, spec: ModelSpec) -> EmbeddingModel:
        """See `ModelCatalog`."""
        return ObservedEmbedding(super().open_embedding(spec), self._observer(spec))

    def open_rerank(self, spec: ModelSpec) -> RerankModel:
        """See `ModelCatalog`."""
        return ObservedRerank(super().open_rerank(spec), self._observer(spec))

    def _observer(self, spec: ModelSpec) -> Observer:
        return Observer(spec, self._metrics, self._count_tokens)
