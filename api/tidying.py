"""What the owner of a data folder does once after its start, beside serving: ends what a crash cut short."""

import logging
import time

from api.db import tasks
from api.db.database import Database
from api.db.documents import existing_storage_keys
from api.errors import AppError
from api.purge import Purge, Purger
from api.storage.protocol import FileStorage
from rag.errors import RagError

log = logging.getLogger(__name__)

ORPHAN_AGE_S = 3600.0
"""Files without a row are left alone for so long: another server may be about to write their rows."""


async def tidy(db: Database, storage: FileStorage, purger: Purger) -> None:
    """End deletions that were cut short, then delete files whose rows were never written.

    Never raises: what cannot be done now is done after the next start.
    """
    stored_before = time.time() - ORPHAN_AGE_S
    try:
        for task_id, payload in await db.read(tasks.list_payloads, tasks.PURGE):
            await purger.run_task(task_id, Purge.from_payload(payload))
        count = 0
        async for keys in storage.list_keys(stored_before):
            known = await db.read(existing_storage_keys, keys)
            orphans = [key for key in keys if key not in known]
            await storage.delete(orphans)
            count += len(orphans)
    except (RagError, AppError, OSError) as error:
        log.warning("tidying up after the start failed", extra={"reason": str(error)})
    else:
        if count:
            log.info("deleted files of uploads that were cut short", extra={"count": count})
