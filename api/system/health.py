"""Whether the parts work: each is tried, at once and within a bounded time."""

import asyncio
import logging
from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from api.db.database import execute
from api.errors import AppError
from rag.errors import RagError

if TYPE_CHECKING:
    from api.wiring import Parts

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


async def _try_chunks(parts: "Parts") -> None:
    health = await parts.chunks.health()
    if not health.is_ok:
        raise _NotOk(health.detail)


class _NotOk(Exception):
    """A part that answers, but says that it does not work; the text is for an operator."""


def _reason(error: Exception) -> str:
    match error:
        case AppError() | RagError() | _NotOk():
            return str(error)
        case TimeoutError():
            return f"no answer within {TIMEOUT_S:g} s"
        case OSError() if error.strerror:
            return error.strerror
        case _:  # the text of an unforeseen error may hold anything; the log has it
            return type(error).__name__


async def _attempt(name: str, trial: Awaitable[object]) -> tuple[str, float, str | None]:
    started = perf_counter()
    reason = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await trial
    except Exception as error:
        reason = _reason(error)
        log.warning("%s does not work: %s", name, reason, exc_info=error)
    return name, (perf_counter() - started) * 1000, reason


async def try_parts(parts: "Parts") -> tuple[bool, dict[str, Any]]:
    """Whether all parts work, and the reply of `/v1/system/healthz`.

    The keys are RAGFlow's: `redis` is the task queue, whatever holds it.
    """
    trials = {
        "db": parts.db.read(execute, "SELECT 1", ()),
        "redis": parts.queue.depth(),
        "doc_engine": _try_chunks(parts),
        "storage": parts.storage.health(),
    }
    results = await asyncio.gather(*(_attempt(name, trial) for name, trial in trials.items()))
    reply: dict[str, Any] = {name: "ok" if reason is None else "nok" for name, _, reason in results}
    is_ok = all(reason is None for _, _, reason in results)
    reply["status"] = "ok" if is_ok else "nok"
    meta = {
        name: {"elapsed": f"{elapsed_ms:.1f}", "error": reason}
        for name, elapsed_ms, reason in results
        if reason is not None
    }
    return is_ok, reply | ({"_meta": meta} if meta else {})
