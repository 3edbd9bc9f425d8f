"""Deletes what deleted rows leave behind: chunks and files.

The rows go first, in one transaction with a purge task; the purge then runs at once, and a worker
repeats it should the server die in between. So nothing is found after the reply, and nothing stays.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from api.db import tasks
from api.db.database import Database
from api.storage.protocol import FileStorage
from rag.stores.protocol import ChunkStore

log = logging.getLogger(__name__)

RETRY_DELAY_MS = 60_000
"""How long a worker leaves a purge to the request that asked for it."""


def storage_key(dataset_id: str, document_id: str) -> str:
    """Where a document's bytes are."""
    return f"{dataset_id}/{document_id}"


@dataclass(frozen=True, slots=True)
class Purge:
    """What to delete: whole datasets, or documents of one."""

    dataset_ids: tuple[str, ...] = ()
    dataset_id: str = ""
    document_ids: tuple[str, ...] = ()

    def insert(self) -> str:
        """Queue the work in the running transaction; returns the task's id."""
        payload = {
            "dataset_ids": self.dataset_ids,
            "dataset_id": self.dataset_id,
            "document_ids": self.document_ids,
        }
        return tasks.insert_task(tasks.PURGE, payload=payload, delay_ms=RETRY_DELAY_MS)

    @staticmethod
    def from_payload(payload: dict[str, Any]) -> "Purge":
        """The work of a queued task."""
        return Purge(tuple(payload["dataset_ids"]), payload["dataset_id"], tuple(payload["document_ids"]))


class Purger:
    """Deletes chunks and files. Running a purge twice changes nothing."""

    def __init__(self, db: Database, chunks: ChunkStore, storage: FileStorage) -> None:
        self._db = db
        self._chunks = chunks
        self._storage = storage

    async def run(self, purge: Purge) -> None:
        """Delete. Raises RagError, OSError."""
        if purge.dataset_ids:
            await self._chunks.delete_datasets(purge.dataset_ids)
            for dataset_id in purge.dataset_ids:
                await self._storage.delete_prefix(f"{dataset_id}/")
        if purge.document_ids:
            await self._chunks.delete_documents(purge.dataset_id, purge.document_ids)
            await self._storage.delete([storage_key(purge.dataset_id, d) for d in purge.document_ids])

    async def run_task(self, task_id: str, purge: Purge) -> None:
        """Delete, then forget the task; the caller going away does not stop it."""
        await asyncio.shield(self._run_task(task_id, purge))

    async def _run_task(self, task_id: str, purge: Purge) -> None:
        await self.run(purge)
        await self._db.transaction(tasks.delete_tasks, [task_id])
