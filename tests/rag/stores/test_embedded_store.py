import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.chunks import Chunk
from rag.errors import Overloaded, StoreFull, StoreUnavailable
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore, SearchRequest, StoreCounts
from tests.rag.stores.suite import ChunkStoreSuite, chunk, found, terms, vector

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "chunks"


class TestEmbedded(ChunkStoreSuite):
    @pytest.fixture
    async def store(self, folder: Path) -> AsyncIterator[ChunkStore]:
        async with open_embedded_store(folder, role="owner") as store:
            yield store


class TestEmbeddedWithGraphs(ChunkStoreSuite):
    """Every dataset's vectors go into a graph as soon as it is built."""

    @pytest.fixture
    async def store(self, folder: Path) -> AsyncIterator[ChunkStore]:
        async with open_embedded_store(folder, role="owner", exact_floats=0) as store:
            yield store


class TestWriterBesideOwner(ChunkStoreSuite):
    """Writes go through a writer, searches to the owner."""

    @pytest.fixture
    async def store(self, folder: Path) -> AsyncIterator[Any]:
        async with (
            open_embedded_store(folder, role="owner") as owner,
            open_embedded_store(folder, role="writer") as writer,
        ):
            yield Pair(owner, writer)


class Pair:
    def __init__(self, owner: ChunkStore, writer: ChunkStore) -> None:
        self._owner, self._writer = owner, writer

    def __getattr__(self, name: str) -> Any:
        is_search = name in {"search", "search_and_fetch", "fetch", "rebuild", "health"}
        return getattr(self._owner if is_search else self._writer, name)


async def test_what_was_written_is_there_after_reopening(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner") as store:
        await store.upsert([chunk("a", "alpha"), chunk("b", "beta", vector=vector(0, 1))])
        await store.stage("run", [chunk("s", document="staged")])
        await store.delete_chunks("set", "doc", ["a"])
    async with open_embedded_store(folder, role="owner") as store:
        assert set(await found(store, "alpha", "beta", query=vector(1))) == {"b"}
        assert await store.publish("run", "set", "staged") == StoreCounts(1, 3)
        assert set(await found(store, "alpha")) == {"s"}


async def test_one_owner(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner"):
        with pytest.raises(StoreUnavailable, match="in use by another server"):
            async with open_embedded_store(folder, role="owner"):
                pass
    async with open_embedded_store(folder, role="owner") as store:
        assert (await store.health()).is_ok


async def test_writers_do_not_wait_without_an_owner(folder: Path) -> None:
    async with open_embedded_store(folder, role="writer") as writer:
        started = time.perf_counter()
        await writer.upsert([chunk("a")])
        await writer.stage("run", [chunk("b", document="other")])
        await writer.publish("run", "set", "other")
        assert time.perf_counter() - started < 5
        with pytest.raises(StoreUnavailable):
            await found(writer, "alpha")
        async with open_embedded_store(folder, role="owner") as owner:
            assert set(await found(owner, "alpha", query=vector(1))) == {"a", "b"}
        await writer.upsert([chunk("c")])
        assert (await writer.health()).is_ok


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: shutil.rmtree(folder / "text"),
        lambda folder: (folder / "text" / "applied.json").unlink(),
        lambda folder: (folder / "text" / "applied.json").write_text("{"),
        lambda folder: (folder / "text" / "meta.json").write_text("nonsense"),
        lambda folder: (folder / "text" / "meta.json").unlink(),
        lambda folder: [path.write_bytes(b"") for path in (folder / "text").glob("*.idx")],
        lambda folder: [path.unlink() for path in (folder / "text").glob("*.store")],
        lambda folder: set_marker(folder, store_id="another"),
        lambda folder: set_marker(folder, seq=10**6),
        lambda folder: set_marker(folder, format=0),
        lambda folder: set_marker(folder, seq=0),
        lambda folder: [path.write_bytes(b"x" * 100) for path in (folder / "vectors").glob("*")],
        lambda folder: (folder / "progress").write_bytes(b""),
        lambda folder: (folder / "wake").unlink(),
    ],
)
@pytest.mark.parametrize("exact_floats", [10**6, 0])
async def test_damaged_indexes_are_built_again(folder: Path, damage: Any, exact_floats: int) -> None:
    async with open_embedded_store(folder, role="owner", exact_floats=exact_floats) as store:
        await store.upsert([chunk(f"c{i}", f"w{i} alpha", vector=vector(1, i)) for i in range(20)])
        await store.delete_chunks("set", "doc", ["c3"])
        await asyncio.sleep(0.05)
        await store.upsert([chunk("last")])  # a built graph takes over with the next change
    damage(folder)
    async with open_embedded_store(folder, role="owner", exact_floats=exact_floats) as store:
        ids = {f"c{i}" for i in range(20)} - {"c3"} | {"last"}
        assert set(await found(store, "alpha")) == ids
        assert set(await found(store, query=vector(1))) == ids
        assert set(await found(store, "w7")) == {"c7"}


def set_marker(folder: Path, **changed: Any) -> None:
    path = folder / "text" / "applied.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


async def test_a_graph_finds_what_a_scan_finds(folder: Path) -> None:
    chooser = np.random.default_rng(1)
    vectors = chooser.standard_normal((600, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chunks = [chunk(f"c{i}", document=f"d{i % 10}", vector=vectors[i]) for i in range(600)]
    async with open_embedded_store(folder, role="owner", exact_floats=0) as store:
        await store.upsert(chunks[:500])
        await asyncio.sleep(0.3)
        await store.upsert(chunks[500:])
        await store.delete_documents("set", ["d0"])
    for exact_floats in (0, 10**9):  # from the file; from the truth
        async with open_embedded_store(folder, role="owner", exact_floats=exact_floats) as store:
            assert list((folder / "vectors").glob("*.usearch"))
            for query in vectors[:20] + 0.2:
                query /= np.linalg.norm(query)
                wanted = sorted((i for i in range(600) if i % 10), key=lambda i: -float(vectors[i] @ query))[
                    :20
                ]
                result = await found(store, query=query, vector_limit=20)
                assert len(set(result) & {f"c{i}" for i in wanted}) >= 18
                best = result[f"c{wanted[0]}"]
                assert best.cosine == pytest.approx(float(vectors[wanted[0]] @ query), abs=3e-3)
                only = await found(store, query=query, documents=["d1"], vector_limit=60)
                assert set(only) == {f"c{i}" for i in range(600) if i % 10 == 1}


async def test_full_disk_is_told_and_loses_nothing(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner") as store:
        await store.upsert([chunk("a")])
        connection: sqlite3.Connection = store._writer._connection  # type: ignore[attr-defined]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(StoreFull, match="no space left"):
            await store.upsert([chunk("b", content="x" * 1_000_000)])
        with pytest.raises(StoreFull):
            await store.stage("run", [chunk("b", content="x" * 1_000_000)])
        assert set(await found(store, "alpha")) == {"a"}
        connection.execute("PRAGMA max_page_count = 1000000")
        await store.upsert([chunk("b", content="x" * 1_000_000)])
        assert set(await found(store, "alpha")) == {"a", "b"}


async def test_indexes_that_cannot_follow_are_told_and_catch_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag.stores.embedded.text_index import TextIndex

    async with open_embedded_store(folder, role="owner") as store:
        await store.upsert([chunk("a")])

        def fail(_: TextIndex) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(TextIndex, "commit", fail)
            with pytest.raises(StoreFull):
                await store.upsert([chunk("b")])
            assert not (await store.health()).is_ok
            assert set(await found(store, "alpha", query=vector(1))) == {"a"}
        await store.upsert([chunk("c")])
        assert set(await found(store, "alpha", query=vector(1))) == {"a", "b", "c"}
        assert (await store.health()).is_ok


async def test_too_long_a_queue_is_refused(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner", max_queued=3) as store:
        await store.upsert([chunk("a")])
        request = SearchRequest(["set"], terms("alpha"), vector(1))
        replies = await asyncio.gather(*(store.search(request) for _ in range(20)), return_exceptions=True)
        refused = [reply for reply in replies if isinstance(reply, Overloaded)]
        assert len(refused) == 17
        assert refused[0].retry_after_s > 0
        assert set(await found(store, "alpha")) == {"a"}


async def test_closed(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner") as store:
        pass
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.count("set", "doc")
    await store.close()


async def test_replaced_rows_are_purged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag.stores.embedded import projection, truth

    monkeypatch.setattr(projection, "_PURGE_EVERY_S", 0.05)
    monkeypatch.setattr(projection, "_POLL_S", 0.02)
    monkeypatch.setattr(truth, "REPLACED_GRACE_S", 0.0)
    async with open_embedded_store(folder, role="owner") as store:
        for _ in range(5):
            await store.upsert([chunk(f"c{i}") for i in range(10)])
        connection = sqlite3.connect(folder / "chunks.sqlite")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            counts = [
                connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0]
                for t in ("chunk", "passage", "embedding")
            ]
            if counts == [10, 10, 10]:
                break
            await asyncio.sleep(0.05)
        assert counts == [10, 10, 10]
        assert len(await found(store, "alpha", query=vector(1))) == 10
        connection.close()


def start_writing(folder: Path, role: str, number: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.rag.stores.writing_process", str(folder), role, str(number)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_after(process: subprocess.Popen[str], line_count: int, extra_s: float) -> list[str]:
    """Kill it at some point after so many lines; returns all that it said."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(line_count)]
    time.sleep(extra_s)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().splitlines()
    process.wait()
    return [line.strip() for line in lines] + rest


async def check_acknowledged(store: ChunkStore, said: list[str]) -> None:
    gone = {int(line.split()[1]) for line in said if line.startswith("gone")}
    kept = {int(line.split()[1]) for line in said if line.startswith("kept")} - gone
    assert kept
    for number in kept:
        wanted = 1 if number % 3 == 0 else 3
        counts = await store.count("set", f"d{number}")
        # The next step deletes it, and may have been killed before it could say so.
        is_deleted_unsaid = counts.chunks == 0 and number % 5 == 3 and number + 1 not in kept
        assert counts.chunks == wanted or is_deleted_unsaid
        assert len(await found(store, f"n{number}", query=None)) == counts.chunks
    for number in gone:
        assert not await found(store, f"n{number}")


async def check_indexes_agree(store: ChunkStore, folder: Path) -> None:
    connection = sqlite3.connect(folder / "chunks.sqlite")
    (rows,) = connection.execute("SELECT count(*) FROM chunk WHERE is_indexed").fetchone()
    connection.close()
    figures = (await store.health()).figures
    assert figures["indexed"] == rows
    everything = await found(store, query=vector(1), vector_limit=100_000)
    assert len(everything) == rows


@pytest.mark.parametrize("role", ["owner", "writer"])
async def test_kill_9_loses_nothing_that_was_acknowledged(folder: Path, role: str) -> None:
    said: list[str] = []
    number = 0
    for attempt in range(4):
        process = start_writing(folder, role, number)
        said += await asyncio.to_thread(kill_after, process, 12 + 5 * attempt, 0.003 * attempt)
        number = 1000 * (attempt + 1)
    async with open_embedded_store(folder, role="owner") as store:
        await check_acknowledged(store, said)
        await check_indexes_agree(store, folder)


async def test_a_killed_writer_beside_a_living_owner(folder: Path) -> None:
    async with open_embedded_store(folder, role="owner") as store:
        process = await asyncio.to_thread(start_writing, folder, "writer", 0)
        said = await asyncio.to_thread(kill_after, process, 30, 0.0)
        await check_acknowledged(store, said)
        # Written but not said: seen too, once the owner has looked.
        await store.upsert([chunk("after", "after")])
        await check_indexes_agree(store, folder)
        # What the dead run had staged can be collected.
        await store.publish("next", "set", "d999")
        assert set(await found(store, "after")) == {"after"}


async def test_what_a_writer_wrote_is_searchable_when_it_returns(folder: Path) -> None:
    """Seen through two processes; also how long it takes."""
    async with open_embedded_store(folder, role="owner") as store:
        process = await asyncio.to_thread(start_writing, folder, "writer", 0)
        assert process.stdout is not None
        try:
            for _ in range(20):
                line = (await asyncio.to_thread(process.stdout.readline)).strip()
                number = int(line.split()[1])
                if line.startswith("kept") and number % 5 != 3:
                    assert await found(store, f"n{number}")
        finally:
            process.kill()
            process.wait()


async def test_dead_runs_of_a_large_document_can_be_discarded(folder: Path) -> None:
    chunks: list[Chunk] = [chunk(f"c{i}", order=i) for i in range(3000)]
    async with open_embedded_store(folder, role="owner") as store:
        await store.stage("dead", chunks)
        await store.discard("dead")
        assert await store.publish("dead", "set", "doc") == StoreCounts(0, 0)
        await store.stage("run", chunks)
        assert await store.publish("run", "set", "doc") == StoreCounts(3000, 9000)
        assert (await store.list_chunks("set", "doc", offset=2990, limit=20)).total == 3000
        assert len(await found(store, query=vector(1), vector_limit=5000)) == 3000
