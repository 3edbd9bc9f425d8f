import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.chunks import Chunk
from rag.retrieval.result import DocumentCount, RetrievalOptions, RetrievalResult
from rag.retrieval.search import retrieve
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore
from rag.text.tokenizer import words
from tests.rag.stores.memory import MemoryChunkStore
from tests.rag.stores.suite import chunk, vector


@pytest.fixture(params=["memory", "embedded"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ChunkStore]:
    if request.param == "memory":
        yield MemoryChunkStore()
        return
    async with open_embedded_store(tmp_path, role="owner") as store:
        yield store


def passage(chunk_id: str, text: str, **more: Any) -> Chunk:
    return chunk(chunk_id, words(text), content=text, **more)


async def ask(store: ChunkStore, question: str, *, query: Any = None, **options: Any) -> RetrievalResult:
    return await retrieve(store, question, query, RetrievalOptions(**({"dataset_ids": ["set"]} | options)))


def ids(result: RetrievalResult) -> list[str]:
    return [hit.chunk.id for hit in result.hits]


async def test_scores_are_what_they_say(store: ChunkStore) -> None:
    await store.upsert(
        [passage("a", "red car", vector=vector(1)), passage("b", "blue boat", vector=vector(0.6, 0.8))]
    )
    result = await ask(store, "red car", query=vector(1), similarity_threshold=0.0)
    assert ids(result) == ["a", "b"]
    first, second = result.hits
    assert (first.similarity, first.vector_similarity, first.term_similarity) == pytest.approx(
        (1, 1, 1), abs=2e-3
    )
    assert (second.vector_similarity, second.term_similarity) == pytest.approx((0.6, 0), abs=2e-3)
    assert second.similarity == pytest.approx(0.3 * 0.6, abs=2e-3)


async def test_weight(store: ChunkStore) -> None:
    await store.upsert(
        [passage("words", "red car", vector=vector(0, 1)), passage("near", "else", vector=vector(1))]
    )
    for weight, best in ((0.1, "words"), (0.9, "near")):
        result = await ask(
            store, "red car", query=vector(1), vector_similarity_weight=weight, similarity_threshold=0
        )
        assert ids(result)[0] == best
        assert result.hits[0].similarity == pytest.approx(1 - 0.1, abs=5e-3)


async def test_vectors_are_not_gated_by_words(store: ChunkStore) -> None:
    await store.upsert([passage("a", "completely different")])
    assert ids(await ask(store, "red car", query=vector(1))) == ["a"]


async def test_without_vector_the_words_have_all_the_weight(store: ChunkStore) -> None:
    await store.upsert([passage("a", "red car")])
    result = await ask(store, "red car")
    assert result.hits[0].similarity == pytest.approx(1)
    assert result.hits[0].vector_similarity == 0


async def test_threshold_and_its_exception(store: ChunkStore) -> None:
    await store.upsert([passage("a", "red"), passage("b", "car", vector=vector(0, 1))])
    everything = await ask(store, "red car", query=vector(1), similarity_threshold=0.0)
    assert everything.total == 2
    kept = await ask(store, "red car", query=vector(1), similarity_threshold=0.5)
    assert ids(kept) == ["a"]
    assert kept.total == 1
    assert (await ask(store, "red car", similarity_threshold=0.99, vector_similarity_weight=0)).total == 2


async def test_pages_are_a_partition_and_total_is_stable(store: ChunkStore) -> None:
    await store.upsert(
        [
            passage(f"c{i}", "red car " + "x " * i, vector=vector(1, i % 4), document=f"d{i % 3}")
            for i in range(25)
        ]
    )
    whole = await ask(store, "red car", query=vector(1), page_size=30)
    pages = [await ask(store, "red car", query=vector(1), page=page, page_size=7) for page in range(1, 6)]
    assert [page.total for page in pages] == [25] * 5
    assert [each for page in pages for each in ids(page)] == ids(whole)
    assert pages[4].hits == []
    assert sum(each.count for each in pages[4].document_counts) == 25


async def test_documents_are_counted_over_all_pages_and_by_id(store: ChunkStore) -> None:
    same_name = {"document_name": "same.txt"}
    await store.upsert(
        [passage(f"a{i}", "red", document="d1", **same_name) for i in range(2)]
        + [passage(f"b{i}", "red", document="d2", **same_name) for i in range(3)]
    )
    result = await ask(store, "red", page_size=1)
    assert result.document_counts == [DocumentCount("d2", "same.txt", 3), DocumentCount("d1", "same.txt", 2)]


async def test_document_filter(store: ChunkStore) -> None:
    await store.upsert([passage("a", "red car"), passage("b", "red", document="other")])
    assert ids(await ask(store, "red car", document_ids=["other"])) == ["b"]
    assert ids(await ask(store, "red car", document_ids=[])) == []


async def test_pagerank_is_added(store: ChunkStore) -> None:
    await store.upsert([passage("a", "red car"), passage("b", "red", dataset="ranked")])
    result = await ask(store, "red car", dataset_ids=["set", "ranked"], pagerank={"ranked": 5.0})
    assert ids(result) == ["b", "a"]
    assert result.hits[0].similarity > 5


@pytest.mark.parametrize("question", ["", "   ", "\n"])
async def test_blank_questions_find_nothing(store: ChunkStore, question: str) -> None:
    await store.upsert([passage("a", "red")])
    assert await ask(store, question, query=vector(1)) == RetrievalResult(0, [], [])


@pytest.mark.parametrize(
    "question", ["???", '"a AND (b', "+-*/\\", "title:x", "the", "a" * 100_000, "\ud800", "\x00"]
)
async def test_odd_questions(store: ChunkStore, question: str) -> None:
    await store.upsert([passage("a", "the red car")])
    result = await ask(store, question, query=vector(1))
    assert ids(result) == ["a"]
    assert all(math.isfinite(hit.similarity) for hit in result.hits)
    await ask(store, question)


async def test_highlight(store: ChunkStore) -> None:
    await store.upsert([passage("a", "Two red cars. Else.")])
    assert (await ask(store, "red car")).hits[0].highlight is None
    assert (await ask(store, "red car", highlight=True)).hits[
        0
    ].highlight == "Two <em>red</em> <em>cars</em>."


async def family(store: ChunkStore) -> None:
    parent = chunk("p", "", content="red car and blue boat", is_parent=True)
    await store.upsert(
        [
            parent,
            passage("c1", "red car", parent_id="p", keywords=["k1"]),
            passage("c2", "red boat", parent_id="p", keywords=["k2", "k1"]),
            passage("orphan", "red orphan", parent_id="missing"),
            passage("alone", "red thing"),
        ]
    )


async def test_children_are_replaced_by_their_parent(store: ChunkStore) -> None:
    await family(store)
    result = await ask(store, "red car", highlight=True)
    assert result.total == 4
    assert set(ids(result)) == {"p", "orphan", "alone"}
    hit = next(hit for hit in result.hits if hit.chunk.id == "p")
    assert hit.chunk.content == "red car and blue boat"
    assert (hit.chunk.parent_id, hit.highlight) == ("", None)
    assert set(hit.child_ids) == {"c1", "c2"}
    assert set(hit.chunk.keywords) == {"k1", "k2"}
    assert hit.similarity == hit.vector_similarity == hit.term_similarity
    similarities = [each.similarity for each in result.hits]
    assert similarities == sorted(similarities, reverse=True)


async def test_rerank_takes_the_place_of_the_cosine(store: ChunkStore) -> None:
    await store.upsert([passage("a", "red car"), passage("b", "red")])
    asked: list[Any] = []

    async def rerank(question: str, texts: Sequence[str]) -> Sequence[float]:
        asked.append((question, sorted(texts)))
        return [1.0 if text == "red" else 0.0 for text in texts]

    result = await ask(store, "red car", query=vector(1), rerank=rerank, vector_similarity_weight=0.9)
    assert asked == [("red car", ["red", "red car"])]
    assert ids(result)[0] == "b"
    assert result.hits[0].vector_similarity == 1.0


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 30))
async def test_paging_covers_everything_once(count: int, page_size: int, step: int) -> None:
    store = MemoryChunkStore()
    await store.upsert(
        [passage(f"c{i}", "red " * (i % 3 + 1), vector=vector(1, i * step)) for i in range(count)]
    )
    seen: list[str] = []
    for page in range(1, count // page_size + 2):
        result = await ask(
            store, "red", query=vector(1), page=page, page_size=page_size, similarity_threshold=0
        )
        assert result.total == count
        seen += ids(result)
    assert sorted(seen) == sorted(f"c{i}" for i in range(count))
