"""Messages between supervisor and workers: JSON objects behind their length, over a socket pair.

Workers read hostile files; what they send is data, never pickled code.
"""

import asyncio
import socket
import struct
from typing import Any

import orjson

_LENGTH = struct.Struct("!I")
MAX_BYTES = 4 << 20


def frame(message: dict[str, Any]) -> bytes:
    """The message as it goes over the wire."""
    body = orjson.dumps(message)
    return _LENGTH.pack(len(body)) + body


class PeerGone(BaseException):
    """The other end is closed; not an Exception, so that no parser of files swallows it."""


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None at the end, however it came."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_BYTES:
            return None
        message: dict[str, Any] = orjson.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return None
    return message


class BlockingPeer:
    """A worker's end: sends, and reads what has come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def send(self, message: dict[str, Any]) -> None:
        """Send. Raises PeerGone."""
        try:
            self._connection.sendall(frame(message))
        except OSError as error:
            raise PeerGone from error

    def receive(self, *, wait: bool) -> list[dict[str, Any]]:
        """All messages that have come; with `wait` at least one. Raises PeerGone."""
        messages = self._take()
        while True:
            must_wait = wait and not messages
            try:
                piece = self._connection.recv(65536, 0 if must_wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return messages
            except OSError as error:
                raise PeerGone from error
            if not piece:
                raise PeerGone
            self._buffer += piece
            messages += self._take()

    def _take(self) -> list[dict[str, Any]]:
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(orjson.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages
