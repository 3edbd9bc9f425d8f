"""Keeps rows and chunks telling the same, whatever happens between the write of the one and of the other.

Chunks are not in the rows' transaction. So before chunks change, or together with a change of the row that
chunks must follow, a settlement is queued; it is forgotten once both agree. Requests settle at once; should
the server die in between, the next start does, before it serves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from api.db import tasks
from api.db.database import Database
from api.db.documents import CANCEL, UNSTART, find_row, set_counts_of
from api.document_locks import DocumentLocks
from api.errors import AppError, NotFound
from rag.errors import RagError
from rag.ingest.chunks import title_words
from rag.stores.protocol import ChunkStore, StoreCounts

T = TypeVar("T")

log = logging.getLogger(__name__)

RETRY_DELAY_MS = 60_000
"""How long a worker leaves a settlement to the request that asked for it."""


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


class Settler:
    """Makes rows and chunks agree. Running a settlement twice changes nothing."""

    def __init__(self, db: Database, chunks: ChunkStore, locks: DocumentLocks) -> None:
        self._db = db
        self._chunks = chunks
        self._locks = locks

    async def change(self, dataset_id: str, document_id: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do what changes a document's chunks, then settle; the caller going away stops neither.

        One change of a document after the other, so that what the work reads is still so when it writes.
        Raises NotFound when the document went meanwhile, what the work raises, RagError, AppError.
        """
        settlement = Settlement(dataset_id, (document_id,))

        async def run() -> T:
            async with self._locks.hold([document_id]):
                task_id = await self._db.transaction(settlement.insert)
                try:
                    result = await work()
                except (RagError, AppError):
                    with suppress(RagError, AppError):  # then a worker settles
                        await self._settle(task_id, settlement)
                    raise
                if not await self._settle(task_id, settlement):
                    raise NotFound(f"You don't own the document {document_id}.")
                return result

        return await asyncio.shield(run())

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

    async def _run_task(self, task_id: str, settlement: Settlement) -> None:
        async with self._locks.hold(settlement.document_ids):
            await self._settle(task_id, settlement)

    async def _settle(self, task_id: str, settlement: Settlement) -> int:
        """With the locks held; returns how many of the documents are there."""
        dataset_id = settlement.dataset_id
        counts: dict[str, StoreCounts] = {}
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
        return len(counts)


def _finish(task_id: str, counts: dict[str, StoreCounts]) -> None:
    for document_id, one in counts.items():
        set_counts_of(document_id, one)
    tasks.delete_task(task_id)
