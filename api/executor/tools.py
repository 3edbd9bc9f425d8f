"""What workers work with: read and imported once in the fork server, opened in each worker."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module

from api.data_folder import chunk_folder, vector_cache_file
from api.models_config import models_config
from api.settings import Settings
from rag.chunking.methods import find_method
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.cached_embedding import CachedEmbedding
from rag.models.catalog import ModelCatalog, open_models
from rag.models.protocol import EmbeddingModel, Embeddings
from rag.models.vector_cache import VectorCache
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

_CHUNKERS = ("text", "markdown", "html", "json", "csv", "docx", "pdf")


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What a worker inherits by fork."""

    settings: Settings
    models: ModelCatalog


def preload(settings: Settings) -> Preloaded:
    """Import and read all that workers share; no thread and no connection is left behind."""
    for name in _CHUNKERS:
        import_module(f"rag.chunking.naive.{name}")
    for method in ("naive", "one"):
        find_method(method).load()
    words("Warm up the stemmer, the lists and 中文分词。")
    count_tokens("Warm up.")
    models = open_models(models_config(settings))
    models.embedding("")
    return Preloaded(settings, models)


def open_store(settings: Settings) -> AbstractAsyncContextManager[ChunkStore]:
    """The chunk store, to write into."""
    return open_embedded_store(chunk_folder(settings), role="writer", thread_count=1, max_queued=64)


class _Inline:
    """The built-in embeddings without their thread: a worker has nothing else to do meanwhile."""

    def __init__(self, model: BuiltinEmbedding) -> None:
        self._model = model
        self.name = model.name
        self.dimension = model.dimension
        self.embed_query = model.embed_query
        self.close = model.close

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `EmbeddingModel`."""
        return self._model.embed_now(texts)


def vector_cache(settings: Settings) -> VectorCache | None:
    """What remote models said before; the file is opened when it is first used."""
    size_mb = settings.embedding.cache_mb
    return VectorCache(vector_cache_file(settings), size_mb << 20) if size_mb else None


def embedding_model(models: ModelCatalog, model_id: str, cache: VectorCache | None) -> EmbeddingModel:
    """The model as a worker uses it. Raises ModelNotFound."""
    spec = models.find("embedding", model_id)
    model = models.open_embedding(spec)
    if isinstance(model, BuiltinEmbedding):  # faster than any cache
        return _Inline(model)
    return model if cache is None else CachedEmbedding(model, cache, f"{spec.address} {spec.remote_name}")
