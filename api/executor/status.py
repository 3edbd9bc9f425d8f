"""What health checks and metrics are told of the executor."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker process. document_id: what it parses, "" when idle."""

    pid: int
    document_id: str
    tasks_done: int
    memory_mb: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """depth: tasks that wait in the queue; running: those in this executor's hands.

    done, failed, retried, cancelled, crashed: since the start of this process.
    """

    depth: int
    running: int
    done: int
    failed: int
    retried: int
    cancelled: int
    crashed: int
    workers: list[WorkerStatus] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """Counts since the start of this process."""

    done: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    crashed: int = 0
