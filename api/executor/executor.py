"""The executor as servers and `ragd worker` open it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.db.database import Database
from api.document_locks import DocumentLocks
from api.executor.endings import Endings
from api.executor.protocol import TaskQueue
from api.executor.status import QueueStatus
from api.executor.supervisor import Supervisor
from api.purge import Purger
from api.settings import Settings
from api.settling import Settler
from api.storage.protocol import FileStorage
from api.tenant_models import TenantModels
from rag.stores.protocol import ChunkStore


class Executor:
    """A running executor; without workers it only tells the depth of the queue."""

    def __init__(self, queue: TaskQueue, supervisor: Supervisor | None) -> None:
        self._queue = queue
        self._supervisor = supervisor

    async def queue_status(self) -> QueueStatus:
        """Figures for health checks and metrics."""
        if self._supervisor is not None:
            return await self._supervisor.status()
        return QueueStatus(await self._queue.depth(), 0, 0, 0, 0, 0, 0)


def worker_count(settings: Settings) -> int:
    """Worker processes: as set, else one a core, at most four."""
    wanted = settings.executor.workers
    return min(4, os.cpu_count() or 1) if wanted is None else wanted


@asynccontextmanager
async def open_executor(
    settings: Settings,
    *,
    db: Database,
    queue: TaskQueue,
    store: ChunkStore,
    storage: FileStorage,
    locks: DocumentLocks,
    models: TenantModels | None = None,
) -> AsyncIterator[Executor]:
    """Run tasks while the context is open; at its end workers are killed and their tasks given back.

    Returns at once: workers come up in the background. models: without them only those of the settings.
    """
    count = worker_count(settings)
    if count == 0:
        yield Executor(queue, None)
        return
    supervisor = Supervisor(
        settings,
        db=db,
        queue=queue,
        storage=storage,
        purger=Purger(db, store, storage),
        settler=Settler(db, store, locks),
        endings=Endings(settings.executor, db, queue, store, locks),
        models=models,
        worker_count=count,
    )
    running = asyncio.create_task(supervisor.run(), name="executor")
    try:
        yield Executor(queue, supervisor)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
