"""Results of several spellings of one question, as one."""

from typing import Any

import numpy as np

from rag.chunks import Chunk
from rag.retrieval.merging import merge_results
from rag.retrieval.result import DocumentCount, Hit, RetrievalResult


def hit(id: str, similarity: float) -> Hit:
    chunk = Chunk(id, "k", "d", "d.txt", id, "", "", np.zeros(0, np.float32), 0, 0.0, 1)
    return Hit(chunk, similarity, similarity, similarity)


def result(*hits: Hit, total: int | None = None, counts: Any = ()) -> RetrievalResult:
    return RetrievalResult(len(hits) if total is None else total, list(hits), list(counts))


def test_each_passage_comes_once_with_its_best_similarity() -> None:
    merged = merge_results([result(hit("a", 0.5), hit("b", 0.4)), result(hit("b", 0.9), hit("c", 0.1))], 2)
    assert [(one.chunk.id, one.similarity) for one in merged.hits] == [("b", 0.9), ("a", 0.5)]
    assert merged.total == 3


def test_pages_do_not_overlap() -> None:
    found = [result(hit("a", 0.5), hit("b", 0.4)), result(hit("c", 0.45))]
    pages = [[one.chunk.id for one in merge_results(found, 1, page).hits] for page in (1, 2, 3, 4)]
    assert pages == [["a"], ["c"], ["b"], []]


def test_one_result_stays_as_it_is() -> None:
    only = result(hit("a", 0.5), total=7)
    assert merge_results([only], 5) is only


def test_documents_keep_their_highest_count() -> None:
    merged = merge_results(
        [result(counts=[DocumentCount("x", "x", 1)]), result(counts=[DocumentCount("y", "y", 5), DocumentCount("x", "x", 3)])],
        5,
    )  # fmt: skip
    assert [(one.document_id, one.count) for one in merged.document_counts] == [("y", 5), ("x", 3)]
