"""What several spellings of one question found, as one result."""

from collections.abc import Sequence

from rag.retrieval.result import DocumentCount, Hit, RetrievalResult


def merge_results(results: Sequence[RetrievalResult], page_size: int, page: int = 1) -> RetrievalResult:
    """A page of the distinct hits, best first, each with the similarities of the question that it fits best.

    total and document_counts: at least what each single result says.
    """
    if len(results) == 1 and page == 1:
        return results[0]
    best: dict[tuple[str, str, str], Hit] = {}
    for result in results:
        for hit in result.hits:
            key = (hit.chunk.dataset_id, hit.chunk.document_id, hit.chunk.id)
            if key not in best or hit.similarity > best[key].similarity:
                best[key] = hit
    hits = sorted(best.values(), key=lambda hit: -hit.similarity)
    return RetrievalResult(
        total=max(len(hits), *(result.total for result in results)),
        hits=hits[(page - 1) * page_size : page * page_size],
        document_counts=_merge_counts(results),
    )


def _merge_counts(results: Sequence[RetrievalResult]) -> list[DocumentCount]:
    merged: dict[str, DocumentCount] = {}
    for result in results:
        for found in result.document_counts:
            known = merged.get(found.document_id)
            if known is None or found.count > known.count:
                merged[found.document_id] = found
    return sorted(merged.values(), key=lambda found: -found.count)
