"""Figures for Prometheus."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics
from api.observed_models import ObservedChat
from rag.errors import ModelBusy, ModelError
from rag.models.protocol import ChatDelta, ChatRequest


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
    model = ObservedChat(_Chat(error), metrics)
    with suppress(ModelError):
        assert [delta.text async for delta in model.stream(ChatRequest(()))] == ["a", "b"]
    labels = {"kind": "chat", "model": "m@p", "outcome": outcome}
    assert sample(metrics, "ragd_model_call_seconds_count", **labels) == 1


async def test_a_reply_that_nobody_waits_for_is_closed() -> None:
    metrics = Metrics()
    chat = _Chat()
    stream = ObservedChat(chat, metrics).stream(ChatRequest(()))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert chat.is_closed
    assert sample(metrics, "ragd_model_call_seconds_count", outcome="abandoned") == 1
