"""The queue on the database, and one in memory, against the suite."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.db import tasks
from api.db.database import Database, open_database
from api.executor.database_queue import DatabaseQueue
from tests.api.executor.memory_queue import MemoryQueue
from tests.api.executor.suite import LEASE_S, TaskQueueSuite


@dataclass
class DatabaseBench:
    queue: DatabaseQueue
    db: Database

    async def add(self, document_id: str, *, kind: str = "parse", size: int = 0, delay_s: float = 0) -> str:
        return await self.db.transaction(
            tasks.insert_task, kind, document_id=document_id, size=size, delay_ms=int(delay_s * 1000)
        )

    async def cancel(self, document_id: str) -> None:
        await self.db.transaction(tasks.drop_parse_tasks, [document_id])


@dataclass
class MemoryBench:
    queue: MemoryQueue

    async def add(self, document_id: str, *, kind: str = "parse", size: int = 0, delay_s: float = 0) -> str:
        return self.queue.add(document_id, kind, size, delay_s)

    async def cancel(self, document_id: str) -> None:
        self.queue.cancel(document_id)


class TestDatabaseQueue(TaskQueueSuite):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[DatabaseBench]:
        async with open_database(tmp_path / "ragd.sqlite", 100) as db:
            yield DatabaseBench(DatabaseQueue(db, LEASE_S), db)

    async def test_a_task_that_was_never_committed_is_not_there(self, bench: DatabaseBench) -> None:
        def insert_and_fail() -> None:
            tasks.insert_task(tasks.PARSE, document_id="d")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await bench.db.transaction(insert_and_fail)
        assert await bench.queue.depth() == 0

    async def test_a_purge_does_not_wait_for_a_parse(self, bench: DatabaseBench) -> None:
        await bench.add("d")
        await bench.queue.lease("one", limit=1)
        await bench.add("d", kind=tasks.PURGE)
        assert len(await bench.queue.lease("one", limit=1)) == 1


class TestMemoryQueue(TaskQueueSuite):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench(MemoryQueue(LEASE_S))
