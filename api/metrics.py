"""Figures for Prometheus. Counting a request costs two dictionary look-ups and two locked additions."""

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MODEL_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

STAGE_BUCKETS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120)

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""Others are counted as `other`, since a client may invent any number of them."""


class _Read(Collector):
    def __init__(self) -> None:
        self.figures: list[Metric] = []

    def collect(self) -> list[Metric]:
        return self.figures


class Metrics:
    """The figures of one server. Labels come from the program, never from a client's text."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a line for each counter that nothing reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "ragd_http_requests", "Answered requests", ("method", "route", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "ragd_http_request_seconds",
            "Seconds from a request's head to the end of its reply",
            ("method", "route"),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._model_latency = Histogram(
            "ragd_model_call_seconds",
            "Seconds that calls of models took",
            ("kind", "model", "outcome"),
            buckets=MODEL_BUCKETS_S,
            registry=self.registry,
        )
        self._model_tokens = Counter(
            "ragd_model_tokens",
            "Tokens of calls of models, as their providers count them",
            ("kind", "model", "direction"),
            registry=self.registry,
        )
        self._stage_latency = Histogram(
            "ragd_answer_stage_seconds",
            "Seconds that the stages of answers took",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._read = _Read()
        self.registry.register(self._read)
        self._request_children: dict[tuple[str, str, int], Counter] = {}
        self._latency_children: dict[tuple[str, str], Histogram] = {}

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. route: the template, `/api/v1/datasets/<dataset_id>`; status 499: the client left."""
        if method not in METHODS:
            method = "other"
        counter = self._request_children.get((method, route, status))
        if counter is None:
            counter = self._requests.labels(method, route, str(status))
            self._request_children[method, route, status] = counter
        counter.inc()
        latency = self._latency_children.get((method, route))
        if latency is None:
            latency = self._latency.labels(method, route)
            self._latency_children[method, route] = latency
        latency.observe(seconds)

    def observe_model_call(self, kind: str, model: str, outcome: str, seconds: float) -> None:
        """Count a call of a model. kind: chat, embedding, rerank; outcome: ok, busy, failed."""
        self._model_latency.labels(kind, model, outcome).observe(seconds)

    def observe_model_tokens(self, kind: str, model: str, sent: int, received: int) -> None:
        """Count the tokens of a call; none where the provider does not tell them."""
        if sent:
            self._model_tokens.labels(kind, model, "sent").inc(sent)
        if received:
            self._model_tokens.labels(kind, model, "received").inc(received)

    def observe_answer_stages(self, timings_ms: Mapping[str, float]) -> None:
        """Count the stages of an answer; their names are those of the program."""
        for stage, elapsed_ms in timings_ms.items():
            self._stage_latency.labels(stage).observe(elapsed_ms / 1000)

    def show(self, figures: Iterable[Metric]) -> None:
        """Add figures that were read because somebody asks for them; they replace those of the last time."""
        self._read.figures = list(figures)

    def render(self) -> bytes:
        """The figures in Prometheus' text form."""
        return generate_latest(self.registry)
