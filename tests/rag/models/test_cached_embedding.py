"""Texts are embedded once, whatever becomes of the cache."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.models.cached_embedding import CachedEmbedding
from rag.models.openai_embedding import OpenAIEmbedding
from rag.models.openai_endpoint import Endpoint
from rag.models.vector_cache import VectorCache
from tests.rag.models.stub_openai import API_KEY, DIMENSION, Fault, StubOpenAI, open_stub
from tests.rag.models.suite_embedding import EmbeddingModelSuite


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[VectorCache]:
    cache = VectorCache(tmp_path / "vectors.sqlite", 1 << 20)
    yield cache
    cache.close()


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with open_stub() as stub:
        yield stub


@pytest.fixture
async def remote(stub: StubOpenAI) -> AsyncIterator[OpenAIEmbedding]:
    endpoint = Endpoint(provider="Stub", base_url=stub.base_url, api_key=API_KEY, attempts=1)
    yield OpenAIEmbedding(endpoint, "emb", "emb@Stub")
    await endpoint.close()


@pytest.fixture
def model(remote: OpenAIEmbedding, cache: VectorCache) -> CachedEmbedding:
    return CachedEmbedding(remote, cache, "emb")


class TestCached(EmbeddingModelSuite):
    async def test_tokens_are_counted(self, model: CachedEmbedding) -> None:
        assert (await model.embed(["one two three four"])).token_count == 4
        assert (await model.embed(["one two three four"])).token_count == 0
        assert (await model.embed(["one two three four", "five"])).token_count == 1


async def test_only_what_changed_is_asked_for(stub: StubOpenAI, model: CachedEmbedding) -> None:
    first = (await model.embed(["a", "b", "c", "a"])).vectors
    again = (await model.embed(["c", "x", "a", "b"])).vectors
    assert [body["input"] for body in stub.requests] == [["a", "b", "c"], ["x"]]
    np.testing.assert_array_equal(again[[2, 3, 0]], first[:3])
    np.testing.assert_array_equal(first[0], first[3])


async def test_other_models_and_processes(
    stub: StubOpenAI, remote: OpenAIEmbedding, model: CachedEmbedding, tmp_path: Path
) -> None:
    await model.embed(["a"])
    other = VectorCache(tmp_path / "vectors.sqlite", 1 << 20)
    await CachedEmbedding(remote, other, "emb").embed(["a"])
    assert len(stub.requests) == 1
    await CachedEmbedding(remote, other, "another").embed(["a"])
    assert len(stub.requests) == 2
    other.close()


async def test_a_model_that_became_another_one(
    stub: StubOpenAI, model: CachedEmbedding, cache: VectorCache
) -> None:
    await model.embed(["a", "b"])
    endpoint = Endpoint(provider="Stub", base_url=stub.base_url, api_key=API_KEY, attempts=1)
    replaced = CachedEmbedding(OpenAIEmbedding(endpoint, "emb", "emb@Stub"), cache, "emb")
    stub.faults.extend([Fault(vectors=lambda found: [vector[:-1] for vector in found])] * 2)
    vectors = (await replaced.embed(["a", "b", "new"])).vectors
    assert vectors.shape == (3, DIMENSION - 1)
    assert (await replaced.embed(["a", "b", "new"])).vectors.shape == (3, DIMENSION - 1)
    assert len(stub.requests) == 3
    await endpoint.close()


async def test_a_failure_is_not_remembered(stub: StubOpenAI, model: CachedEmbedding) -> None:
    stub.faults.append(Fault(status=500))
    with pytest.raises(Exception, match="HTTP 500"):
        await model.embed(["a"])
    assert (await model.embed(["a"])).vectors.shape == (1, DIMENSION)


@pytest.mark.parametrize("damage", ["no folder", "locked"])
async def test_without_a_working_cache_everything_is_asked_for(
    stub: StubOpenAI, remote: OpenAIEmbedding, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.models.vector_cache._BUSY_TIMEOUT_S", 0.05)
    file = tmp_path / ("none/vectors.sqlite" if damage == "no folder" else "vectors.sqlite")
    holder = None
    if damage == "locked":
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
    model = CachedEmbedding(remote, VectorCache(file, 1 << 20), "emb")
    for _ in range(2):
        assert (await model.embed(["a", "b"])).vectors.shape == (2, DIMENSION)
    assert len(stub.requests) == 2
    if holder is not None:
        holder.close()


async def test_a_damaged_file_is_thrown_away(
    stub: StubOpenAI, remote: OpenAIEmbedding, tmp_path: Path
) -> None:
    file = tmp_path / "vectors.sqlite"
    file.write_bytes(b"no database at all" * 1000)
    model = CachedEmbedding(remote, VectorCache(file, 1 << 20), "emb")
    for _ in range(3):
        assert (await model.embed(["a", "b"])).vectors.shape == (2, DIMENSION)
    assert len(stub.requests) == 1


def test_it_stays_within_its_bounds(tmp_path: Path) -> None:
    file = tmp_path / "vectors.sqlite"
    cache = VectorCache(file, 500_000)
    vector = np.ones(256, dtype=np.float32)
    for number in range(40):
        cache.store({f"{number}-{i}".encode(): vector for i in range(100)})
    found = cache.find([f"{number}-{i}".encode() for number in range(40) for i in range(100)])
    assert 100 <= len(found) <= 500
    assert b"39-99" in found  # the newest stay
    cache.close()
    assert file.stat().st_size < 1_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=4), st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=5)
        )
    )
)
def test_what_is_found_is_what_was_stored_last(
    tmp_path: Path, pairs: list[tuple[bytes, list[float]]]
) -> None:
    file = tmp_path / "v.sqlite"
    cache = VectorCache(file, 1 << 30)
    for key, vector in pairs:
        cache.store({key: np.array(vector, dtype=np.float32)})
    expected = dict(pairs)
    found = cache.find([*expected, b"never stored"])
    assert {key: vector.tolist() for key, vector in found.items()} == expected
    cache.close()
    file.unlink(missing_ok=True)
