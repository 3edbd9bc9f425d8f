"""A leased parse on its way through the executor, and the words in which its end is told."""

import signal
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from api.db.documents import ParseJob
from api.db.tasks import SMALL_BYTES
from api.executor.progress import progress_line, with_lines
from api.executor.protocol import Lease
from api.settings import ExecutorSettings
from rag.models.specs import ModelSpec

QUEUED_TEXT = "Task is queued..."


class Stage(Enum):
    """Where a run is."""

    WAITING = "waiting"  # for a worker
    WORKING = "working"  # at a worker
    STAGED = "staged"  # its chunks are written and wait to be published


@dataclass(slots=True, eq=False)
class Run:
    """One try at parsing a document.

    model: the embedding model, where the tenant registered it.
    begun_at, stop_at: by the monotonic clock, 0 for never. kill_text: why its worker was killed on purpose.
    """

    lease: Lease
    job: ParseJob
    message: str
    files: AsyncExitStack = field(default_factory=AsyncExitStack)
    path: Path | None = None
    stage: Stage = Stage.WAITING
    progress: float = 0.01
    is_dirty: bool = True
    begun_at: float = 0.0
    stop_at: float = 0.0
    kill_text: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    model: ModelSpec | None = None

    @property
    def is_small(self) -> bool:
        """Whether it may share a worker's queue with others."""
        return self.job.size <= SMALL_BYTES

    def say(self, *lines: str) -> None:
        """Add lines to what clients see."""
        self.message = with_lines(self.message, *lines)
        self.is_dirty = True

    def order(self) -> dict[str, Any]:
        """The job as a worker takes it."""
        job = self.job
        return {
            "task_id": self.lease.task_id,
            "run_id": self.lease.run_id,
            "document_id": job.document_id,
            "dataset_id": job.dataset_id,
            "name": job.name,
            "path": str(self.path),
            "method": job.chunk_method,
            "config": orjson.loads(job.parser_config),
            "is_available": job.is_enabled,
            "language": job.language,
            "embedding_model": job.embedding_model,
            "model": None if self.model is None else asdict(self.model),
        }


def new_run(lease: Lease, job: ParseJob) -> Run:
    """A run that was just leased."""
    earlier = job.progress_msg.removesuffix(QUEUED_TEXT).rstrip("\n")
    run = Run(lease, job, earlier)
    run.say(progress_line("Task has been received.", has_pages=False))
    return run


def done_lines(result: dict[str, Any], publishing_s: float) -> list[str]:
    """What is said of a parse that is done."""
    return [
        progress_line(f"Generate {result['chunks']} chunks"),
        progress_line(f"Embedding chunks ({result['embedding_s']:.2f}s)"),
        progress_line(f"Indexing done ({result['staging_s'] + publishing_s:.2f}s)."),
        progress_line(f"Task done ({result['total_s'] + publishing_s:.2f}s)"),
    ]


def size_text(limit_bytes: int) -> str:
    """A file over the limit."""
    return f"File size exceeds( <= {limit_bytes / (1 << 20):g}Mb )"


def missing_text(name: str) -> str:
    """A file that the storage does not have."""
    return f"Can not find file <{name}> in the storage. Please upload it again."


def time_text(settings: ExecutorSettings) -> str:
    """A parse over the time limit."""
    return (
        f"Parsing took longer than {settings.time_limit_s:g} s and was stopped. "
        "Split the document, or raise executor.time_limit_s, and parse it again."
    )


def memory_text(settings: ExecutorSettings) -> str:
    """A parse over the memory limit."""
    return (
        f"Parsing needed more than {settings.memory_limit_mb} MB of memory and was stopped. "
        "Split the document, or raise executor.memory_limit_mb, and parse it again."
    )


def crash_text(status: int | None) -> str:
    """A worker that ended with a document in its hands."""
    if status is not None and status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = str(-status)
        hint = " Libraries end so when memory runs out: raising executor.memory_limit_mb may help."
        return (
            f"The worker process that parsed the document was killed (signal {name})."
            f"{hint if name == 'SIGABRT' else ''}"
        )
    return f"The worker process that parsed the document ended (exit code {status})."


def abandoned_text(attempts: int, last: str) -> str:
    """After the last attempt."""
    return (
        f"Task is abandoned after {attempts} times attempts. {last} Check that the file opens in its own "
        "application, then parse it again; the server's log says more."
    )


def lost_text(count: int) -> str:
    """A task whose servers died again and again."""
    return (
        f"The server stopped {count} times while this document was being parsed. If the machine is short of "
        "memory, give it more or lower executor.workers, then parse the document again."
    )
