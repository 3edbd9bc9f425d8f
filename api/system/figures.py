"""Figures that are read when Prometheus asks, not counted as they change."""

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from api.db.database import execute

if TYPE_CHECKING:
    from api.wiring import Services


def _row_figures() -> list[Metric]:
    # The datasets' counters, not the documents themselves: of those there may be a million.
    [(datasets, documents, chunks, tokens)] = execute(
        'SELECT COUNT(*), COALESCE(SUM("document_count"), 0), COALESCE(SUM("chunk_count"), 0), '
        'COALESCE(SUM("token_count"), 0) FROM "dataset"',
        (),
    )
    return [
        GaugeMetricFamily("ragd_datasets", "Datasets", value=datasets),
        GaugeMetricFamily("ragd_documents", "Documents", value=documents),
        GaugeMetricFamily("ragd_chunks", "Chunks of parsed documents", value=chunks),
        GaugeMetricFamily("ragd_chunk_tokens", "Tokens in them", value=tokens),
    ]


async def read_figures(services: "Services") -> list[Metric]:
    """Rows, queue and executor as they are now."""
    figures = await services.db.read(_row_figures)
    status = await services.executor.queue_status()
    tasks = CounterMetricFamily("ragd_tasks", "Ended tasks by outcome", labels=["outcome"])
    for outcome in ("done", "failed", "retried", "cancelled", "crashed"):
        tasks.add_metric([outcome], getattr(status, outcome))
    return [
        *figures,
        tasks,
        GaugeMetricFamily("ragd_queue_depth", "Tasks that wait", value=status.depth),
        GaugeMetricFamily("ragd_tasks_running", "Tasks in workers' hands", value=status.running),
        GaugeMetricFamily("ragd_workers", "Worker processes", value=len(status.workers)),
        GaugeMetricFamily(
            "ragd_workers_memory_bytes",
            "Resident memory of the worker processes",
            value=sum(worker.memory_mb for worker in status.workers) * 1_000_000,
        ),
    ]
