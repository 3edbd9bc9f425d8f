"""How fast documents become searchable: the executor against its own stages called directly.

    python -m bench.ingest [--documents 1000] [--bytes 2000] [--large 5] [--runs 3]

Floor: one process a core, each with a share of the documents: read the file, cut, tokenise, count, embed,
write into the chunk store (one transaction for all of a process's documents), then everything applied to
the indexes. No queue, no rows, no leases. Executor: rows and files are there, the parse is queued for all
documents at once, the clock stops when the last document is DONE. Idle: one small document after the
other, from the commit of its task to DONE. Prints one JSON object per figure.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from peewee import fn

from api.clock import new_id, now_ms
from api.data_folder import chunk_folder
from api.db.database import Database, open_database
from api.db.documents import find_row, start_parse
from api.db.models import Dataset, Document
from api.document_locks import DocumentLocks
from api.executor.database_queue import DatabaseQueue
from api.executor.executor import Executor, open_executor
from api.purge import storage_key
from api.settings import Settings, load_settings
from api.storage import open_storage
from api.storage.protocol import FileStorage
from bench import figures
from rag.chunking import chunk_document
from rag.chunks import Chunk
from rag.ingest import SourceDocument, ingest
from rag.models.builtin_embedding import BUILTIN_EMBEDDING, BuiltinEmbedding
from rag.stores.embedded import open_embedded_store
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

_SUBJECTS = (
    "lighthouse",
    "keeper",
    "museum",
    "archive",
    "harbour",
    "engineer",
    "glacier",
    "orchestra",
    "railway",
)
_VERBS = ("describes", "measures", "repairs", "opens", "replaces", "records", "explains", "remembers")
_OBJECTS = ("the lamp", "a broken valve", "the tax form", "an old map", "three tickets", "the northern road")


def show(figure: str, values: Sequence[float], unit: str, **conditions: Any) -> None:
    figures.show("ingest", figure, values, unit, **conditions)


def make_text(number: int, size: int) -> str:
    """English prose of so many characters, a different one for each number."""
    chooser = random.Random(number)
    parts: list[str] = []
    length = 0
    while length < size:
        part = (
            f"The {chooser.choice(_SUBJECTS)} of section {chooser.randrange(10_000)} {chooser.choice(_VERBS)} "
            f"{chooser.choice(_OBJECTS)} for the {chooser.choice(_SUBJECTS)} in {chooser.randrange(1800, 2030)}. "
        )
        parts.append(part)
        length += len(part)
    return "".join(parts)


def _floor_share(folder: Path, paths: Sequence[Path], ready: Any, result: Any) -> None:
    """One process's share of the floor; models are read before the clock starts."""

    async def work() -> int:
        model = BuiltinEmbedding()
        await model.embed(["warm"])
        count_tokens("warm")
        words("warm")
        count = 0
        async with open_embedded_store(folder, role="writer", thread_count=1) as store:
            chunks: list[Chunk] = []
            ready.wait()
            for path in paths:
                document = SourceDocument(path.stem, "d" * 32, path.name, time.time())
                drafts = chunk_document("naive", path, path.name, {"chunk_token_num": 512})
                async for batch in ingest(drafts, document, model, batch_size=256):
                    chunks += batch
            count = len(chunks)
            await store.upsert(chunks)
        return count

    result.put(asyncio.run(work()))


def measure_floor(texts: Sequence[str | bytes], suffix: str = ".txt") -> tuple[float, int]:
    """(seconds, chunks) of the stages alone, in one process a core. texts: or files of another kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for text in texts:
            paths.append(folder / f"{new_id()}{suffix}")
            paths[-1].write_bytes(text.encode() if isinstance(text, str) else text)
        context = multiprocessing.get_context("fork")
        cores = os.cpu_count() or 1

        async def run() -> tuple[float, int]:
            async with open_embedded_store(folder / "chunks", role="owner"):
                result: Any = context.Queue()
                ready = context.Barrier(cores + 1)
                processes = [
                    context.Process(
                        target=_floor_share, args=(folder / "chunks", paths[n::cores], ready, result)
                    )
                    for n in range(cores)
                ]
                for process in processes:
                    process.start()
                await asyncio.to_thread(ready.wait)
                start = time.perf_counter()
                counts = [await asyncio.to_thread(result.get) for _ in processes]
                for process in processes:
                    await asyncio.to_thread(process.join)
                return time.perf_counter() - start, sum(counts)

        return asyncio.run(run())


@dataclass
class Plant:
    """An executor with all it needs, without HTTP."""

    settings: Settings
    db: Database
    storage: FileStorage
    queue: DatabaseQueue
    executor: Executor
    dataset_id: str

    async def add(self, texts: Sequence[str]) -> list[str]:
        """Files and rows, as uploads leave them."""
        ids = [new_id() for _ in texts]
        for document_id, text in zip(ids, texts, strict=True):
            await self.storage.put(storage_key(self.dataset_id, document_id), _pieces(text.encode()))

        def insert() -> None:
            now = now_ms()
            for document_id, text in zip(ids, texts, strict=True):
                Document.create(
                    id=document_id, create_time=now, update_time=now, dataset_id=self.dataset_id, created_by="t",
                    name=f"{document_id}.txt", name_key=document_id, type="doc", size=len(text), location="",
                    storage_key=storage_key(self.dataset_id, document_id), chunk_method="naive",
                    parser_config='{"chunk_token_num": 512}',
                )  # fmt: skip

        await self.db.transaction(insert)
        return ids

    async def parse(self, ids: Sequence[str]) -> float:
        """Queue all; seconds until the last one is DONE."""

        def start() -> None:
            for document_id in ids:
                row = find_row(document_id)
                if row is not None:
                    start_parse(row)

        await self.db.transaction(start)
        self.queue.poke()
        begun = time.perf_counter()
        while open_count := await self.db.read(self._open_count):  # noqa: ASYNC110 - as clients poll
            await asyncio.sleep(0.002 if len(ids) == 1 else min(0.05, 0.002 * open_count))
        return time.perf_counter() - begun

    def _open_count(self) -> int:
        rows: Any = Document.select(Document.run, fn.COUNT()).group_by(Document.run).tuples()
        counts = dict(rows)
        if counts.get("4"):
            raise RuntimeError(f"{counts['4']} documents could not be parsed")
        return int(counts.get("1", 0))

    def chunk_count(self) -> int:
        """What the store holds."""
        with contextlib.closing(sqlite3.connect(chunk_folder(self.settings) / "chunks.sqlite")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM chunk WHERE state = 1").fetchone()
            return int(count)

    def memory_mb(self) -> float:
        """Proportional memory of this process's children."""
        family = psutil.Process().children(recursive=True)
        return sum(process.memory_full_info().pss for process in family) / 1e6


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@asynccontextmanager
async def open_plant(data_dir: Path) -> AsyncIterator[Plant]:
    settings = load_settings(flags={"data_dir": data_dir}, environment={})
    async with (
        open_database(data_dir / "ragd.sqlite", 512) as db,
        open_storage(settings) as storage,
        open_embedded_store(chunk_folder(settings), role="owner") as store,
    ):
        queue = DatabaseQueue(db, settings.executor.lease_s)
        dataset_id = new_id()

        def insert() -> None:
            Dataset.create(
                id=dataset_id, create_time=now_ms(), update_time=now_ms(), tenant_id="t", created_by="t", name="d",
                name_key="d", embedding_model=BUILTIN_EMBEDDING,
            )  # fmt: skip

        await db.transaction(insert)
        async with open_executor(
            settings, db=db, queue=queue, store=store, storage=storage, locks=DocumentLocks()
        ) as executor:
            plant = Plant(settings, db, storage, queue, executor, dataset_id)
            await plant.parse(await plant.add([make_text(n, 2000) for n in range(-4, 0)]))  # workers are up
            yield plant


def measure_executor(texts: Sequence[str]) -> tuple[float, int]:
    """(seconds, chunks) of the same documents through queue, workers and rows."""

    async def run() -> tuple[float, int]:
        with tempfile.TemporaryDirectory() as name:
            async with open_plant(Path(name)) as plant:
                ids = await plant.add(texts)
                before = plant.chunk_count()
                return await plant.parse(ids), plant.chunk_count() - before

    return asyncio.run(run())


def measure_idle(size: int, count: int) -> tuple[list[float], float]:
    """(seconds of each of some single documents, MB of the executor's processes when idle)."""

    async def run() -> tuple[list[float], float]:
        with tempfile.TemporaryDirectory() as name:
            async with open_plant(Path(name)) as plant:
                memory_mb = plant.memory_mb()
                seconds = []
                for number in range(count):
                    (document_id,) = await plant.add([make_text(number, size)])
                    await asyncio.sleep(0.05)
                    seconds.append(await plant.parse([document_id]))
                return seconds, memory_mb

    return asyncio.run(run())


def _sizes(arguments: argparse.Namespace) -> Iterator[tuple[str, int, int]]:
    yield "small", arguments.documents, arguments.bytes
    if arguments.large:
        yield "large", arguments.large, 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=1000, help="small documents")
    parser.add_argument("--bytes", type=int, default=2000, help="size of a small document")
    parser.add_argument("--large", type=int, default=5, help="documents of 1 MB")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for kind, count, size in _sizes(arguments):
        texts = [make_text(number, size) for number in range(count)]
        floors, rates, ratios, chunk_rates = [], [], [], []
        for _ in range(arguments.runs):
            floor_s, _chunks = measure_floor(texts)
            taken_s, chunks = measure_executor(texts)
            floors.append(count / floor_s)
            rates.append(count / taken_s)
            chunk_rates.append(chunks / taken_s)
            ratios.append(floor_s / taken_s)
        conditions = {"documents": count, "bytes": size, "cores": os.cpu_count()}
        show(f"{kind}: stages alone", floors, "documents/s", **conditions)
        show(f"{kind}: executor", rates, "documents/s", **conditions)
        show(f"{kind}: executor", chunk_rates, "chunks/s", **conditions)
        show(f"{kind}: executor / stages alone", ratios, "ratio", **conditions)
    seconds, memory_mb = measure_idle(arguments.bytes, 40)
    show("one document on an idle executor", [1000 * statistics.median(seconds)], "ms", bytes=arguments.bytes)
    show(
        "one document on an idle executor, slowest of 40", [1000 * max(seconds)], "ms", bytes=arguments.bytes
    )
    show("workers and fork server, idle", [memory_mb], "MB (PSS)", workers=min(4, os.cpu_count() or 1))


if __name__ == "__main__":
    main()
