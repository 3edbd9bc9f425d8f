"""An embedding model that does not ask for a text twice."""

import hashlib
from collections.abc import Sequence

import numpy as np

from rag.chunks import FloatArray
from rag.models.protocol import EmbeddingModel, Embeddings
from rag.models.vector_cache import VectorCache


class CachedEmbedding:
    """Documents' vectors come from the cache where it has them; questions are always asked.

    identity: what else a vector depends on than the text: address and name of the model.
    """

    def __init__(self, inner: EmbeddingModel, cache: VectorCache, identity: str) -> None:
        self._inner = inner
        self._cache = cache
        self._identity = identity.encode()

    @property
    def name(self) -> str:
        """See `EmbeddingModel`."""
        return self._inner.name

    @property
    def dimension(self) -> int:
        """See `EmbeddingModel`."""
        return self._inner.dimension

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `EmbeddingModel`. Only what is new costs tokens; equal texts are asked for once."""
        if not texts:
            return await self._inner.embed(texts)
        keys = [self._key(text) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        known = self._cache.find(list(text_of))
        missing = [key for key in text_of if key not in known]
        token_count = 0
        if missing:
            new = await self._inner.embed([text_of[key] for key in missing])
            token_count = new.token_count
            made = dict(zip(missing, new.vectors, strict=True))
            self._cache.store(made)
            known |= made
        if len({len(vector) for vector in known.values()}) > 1:
            # The model behind the name is another one than it was: nothing known is worth anything.
            new = await self._inner.embed(list(text_of.values()))
            token_count += new.token_count
            known = dict(zip(text_of, new.vectors, strict=True))
            self._cache.store(known)
        return Embeddings(np.array([known[key] for key in keys], dtype=np.float32), token_count)

    async def embed_query(self, text: str) -> FloatArray:
        """See `EmbeddingModel`."""
        return await self._inner.embed_query(text)

    async def close(self) -> None:
        """See `EmbeddingModel`. The cache belongs to who opened it."""
        await self._inner.close()

    def _key(self, text: str) -> bytes:
        content = self._identity + b"\0" + text.encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).digest()
