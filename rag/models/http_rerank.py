"""Rerank models: one client, and the shapes in which providers want the question."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rag.chunks import FloatArray
from rag.errors import ModelBroken
from rag.models.factories import Api
from rag.models.openai_endpoint import Endpoint
from rag.models.protocol import Scores


@dataclass(frozen=True, slots=True)
class RerankShape:
    """path: added to the address. The others are keys; results "" means that the reply is the list itself."""

    path: str
    documents: str = "documents"
    count: str = "top_n"
    results: str = "results"
    score: str = "relevance_score"
    has_model: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


SHAPES: Final[Mapping[Api, RerankShape]] = {
    "jina": RerankShape("/rerank"),  # Xinference, vLLM, LocalAI, GPUStack, SiliconFlow, Together as well
    "cohere": RerankShape("/v2/rerank"),
    "voyage": RerankShape("/rerank", count="top_k", results="data"),
    "tei": RerankShape(
        "/rerank",
        documents="texts",
        count="",
        results="",
        score="score",
        has_model=False,
        more={"raw_scores": False, "truncate": True},
    ),
}


class HttpRerank:
    """One rerank model of an endpoint; `model` is the provider's name for it, `name` ours."""

    def __init__(
        self, endpoint: Endpoint, model: str, name: str, shape: RerankShape, *, batch_size: int = 64
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._name = name
        self._shape = shape
        self._batch_size = batch_size
        self._gives_logits = False

    @property
    def name(self) -> str:
        """`model@provider`."""
        return self._name

    async def rerank(self, question: str, texts: Sequence[str]) -> Scores:
        """Score in batches side by side; the first failure cancels the others."""
        batches = [texts[i : i + self._batch_size] for i in range(0, len(texts), self._batch_size)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(question, batch)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        parts = [task.result() for task in tasks]
        scores = np.array([score for part, _ in parts for score in part], dtype=np.float64)
        # Some servers send what the model says before its last step. One score outside 0..1 tells that.
        if len(scores) and (scores.min() < 0 or scores.max() > 1):
            self._gives_logits = True
        if self._gives_logits:
            scores = 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
        values: FloatArray = scores.astype(np.float32)
        return Scores(values, sum(token_count for _, token_count in parts))

    async def close(self) -> None:
        """Nothing of its own: the endpoint belongs to the catalog."""

    async def _ask(self, question: str, texts: Sequence[str]) -> tuple[list[float], int]:
        shape = self._shape
        body: dict[str, Any] = {
            "query": _sendable(question),
            shape.documents: [_sendable(text) for text in texts],
            **shape.more,
        }
        if shape.has_model:
            body["model"] = self._model
        if shape.count:
            body[shape.count] = len(texts)
        reply = await self._endpoint.post(self._name, shape.path, body)
        try:
            return self._read(reply, len(texts))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # nobody checked the shape
            raise ModelBroken(f"{self._name} sent scores of an unknown shape") from error

    def _read(self, reply: Any, count: int) -> tuple[list[float], int]:
        items = reply[self._shape.results] if self._shape.results else reply
        found = {int(item["index"]): float(item[self._shape.score]) for item in items}
        if set(found) != set(range(count)) or len(items) != count:
            raise ModelBroken(f"{self._name} sent {len(items)} scores for {count} texts")
        if not all(math.isfinite(score) for score in found.values()):
            raise ModelBroken(f"{self._name} sent a score that is no number")
        return [found[index] for index in range(count)], _token_count(reply)


def _token_count(reply: Any) -> int:
    """Jina, Voyage: `usage.total_tokens`; others count otherwise or not at all."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    count = usage.get("total_tokens") if isinstance(usage, dict) else 0
    return count if isinstance(count, int) else 0


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8") if text.strip() else "-"
