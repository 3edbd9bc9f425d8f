"""Keeps rows and chunks telling the same, whatever happens between the write of the one and of the other.

Chunks are not in the rows' transaction. So before chunks change, or together with a change of the row that
chunks must follow, a settlement is queued; it is forgotten once both agree. Requests settle at once; should
the server die in between, the next start does, before it serves.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from api.db import tasks
from api.db.database import Database
from api.db.documents import CANCEL, UNSTART, RowState, find_row, set_counts_of
from api.document_locks import DocumentLocks
from api.errors import AppError, NotFound
from rag.errors import RagError
from rag.ingest.chunks import title_words
from rag.stores.protocol import ChunkStore, StoreCounts

T = TypeVar("T")

log = logging.getLogger(__name__)

RETRY_DELAY_MS = 60_000
"""How long a worker leaves a settlement to the request that asked for it."""

MARK_S = 30.0
"""How long one queued settlement serves the changes of a document; well below the time after which workers take it."""

IDLE_S = 1.0
"""How long it outlives the last change: clients add chunks one after the other, and each commit waits for the disk."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Documents of one dataset, and what their chunks must follow besides the counters, which are always set.

    deletes: the chunks go, unless a new parse has begun. renames, switches: they follow the row's name,
    and its being enabled.
    """

    dataset_id: str
    document_ids: tuple[str, ...]
    deletes: bool = False
    renames: bool = False
    switches: bool = False

    def insert(self) -> str:
        """Queue it in the running transaction; returns the task's id."""
        payload = {
            "dataset_id": self.dataset_id, "document_ids": self.document_ids, "deletes": self.deletes,
            "renames": self.renames, "switches": self.switches,
        }  # fmt: skip
        return tasks.insert_task(tasks.SETTLE, payload=payload, delay_ms=RETRY_DELAY_MS)

    @staticmethod
    def from_payload(payload: dict[str, Any]) -> "Settlement":
        """The work of a queued task."""
        return Settlement(**payload | {"document_ids": tuple(payload["document_ids"])})


class _Mark:
    """A queued settlement that stands for all changes of a document that are under way."""

    def __init__(self, inserting: "asyncio.Future[str]") -> None:
        self.inserting = inserting
        self.begun_at = self.idle_since = time.monotonic()
        self.users = 0
        self.is_needed = False  # something was not settled: a worker is to do it

    @property
    def is_idle(self) -> bool:
        return self.users == 0 and time.monotonic() - self.idle_since >= IDLE_S


class Settler:
    """Makes rows and chunks agree. Running a settlement twice changes nothing."""

    def __init__(self, db: Database, chunks: ChunkStore, locks: DocumentLocks) -> None:
        self._db = db
        self._chunks = chunks
        self._locks = locks
        self._marks: dict[str, _Mark] = {}
        self._old_marks: list[_Mark] = []
        self._forgetting: asyncio.Task[None] | None = None
        self._counting: dict[str, asyncio.Task[RowState | None]] = {}

    async def change(
        self, dataset_id: str, document_id: str, work: Callable[[], Awaitable[T]], *, is_alone: bool
    ) -> tuple[T, RowState]:
        """Do what changes a document's chunks, then settle; the caller going away stops neither.

        is_alone: no other such change of the document at the same time, so that what the work reads is
        still so when it writes. Returns what the work does, and the row as it was after that. Raises NotFound when the document went meanwhile, what the work raises,
        RagError, AppError.
        """
        return await asyncio.shield(self._change(dataset_id, document_id, work, is_alone=is_alone))

    async def run_task(self, task_id: str, settlement: Settlement) -> None:
        """Settle, and forget the task; the caller going away does not stop it. Raises RagError, AppError."""
        await asyncio.shield(self._run_task(task_id, settlement))

    async def run_all(self) -> None:
        """What a server that died has left: run before anyone writes."""
        for task_id, payload in await self._db.read(tasks.list_payloads, tasks.SETTLE):
            try:
                await self._run_task(task_id, Settlement.from_payload(payload))
            except (RagError, AppError) as error:
                log.warning("a settlement is tried again later", extra={"reason": str(error)})

    async def close(self) -> None:
        """Forget the settlements that changes are done with."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        done = [mark for mark in [*self._marks.values(), *self._old_marks] if mark.users == 0]
        with suppress(AppError):
            await self._forget(done)

    async def _change(
        self, dataset_id: str, document_id: str, work: Callable[[], Awaitable[T]], *, is_alone: bool
    ) -> tuple[T, RowState]:
        async with self._marked(dataset_id, document_id) as mark:
            try:
                async with self._locks.hold([document_id] if is_alone else []):
                    result = await work()
            except (RagError, AppError):
                with suppress(RagError, AppError):
                    await self._count(mark, dataset_id, document_id)
                raise
            state = await self._count(mark, dataset_id, document_id)
            if state is None:
                raise NotFound(f"You don't own the document {document_id}.")
            return result, state

    @asynccontextmanager
    async def _marked(self, dataset_id: str, document_id: str) -> AsyncIterator[_Mark]:
        """While this is open a settlement of the document is queued."""
        mark = self._marks.get(document_id)
        if mark is None or time.monotonic() - mark.begun_at > MARK_S:
            if mark is not None:
                self._old_marks.append(mark)
            settlement = Settlement(dataset_id, (document_id,))
            mark = _Mark(asyncio.ensure_future(self._db.transaction(settlement.insert)))
            self._marks[document_id] = mark
        mark.users += 1
        try:
            await asyncio.shield(mark.inserting)
            yield mark
        finally:
            mark.users -= 1
            mark.idle_since = time.monotonic()
            if mark.inserting.done() and mark.inserting.exception() and self._marks.get(document_id) is mark:
                del self._marks[document_id]
            if self._forgetting is None or self._forgetting.done():
                self._forgetting = asyncio.create_task(self._forget_idle())

    async def _forget_idle(self) -> None:
        while self._marks or self._old_marks:
            await asyncio.sleep(IDLE_S)
            idle = {document_id: mark for document_id, mark in self._marks.items() if mark.is_idle}
            for document_id in idle:
                del self._marks[document_id]  # the next change queues a new one
            old = [mark for mark in self._old_marks if mark.users == 0]
            self._old_marks = [mark for mark in self._old_marks if mark.users]
            with suppress(AppError):  # then a worker finds that there is nothing to do
                await self._forget([*idle.values(), *old])

    async def _forget(self, marks: list[_Mark]) -> None:
        done = [m for m in marks if m.inserting.done() and not m.inserting.exception() and not m.is_needed]
        task_ids = [mark.inserting.result() for mark in done]
        if task_ids:
            await self._db.transaction(tasks.delete_tasks, task_ids)

    async def _count(self, mark: _Mark, dataset_id: str, document_id: str) -> RowState | None:
        """Set the counters; None when the document is gone, and then its chunks are.

        Changes that end while another's count waits for the lock share the one count that follows.
        """
        counting = self._counting.get(document_id)
        if counting is None:
            counting = asyncio.create_task(self._count_once(dataset_id, document_id))
            self._counting[document_id] = counting
        try:
            return await asyncio.shield(counting)
        except (RagError, AppError):
            mark.is_needed = True
            raise

    async def _count_once(self, dataset_id: str, document_id: str) -> RowState | None:
        async with self._locks.hold([document_id]):
            del self._counting[document_id]  # who comes now has written after this count
            counts = await self._chunks.count(dataset_id, document_id)
            state = await self._db.transaction(set_counts_of, document_id, counts)
            if state is None:
                await self._chunks.delete_documents(dataset_id, [document_id])
            return state

    async def _run_task(self, task_id: str, settlement: Settlement) -> None:
        dataset_id = settlement.dataset_id
        counts: dict[str, StoreCounts] = {}
        async with self._locks.hold(settlement.document_ids):
            for document_id in settlement.document_ids:
                row = await self._db.read(find_row, document_id)
                if row is None or (settlement.deletes and row.run in (CANCEL, UNSTART)):
                    await self._chunks.delete_documents(dataset_id, [document_id])
                if row is None:
                    continue
                if settlement.renames:
                    words = title_words(row.name)
                    await self._chunks.rename_document(dataset_id, document_id, row.name, words)
                if settlement.switches:
                    await self._chunks.set_available(dataset_id, document_id, is_available=row.is_enabled)
                counts[document_id] = await self._chunks.count(dataset_id, document_id)
            await self._db.transaction(_finish, task_id, counts)


def _finish(task_id: str, counts: dict[str, StoreCounts]) -> None:
    for document_id, one in counts.items():
        set_counts_of(document_id, one)
    tasks.delete_tasks([task_id])
