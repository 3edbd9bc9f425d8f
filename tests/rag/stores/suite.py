"""What every chunk store must do; a subclass supplies the `store` fixture."""

import asyncio
from typing import Any

import numpy as np
import pytest

from rag.chunks import Chunk, FloatArray
from rag.stores.protocol import (
    Candidate,
    ChunkStore,
    QueryTerm,
    SearchRequest,
    SearchResult,
    StoreCounts,
)

DIMENSION = 8


def vector(*values: float, dimension: int = DIMENSION) -> FloatArray:
    array = np.zeros(dimension, np.float32)
    array[: len(values)] = values
    norm = np.linalg.norm(array)
    return array / norm if norm else array


def chunk(
    chunk_id: str, words: str = "alpha", *, document: str = "doc", dataset: str = "set", **more: Any
) -> Chunk:
    defaults: dict[str, Any] = {
        "document_name": f"{document}.txt",
        "content": f"text of {chunk_id}: {words}",
        "title_words": document,
        "vector": vector(1.0),
        "order": 0,
        "created_at": 1000.5,
        "token_count": 3,
    }
    return Chunk(chunk_id, dataset, document, words=words, **(defaults | more))


def terms(*texts: str) -> list[QueryTerm]:
    return [QueryTerm(text, 1 / len(texts)) for text in texts]


async def found(
    store: ChunkStore,
    *texts: str,
    query: FloatArray | None = None,
    datasets: tuple[str, ...] = ("set",),
    documents: list[str] | None = None,
    **more: Any,
) -> dict[str, Candidate]:
    result = await store.search(SearchRequest(datasets, terms(*texts), query, documents, **more))
    assert len({candidate.key for candidate in result.candidates}) == len(result.candidates)
    return {candidate.id: candidate for candidate in result.candidates}


class ChunkStoreSuite:
    """The promises of `rag.stores.protocol.ChunkStore`."""

    async def test_upserted_is_found_by_words_and_by_vector(self, store: ChunkStore) -> None:
        await store.upsert(
            [chunk("a", "alpha beta", vector=vector(1)), chunk("b", "gamma", vector=vector(0, 1))]
        )
        assert set(await found(store, "beta")) == {"a"}
        assert set(await found(store, query=vector(0, 1), vector_limit=1)) == {"b"}
        both = await found(store, "beta", query=vector(0, 1), vector_limit=1)
        assert set(both) == {"a", "b"}
        assert both["a"].text_score > 0 == both["b"].text_score
        assert both["b"].cosine == pytest.approx(1.0, abs=2e-3)
        assert both["a"].cosine == pytest.approx(0.0, abs=2e-3)

    async def test_candidates_carry_what_scoring_needs(self, store: ChunkStore) -> None:
        await store.upsert(
            [chunk("a", "one two", title_words="t", keyword_words="k", question_words="q", parent_id="p")]
        )
        candidate = (await found(store, "two"))["a"]
        assert (candidate.dataset_id, candidate.document_id, candidate.document_name) == (
            "set",
            "doc",
            "doc.txt",
        )
        assert (candidate.words, candidate.title_words) == ("one two", "t")
        assert (candidate.keyword_words, candidate.question_words, candidate.parent_id) == ("k", "q", "p")

    async def test_title_keywords_and_questions_are_searched(self, store: ChunkStore) -> None:
        await store.upsert(
            [
                chunk("t", title_words="manual"),
                chunk("k", keyword_words="price"),
                chunk("q", question_words="much"),
            ]
        )
        assert set(await found(store, "manual")) == {"t"}
        assert set(await found(store, "price")) == {"k"}
        assert set(await found(store, "much")) == {"q"}

    async def test_document_frequencies(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", "x y"), chunk("b", "x"), chunk("c", "z")])
        result = await store.search(SearchRequest(["set"], terms("x", "y", "none"), None))
        assert result.chunk_count >= 3
        frequencies = result.document_frequencies
        assert frequencies.get("x", 2) == 2
        assert frequencies.get("y", 1) == 1
        assert frequencies.get("none", 0) == 0

    async def test_limits(self, store: ChunkStore) -> None:
        await store.upsert([chunk(f"c{i}", "same " * (i + 1), vector=vector(1, i / 10)) for i in range(10)])
        assert len(await found(store, "same", text_limit=3)) == 3
        assert set(await found(store, query=vector(1), vector_limit=2)) == {"c0", "c1"}

    async def test_search_and_fetch_gives_what_was_chosen(self, store: ChunkStore) -> None:
        await store.upsert([chunk(f"c{i}", "same", content=f"Text {i}.") for i in range(5)])
        seen: list[set[str]] = []

        def choose(result: SearchResult) -> list[int | str]:
            seen.append({candidate.id for candidate in result.candidates})
            return [candidate.key for candidate in result.candidates if candidate.id in ("c1", "c3")]

        request = SearchRequest(["set"], terms("same"), None)
        chunks = await store.search_and_fetch(request, choose)
        assert seen == [{"c0", "c1", "c2", "c3", "c4"}]
        assert {each.content for each in chunks.values()} == {"Text 1.", "Text 3."}
        assert await store.search_and_fetch(request, lambda result: []) == {}

        def fail(result: SearchResult) -> list[int | str]:
            raise LookupError("cannot choose")

        with pytest.raises(LookupError, match="cannot choose"):
            await store.search_and_fetch(request, fail)
        assert set(await found(store, "same")) == {"c0", "c1", "c2", "c3", "c4"}

    async def test_same_id_replaces(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", "old")])
        await store.upsert([chunk("a", "new", token_count=5)])
        assert not await found(store, "old")
        assert set(await found(store, "new")) == {"a"}
        assert await store.count("set", "doc") == StoreCounts(1, 5)

    async def test_same_id_twice_in_one_call(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", "old"), chunk("a", "new")])
        assert not await found(store, "old")
        assert await store.count("set", "doc") == StoreCounts(1, 3)

    async def test_same_id_in_another_document_does_not(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", "one"), chunk("a", "two", document="other")])
        assert len((await store.search(SearchRequest(["set"], terms("one", "two"), None))).candidates) == 2
        kept = await store.get("set", "doc", "a")
        assert kept is not None
        assert kept.words == "one"

    async def test_everything_of_a_chunk_comes_back(self, store: ChunkStore) -> None:
        original = chunk(
            "a",
            "words here",
            content="Text 文本 \x00 😀",
            keywords=["k 1", "k2"],
            keyword_words="k 1 k2",
            questions=["q?"],
            question_words="q",
            positions=[(1, 2, 3, 4, 5), (2, 0, 0, 0, 0)],
            image_id="set-a",
            kind="table",
            parent_id="p",
            is_available=False,
            order=7,
            vector=vector(1, 2, 3),
        )
        await store.upsert([original])
        stored = await store.get("set", "doc", "a")
        assert stored is not None
        np.testing.assert_allclose(stored.vector, original.vector, atol=2e-3)
        stored.vector = original.vector
        assert stored == original

    async def test_unknown_ids_match_nothing(self, store: ChunkStore) -> None:
        assert await store.get("set", "doc", "a") is None
        assert await store.count("set", "doc") == StoreCounts(0, 0)
        assert await store.delete_chunks("set", "doc", ["a"]) == StoreCounts(0, 0)
        assert await store.delete_chunks("set", "doc", None) == StoreCounts(0, 0)
        await store.delete_documents("set", ["doc"])
        await store.delete_datasets(["set"])
        await store.discard("run")
        await store.set_available("set", "doc", is_available=False)
        await store.rename_document("set", "doc", "x", "x")
        assert await store.fetch([999]) == {}
        assert await store.fetch_parents("set", ["p"]) == {}
        assert not await found(store, "alpha", query=vector(1))

    async def test_staged_is_invisible_until_published(self, store: ChunkStore) -> None:
        await store.stage("run", [chunk("a", "alpha"), chunk("b", "beta", token_count=4)])
        assert not await found(store, "alpha", query=vector(1))
        assert await store.get("set", "doc", "a") is None
        assert await store.count("set", "doc") == StoreCounts(0, 0)
        assert await store.publish("run", "set", "doc") == StoreCounts(2, 7)
        assert set(await found(store, "alpha")) == {"a"}
        assert await store.count("set", "doc") == StoreCounts(2, 7)

    async def test_publish_replaces_the_document_and_nothing_else(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", "alpha"), chunk("b", "alpha", document="other")])
        await store.stage("run", [chunk("c", "alpha"), chunk("d", "alpha", document="third")])
        await store.publish("run", "set", "doc")
        assert set(await found(store, "alpha", query=vector(1))) == {"b", "c"}
        await store.publish("run", "set", "third")
        assert set(await found(store, "alpha")) == {"b", "c"} or set(await found(store, "alpha")) == {
            "b",
            "c",
            "d",
        }

    async def test_publishing_twice_changes_nothing(self, store: ChunkStore) -> None:
        await store.stage("run", [chunk("a")])
        await store.publish("run", "set", "doc")
        await store.upsert([chunk("mine", "manual")])
        assert await store.publish("run", "set", "doc") == StoreCounts(2, 6)
        assert set(await found(store, "alpha", "manual")) == {"a", "mine"}

    async def test_publishing_nothing_empties_the_document(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a")])
        assert await store.publish("run", "set", "doc") == StoreCounts(0, 0)
        assert not await found(store, "alpha", query=vector(1))

    async def test_staging_the_same_id_replaces(self, store: ChunkStore) -> None:
        await store.stage("run", [chunk("a", "old")])
        await store.stage("run", [chunk("a", "new")])
        assert await store.publish("run", "set", "doc") == StoreCounts(1, 3)
        assert set(await found(store, "new")) == {"a"}
        assert not await found(store, "old")

    async def test_publish_drops_other_runs(self, store: ChunkStore) -> None:
        await store.stage("dead", [chunk("a")])
        await store.stage("run", [chunk("b")])
        await store.publish("run", "set", "doc")
        assert await store.publish("dead", "set", "doc") == StoreCounts(0, 0)

    async def test_discard(self, store: ChunkStore) -> None:
        await store.upsert([chunk("kept")])
        await store.stage("run", [chunk("a")])
        await store.discard("run")
        assert set(await found(store, "alpha")) == {"kept"}
        assert await store.publish("run", "set", "doc") == StoreCounts(0, 0)

    async def test_delete_chunks(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b", token_count=5), chunk("c"), chunk("a", document="other")])
        assert await store.delete_chunks("set", "doc", ["a", "b", "unknown"]) == StoreCounts(2, 8)
        assert len((await store.search(SearchRequest(["set"], terms("alpha"), vector(1)))).candidates) == 2
        assert await store.delete_chunks("set", "doc", None) == StoreCounts(1, 3)
        assert await store.delete_chunks("set", "doc", None) == StoreCounts(0, 0)
        assert (await store.get("set", "other", "a")) is not None

    async def test_delete_documents(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b", document="other"), chunk("c", dataset="else")])
        await store.stage("run", [chunk("s")])
        await store.delete_documents("set", ["doc"])
        assert set(await found(store, "alpha", query=vector(1), datasets=("set", "else"))) == {"b", "c"}
        assert await store.publish("run", "set", "doc") == StoreCounts(0, 0)

    async def test_delete_datasets(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b", dataset="else")])
        await store.stage("run", [chunk("s")])
        await store.delete_datasets(["set"])
        assert set(await found(store, "alpha", query=vector(1), datasets=("set", "else"))) == {"b"}
        assert await store.publish("run", "set", "doc") == StoreCounts(0, 0)

    async def test_datasets_are_apart(self, store: ChunkStore) -> None:
        await store.upsert(
            [chunk("a", dataset="one"), chunk("b", dataset="two"), chunk("c", dataset="three")]
        )
        assert set(await found(store, "alpha", query=vector(1), datasets=("one",))) == {"a"}
        assert set(await found(store, "alpha", query=vector(1), datasets=("one", "three"))) == {"a", "c"}
        assert not await found(store, "alpha", query=vector(1), datasets=())

    async def test_a_filter_on_documents_does_not_starve(self, store: ChunkStore) -> None:
        await store.upsert(
            [chunk(f"n{i}", "alpha alpha", document=f"near{i}", vector=vector(1)) for i in range(50)]
        )
        await store.upsert(
            [chunk("far", "alpha with many other words", document="far", vector=vector(0.1, 1))]
        )
        assert set(await found(store, "alpha", documents=["far"], text_limit=2)) == {"far"}
        assert set(await found(store, query=vector(1), documents=["far"], vector_limit=2)) == {"far"}
        assert not await found(store, "alpha", query=vector(1), documents=[])
        assert not await found(store, "alpha", query=vector(1), documents=["unknown"])

    async def test_dimensions_side_by_side(self, store: ChunkStore) -> None:
        await store.upsert(
            [
                chunk("a", dataset="one", vector=vector(1, dimension=4)),
                chunk("b", dataset="two", vector=vector(1)),
            ]
        )
        assert set(await found(store, query=vector(1, dimension=4), datasets=("one", "two"))) == {"a"}
        assert set(await found(store, query=vector(1), datasets=("one", "two"))) == {"b"}

    async def test_without_a_vector_words_find_it(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", vector=np.empty(0, np.float32))])
        result = await found(store, "alpha", query=vector(1))
        assert result["a"].cosine == 0.0

    async def test_unavailable_is_listed_but_not_found(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b", is_available=False, order=1)])
        assert set(await found(store, "alpha", query=vector(1))) == {"a"}
        await store.set_available("set", "doc", is_available=False)
        assert not await found(store, "alpha", query=vector(1))
        page = await store.list_chunks("set", "doc", offset=0, limit=10)
        assert [(each.id, each.is_available) for each in page.chunks] == [("a", False), ("b", False)]
        await store.set_available("set", "doc", is_available=True)
        assert set(await found(store, "alpha", query=vector(1))) == {"a", "b"}
        await store.set_available("set", "doc", is_available=True)
        assert set(await found(store, "alpha", query=vector(1))) == {"a", "b"}

    async def test_rename(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", title_words="before")])
        await store.rename_document("set", "doc", "after.txt", "after")
        assert not await found(store, "before")
        assert (await found(store, "after"))["a"].document_name == "after.txt"
        stored = await store.get("set", "doc", "a")
        assert stored is not None
        assert (stored.document_name, stored.title_words) == ("after.txt", "after")

    async def test_parents_are_only_fetched(self, store: ChunkStore) -> None:
        parent = chunk("p", "", content="all of it", vector=np.empty(0, np.float32), is_parent=True)
        await store.stage(
            "run", [parent, chunk("p", "same id as the parent", parent_id="p"), chunk("c", parent_id="p")]
        )
        assert await store.publish("run", "set", "doc") == StoreCounts(2, 6)
        assert set(await found(store, "alpha", "same", query=vector(1))) == {"p", "c"}
        parents = await store.fetch_parents("set", ["p", "unknown"])
        assert {key: each.content for key, each in parents.items()} == {"p": "all of it"}
        assert (await store.list_chunks("set", "doc", offset=0, limit=10)).total == 2
        await store.set_available("set", "doc", is_available=True)
        assert set(await found(store, "alpha", "same", query=vector(1))) == {"p", "c"}
        assert await store.delete_chunks("set", "doc", ["p"]) == StoreCounts(1, 3)
        assert set(await store.fetch_parents("set", ["p"])) == {"p"}
        await store.delete_documents("set", ["doc"])
        assert await store.fetch_parents("set", ["p"]) == {}

    async def test_listing(self, store: ChunkStore) -> None:
        await store.upsert([chunk(f"c{i}", f"word{i % 2} x", order=9 - i) for i in range(10)])
        page = await store.list_chunks("set", "doc", offset=2, limit=3)
        assert page.total == 10
        assert [each.id for each in page.chunks] == ["c7", "c6", "c5"]
        assert all(not each.vector.size for each in page.chunks)
        assert (await store.list_chunks("set", "doc", offset=100, limit=3)).chunks == []
        page = await store.list_chunks("set", "doc", offset=0, limit=2, terms=terms("word1", "nowhere"))
        assert page.total == 5
        assert {each.words for each in page.chunks} == {"word1 x"}

    async def test_best_match_is_listed_first(self, store: ChunkStore) -> None:
        await store.upsert([chunk("one", "a x"), chunk("both", "a b", order=1), chunk("none", "c", order=2)])
        page = await store.list_chunks("set", "doc", offset=0, limit=10, terms=terms("a", "b"))
        assert [each.id for each in page.chunks] == ["both", "one"]

    async def test_fetch(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b")])
        candidates = await found(store, "alpha")
        keys = [candidates["a"].key, candidates["b"].key]
        chunks = await store.fetch(keys)
        assert {chunks[key].id for key in keys} == {"a", "b"}
        assert all(not each.vector.size for each in chunks.values())
        vectors = await store.fetch_vectors(keys)
        np.testing.assert_allclose(vectors[keys[0]], vector(1), atol=2e-3)
        await store.delete_chunks("set", "doc", ["a"])
        assert set(await store.fetch(keys)) == {keys[1]}

    async def test_replaced_since_the_search_is_still_fetched(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a", content="old")])
        key = (await found(store, "alpha"))["a"].key
        await store.stage("run", [chunk("a", content="new")])
        await store.publish("run", "set", "doc")
        assert (await store.fetch([key]))[key].content == "old"

    async def test_a_reader_sees_the_old_or_the_new_chunks(self, store: ChunkStore) -> None:
        """During re-parses every search finds exactly one generation."""
        await store.upsert([chunk(f"0-{i}", vector=vector(1, i / 9)) for i in range(5)])
        is_running = True

        async def reparse() -> None:
            nonlocal is_running
            for generation in range(1, 12):
                run = f"run{generation}"
                await store.stage(
                    run, [chunk(f"{generation}-{i}", vector=vector(1, i / 9)) for i in range(5)]
                )
                await store.publish(run, "set", "doc")
            is_running = False

        async def read() -> int:
            searches = 0
            while is_running:
                result = await store.search(SearchRequest(["set"], terms("alpha"), vector(1)))
                ids = {candidate.id for candidate in result.candidates}
                assert len(ids) == 5
                assert len({each.split("-")[0] for each in ids}) == 1
                assert len(await store.fetch([each.key for each in result.candidates])) == 5
                searches += 1
                await asyncio.sleep(0)
            return searches

        _, *searches = await asyncio.gather(reparse(), read(), read())
        assert is_running is False
        del searches

    async def test_writers_at_once(self, store: ChunkStore) -> None:
        await asyncio.gather(
            *(store.upsert([chunk(f"c{i}", f"w{i} alpha", document=f"d{i % 3}")]) for i in range(30)),
        )
        counts = [await store.count("set", f"d{i}") for i in range(3)]
        assert sum(each.chunks for each in counts) == 30
        assert len(await found(store, "alpha")) == 30

    async def test_odd_texts(self, store: ChunkStore) -> None:
        odd = "quote \" ' % _ ( AND * \\ \ud800"
        await store.upsert([chunk("a", "数据库 c++ a.b ()", content=odd, document_name=odd)])
        for term in ("数据库", "c++", "a.b", "()"):
            assert set(await found(store, term)) == {"a"}
        for term in ("*", "AND", '"', "a", "x" * 5000):
            assert not await found(store, term)
        stored = await store.get("set", "doc", "a")
        assert stored is not None
        assert stored.content.startswith("quote")

    async def test_health_and_rebuild(self, store: ChunkStore) -> None:
        await store.upsert([chunk("a"), chunk("b", is_available=False), chunk("p", is_parent=True)])
        assert (await store.health()).is_ok
        assert await store.rebuild() == 1
        assert set(await found(store, "alpha", query=vector(1))) == {"a"}
