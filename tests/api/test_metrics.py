"""Figures for Prometheus."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import numpy as np
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics
from api.observed_models import ObservedCatalog, ObservedChat, ObservedRerank, Observer, label_of
from rag.errors import ModelBusy, ModelError
from rag.models.catalog import ModelsConfig, ModelSpec
from rag.models.protocol import ChatDelta, ChatRequest, ChatUsage, Scores

SPEC = ModelSpec("m", "p", "chat")


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.render().decode()):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return float(found.value)
    return None


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.observe_request("GET", "/api/v1/datasets/<dataset_id>", status, 0.02)
    labels = {"method": "GET", "route": "/api/v1/datasets/<dataset_id>"}
    assert sample(metrics, "ragd_http_requests_total", **labels, status="200") == 2
    assert sample(metrics, "ragd_http_requests_total", **labels, status="404") == 1
    assert sample(metrics, "ragd_http_request_seconds_bucket", **labels, le="0.01") == 0
    assert sample(metrics, "ragd_http_request_seconds_bucket", **labels, le="0.025") == 3


def test_invented_methods_make_no_new_series() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.observe_request(f"M{number}", "unmatched", 405, 0.001)
    assert sample(metrics, "ragd_http_requests_total", method="other") == 100


def test_figures_that_were_read_replace_the_last() -> None:
    metrics = Metrics()
    for depth in (3, 4):
        metrics.show([GaugeMetricFamily("ragd_queue_depth", "Tasks that wait", value=depth)])
    assert sample(metrics, "ragd_queue_depth") == 4
    assert sample(metrics, "process_resident_memory_bytes")


class _Chat:
    name = "m@p"
    context_tokens = 100

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_closed = False

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        try:
            yield ChatDelta("a")
            if self.error is not None:
                raise self.error
            yield ChatDelta("b", finish_reason="stop")
        finally:
            self.is_closed = True

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "ok"), (ModelBusy("busy"), "busy"), (ModelError("no"), "failed")]
)
async def test_calls_of_models_are_counted_by_outcome(error: Exception | None, outcome: str) -> None:
    metrics = Metrics()
    model = ObservedChat(_Chat(error), Observer(SPEC, metrics))
    with suppress(ModelError):
        assert [delta.text async for delta in model.stream(ChatRequest(()))] == ["a", "b"]
    labels = {"kind": "chat", "model": "m@p", "outcome": outcome}
    assert sample(metrics, "ragd_model_call_seconds_count", **labels) == 1


async def test_a_reply_that_nobody_waits_for_is_closed() -> None:
    metrics = Metrics()
    chat = _Chat()
    stream = ObservedChat(chat, Observer(SPEC, metrics)).stream(ChatRequest(()))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert chat.is_closed
    assert sample(metrics, "ragd_model_call_seconds_count", outcome="abandoned") == 1


class _Talker(_Chat):
    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        yield ChatDelta("a")
        yield ChatDelta(finish_reason="stop", usage=ChatUsage(11, 7))


class _Rank:
    name = "m@p"

    async def rerank(self, question: str, texts: Sequence[str]) -> Scores:
        return Scores(np.zeros(len(texts), np.float32), 9)

    async def close(self) -> None:
        return


async def test_tokens_are_counted_for_the_figures_and_for_the_row_of_a_tenants_model() -> None:
    metrics = Metrics()
    counted: list[tuple[str, int]] = []

    def count(spec: ModelSpec, tokens: int) -> None:
        counted.append((spec.row_id, tokens))

    own = ModelSpec("m", "p", "chat", row_id="r1")
    for spec in (SPEC, own):
        model = ObservedChat(_Talker(), Observer(spec, metrics, count))
        _ = [delta async for delta in model.stream(ChatRequest(()))]
    rank = ModelSpec("r", "p", "rerank", row_id="r2")
    await ObservedRerank(_Rank(), Observer(rank, metrics, count)).rerank("q", ["a"])
    assert sample(metrics, "ragd_model_tokens_total", model="m@p", direction="sent") == 11
    assert sample(metrics, "ragd_model_tokens_total", model="m@p", direction="received") == 7
    assert sample(metrics, "ragd_model_tokens_total", kind="rerank", direction="sent") == 9
    assert counted == [("r1", 18), ("r2", 9)]


async def test_models_of_a_catalog_are_counted() -> None:
    metrics = Metrics()
    catalog = ObservedCatalog(ModelsConfig(), metrics)
    await catalog.for_tenant([]).embedding().embed(["a text"])
    labels = {"kind": "embedding", "model": "wordllama-256@Builtin"}
    assert sample(metrics, "ragd_model_call_seconds_count", **labels, outcome="ok") == 1
    assert sample(metrics, "ragd_model_tokens_total", **labels, direction="sent")
    await catalog.close()


def test_tenants_cannot_make_labels() -> None:
    assert label_of(ModelSpec("x", "OpenAI", "chat")) == "x@OpenAI"
    assert label_of(ModelSpec("gpt-4o", "OpenAI", "chat", row_id="1")) == "gpt-4o@OpenAI"
    assert label_of(ModelSpec("zanzibar", "OpenAI", "chat", row_id="1")) == "*@OpenAI"
