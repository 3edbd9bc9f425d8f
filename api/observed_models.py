"""Models whose calls are counted."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from api.metrics import Metrics
from rag.chunks import FloatArray
from rag.errors import ModelBusy
from rag.models.catalog import ModelCatalog, ModelsConfig
from rag.models.protocol import ChatDelta, ChatModel, ChatRequest, EmbeddingModel, Embeddings


@contextmanager
def _observed(metrics: Metrics, kind: str, model: str) -> Iterator[None]:
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
        metrics.observe_model_call(kind, model, outcome, perf_counter() - started)


class ObservedChat:
    """A chat model that counts its calls."""

    def __init__(self, inner: ChatModel, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

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
        with _observed(self._metrics, "chat", self._inner.name):
            deltas = self._inner.stream(request)
            try:
                async for delta in deltas:
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

    def __init__(self, inner: EmbeddingModel, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

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
        with _observed(self._metrics, "embedding", self._inner.name):
            return await self._inner.embed(texts)

    async def embed_query(self, text: str) -> FloatArray:
        """See `EmbeddingModel`."""
        with _observed(self._metrics, "embedding", self._inner.name):
            return await self._inner.embed_query(text)

    async def close(self) -> None:
        """See `EmbeddingModel`."""
        await self._inner.close()


class ObservedCatalog(ModelCatalog):
    """A catalog whose models count their calls."""

    def __init__(self, config: ModelsConfig, metrics: Metrics) -> None:
        super().__init__(config)
        self._metrics = metrics

    def chat(self, model_id: str = "") -> ChatModel:
        """See `ModelCatalog`."""
        return ObservedChat(super().chat(model_id), self._metrics)

    def embedding(self, model_id: str = "") -> EmbeddingModel:
        """See `ModelCatalog`."""
        return ObservedEmbedding(super().embedding(model_id), self._metrics)
