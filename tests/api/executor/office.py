"""Everything that parsing needs, opened in the test's own process: rows, files, chunks, queue, executor."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from api.clock import new_id, now_ms
from api.data_folder import chunk_folder
from api.db.database import Database, open_database
from api.db.datasets import add_to_counters
from api.db.documents import find_row, start_parse
from api.db.models import Dataset, Document, Task, fold_name
from api.document_locks import DocumentLocks
from api.executor.database_queue import DatabaseQueue
from api.executor.executor import Executor, open_executor
from api.purge import storage_key
from api.settings import Settings, load_settings
from api.storage import open_storage
from api.storage.protocol import FileStorage
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore, QueryTerm, SearchRequest

FINAL = ("2", "3", "4")


def office_settings(data_dir: Path, **executor: Any) -> Settings:
    flags = {"workers": 2, "lease_s": 2, **executor}
    return load_settings(
        flags={"data_dir": data_dir} | {f"executor.{name}": value for name, value in flags.items()},
        environment={},
    )


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@dataclass
class Office:
    settings: Settings
    db: Database
    store: ChunkStore
    storage: FileStorage
    queue: DatabaseQueue
    locks: DocumentLocks
    dataset_id: str = ""
    executor: Executor | None = None
    ids: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Executor]:
        async with open_executor(
            self.settings,
            db=self.db,
            queue=self.queue,
            store=self.store,
            storage=self.storage,
            locks=self.locks,
        ) as executor:
            self.executor = executor
            yield executor

    async def add_dataset(self, **values: Any) -> str:
        def insert() -> str:
            now = now_ms()
            dataset = Dataset.create(
                id=new_id(), create_time=now, update_time=now, tenant_id="t" * 32, created_by="t" * 32,
                name="d", name_key=new_id(), **{"embedding_model": "wordllama-256@Builtin", **values},
            )  # fmt: skip
            return str(dataset.id)

        self.dataset_id = await self.db.transaction(insert)
        return self.dataset_id

    async def add(
        self, name: str, content: str | bytes, config: dict[str, Any] | None = None, **values: Any
    ) -> str:
        """A document with its file, as an upload leaves it."""
        data = content.encode() if isinstance(content, str) else content
        document_id = new_id()
        key = storage_key(self.dataset_id, document_id)
        stored = await self.storage.put(key, pieces(data))

        def insert() -> None:
            now = now_ms()
            Document.create(
                id=document_id, create_time=now, update_time=now, dataset_id=self.dataset_id, created_by="t" * 32,
                name=name, name_key=fold_name(name), type="doc", size=stored.size, location=name, storage_key=key,
                **{"chunk_method": "naive", "parser_config": orjson.dumps(config or {}).decode(), **values},
            )  # fmt: skip
            add_to_counters(self.dataset_id, documents=1)

        await self.db.transaction(insert)
        return document_id

    async def parse(self, *document_ids: str) -> None:
        """As the route does it."""

        def start() -> None:
            for document_id in document_ids:
                row = find_row(document_id)
                assert row is not None
                start_parse(row)

        await self.db.transaction(start)
        self.queue.poke()

    async def row(self, document_id: str) -> Any:
        return await self.db.read(find_row, document_id)

    async def dataset(self) -> Any:
        return await self.db.read(lambda: Dataset.get_by_id(self.dataset_id))

    async def until(self, document_id: str, reached: Callable[[Any], bool], timeout_s: float = 20) -> Any:
        """The row, once it is as wanted."""
        end_s = time.monotonic() + timeout_s
        while True:
            row = await self.row(document_id)
            if reached(row):
                return row
            assert time.monotonic() < end_s, (row and row.run, row and row.progress_msg)
            await asyncio.sleep(0.01)

    async def end_of(self, document_id: str, timeout_s: float = 20) -> Any:
        return await self.until(document_id, lambda row: row.run in FINAL, timeout_s)

    async def task_count(self) -> int:
        return await self.db.read(lambda: Task.select().count())

    async def found(self, word: str) -> set[str]:
        """Ids of the documents that a search for the word finds."""
        result = await self.store.search(SearchRequest([self.dataset_id], [QueryTerm(word, 1.0)], None))
        return {candidate.document_id for candidate in result.candidates}

    async def check_counts(self) -> None:
        """Rows say what the store holds."""
        rows = await self.db.read(
            lambda: list(Document.select().where(Document.dataset_id == self.dataset_id))
        )
        chunks = tokens = 0
        for row in rows:
            counts = await self.store.count(self.dataset_id, row.id)
            assert (row.chunk_count, row.token_count) == (counts.chunks, counts.tokens), row.name
            chunks += counts.chunks
            tokens += counts.tokens
        dataset = await self.dataset()
        assert (dataset.chunk_count, dataset.token_count) == (chunks, tokens)
        assert dataset.document_count == len(rows)

    def staged_rows(self) -> int:
        """Rows of the store's file that no reader sees and none is going to."""
        import sqlite3

        connection = sqlite3.connect(chunk_folder(self.settings) / "chunks.sqlite")
        try:
            (count,) = connection.execute("SELECT count(*) FROM chunk WHERE state = 0").fetchone()
            return int(count)
        finally:
            connection.close()


@asynccontextmanager
async def open_office(data_dir: Path, role: Any = "owner", **executor: Any) -> AsyncIterator[Office]:
    settings = office_settings(data_dir, **executor)
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(data_dir / "ragd.sqlite", 512))
        storage = await stack.enter_async_context(open_storage(settings))
        store = await stack.enter_async_context(open_embedded_store(chunk_folder(settings), role=role))
        queue = DatabaseQueue(db, settings.executor.lease_s)
        office = Office(settings, db, store, storage, queue, DocumentLocks())
        await office.add_dataset()
        yield office
