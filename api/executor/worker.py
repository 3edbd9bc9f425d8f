"""A worker process: parses one document at a time and tells the supervisor how it goes.

In come jobs, cancellations; out go progress, then for each job done, failed or cancelled. The worker
knows no table and no lease: it reads a file, writes into the chunk store under the run's id, and may be
killed at any moment.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.executor.progress import progress_line
from api.executor.tools import Preloaded, embedding_model, open_store, vector_cache
from api.executor.wire import BlockingPeer, PeerGone
from deepdoc.errors import ParseError
from rag.chunking import chunk_document
from rag.chunking.drafts import ChunkDraft
from rag.errors import (
    ModelBusy,
    ModelNotFound,
    ModelRefused,
    RagError,
    StoreFull,
    StoreUnavailable,
    UnknownChunkMethod,
)
from rag.ingest import IngestTimes, SourceDocument, filename_weight, ingest
from rag.models.specs import ModelSpec
from rag.stores.protocol import ChunkStore

_LOOK_EVERY_S = 0.05
_REPORT_EVERY_S = 0.4
_LONGEST_TEXT = 20_000
READING_SHARE = 0.85
"""Of the progress of a parse: reading, embedding and staging go hand in hand; publishing is the rest."""


class Cancelled(BaseException):
    """The supervisor wants no more of this job; not an Exception, so that no parser swallows it."""


def run_worker(connection: socket.socket, preloaded: Preloaded) -> None:
    """Work until the supervisor's end closes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    peer = BlockingPeer(connection)
    with asyncio.Runner() as runner:
        worker = _Worker(peer, preloaded, runner)
        with contextlib.suppress(RagError):  # it is opened again for the first job, which tells what is wrong
            runner.run(worker.open_store())
        with contextlib.suppress(PeerGone):
            peer.send({"born": os.getpid()})
            worker.work()


class _Worker:
    def __init__(self, peer: BlockingPeer, preloaded: Preloaded, runner: asyncio.Runner) -> None:
        self._peer = peer
        self._settings = preloaded.settings
        self._models = preloaded.models
        self._cache = vector_cache(preloaded.settings)
        self._runner = runner
        self._store: ChunkStore | None = None
        self._exits = contextlib.AsyncExitStack()
        self._jobs: deque[dict[str, Any]] = deque()
        self._cancelled: set[str] = set()
        self._looked_at = 0.0
        self._reported_at = 0.0
        self._lines: list[str] = []

    async def open_store(self) -> ChunkStore:
        """The chunk store, opened once; the end of the process closes it."""
        if self._store is None:
            self._store = await self._exits.enter_async_context(open_store(self._settings))
        return self._store

    def work(self) -> None:
        """Do the jobs that come."""
        while True:
            self._look(wait=not self._jobs)
            while self._jobs:
                job = self._jobs.popleft()
                self._reported_at = time.monotonic()
                self._lines.clear()
                self._peer.send({"task": job["task_id"]} | self._run(job))
                self._cancelled.discard(job["task_id"])
                self._look(wait=False)

    def _look(self, *, wait: bool) -> None:
        for message in self._peer.receive(wait=wait):
            if "run" in message:
                self._jobs.extend(message["run"])
            elif "cancel" in message:
                self._cancelled.add(message["cancel"])
        self._looked_at = time.monotonic()

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do the job; returns what to tell of it."""
        try:
            if job["task_id"] in self._cancelled:
                raise Cancelled
            with _MemoryLimit(self._settings.executor.memory_limit_mb):
                return {"done": self._runner.run(self._parse(job))}
        except Cancelled:
            return {"cancelled": True}
        except MemoryError:
            return {"failed": "memory", "text": "", "trace": _clean(traceback.format_exc(limit=-8))}
        except (ParseError, UnknownChunkMethod, ModelNotFound, ModelRefused) as error:
            return {"failed": "refused", "text": _clean(str(error))}
        except ModelBusy as error:
            return {"failed": "busy", "text": _clean(str(error)), "retry_after_s": error.retry_after_s}
        except (StoreUnavailable, StoreFull) as error:
            return {"failed": "busy", "text": _clean(str(error)), "retry_after_s": None}
        except RagError as error:
            return {"failed": "error", "text": _clean(str(error))}
        except Exception as error:  # noqa: BLE001 - whatever a parser raises is told, and costs this document alone
            text = f"An unexpected error stopped the parsing ({type(error).__name__}); the server's log has the details."
            return {"failed": "error", "text": text, "trace": _clean(traceback.format_exc(limit=-20))}

    async def _parse(self, job: dict[str, Any]) -> dict[str, Any]:
        store = await self.open_store()
        document = SourceDocument(
            id=job["document_id"],
            dataset_id=job["dataset_id"],
            name=job["name"],
            created_at=time.time(),
            is_available=job["is_available"],
            filename_weight=filename_weight(job["config"]),
        )
        times = IngestTimes()
        staging_s = 0.0
        batch_size = 4 * self._settings.embedding.batch_size
        model = embedding_model(
            self._models.for_tenant(_own_models(job)), job["embedding_model"], self._cache
        )
        start = time.perf_counter()
        async for chunks in ingest(self._drafts(job), document, model, batch_size=batch_size, times=times):
            self._check(job)
            before = time.perf_counter()
            await store.stage(job["run_id"], chunks)
            staging_s += time.perf_counter() - before
            self._check(job)
        return {
            "chunks": times.chunk_count,
            "embedding_s": times.embedding_s,
            "embedding_tokens": times.token_count,
            "staging_s": staging_s,
            "total_s": time.perf_counter() - start,
            "memory_mb": _resident_mb(),
            "lines": self._take_lines(),
        }

    def _drafts(self, job: dict[str, Any]) -> Iterator[ChunkDraft]:
        def report(share: float, message: str) -> None:
            self._report(job, share, message)

        drafts = chunk_document(
            job["method"],
            Path(job["path"]),
            job["name"],
            job["config"],
            language=job["language"],
            report=report,
        )
        for draft in drafts:
            self._check(job)
            yield draft

    def _check(self, job: dict[str, Any]) -> None:
        """Stop where the supervisor has said so."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        self._look(wait=False)
        if job["task_id"] in self._cancelled:
            raise Cancelled

    def _report(self, job: dict[str, Any], share: float, text: str) -> None:
        """Tell the progress now and then; texts wait for it."""
        self._check(job)
        if text:
            self._lines.append(progress_line(_clean(text)))
        now = time.monotonic()
        if now - self._reported_at < _REPORT_EVERY_S:
            return
        self._reported_at = now
        progress = round(max(0.0, min(1.0, share)) * READING_SHARE, 4)
        self._peer.send({"task": job["task_id"], "progress": progress, "lines": self._take_lines()})

    def _take_lines(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


def _own_models(job: dict[str, Any]) -> list[ModelSpec]:
    """The model that the dataset's owner registered, if it is one."""
    model = job.get("model")
    if model is None:
        return []
    return [ModelSpec(**model | {"query": tuple((name, value) for name, value in model["query"])})]


class _MemoryLimit:
    """Bounds what the process may map on top of what it has; a job over it gets a MemoryError."""

    def __init__(self, limit_mb: int) -> None:
        self._limit = limit_mb << 20
        self._soft = resource.RLIM_INFINITY

    def __enter__(self) -> None:
        self._soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = _address_space() + self._limit
        resource.setrlimit(
            resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
        )

    def __exit__(self, *_exit: object) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (self._soft, hard))


def _clean(text: str) -> str:
    """Text that JSON takes and a reader can bear; files and endpoints may have written it."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


def _statm() -> list[int]:
    try:
        return [int(word) * resource.getpagesize() for word in Path("/proc/self/statm").read_text().split()]
    except OSError:  # no /proc: then nothing is known, and the limit is on the whole
        return [0, 0]


def _address_space() -> int:
    return _statm()[0]


def _resident_mb() -> int:
    return _statm()[1] >> 20
