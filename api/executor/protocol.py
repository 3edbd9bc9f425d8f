"""What a task queue promises; `tests/api/executor/suite.py` holds every implementation to it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """A task in a worker's hands. token: proves that the worker still holds it."""

    task_id: str
    kind: str
    document_id: str
    dataset_id: str
    attempt: int
    token: str


class TaskQueue(Protocol):
    """Leased, not taken: a worker that stops beating loses its task, another one starts it over."""

    async def lease(self, owner: str) -> Lease | None:
        """The next task that is due, or None. Its attempt is counted."""

    async def beat(self, leases: list[Lease]) -> set[str]:
        """Prolong; returns the ids of those that are lost or cancelled and must be stopped."""

    async def finish(self, lease: Lease) -> bool:
        """The task is done; False when the lease was lost."""

    async def retry(self, lease: Lease, error: str, delay_s: float) -> bool:
        """Try again after a while, or give up when the attempts are used; True when it will be tried again."""

    async def fail(self, lease: Lease, error: str) -> None:
        """Give up: trying again would give the same result."""

    async def depth(self) -> int:
        """Tasks that wait."""

    async def wait(self, timeout_s: float) -> None:
        """Return when a task may be due, or after the time."""

    def poke(self) -> None:
        """A task was committed: wake who waits."""
