"""Server-sent events: an iterator of events becomes a reply that lives as long as its client and the server."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import orjson
from quart import Response

from api.errors import AppError
from api.runtime import services
from rag.errors import RagError

log = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
"""Silence after which a comment line is sent: proxies close connections that are silent for longer."""

HEARTBEAT = b": keep-alive\n\n"

BUFFER_BYTES = 1 << 16
"""How far the work may run ahead of a client that reads slowly."""


def frame(event: Any) -> bytes:
    """`data: `, JSON, blank line. bytes are put as they are: `b"[DONE]"`.

    U+2028, U+2029 and U+0085 are escaped, since clients that split text at "line ends" split there.
    """
    data = event if isinstance(event, bytes) else orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS)
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    if b"\xc2\x85" in data:
        data = data.replace(b"\xc2\x85", b"\\u0085")
    return b"data: " + data + b"\n\n"


class _Stream:
    """A reply's body. The iterator runs in a task of its own, so that silence and the server's end are noticed.

    Closing the body, as happens when the client leaves, cancels the work and waits until it has ended.
    """

    def __init__(
        self,
        events: AsyncIterator[Any],
        on_error: Callable[[Exception], Iterable[Any]],
        closing: asyncio.Event,
        heartbeat_s: float,
    ) -> None:
        self._events = events
        self._on_error = on_error
        self._closing = closing
        self._heartbeat_s = heartbeat_s
        # The events may ask for the request and the services after the handler has returned.
        self._context = contextvars.copy_context()
        self._tasks: list[asyncio.Task[None]] = []
        self._frames: list[bytes] = []
        self._size = 0
        self._is_done = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> bytes:
        """All frames that wait, as one piece; a heartbeat after silence."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks.append(loop.create_task(self._work(), context=self._context))
            self._tasks.append(loop.create_task(self._end_with_server()))
        if not self._frames and not self._is_done:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self._filled.wait()
            except TimeoutError:
                return HEARTBEAT
        if not self._frames:
            raise StopAsyncIteration
        self._filled.clear()
        piece = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._emptied.set()
        return piece

    async def aclose(self) -> None:
        """Stop the work, if it still runs; its `finally` blocks have run on return."""
        if not self._tasks:  # never asked for: HEAD, or a client that left at once
            await _close(self._events)
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        try:
            async for event in self._events:
                self._put(frame(event))
                if self._size >= BUFFER_BYTES:
                    self._emptied.clear()
                    await self._emptied.wait()
        except Exception as error:  # noqa: BLE001 - the status is long sent: the stream itself must tell
            self._tell(error)
        finally:
            self._end()
            await _close(self._events)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, (AppError, RagError)):
            log.warning("a stream was refused: %s", error)
        else:
            log.error("a stream failed", exc_info=error)
        for event in self._on_error(error):
            self._put(frame(event))

    def _put(self, data: bytes) -> None:
        self._frames.append(data)
        self._size += len(data)
        self._filled.set()

    def _end(self) -> None:
        self._is_done = True
        self._filled.set()

    async def _end_with_server(self) -> None:
        await self._closing.wait()
        self._end()


async def _close(events: AsyncIterator[Any]) -> None:
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


def sse(
    events: AsyncIterator[Any],
    *,
    on_error: Callable[[Exception], Iterable[Any]],
    heartbeat_s: float = HEARTBEAT_S,
) -> Response:
    """A reply that sends each event as a frame; see `frame`.

    on_error: the last events, made of what the iterator raised (which is logged here).
    The iterator is closed when it ends, when the client leaves and when the server goes down.
    """
    response = Response(
        _Stream(events, on_error, services().closing, heartbeat_s),
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
    response.timeout = None  # a time-out would cut the stream short without an error
    return response
