"""A request on its way through the application: its body, its id, its reply, its line in the log.

Replaces Quart's own connection and body, which read as fast as the client sends (memory grows while
the handler is slow), do not count chunked bodies, and bound the whole body's time instead of a stall's.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from secrets import token_hex
from time import perf_counter
from typing import Any, NoReturn, Protocol

from quart import Quart, Request
from quart import Response as QuartResponse
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.request import Body
from quart.wrappers.response import DataBody

from api.errors import BodyTimeout, BodyTooLarge, ServerBusy
from api.http import error_response
from api.logs import RequestInfo, current_request, log_request
from api.metrics import Metrics
from api.settings import HttpSettings

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

CLIENT_LEFT = 499
"""Status in log and figures of a request whose client left before the reply."""

STREAM_ENDS = (b"data: [DONE]\n\n", b'"data":true}\n\n')
"""With what the streams of both families end; clients leave on reading it, which is no cut reply."""

_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Connection(Protocol):
    """What `api.http_protocol` tells of the connection that a request came on."""

    def is_request_complete(self) -> bool:
        """Whether the whole request has arrived."""

    def is_lost(self) -> bool:
        """Whether the client has left."""


class RequestBody(Body):
    """A body that is received as it is asked for, so that a slow reader slows its client down.

    Iterating may take `max_body_bytes`, awaiting the whole `max_json_bytes`. Raises BodyTooLarge, BodyTimeout.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(None, None)
        self._length = expected_content_length or 0
        self._max_bytes = max_content_length
        self._max_whole_bytes = 0
        self._timeout_s: float | None = None
        self._receive: Receive | None = None
        self._received = 0

    def connect(self, receive: Receive, settings: HttpSettings) -> None:
        """Where the bytes come from, and how many may come how slowly."""
        self._receive = receive
        self._max_bytes = settings.max_body_bytes
        self._max_whole_bytes = settings.max_json_bytes
        self._timeout_s = settings.body_timeout_s

    def __aiter__(self) -> "RequestBody":
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next(self._max_bytes)
        if not piece:
            raise StopAsyncIteration
        return piece

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._whole().__await__()

    async def _whole(self) -> bytes:
        if self._receive is None:
            await self._complete.wait()
        limit = self._max_bytes if self._receive is None else self._max_whole_bytes
        pieces = []
        while piece := await self._next(limit):
            pieces.append(piece)
        self._data[:] = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return bytes(self._data)

    async def _next(self, limit: int | None) -> bytes:
        """The next piece; b"" at the end."""
        if limit is not None and self._length > limit:
            self._refuse(limit)
        if self._data:
            piece = bytes(self._data)
            self._data.clear()
            return piece
        while self._receive is not None and not self._complete.is_set():
            try:
                async with asyncio.timeout(self._timeout_s):
                    message = await self._receive()
            except TimeoutError:
                raise BodyTimeout(
                    f"Nothing more of the request body arrived for {self._timeout_s:g} seconds."
                ) from None
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError("the client left")
            if not message.get("more_body", False):
                self.set_complete()
            piece = message.get("body", b"")
            self._received += len(piece)
            if limit is not None and self._received > limit:
                self._refuse(limit)
            if piece:
                return bytes(piece)
        return b""

    def _refuse(self, limit: int) -> NoReturn:
        self._receive = None
        raise BodyTooLarge(f"The request body is too large: at most {limit} bytes are taken here.")


class ApiRequest(Request):
    """Quart's request with our body."""

    body_class = RequestBody


class HttpConnection(ASGIHTTPConnection):
    """One request: gives it an id, runs the application, sends the reply, logs and counts it.

    The server (`api.http_protocol`) cancels the task when the client leaves, so that no task has to wait for that.
    """

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Run the request. Never raises CancelledError: nobody would know what to do with it."""
        started = perf_counter()
        self._info = RequestInfo(self._request_id())
        current_request.set(self._info)
        self._status = CLIENT_LEFT
        self._is_whole = False
        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        self._peer: Connection | None = extensions.get("ragd.connection")
        request: Any = self._create_request_from_scope(send)
        settings: HttpSettings = self.app.config["RAGD_HTTP"]
        request.body.connect(receive, settings)
        try:
            response = await self.app.handle_request(request)
            await self._reply(send, response)
        except asyncio.CancelledError:
            await self._reply_to_cancelled(send)
        finally:
            elapsed_s = perf_counter() - started
            rule = request.url_rule
            metrics: Metrics = self.app.extensions["ragd.metrics"]
            method = self.scope["method"]
            metrics.observe_request(method, rule.rule if rule else "unmatched", self._status, elapsed_s)
            path = (self.scope.get("raw_path") or self.scope["path"].encode()).decode(
                "ascii", "backslashreplace"
            )
            log_request(method, path, self._status, elapsed_s * 1000)

    def _request_id(self) -> str:
        for name, value in self.scope["headers"]:
            if name == b"x-request-id" and _GOOD_ID.fullmatch(value):
                return bytes(value).decode("ascii")
        return token_hex(8)

    async def _reply(self, send: Send, response: Any) -> None:
        headers = encode_headers(response.headers)
        headers.append((b"x-request-id", self._info.request_id.encode()))
        if self._peer is not None and not self._peer.is_request_complete():
            # The rest of the body would have to be read before the connection could serve again.
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        if not isinstance(response, QuartResponse):  # werkzeug's own: redirects, HTTP exceptions
            self._status = response.status_code
            await send(start)
            whole = b"".join(d.encode() if isinstance(d, str) else d for d in response.response)
            await send({"type": "http.response.body", "body": whole, "more_body": False})
            return
        body: Any = response.response
        if type(body) is DataBody:
            self._status = response.status_code
            await send(start)
            data = body.data[body.begin : body.end]
            await send({"type": "http.response.body", "body": data, "more_body": False})
            return
        async with body as pieces:
            self._status = response.status_code
            await send(start)
            if self.scope["method"] != "HEAD":
                async for piece in pieces:
                    data = piece.encode() if isinstance(piece, str) else piece
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                    self._is_whole = data.endswith(STREAM_ENDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _reply_to_cancelled(self, send: Send) -> None:
        is_lost = self._peer is None or self._peer.is_lost()
        if is_lost:
            if not self._is_whole:
                self._status = CLIENT_LEFT
            return
        if self._status != CLIENT_LEFT:  # the reply was under way
            raise ConnectionAbortedError("the server went down before the reply was sent")
        busy = ServerBusy("The server is going down. Please try again shortly.")
        async with self.app.app_context():
            await self._reply(send, error_response(busy, self.scope["path"], is_semantic=False))


def install(app: Quart, settings: HttpSettings) -> None:
    """Make an application take its requests this way."""
    app.config["RAGD_HTTP"] = settings
    app.extensions["ragd.metrics"] = Metrics()
    app.asgi_http_class = HttpConnection
    app.request_class = ApiRequest
