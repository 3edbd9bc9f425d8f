"""How a run ends: published and done, failed, tried again, or cleaned up after a cancellation.

Every change of a row goes through the queue and counts only while the lease holds. The chunk store has no
leases: what it was told just before a lease was lost is set right by whoever cleans up.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from api.db import documents, tasks
from api.db.database import Database
from api.db.documents import (
    CANCEL,
    UNSTART,
    ParseJob,
    RowState,
    fail_parse,
    finish_parse,
    retry_parse,
    row_states,
)
from api.db.models import Document
from api.db.tenant_models import add_used_tokens
from api.document_locks import DocumentLocks
from api.executor.patience import patiently
from api.executor.protocol import Lease, TaskQueue
from api.executor.runs import Run, abandoned_text, done_lines
from api.executor.status import Tally
from api.settings import ExecutorSettings
from rag.errors import RagError, StoreError
from rag.ingest.chunks import title_words
from rag.stores.protocol import ChunkStore, StoreCounts

log = logging.getLogger(__name__)

RETRY_DELAYS_S = (2.0, 10.0, 30.0)
MAX_BUSY_COUNT = 20
"""A model or store that is busy more often than this counts as failed."""
LONGEST_BUSY_S = 120.0


class Endings:
    """Ends runs; never raises RagError, so that one bad run does not end the others."""

    def __init__(
        self,
        settings: ExecutorSettings,
        db: Database,
        queue: TaskQueue,
        store: ChunkStore,
        locks: DocumentLocks,
    ) -> None:
        self._settings = settings
        self._db = db
        self._queue = queue
        self._store = store
        self._locks = locks
        self.tally = Tally()

    async def publish(self, runs: Sequence[Run]) -> None:
        """Make what was staged visible and the documents DONE, all in one transaction."""
        lost = await patiently(lambda: self._queue.beat([run.lease for run in runs]))
        for run in runs:
            if run.lease.task_id in lost:
                await self.clean_up(run.lease)
        held = [run for run in runs if run.lease.task_id not in lost]
        async with self._locks.hold(run.job.document_id for run in held):
            start = time.perf_counter()
            # Changes of a row that come after this follow once the lock is free (api.settling).
            ids = [run.job.document_id for run in held]
            states = await patiently(lambda: self._db.read(row_states, ids))
            outcomes = await asyncio.gather(
                *(self._publish_one(run, states.get(run.job.document_id)) for run in held)
            )
            publishing_s = time.perf_counter() - start
            writes = []
            for run, outcome in zip(held, outcomes, strict=True):
                if isinstance(outcome, StoreCounts):
                    run.say(*done_lines(run.result, publishing_s))
                    writes.append((run, outcome))
            results = await patiently(
                lambda: self._queue.finish(
                    [
                        (run.lease, lambda run=run, counts=counts: finish_parse(run.job, counts, run.message))  # type: ignore[misc]
                        for run, counts in writes
                    ]
                )
            )
        for run, outcome in zip(held, outcomes, strict=True):
            if isinstance(outcome, StoreCounts):
                await self._settle(run, results)
            else:
                await self.put_off(run, str(outcome), None)

    async def _publish_one(self, run: Run, state: RowState | None) -> StoreCounts | Exception:
        job = run.job
        try:
            counts = await patiently(
                lambda: self._store.publish(run.lease.run_id, job.dataset_id, job.document_id)
            )
            if state is not None:
                await self._follow(job, state)
        except RagError as error:
            return error
        if counts.chunks != run.result["chunks"]:
            # A cancellation of an earlier parse was still deleting; what it took comes again.
            return StoreError(f"{run.result['chunks']} chunks were written, {counts.chunks} are there.")
        return counts

    async def _follow(self, job: ParseJob, state: RowState) -> None:
        """Give the chunks what happened to the row since the parse began."""
        if state.name != job.name:
            words = title_words(state.name)
            await patiently(
                lambda: self._store.rename_document(job.dataset_id, job.document_id, state.name, words)
            )
        if state.is_enabled != job.is_enabled:
            await patiently(
                lambda: self._store.set_available(
                    job.dataset_id, job.document_id, is_available=state.is_enabled
                )
            )

    async def _settle(self, run: Run, results: dict[str, Any]) -> None:
        """Count the run, or clean up if its row went while its chunks became visible."""
        if not isinstance(results.get(run.lease.task_id), RowState):
            await self.clean_up(run.lease, was_published=True)
            return
        self.tally.done += 1
        await self._count_tokens(run)

    async def _count_tokens(self, run: Run) -> None:
        tokens = run.result.get("embedding_tokens", 0)
        if run.model is None or not tokens:
            return
        counts = {run.model.row_id: tokens}
        await patiently(lambda: self._db.transaction(add_used_tokens, counts))

    async def fail(self, run: Run, text: str) -> None:
        """The document is FAIL, with a text for its owner."""
        results = await patiently(
            lambda: self._queue.finish([(run.lease, lambda: fail_parse(run.job, run.message, text))])
        )
        await self._discard(run.lease)
        if run.lease.task_id in results:
            self.tally.failed += 1
            log.warning(
                "a document could not be parsed", extra={"document_id": run.job.document_id, "reason": text}
            )
        else:
            await self.clean_up(run.lease)

    async def try_again(self, run: Run, text: str) -> None:
        """One attempt is used; the last one is followed by FAIL."""
        failed = run.lease.attempts + 1
        if failed >= self._settings.attempts:
            await self.fail(run, abandoned_text(failed, text))
            return
        delay_s = RETRY_DELAYS_S[min(failed, len(RETRY_DELAYS_S)) - 1]
        text = (
            f"{text} Trying again in {delay_s:g} s ({failed} of {self._settings.attempts} attempts failed)."
        )
        await self._queue_again(run, text, delay_s, is_counted=True)

    async def put_off(self, run: Run, text: str, retry_after_s: float | None) -> None:
        """A model or the store is busy: later, and hardly counted."""
        count = run.lease.busy_count
        if count >= MAX_BUSY_COUNT:
            await self.try_again(run, text)
            return
        delay_s = min(
            LONGEST_BUSY_S, retry_after_s if retry_after_s is not None else 1.0 * 2 ** min(count, 6)
        )
        await self._queue_again(run, f"{text} Trying again in {delay_s:g} s.", delay_s, is_counted=False)

    async def _queue_again(self, run: Run, text: str, delay_s: float, *, is_counted: bool) -> None:
        await self._discard(run.lease)
        is_held = await patiently(
            lambda: self._queue.retry(
                run.lease, delay_s, lambda: retry_parse(run.job, run.message, text), is_counted=is_counted
            )
        )
        if is_held:
            self.tally.retried += 1
            asyncio.get_running_loop().call_later(delay_s, self._queue.poke)
        else:
            await self.clean_up(run.lease)

    async def clean_up(self, lease: Lease, *, was_published: bool = False) -> None:
        """Nobody wants this run: leave nothing of it, and of its task only what another holds."""
        try:
            await self._clean_up(lease, was_published=was_published)
        except RagError:
            # The lease runs out, and the next holder cleans up.
            log.exception("cleaning up after a parse failed", extra={"document_id": lease.document_id})

    async def _clean_up(self, lease: Lease, *, was_published: bool) -> None:
        self.tally.cancelled += 1
        async with self._locks.hold([lease.document_id]):
            holding, row = await patiently(lambda: self._db.read(_look, lease))
            if row is None:
                await patiently(lambda: self._store.delete_documents(lease.dataset_id, [lease.document_id]))
            else:
                await self._discard(lease)
                if holding and (was_published or lease.lease_count > 1):
                    await self._reconcile(row)
        if holding:
            await patiently(lambda: self._queue.forget(lease))

    async def _reconcile(self, row: Document) -> None:
        """A run that was cancelled while it published: the row decides what there is."""
        counts = await self._store.count(row.dataset_id, row.id)
        if (counts.chunks, counts.tokens) == (row.chunk_count, row.token_count):
            return
        if row.run in (CANCEL, UNSTART):
            await patiently(lambda: self._store.delete_documents(row.dataset_id, [row.id]))
            counts = StoreCounts(0, 0)
        await patiently(lambda: self._db.transaction(documents.set_counts_of, row.id, counts))

    async def _discard(self, lease: Lease) -> None:
        """Drop what this and earlier runs of the task staged; a later publish would drop it as well."""
        for run_id in [lease.run_id, *lease.earlier_run_ids]:
            try:
                await patiently(lambda run_id=run_id: self._store.discard(run_id))  # type: ignore[misc]
            except StoreError:
                log.exception("staged chunks could not be dropped", extra={"run_id": run_id})


def _look(lease: Lease) -> tuple[bool, Document | None]:
    """Whether the lease still names the task's holder, cancelled or not; and the document."""
    return tasks.is_holder(lease), documents.find_row(lease.document_id)
