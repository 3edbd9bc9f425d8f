"""The task queue on the task table of the database."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from api.db import tasks
from api.db.database import Database
from api.executor.protocol import Lease, Write


class DatabaseQueue:
    """`TaskQueue` on the task table. Processes on the same database share it.

    A poke wakes waiting executors of this process; those of others look once a second.
    """

    def __init__(self, db: Database, lease_s: float) -> None:
        self._db = db
        self._lease_ms = int(lease_s * 1000)
        self._is_poked = asyncio.Event()

    async def lease(self, owner: str, *, limit: int, extra_small: int = 0) -> list[Lease]:
        """See `TaskQueue`."""
        return await self._db.transaction(
            tasks.lease_tasks, owner, self._lease_ms, limit=limit, extra_small=extra_small
        )

    async def beat(self, leases: Sequence[Lease]) -> set[str]:
        """See `TaskQueue`."""
        return await self._db.transaction(tasks.lost_leases, leases, prolong_ms=self._lease_ms)

    async def write(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        """See `TaskQueue`."""
        return await self._db.transaction(tasks.run_writes, writes, is_end=False)

    async def finish(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        """See `TaskQueue`."""
        return await self._db.transaction(tasks.run_writes, writes, is_end=True)

    async def retry(self, lease: Lease, delay_s: float, write: Write, *, is_counted: bool) -> bool:
        """See `TaskQueue`."""
        return await self._db.transaction(tasks.queue_again, lease, delay_s, write, is_counted=is_counted)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `TaskQueue`."""
        await self._db.transaction(tasks.release_tasks, leases)

    async def forget(self, lease: Lease) -> None:
        """See `TaskQueue`."""
        await self._db.transaction(tasks.forget_cancelled, lease)
        self.poke()  # another task of the document may have waited for this one

    async def reclaim(self, is_gone: Callable[[str], bool]) -> int:
        """See `TaskQueue`."""
        return await self._db.transaction(tasks.end_leases_of, is_gone)

    async def depth(self) -> int:
        """See `TaskQueue`."""
        return await self._db.read(tasks.count_waiting)

    async def wait(self, timeout_s: float) -> None:
        """See `TaskQueue`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_poked.wait(), timeout_s)
        self._is_poked.clear()

    def poke(self) -> None:
        """See `TaskQueue`."""
        self._is_poked.set()
