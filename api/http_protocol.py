"""uvicorn's HTTP protocol, bounded: heads in size and time, connections in number, and what a refusal leaves open.

uvicorn keeps silent and half-sent connections open for ever, takes heads of any size, and closes a
connection whose request it refuses before the client has read why.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.errors import Code
from api.settings import HttpSettings

LINGER_S = 2.0
"""How long a client may go on sending after its request was refused. Closing at once would reset the
connection, and many clients then report a broken pipe instead of reading the reply."""

MAX_PIPELINE = 16
"""Requests that may wait behind the running one before the connection is no longer read."""


class _Output:
    """What a reply is written to: the transport, but head and first piece go out together, which saves a
    system call and the client a wake-up, and closing lets the client read the reply first."""

    __slots__ = ("_close", "_head", "_loop", "_transport", "is_closing")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, close: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._close = close
        self._head: bytes | None = b""  # b"": to come; None: sent
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send; the head at the latest when the event loop comes round."""
        if self._head is None or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        elif self._head:
            self._transport.write(self._head + data)
            self._head = None
        else:
            self._head = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Let the client read what was written, then close."""
        self._flush()
        self._close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
        self._head = None


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    http: HttpSettings = HttpSettings()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = False  # the first bytes of a head are there, its end is not
        self._is_in_body = False
        self._is_lingering = False
        self._is_deaf = False  # what still arrives is thrown away
        # Bytes since anything complete was seen: they are being collected by the parser.
        self._loose_bytes = 0
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None

    # What the request's side asks (api.connection.Connection)
    def is_request_complete(self) -> bool:
        """Whether the whole request has arrived."""
        return not self._is_in_body or self.cycle is not self._running

    def is_lost(self) -> bool:
        """Whether the client has left."""
        return self._running is None or self._running.disconnected

    # Connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.http.max_connections:
            self._refuse(
                503, Code.BUSY, "The server has too many open connections. Please try again shortly."
            )
            return
        self._arm_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the work whose client has left."""
        self._cancel_head_timer()
        self.pipeline.clear()
        running, task = self._running, self._task
        super().connection_lost(exc)
        if running is not None and task is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
            task.cancel()

    def eof_received(self) -> None:
        """Nothing more will come: the transport closes itself."""
        self._cancel_head_timer()

    def shutdown(self) -> None:
        """Close if idle, else after the reply. Heads that are half there are not waited for."""
        self._cancel_head_timer()
        if self._running is None or self._running.response_complete:
            self.transport.close()
        else:
            self._running.keep_alive = False

    def leave(self) -> None:
        """Close; what was written still goes out, if the client reads."""
        if self.transport is not None:
            self.transport.close()

    # Bytes
    def data_received(self, data: bytes) -> None:
        """Parse, within bounds."""
        if self._is_deaf:
            return
        self._loose_bytes += len(data)
        super().data_received(data)
        if self._is_deaf or self.transport.is_closing():
            return
        is_idle = self._running is None or self._running.response_complete
        if self._head_timer is None and (self._is_in_head or (is_idle and not self._is_in_body)):
            self._arm_head_timer()
        if self._loose_bytes > self.http.max_header_bytes:
            if self._is_in_body:  # chunk extensions or trailers
                self._refuse(400, Code.ARGUMENT, "The request body is not framed in a way this server reads.")
            else:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._is_in_head = True
        self.scope["extensions"] = {"ragd.connection": self}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._cancel_head_timer()
        self._is_in_head = False
        self._loose_bytes = 0
        if self._is_deaf:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.http.max_header_bytes:
            self._refuse_head()
            return
        self._is_in_body = True
        super().on_headers_complete()
        if self.pipeline and len(self.pipeline) < MAX_PIPELINE:
            self.flow.resume_reading()  # else a client that leaves would not be noticed
        self.cycle.transport = _Output(self.loop, self.transport, self._close_politely)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._loose_bytes = 0
        if not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there."""
        self._is_in_body = False
        self._loose_bytes = 0
        if not self._is_deaf:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless the rest of this one would have to be read for that."""
        if self._is_lingering:
            return
        if self._is_in_body and self.cycle is self._running:
            self._linger()
            return
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._running, self._task = cycle, task

    # Refusals
    def send_400_response(self, msg: str) -> None:
        """Say that this is not HTTP; in the middle of a reply nothing can be said."""
        self._refuse(400, Code.ARGUMENT, msg)

    def _unsupported_upgrade_warning(self) -> None:
        """Upgrades are offers, which a server may ignore (RFC 9110, 7.8)."""

    def _refuse_head(self) -> None:
        limit = self.http.max_header_bytes
        self._refuse(431, Code.ARGUMENT, f"The request head is too large: at most {limit} bytes are taken.")

    def _refuse(self, status: int, code: int, message: str) -> None:
        self._is_deaf = True
        if self._running is not None and not self._running.response_complete:
            if self._is_in_body or self._running.response_started:
                self.transport.close()
            else:
                self._running.keep_alive = False  # the running request was fine, what follows it is not
            return
        # Two keys: RAGFlow's SDK takes any other reply to a download for the file.
        body = orjson.dumps({"code": int(code), "message": message})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        for name, value in self.server_state.default_headers:
            head += name + b": " + value + b"\r\n"
        if status == 503:
            head += b"retry-after: 1\r\n"
        head += b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
            body
        )
        self.transport.write(head + body)
        self._linger()

    def _close_politely(self) -> None:
        if self._is_deaf or (self._is_in_body and self.cycle is self._running):
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say that nothing more comes, and throw away what the client still sends, for a while."""
        if self._is_lingering or self.transport.is_closing():
            return
        self._is_lingering = self._is_deaf = True
        self._cancel_head_timer()
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._head_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _arm_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.http.header_timeout_s, self._head_is_late)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            self._refuse(
                408,
                Code.ARGUMENT,
                f"The request head did not arrive within {self.http.header_timeout_s:g} s.",
            )
        elif not self.transport.is_closing():
            self.transport.close()


def bounded_protocol(settings: HttpSettings) -> type[BoundedProtocol]:
    """The protocol with these bounds."""
    return type("BoundedProtocol", (BoundedProtocol,), {"http": settings})
