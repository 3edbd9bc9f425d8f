"""Drafts to chunks: ids, order, duplicates, parents, vectors, batches."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunking.drafts import ChunkDraft
from rag.chunks import Chunk, chunk_id
from rag.ingest import IngestTimes, SourceDocument, embed_one, filename_weight, ingest
from rag.ingest.embedding import MAX_TOKENS, text_to_embed
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.text.tokens import count_tokens

DOCUMENT = "b330ec2e91ec11efbc510242ac120004"


@pytest.fixture(scope="module")
def model() -> BuiltinEmbedding:
    return BuiltinEmbedding()


def source(**changes: object) -> SourceDocument:
    values: dict[str, object] = {
        "id": DOCUMENT,
        "dataset_id": "d" * 32,
        "name": "Owls of Europe.txt",
        "created_at": time.time(),
    }
    return SourceDocument(**(values | changes))  # type: ignore[arg-type]


async def run(drafts: list[ChunkDraft], model: BuiltinEmbedding, **changes: object) -> list[Chunk]:
    batches = ingest(drafts, source(**changes), model, batch_size=3)
    return [chunk async for batch in batches for chunk in batch]


async def test_a_draft_becomes_a_chunk(model: BuiltinEmbedding) -> None:
    (chunk,) = await run([ChunkDraft("hello", [(1, 0, 0, 0, 0)])], model)
    assert chunk.id == "cc50e18a05895295"
    assert chunk.document_name == "Owls of Europe.txt"
    assert chunk.words == "hello"
    assert "owl" in chunk.title_words.split()
    assert "txt" not in chunk.title_words.split()
    assert chunk.token_count == 1
    assert chunk.positions == [(1, 0, 0, 0, 0)]
    assert chunk.is_available
    assert not chunk.is_parent
    assert chunk.vector.shape == (256,)


async def test_equal_texts_are_one_chunk_and_order_has_no_gaps(model: BuiltinEmbedding) -> None:
    times = IngestTimes()
    drafts = [ChunkDraft(text) for text in ("a b", "c d", "a b", "e f", "c d", "g h", "i j")]
    batches = [b async for b in ingest(drafts, source(), model, batch_size=2, times=times)]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    chunks = [chunk for batch in batches for chunk in batch]
    assert [chunk.content for chunk in chunks] == ["a b", "c d", "e f", "g h", "i j"]
    assert [chunk.order for chunk in chunks] == [0, 1, 2, 3, 4]
    assert times.chunk_count == 5
    assert times.embedding_s > 0


async def test_children_bring_their_parent_once(model: BuiltinEmbedding) -> None:
    drafts = [
        ChunkDraft("one. ", parent="one. two."),
        ChunkDraft("two.", parent="one. two."),
        ChunkDraft("alone"),
    ]
    parent, one, two, alone = await run(drafts, model)
    assert parent.is_parent
    assert parent.id == chunk_id("one. two.", DOCUMENT)
    assert parent.content == "one. two."
    assert not parent.is_available
    assert parent.vector.size == 0
    assert one.parent_id == two.parent_id == parent.id
    assert alone.parent_id == ""


async def test_a_disabled_document_has_unavailable_chunks(model: BuiltinEmbedding) -> None:
    (chunk,) = await run([ChunkDraft("text")], model, is_available=False)
    assert not chunk.is_available


async def test_the_vector_mixes_name_and_text(model: BuiltinEmbedding) -> None:
    name, text = (await model.embed(["Owls of Europe.txt", "a tax form"])).vectors
    for weight in (0.1, 0.5, 1.0):
        (chunk,) = await run([ChunkDraft("a tax form")], model, filename_weight=weight)
        expected = weight * name + (1 - weight) * text
        np.testing.assert_allclose(chunk.vector, expected / np.linalg.norm(expected), atol=1e-5)
    first, *_, last = await run([ChunkDraft(f"a tax form {n}") for n in range(7)], model, filename_weight=1.0)
    np.testing.assert_allclose(first.vector, last.vector, atol=1e-5)  # the name's, in every batch


async def test_one_chunk_alone_gets_the_same_vector(model: BuiltinEmbedding) -> None:
    (chunk,) = await run([ChunkDraft("a tax form")], model)
    np.testing.assert_allclose(
        chunk.vector, await embed_one(model, "Owls of Europe.txt", "a tax form"), atol=1e-5
    )
    with_questions = await embed_one(model, "Owls of Europe.txt", "a tax form", ["What is due?", "When?"])
    as_content = await embed_one(model, "Owls of Europe.txt", "What is due?\nWhen?")
    np.testing.assert_allclose(with_questions, as_content, atol=1e-5)


async def test_words_of_a_table_are_without_its_tags(model: BuiltinEmbedding) -> None:
    html = '<table><caption>Prices</caption><tr><th colspan="2">Owl</th></tr><tr><td>five</td></tr></table>'
    (chunk,) = await run([ChunkDraft(html, kind="table")], model)
    assert chunk.content == html
    assert not {"td", "tr", "table", "caption", "colspan"} & set(chunk.words.split())
    assert "owl" in chunk.words.split()


async def test_an_error_of_the_drafts_comes_through(model: BuiltinEmbedding) -> None:
    def drafts() -> Iterator[ChunkDraft]:
        yield ChunkDraft("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async for _ in ingest(drafts(), source(), model, batch_size=8):
            pass


def test_text_to_embed() -> None:
    assert text_to_embed("<table><tr><td>a</td></tr></table>", []).split() == ["a"]
    assert text_to_embed("a < b and c > d", []) == "a < b and c > d"
    assert text_to_embed(" \n", []) == "None"
    assert text_to_embed("content", ["What?", "Why?"]) == "What?\nWhy?"
    assert count_tokens(text_to_embed("word " * 20_000, [])) <= MAX_TOKENS


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (0.3, 0.3), (1, 1.0), (0, 0.1), (None, 0.1), ("x", 0.1), (-1, 0.1), (7, 1.0),
        (True, 0.1), (float("nan"), 0.1), (float("inf"), 0.1),
    ],
)  # fmt: skip
def test_filename_weight(value: object, weight: float) -> None:
    assert filename_weight({"filename_embd_weight": value}) == weight


def test_filename_weight_by_default() -> None:
    assert filename_weight({}) == 0.1


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()), min_size=1, max_size=12),
    batch_size=st.integers(1, 5),
)  # fmt: skip
async def test_any_text_gives_unit_vectors_and_each_id_once(texts: list[str], batch_size: int) -> None:
    model = BuiltinEmbedding()
    drafts = [ChunkDraft(text) for text in texts]
    batches = [b async for b in ingest(drafts, source(), model, batch_size=batch_size)]
    chunks = [chunk for batch in batches for chunk in batch]
    assert {chunk.content for chunk in chunks} == set(texts)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(0 < len(batch) <= batch_size for batch in batches)
    for chunk in chunks:
        assert abs(float(np.linalg.norm(chunk.vector)) - 1) < 1e-4
