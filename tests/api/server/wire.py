"""Bytes on a socket, for what no HTTP client would send."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.live import LiveServer


def connect(server: LiveServer, timeout_s: float = 15) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s)


def read_all(sock: socket.socket) -> bytes:
    """Until the server closes."""
    received = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def read_reply(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One reply that has a length."""
    received = b""
    while True:
        head, blank, body = received.partition(b"\r\n\r\n")
        if blank and len(body) >= int(split(head)[1]["content-length"]):
            return split(received)
        piece = sock.recv(65536)
        assert piece, received
        received += piece


def exchange(server: LiveServer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send, read until the server closes; (status, headers, body)."""
    with connect(server) as sock:
        sock.sendall(request)
        return split(read_all(sock))


def split(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def envelope(body: bytes) -> Any:
    return json.loads(body)


def wait_for(condition: Callable[[], Any], timeout_s: float = 10) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
