"""The end of a server: in time whatever is open, streams and clean-up included."""

import os
import signal
import socket
import time

import httpx
import pytest

from api import exit_codes
from tests.api.server.conftest import StartTiny
from tests.api.server.wire import connect, read_all, read_reply, split
from tests.live import LiveServer


def open_everything(server: LiveServer) -> dict[str, socket.socket]:
    """One connection of every kind."""
    kinds = {
        "idle": b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n",
        "silent": b"",
        "half head": b"GET /ping HTTP/1.1\r\nHo",
        "half body": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        "stream": b"GET /stream/end?wait=0.05 HTTP/1.1\r\nHost: x\r\n\r\n",
        "silent stream": b"GET /stream/quiet?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n",
        "request": b"GET /sleep/request HTTP/1.1\r\nHost: x\r\n\r\n",
        "not reading": b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    sockets = {}
    for kind, sent in kinds.items():
        sockets[kind] = connect(server)
        sockets[kind].sendall(sent)
    assert read_reply(sockets["idle"])[2] == b"pong"
    assert sockets["stream"].recv(4096)
    assert sockets["silent stream"].recv(4096)
    time.sleep(0.3)
    return sockets


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_in_time_with_everything_open(start_tiny: StartTiny, number: int) -> None:
    server = start_tiny(http__shutdown_timeout_s=2)
    sockets = open_everything(server)
    started = time.monotonic()
    assert server.stop(number=number) == 0
    assert time.monotonic() - started < 2
    replies = {kind: read_all(sock) for kind, sock in sockets.items() if kind != "not reading"}
    for kind in ("stream", "silent stream"):
        assert replies[kind].endswith(b"0\r\n\r\n"), kind  # ended, not cut
    for kind in ("request", "half body"):
        status, headers, _ = split(replies[kind])
        assert (status, headers["retry-after"]) == (503, "1"), kind
    for kind in ("idle", "silent", "half head"):
        assert replies[kind] == b"", kind
    for name in ("end", "quiet", "request"):
        assert (server.data_dir / f"ended-{name}").exists(), name
    for sock in sockets.values():
        sock.close()


def test_an_idle_server_ends_at_once(start_tiny: StartTiny) -> None:
    server = start_tiny()
    with httpx.Client(base_url=server.url) as client:
        client.get("/ping")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 1
    assert "Traceback" not in server.log


def test_a_running_request_may_end(start_tiny: StartTiny) -> None:
    server = start_tiny(http__shutdown_timeout_s=4)
    with connect(server) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url + "/ping")
        sock.sendall(b"llo")
        assert read_all(sock).endswith(b"hello")
    assert server.process.wait(5) == 0


def test_a_second_signal_ends_at_once(start_tiny: StartTiny) -> None:
    server = start_tiny(http__shutdown_timeout_s=30)
    with connect(server) as sock:
        sock.sendall(b"GET /sleep/twice HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(1) == 128 + signal.SIGTERM


def test_a_blocked_event_loop_does_not_keep_it(start_tiny: StartTiny) -> None:
    server = start_tiny(http__shutdown_timeout_s=1)
    with connect(server) as sock:
        sock.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == exit_codes.FAILED
        assert time.monotonic() - started < 1.5
    assert "http.shutdown_timeout_s" in server.log
