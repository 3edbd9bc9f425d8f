"""Figures for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics


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


def test_gauges_tasks_and_models() -> None:
    metrics = Metrics()
    metrics.set_gauges({"queue_depth": ("Tasks that wait", 3)})
    metrics.set_gauges({"queue_depth": ("Tasks that wait", 4)})
    metrics.count_task("parse", "done")
    metrics.observe_model_call("chat", "builtin-extractive@Builtin", "ok", 0.2)
    assert sample(metrics, "ragd_queue_depth") == 4
    assert sample(metrics, "ragd_tasks_ended_total", kind="parse", outcome="done") == 1
    assert sample(metrics, "ragd_model_call_seconds_count", kind="chat", outcome="ok") == 1
    assert sample(metrics, "process_resident_memory_bytes")
