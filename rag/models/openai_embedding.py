"""Embedding models behind an OpenAI-compatible endpoint."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from rag.chunks import FloatArray
from rag.errors import ModelBroken
from rag.models.openai_endpoint import Endpoint
from rag.models.protocol import Embeddings

# Providers refuse an empty input.
_IN_PLACE_OF_NOTHING = "-"


Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class RawVectors:
    """What a provider sent: vectors in the order of the texts, tokens as it counts them (0: it does not)."""

    vectors: Sequence[Vector]
    token_count: int


class OpenAIEmbedding:
    """One embedding model of an endpoint; `model` is the provider's name for it, `name` ours."""

    def __init__(self, endpoint: Endpoint, model: str, name: str, *, batch_size: int = 16) -> None:
        self._endpoint = endpoint
        self._model = model
        self._name = name
        self._batch_size = batch_size
        self._dimension = 0

    @property
    def name(self) -> str:
        """`model@provider`."""
        return self._name

    @property
    def dimension(self) -> int:
        """d, 0 before the first call."""
        return self._dimension

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed in batches side by side; the first failure cancels the others."""
        batches = [texts[i : i + self._batch_size] for i in range(0, len(texts), self._batch_size)]
        if not batches:
            return Embeddings(np.zeros((0, self._dimension), dtype=np.float32), 0)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._embed_batch(batch)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        parts = [task.result() for task in tasks]
        return Embeddings(np.concatenate([part.vectors for part in parts]), sum(p.token_count for p in parts))

    async def embed_query(self, text: str) -> FloatArray:
        """(d,) of a question."""
        vector: FloatArray = (await self._embed_batch([text], is_question=True)).vectors[0]
        return vector

    async def close(self) -> None:
        """Nothing of its own: the endpoint belongs to the catalog."""

    async def _embed_batch(self, texts: Sequence[str], *, is_question: bool = False) -> Embeddings:
        inputs = [_sendable(text) for text in texts]
        try:
            raw = await self._ask(inputs, is_question=is_question)
            return self._check(raw, len(inputs))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # nobody checked the shape
            raise ModelBroken(f"{self._name} sent vectors of an unknown shape") from error

    async def _ask(self, texts: Sequence[str], *, is_question: bool) -> RawVectors:
        """One call; `is_question` matters only to providers that tell questions from documents."""

        # `float` is said because the client asks for base64 by default, which few other servers know.
        # The reply is read here: the client's own reading costs a millisecond a vector (docs/decisions/0103).
        async def send() -> Any:
            reply = await self._endpoint.client.embeddings.with_raw_response.create(
                model=self._model,
                input=list(texts),
                encoding_format="float",
                extra_headers=cast(Any, self._endpoint.extra_headers),
            )
            return orjson.loads(reply.content)

        async with self._endpoint.slot(self._name):
            reply = await self._endpoint.call(self._name, send)
        items = [(item["index"], item["embedding"]) for item in reply.get("data") or []]
        return RawVectors(in_order(items), int((reply.get("usage") or {}).get("total_tokens") or 0))

    def _check(self, raw: RawVectors, count: int) -> Embeddings:
        if len(raw.vectors) != count:
            raise ModelBroken(f"{self._name} sent {len(raw.vectors)} vectors for {count} texts")
        lengths = {len(vector) for vector in raw.vectors}
        if self._dimension:
            lengths.add(self._dimension)
        if len(lengths) != 1 or 0 in lengths:
            shown = ", ".join(str(length) for length in sorted(lengths))
            raise ModelBroken(f"{self._name} sent vectors of different lengths: {shown}")
        vectors = np.array(raw.vectors, dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not norms.all():
            raise ModelBroken(f"{self._name} sent a vector without a direction")
        self._dimension = vectors.shape[1]
        return Embeddings(vectors / norms, raw.token_count)


def in_order(items: Sequence[tuple[int, Vector]]) -> list[Vector]:
    """Vectors by their index, where each has one of its own; else as they came."""
    if sorted(index for index, _ in items) == list(range(len(items))):
        items = sorted(items, key=lambda item: item[0])
    return [vector for _, vector in items]


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8") if text.strip() else _IN_PLACE_OF_NOTHING
