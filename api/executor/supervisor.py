"""Leases tasks, hands them to worker processes, watches those, and sees every task to its end."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.db import tasks
from api.db.database import Database
from api.db.documents import ParseJob, load_jobs, show_progress
from api.errors import AppError
from api.executor.children import Child, ForkFailed, ForkServer
from api.executor.endings import Endings
from api.executor.owner import is_gone, owner_name
from api.executor.patience import patiently
from api.executor.protocol import Lease, TaskQueue
from api.executor.runs import (
    Run,
    Stage,
    crash_text,
    lost_text,
    memory_text,
    missing_text,
    new_run,
    size_text,
    time_text,
)
from api.executor.status import QueueStatus, WorkerStatus
from api.purge import Purge, Purger
from api.settings import Settings
from api.settling import Settlement, Settler
from api.storage.protocol import FileStorage
from api.tenant_models import TenantModels
from rag.errors import ModelNotFound, RagError
from rag.models.specs import ModelSpec

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often the queue is looked at for what other processes put there."""
TICK_S = 0.5
STOP_GRACE_S = 1.0
"""What a worker has to stop by itself before it is killed."""
PIPELINE = 16
"""Small documents that a worker may have in line, so that it never waits for the next one."""
PUBLISH_AT_ONCE = 64
MAX_LOST_LEASES = 10
RETIRE_AFTER_TASKS = 1000
RETIRE_GROWTH_MB = 256
_PURGE_RETRY_S = (5.0, 30.0, 120.0, 600.0)


@dataclass(slots=True, eq=False)
class _Slot:
    """A place for a worker; its runs in the order in which the worker does them."""

    child: Child | None = None
    runs: list[Run] = field(default_factory=list)
    tasks_done: int = 0
    memory_mb: int = 0
    first_memory_mb: int = 0
    is_retiring: bool = False

    def can_take(self, run: Run) -> bool:
        if self.child is None or self.is_retiring:
            return False
        if not self.runs:
            return True
        return len(self.runs) < PIPELINE and all(
            one.is_small and not one.stop_at for one in [*self.runs, run]
        )


class Supervisor:
    """One a process. `run` works until it is cancelled."""

    def __init__(
        self,
        settings: Settings,
        *,
        db: Database,
        queue: TaskQueue,
        storage: FileStorage,
        purger: Purger,
        settler: Settler,
        endings: Endings,
        models: TenantModels | None,
        worker_count: int,
    ) -> None:
        self._settings = settings.executor
        self._db = db
        self._queue = queue
        self._storage = storage
        self._purger = purger
        self._settler = settler
        self._endings = endings
        self._models = models
        self._forks = ForkServer(settings)
        self._owner = owner_name()
        self._slots = [_Slot() for _ in range(worker_count)]
        self._runs: dict[str, Run] = {}
        self._purges: dict[str, Lease] = {}
        self._waiting: deque[Run] = deque()
        self._staged: deque[Run] = deque()
        self._has_staged = asyncio.Event()
        self._has_room = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._reclaimed_at = 0.0

    async def run(self) -> None:
        """Work; on cancellation end the workers and give back what they had."""
        loops = [self._feed, self._watch, self._publish]
        try:
            async with asyncio.TaskGroup() as group:
                for loop in loops:
                    group.create_task(_for_ever(loop))
                for slot in self._slots:
                    group.create_task(_for_ever(lambda slot=slot: self._keep(slot)))  # type: ignore[misc]
        finally:
            await asyncio.shield(asyncio.ensure_future(self._stop()))

    async def _stop(self) -> None:
        await self._forks.stop()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        leases = [run.lease for run in self._runs.values()] + list(self._purges.values())
        if leases:
            with contextlib.suppress(AppError):
                await self._queue.release(leases)
        for run in self._runs.values():
            await run.files.aclose()

    async def status(self) -> QueueStatus:
        """Figures for health checks and metrics."""
        tally = self._endings.tally
        workers = [
            WorkerStatus(
                slot.child.pid,
                slot.runs[0].job.document_id if slot.runs else "",
                slot.tasks_done,
                slot.memory_mb,
            )
            for slot in self._slots
            if slot.child is not None
        ]
        return QueueStatus(
            depth=await self._queue.depth(), running=len(self._runs) + len(self._purges), done=tally.done,
            failed=tally.failed, retried=tally.retried, cancelled=tally.cancelled, crashed=tally.crashed,
            workers=workers,
        )  # fmt: skip

    # From the queue to the workers

    async def _feed(self) -> None:
        """Lease what workers have room for."""
        while True:
            self._has_room.clear()
            limit, extra = self._room()
            if limit + extra == 0:
                await self._has_room.wait()
                continue
            leases = await patiently(
                lambda limit=limit, extra=extra: self._queue.lease(
                    self._owner, limit=limit, extra_small=extra
                )  # type: ignore[misc]
            )
            if leases:
                await self._accept(leases)
            elif limit:
                await self._queue.wait(POLL_S)
            else:
                await self._wait_for_room_or_work()

    async def _wait_for_room_or_work(self) -> None:
        """What is next may be too large to stand in a worker's line: then a worker that falls idle is to have it."""
        waits = [
            asyncio.create_task(self._queue.wait(POLL_S)),
            asyncio.create_task(self._has_room.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _room(self) -> tuple[int, int]:
        """(tasks of any size, further small ones) to lease now."""
        if len(self._staged) > 4 * PUBLISH_AT_ONCE or len(self._purges) >= 4:
            return 0, 0
        ready = [slot for slot in self._slots if slot.child is not None and not slot.is_retiring]
        at_hand = len(self._waiting) + sum(len(slot.runs) for slot in ready)
        idle = sum(not slot.runs for slot in ready) - len(self._waiting)
        line = PIPELINE * len(ready)
        is_all_small = all(run.is_small for run in self._waiting) and all(
            run.is_small for slot in ready for run in slot.runs
        )
        extra = line - at_hand if is_all_small else 0
        if idle <= 0 and extra < line / 4:
            return 0, 0
        return max(0, idle), max(0, extra - max(0, idle))

    async def _accept(self, leases: Sequence[Lease]) -> None:
        """Start what can be started, end at once what cannot."""
        parses = []
        for lease in leases:
            if lease.kind != tasks.PARSE:
                self._purges[lease.task_id] = lease
                self._spawn(self._purge(lease))
            else:
                parses.append(lease)
        if not parses:
            return
        jobs = await patiently(lambda: self._db.read(load_jobs, [lease.document_id for lease in parses]))
        runs = []
        for lease in parses:
            job = jobs.get(lease.document_id)
            if job is None or lease.is_cancelled:
                self._spawn(self._endings.clean_up(lease))
                continue
            runs.append(new_run(lease, job))
            self._runs[lease.task_id] = runs[-1]
        reasons = await asyncio.gather(*(self._prepare(run) for run in runs))
        for run, reason in zip(runs, reasons, strict=True):
            if reason:
                self._spawn(self._end(run, self._endings.fail(run, reason)))
            elif run.stop_at:
                self._spawn(self._end(run, self._endings.clean_up(run.lease)))
            else:
                self._waiting.append(run)
        self._dispatch()

    async def _prepare(self, run: Run) -> str:
        """Get the file; returns why the run cannot begin."""
        lease, job = run.lease, run.job
        lost = lease.lease_count - 1 - lease.attempts - lease.busy_count
        if lost >= MAX_LOST_LEASES:
            return lost_text(lost)
        if job.size > self._settings.max_file_bytes:
            return size_text(self._settings.max_file_bytes)
        try:
            run.path = await run.files.enter_async_context(self._storage.local_copy(job.storage_key))
        except FileNotFoundError:
            return missing_text(job.name)
        run.model = await self._own_model(job)
        return ""

    async def _own_model(self, job: ParseJob) -> ModelSpec | None:
        """The embedding model, if the tenant registered it: workers know those of the settings themselves."""
        tenants = self._models
        if tenants is None:
            return None
        try:
            models = await patiently(lambda: tenants.of(job.tenant_id))
            spec = models.find("embedding", job.embedding_model)
        except ModelNotFound:  # the worker says so in its turn
            return None
        return spec if spec.row_id else None

    def _dispatch(self) -> None:
        """Hand waiting runs to workers, the least busy first."""
        orders: dict[int, list[Run]] = {}
        while self._waiting:
            free = [slot for slot in self._slots if slot.can_take(self._waiting[0])]
            if not free:
                break
            slot = min(free, key=lambda slot: len(slot.runs))
            run = self._waiting.popleft()
            run.stage = Stage.WORKING
            run.begun_at = time.monotonic()
            slot.runs.append(run)
            orders.setdefault(self._slots.index(slot), []).append(run)
        for index, runs in orders.items():
            child = self._slots[index].child
            if child is not None:
                child.send({"run": [run.order() for run in runs]})

    # Workers

    async def _keep(self, slot: _Slot) -> None:
        """Keep a worker in the slot."""
        self._take_back(slot, None)  # after a stumble: what its last worker had
        slot.is_retiring = False
        pause_s = 0.0
        while True:
            started = time.monotonic()
            try:
                child = await self._forks.fork()
            except (ForkFailed, OSError) as error:
                log.error("no worker could be started", extra={"reason": str(error)})
                pause_s = min(10.0, pause_s * 2 + 0.5)
                await asyncio.sleep(pause_s)
                continue
            try:
                await self._listen(slot, child)
            finally:
                slot.child = None
                child.kill()
            if slot.is_retiring:
                slot.is_retiring = False
                continue
            self._endings.tally.crashed += 1
            status = await child.exit_status()
            log.error("a worker ended", extra={"pid": child.pid, "status": status})
            self._take_back(slot, status)
            # One that dies as soon as it lives must not keep the machine busy with being born.
            pause_s = min(10.0, pause_s * 2 + 0.1) if time.monotonic() - started < 1.0 else 0.0
            await asyncio.sleep(pause_s)

    async def _listen(self, slot: _Slot, child: Child) -> None:
        while (message := await child.receive()) is not None:
            if "born" in message:
                slot.child = child
                slot.tasks_done, slot.memory_mb, slot.first_memory_mb = 0, 0, 0
                self._dispatch()
                self._has_room.set()
                continue
            run = self._runs.get(message["task"])
            if run is None or run not in slot.runs:
                continue
            if "progress" in message:
                run.progress = max(run.progress, message["progress"])
                run.say(*message["lines"])
                continue
            slot.runs.remove(run)
            slot.tasks_done += 1
            if slot.runs:
                slot.runs[0].begun_at = time.monotonic()
            self._worked(slot, run, message)
            self._dispatch()
            self._has_room.set()
            if slot.is_retiring and not slot.runs:
                return

    def _worked(self, slot: _Slot, run: Run, message: dict[str, Any]) -> None:
        """A worker says how a run ended."""
        if message.get("trace"):
            log.error("parsing failed: %s", message["trace"], extra={"document_id": run.job.document_id})
        if run.stop_at or "cancelled" in message:
            self._spawn(self._end(run, self._endings.clean_up(run.lease)))
        elif "done" in message:
            run.result = message["done"]
            run.say(*run.result["lines"])
            run.progress = 0.9
            run.stage = Stage.STAGED
            self._staged.append(run)
            self._has_staged.set()
            self._look_at_memory(slot, run.result["memory_mb"])
        elif message["failed"] == "memory":
            self._spawn(self._end(run, self._endings.fail(run, memory_text(self._settings))))
            self._retire(slot)  # what is left of its memory is in pieces
        elif message["failed"] == "refused":
            self._spawn(self._end(run, self._endings.fail(run, message["text"])))
        elif message["failed"] == "busy":
            retry = self._endings.put_off(run, message["text"], message["retry_after_s"])
            self._spawn(self._end(run, retry))
        else:
            self._spawn(self._end(run, self._endings.try_again(run, message["text"])))

    def _look_at_memory(self, slot: _Slot, memory_mb: int) -> None:
        slot.memory_mb = memory_mb
        slot.first_memory_mb = slot.first_memory_mb or memory_mb
        if slot.tasks_done >= RETIRE_AFTER_TASKS or memory_mb > slot.first_memory_mb + RETIRE_GROWTH_MB:
            self._retire(slot)

    def _retire(self, slot: _Slot) -> None:
        """No more for this worker; what it has not begun goes to others."""
        slot.is_retiring = True
        self._wait_again(slot.runs)
        slot.runs.clear()

    def _wait_again(self, runs: Sequence[Run]) -> None:
        for run in reversed(runs):
            run.stage = Stage.WAITING
            if run.stop_at:
                self._spawn(self._end(run, self._endings.clean_up(run.lease)))
            else:
                self._waiting.appendleft(run)

    def _take_back(self, slot: _Slot, status: int | None) -> None:
        """A worker is gone: the run that it was at pays, the others wait for another worker."""
        runs, slot.runs = slot.runs, []
        if runs and (runs[0].kill_text or status is not None or runs[0].stop_at):
            run = runs.pop(0)
            if run.stop_at:
                ending = self._endings.clean_up(run.lease)
            elif run.kill_text:
                ending = self._endings.fail(run, run.kill_text)
            else:
                ending = self._endings.try_again(run, crash_text(status))
            self._spawn(self._end(run, ending))
        self._wait_again(runs)
        self._dispatch()
        self._has_room.set()

    # Ends

    async def _publish(self) -> None:
        """Publish what is staged, together what came together."""
        while True:
            await self._has_staged.wait()
            self._has_staged.clear()
            while self._staged:
                runs = [self._staged.popleft() for _ in range(min(PUBLISH_AT_ONCE, len(self._staged)))]
                try:
                    await self._endings.publish(runs)
                finally:
                    # After an unforeseen failure the leases run out, and the tasks are started over.
                    for run in runs:
                        await self._forget(run)
                self._has_room.set()

    async def _end(self, run: Run, ending: Awaitable[None]) -> None:
        try:
            await ending
        finally:
            await self._forget(run)

    async def _forget(self, run: Run) -> None:
        self._runs.pop(run.lease.task_id, None)
        await run.files.aclose()

    async def _purge(self, lease: Lease) -> None:
        try:
            if lease.kind == tasks.SETTLE:
                await self._settler.run_task(lease.task_id, Settlement.from_payload(lease.payload))
            else:
                await self._purger.run_task(lease.task_id, Purge.from_payload(lease.payload))
        except (RagError, AppError, OSError) as error:
            log.warning("cleaning up is tried again later", extra={"reason": str(error)})
            delay_s = _PURGE_RETRY_S[min(lease.busy_count, len(_PURGE_RETRY_S) - 1)]
            await patiently(lambda: self._queue.retry(lease, delay_s, lambda: None, is_counted=False))
        finally:
            self._purges.pop(lease.task_id, None)
            self._has_room.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(_logged(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Watching

    async def _watch(self) -> None:
        """Beat, show progress, stop what nobody wants and what takes too long."""
        while True:
            if time.monotonic() - self._reclaimed_at > self._settings.lease_s / 3:
                self._reclaimed_at = time.monotonic()
                if await patiently(lambda: self._queue.reclaim(is_gone)):
                    self._queue.poke()
            if self._runs or self._purges:
                await self._beat()
                self._look_at_time()
                await self._show()
            await asyncio.sleep(TICK_S)

    async def _beat(self) -> None:
        leases = [run.lease for run in self._runs.values()] + list(self._purges.values())
        lost = await patiently(lambda: self._queue.beat(leases))
        for task_id in lost:
            run = self._runs.get(task_id)
            if run is not None and not run.stop_at:
                self._stop_run(run)

    def _stop_run(self, run: Run) -> None:
        if run.stage is Stage.STAGED:
            return  # being published; its end looks at the lease again
        run.stop_at = time.monotonic()
        if run in self._waiting:
            self._waiting.remove(run)
            self._spawn(self._end(run, self._endings.clean_up(run.lease)))
            return
        for slot in self._slots:
            if run in slot.runs and slot.child is not None:
                slot.child.send({"cancel": run.lease.task_id})

    def _look_at_time(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if not slot.runs or slot.child is None:
                continue
            run = slot.runs[0]
            if run.stop_at and now - run.stop_at > STOP_GRACE_S:
                slot.child.kill()
            elif now - run.begun_at > self._settings.time_limit_s and not run.kill_text:
                run.kill_text = time_text(self._settings)
                slot.child.kill()

    async def _show(self) -> None:
        """Write the progress of all runs that have some to show."""
        dirty = [run for run in self._runs.values() if run.is_dirty and not run.stop_at]
        if not dirty:
            return
        writes = []
        for run in dirty:
            run.is_dirty = False
            writes.append((run.lease, _progress_write(run.job, run.progress, run.message)))
        await patiently(lambda: self._queue.write(writes))


def _progress_write(job: ParseJob, progress: float, message: str) -> Callable[[], None]:
    return lambda: show_progress(job, progress, message)


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:
        log.exception("the executor stumbled; the task is started over when its lease ends")


async def _for_ever(loop: Callable[[], Awaitable[None]]) -> None:
    """Begin a loop again when it stumbles."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("the executor stumbled and goes on")
        await asyncio.sleep(1.0)
