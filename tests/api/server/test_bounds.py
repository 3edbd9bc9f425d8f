"""What a server must bear: heads that are large, slow or malformed, and too many connections."""

import time

import httpx
import pytest

from tests.api.server.conftest import StartTiny
from tests.api.server.wire import connect, envelope, exchange, read_all, read_reply, split
from tests.live import LiveServer


class TestHeadSize:
    @pytest.mark.parametrize("kind", ["one long header", "many headers", "long path", "never ending"])
    def test_large_heads_are_refused(self, tiny: LiveServer, kind: str) -> None:
        head = {
            "one long header": b"GET /ping HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
            "many headers": b"GET /ping HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            "long path": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            "never ending": b"GET /ping HTTP/1.1\r\nA: " + b"a" * 2_000_000,
        }[kind]
        status, headers, body = exchange(tiny, head)
        assert status == 431
        assert headers["connection"] == "close"
        assert "65536" in envelope(body)["message"]

    def test_a_head_below_the_limit_is_served(self, tiny: LiveServer) -> None:
        reply = httpx.get(tiny.url + "/ping", headers={"A": "a" * 60_000})
        assert reply.text == "pong"

    @pytest.mark.parametrize("kind", ["trailers", "chunk extension"])
    def test_the_head_limit_holds_after_the_head_too(self, tiny: LiveServer, kind: str) -> None:
        start = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        rest = b"0\r\nA: " if kind == "trailers" else b"5;a="
        with connect(tiny) as sock:
            try:
                sock.sendall(start + rest)
                for _ in range(200):
                    sock.sendall(b"a" * 10_000)
            except (BrokenPipeError, ConnectionResetError):
                return
            assert b"200 OK" not in read_all(sock)


class TestHeadTime:
    def test_silent_and_half_sent_heads_are_closed(self, start_tiny: StartTiny) -> None:
        server = start_tiny(http__header_timeout_s=0.6)
        started = time.monotonic()
        with (
            connect(server) as silent,
            connect(server) as half,
            connect(server) as blank,
            connect(server) as second,
        ):
            half.sendall(b"GET /ping HTTP/1.1\r\nHost:")
            blank.sendall(b"\r\n")
            second.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_reply(second)[2] == b"pong"
            second.sendall(b"GET /pi")  # keep-alive gives no more time
            for _ in range(4):
                time.sleep(0.1)
                half.sendall(b"a")
            assert read_all(silent) == b""
            assert split(read_all(half))[0] == 408
            assert split(read_all(second))[0] == 408
            assert read_all(blank) == b""
        assert time.monotonic() - started < 10

    def test_idle_connections_are_kept_and_closed_in_the_end(self, start_tiny: StartTiny) -> None:
        server = start_tiny(http__header_timeout_s=0.3, http__keep_alive_s=1.2)
        with connect(server) as sock:
            sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_reply(sock)[2] == b"pong"
            time.sleep(0.7)
            sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_reply(sock)[2] == b"pong"
            assert read_all(sock) == b""


class TestMalformed:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
            b"GET /ping HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
            b"NONSENSE\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the start of TLS
            b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        ],
    )
    def test_is_answered_400_and_closed(self, tiny: LiveServer, request_bytes: bytes) -> None:
        status, headers, body = exchange(tiny, request_bytes)
        assert (status, headers["connection"]) == (400, "close")
        assert envelope(body)["code"] == 101

    def test_a_broken_second_request_does_not_reach_the_first(self, tiny: LiveServer) -> None:
        first = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        second = (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nworld"
        )
        reply = exchange(tiny, first + second)[2]
        assert reply == b"hello"

    def test_pipelined_requests_are_answered_in_order(self, tiny: LiveServer) -> None:
        request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
        last = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n9"
        with connect(tiny) as sock:
            sock.sendall(b"".join(request % n for n in range(9)) + last)
            replies = read_all(sock)
        assert [part[-1:] for part in replies.split(b"HTTP/1.1 200 OK")[1:]] == [b"%d" % n for n in range(10)]

    def test_an_offered_upgrade_is_ignored(self, tiny: LiveServer) -> None:
        reply = httpx.get(
            tiny.url + "/ping", headers={"Connection": "Upgrade, close", "Upgrade": "websocket"}
        )
        assert reply.text == "pong"


class TestConnections:
    def test_too_many_are_told_to_come_back(self, start_tiny: StartTiny) -> None:
        server = start_tiny(http__max_connections=3)
        held = [connect(server) for _ in range(3)]
        try:
            for sock in held:
                sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_reply(sock)[2] == b"pong"
            reply = httpx.get(server.url + "/ping")
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert reply.json()["code"] == 503
        finally:
            for sock in held:
                sock.close()
        for _ in range(50):
            if httpx.get(server.url + "/ping").status_code == 200:
                break
            time.sleep(0.05)
        else:
            pytest.fail("freed connections are not given to others")

    def test_256_connections_are_served(self, tiny: LiveServer) -> None:
        held = [connect(tiny) for _ in range(256)]
        try:
            for _ in range(3):
                for sock in held:
                    sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                for sock in held:
                    assert read_reply(sock)[2] == b"pong"
        finally:
            for sock in held:
                sock.close()
