"""Figures that are read when Prometheus asks, not counted as they change."""

from typing import TYPE_CHECKING

from api.db.database import execute

if TYPE_CHECKING:
    from api.wiring import Parts


def _row_figures() -> dict[str, tuple[str, float]]:
    # The datasets' counters, not the documents themselves: of those there may be a million.
    [(datasets, documents, chunks, tokens)] = execute(
        'SELECT COUNT(*), COALESCE(SUM("document_count"), 0), COALESCE(SUM("chunk_count"), 0), '
        'COALESCE(SUM("token_count"), 0) FROM "dataset"',
        (),
    )
    return {
        "datasets": ("Datasets", datasets),
        "documents": ("Documents", documents),
        "chunks": ("Chunks of finished documents", chunks),
        "chunk_tokens": ("Tokens in them", tokens),
    }


async def read_figures(parts: "Parts") -> dict[str, tuple[str, float]]:
    """Name to (help, value)."""
    figures = await parts.db.read(_row_figures)
    figures["queue_depth"] = ("Tasks that wait", await parts.queue.depth())
    return figures
