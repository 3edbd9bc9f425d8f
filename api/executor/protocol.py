"""What a task queue promises; `tests/api/executor/suite.py` holds every implementation to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """A task in an executor's hands.

    attempts: tries that failed before this one. busy_count: tries that a busy model or store put off.
    lease_count: how often the task was leased, this time included; more than one plus attempts and
        busy_count means that executors died or stopped with it.
    token: proves that the executor still holds the task.
    is_cancelled: nobody wants the result any more; what earlier runs left is to be cleaned up.
    """

    task_id: str
    kind: str
    document_id: str
    dataset_id: str
    token: str
    attempts: int = 0
    busy_count: int = 0
    lease_count: int = 1
    is_cancelled: bool = False
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Names what this run stages in the chunk store."""
        return f"{self.task_id}-{self.lease_count}"

    @property
    def earlier_run_ids(self) -> list[str]:
        """Runs of the same task that may have left something staged."""
        return [f"{self.task_id}-{n}" for n in range(1, self.lease_count)]


Write = Callable[[], Any]
"""Changes rows inside the queue's transaction."""


class TaskQueue(Protocol):
    """Leased, not taken: an executor that stops beating loses its task, another one starts it over.

    Two tasks of one document are never leased at the same time. A task that is cancelled while leased
    stays until its holder (or, when that is gone, the next one) has cleaned up and forgets it.
    Raises ServerBusy, DiskFull.
    """

    async def lease(self, owner: str, *, limit: int, extra_small: int = 0) -> list[Lease]:
        """The next tasks that are due, oldest first: at most `limit`, and up to `extra_small` more while all are small."""

    async def beat(self, leases: Sequence[Lease]) -> set[str]:
        """Prolong; returns the ids of those that are lost or cancelled and must be stopped."""

    async def write(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        """Run the writes of leases that still hold, in one transaction; returns task id to what each returned."""

    async def finish(self, writes: Sequence[tuple[Lease, Write]]) -> dict[str, Any]:
        """The same, and forget the tasks: they are done, or have failed for good."""

    async def retry(self, lease: Lease, delay_s: float, write: Write, *, is_counted: bool) -> bool:
        """Queue again after a while, with the write; counted as an attempt or as put off. False: no longer held."""

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back at once what was not worked on, or was interrupted by the executor's own end."""

    async def forget(self, lease: Lease) -> None:
        """A cancelled task is cleaned up."""

    async def reclaim(self, is_gone: Callable[[str], bool]) -> int:
        """End the leases of owners that are gone; returns how many."""

    async def depth(self) -> int:
        """Tasks that wait."""

    async def wait(self, timeout_s: float) -> None:
        """Return when a task may be due, or after the time."""

    def poke(self) -> None:
        """A task was committed or cancelled: wake who waits."""
