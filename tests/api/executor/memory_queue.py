"""A second implementation of `TaskQueue`, in memory: it shows that the suite asks for no database."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from api.db.tasks import SMALL_BYTES
from api.executor.protocol import Lease, Write


@dataclass
class MemoryTask:
    id: str
    kind: str
    document_id: str
    size: int
    available_at: float
    is_leased: bool = False
    is_cancelled: bool = False
    attempts: int = 0
    busy_count: int = 0
    lease_count: int = 0
    owner: str = ""
    token: str = ""
    lease_until: float = 0
    payload: dict[str, Any] = field(default_factory=dict)


class MemoryQueue:
    def __init__(self, lease_s: float) -> None:
        self.tasks: dict[str, MemoryTask] = {}
        self._lease_s = lease_s
        self._poked = asyncio.Event()

    def add(self, document_id: str, kind: str, size: int, delay_s: float) -> str:
        task = MemoryTask(secrets.token_hex(16), kind, document_id, size, time.monotonic() + delay_s)
        self.tasks[task.id] = task
        return task.id

    def cancel(self, document_id: str) -> None:
        for task in list(self.tasks.values()):
            if task.document_id == document_id and not task.is_leased:
                del self.tasks[task.id]
            elif task.document_id == document_id:
                task.is_cancelled = True

    def _held(self, lease: Lease) -> MemoryTask | None:
        task = self.tasks.get(lease.task_id)
        is_held = task and task.is_leased and task.token == lease.token and not task.is_cancelled
        return task if is_held else None

    async def lease(self, owner: str, *, limit: int, extra_small: int = 0) -> list[Lease]:
        now = time.monotonic()
        lost = [task for task in self.tasks.values() if task.is_leased and task.lease_until <= now]
        busy = {task.document_id for task in self.tasks.values() if task.is_leased and task not in lost}
        due = [task for task in self.tasks.values() if not task.is_leased and task.available_at <= now]
        chosen: list[MemoryTask] = []
        for task in lost + sorted(due, key=lambda task: task.available_at):
            if len(chosen) >= limit + extra_small or (
                len(chosen) >= limit and any(one.size > SMALL_BYTES for one in [*chosen, task])
            ):
                break
            if task.kind == "parse" and task.document_id in busy:
                continue
            busy.add(task.document_id)
            chosen.append(task)
        token = secrets.token_hex(16)
        for task in chosen:
            task.is_leased, task.owner, task.token = True, owner, token
            task.lease_until = now + self._lease_s
            task.lease_count += 1
        return [
            Lease(
                t.id,
                t.kind,
                t.document_id,
                "",
                token,
                t.attempts,
                t.busy_count,
                t.lease_count,
                t.is_cancelled,
            )
            for t in chosen
        ]

    async def beat(self, leases: Sequence[Lease]) -> set[str]:
        lost = set()
        for lease in leases:
            if task := self._held(lease):
                task.lease_until = time.monotonic() + self._lease_s
            else:
                lost.add(lease.task_id)
        return lost

    async def write(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        return {lease.task_id: write() for lease, write in writes if self._held(lease)}

    async def finish(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        results = await self.write(writes)
        for task_id in results:
            del self.tasks[task_id]
        return results

    async def retry(self, lease: Lease, delay_s: float, write: Write, *, is_counted: bool) -> bool:
        task = self._held(lease)
        if task is None:
            return False
        task.is_leased = False
        task.available_at = time.monotonic() + delay_s
        task.attempts += is_counted
        task.busy_count += not is_counted
        write()
        return True

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            task = self.tasks.get(lease.task_id)
            if task and task.token == lease.token:
                task.lease_until = 0

    async def forget(self, lease: Lease) -> None:
        task = self.tasks.get(lease.task_id)
        if task and task.token == lease.token:
            del self.tasks[lease.task_id]
            self.poke()

    async def reclaim(self, is_gone: Callable[[str], bool]) -> int:
        gone = [task for task in self.tasks.values() if task.is_leased and is_gone(task.owner)]
        for task in gone:
            task.lease_until = 0
        return len(gone)

    async def depth(self) -> int:
        return sum(not task.is_leased for task in self.tasks.values())

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), timeout_s)
        self._poked.clear()

    def poke(self) -> None:
        self._poked.set()
