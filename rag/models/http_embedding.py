"""Embedding models whose providers have a protocol of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from rag.models.openai_embedding import OpenAIEmbedding, RawVectors, in_order
from rag.models.openai_endpoint import Endpoint


class PlainEmbedding(OpenAIEmbedding):
    """OpenAI's shape without `encoding_format`, which some refuse; fields tell questions from documents.

    Jina, Voyage AI, NVIDIA.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        name: str,
        *,
        batch_size: int = 16,
        document: Mapping[str, Any] | None = None,
        question: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(endpoint, model, name, batch_size=batch_size)
        self._document = dict(document or {})
        self._question = dict(question or {})

    async def _ask(self, texts: Sequence[str], *, is_question: bool) -> RawVectors:
        body = {"model": self._model, "input": list(texts), **self._role(is_question=is_question)}
        reply = await self._endpoint.post(self._name, "/embeddings", body)
        items = [(item["index"], item["embedding"]) for item in reply["data"]]
        return RawVectors(in_order(items), int((reply.get("usage") or {}).get("total_tokens") or 0))

    def _role(self, *, is_question: bool) -> Mapping[str, Any]:
        return self._question if is_question else self._document


class CohereEmbedding(PlainEmbedding):
    """Cohere's `/v2/embed`."""

    async def _ask(self, texts: Sequence[str], *, is_question: bool) -> RawVectors:
        body = {
            "model": self._model,
            "texts": list(texts),
            "embedding_types": ["float"],
            **self._role(is_question=is_question),
        }
        reply = await self._endpoint.post(self._name, "/v2/embed", body)
        billed = (reply.get("meta") or {}).get("billed_units") or {}
        return RawVectors(reply["embeddings"]["float"], int(billed.get("input_tokens") or 0))


class TeiEmbedding(OpenAIEmbedding):
    """Text Embeddings Inference's own `/embed`: unlike its OpenAI route it can cut texts that are too long."""

    async def _ask(self, texts: Sequence[str], *, is_question: bool) -> RawVectors:
        body = {"inputs": list(texts), "truncate": True, "normalize": True}
        reply = await self._endpoint.post(self._name, "/embed", body)
        if not isinstance(reply, list):
            raise TypeError
        return RawVectors(reply, 0)
