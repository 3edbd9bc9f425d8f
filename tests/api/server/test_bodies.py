"""Bodies: counted, bounded in time, received no faster than they are used, refused without harm."""

import hashlib
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.api.server.conftest import StartTiny
from tests.api.server.wire import connect, envelope, exchange, read_all, read_reply, wait_for
from tests.live import LiveServer

MB = 1_000_000


def chunked(pieces: int, size: int) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"x" * size


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that takes bodies of 300 kB, of which 100 kB may be JSON."""
    from tests.live import start_process

    data_dir = tmp_path_factory.mktemp("small") / "data"
    flags = {
        "http.port": 0,
        "data_dir": str(data_dir),
        "http.max_body_bytes": 300_000,
        "http.max_json_bytes": 100_000,
    }
    with start_process("tests.api.server.tiny", data_dir, flags) as server:
        yield server


class TestSize:
    @pytest.mark.parametrize(("path", "limit"), [("/echo", 100_000), ("/count", 300_000)])
    @pytest.mark.parametrize("is_chunked", [True, False])
    def test_is_bounded_with_and_without_a_length(
        self, small: LiveServer, path: str, limit: int, is_chunked: bool
    ) -> None:
        fits, too_large = b"x" * limit, b"x" * (limit + 1)
        with httpx.Client(base_url=small.url) as client:
            for content, status in ((fits, 200), (too_large, 413), (fits, 200)):
                body = iter([content[:50_000], content[50_000:]]) if is_chunked else content
                reply = client.post(path, content=body)
                assert reply.status_code == status
                if status == 413:
                    assert reply.json()["code"] == 101
                    assert str(limit) in reply.json()["message"]

    def test_multipart_is_bounded_too_and_leaves_nothing(self, small: LiveServer) -> None:
        reply = httpx.post(small.url + "/upload", files={"file": ("a.txt", b"x" * 400_000)})
        assert reply.status_code == 413
        assert [path for path in (small.data_dir / "files").rglob("*") if path.is_file()] == []

    def test_a_gigabyte_with_a_length_is_refused_before_it_is_read(self, small: LiveServer) -> None:
        head = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1100000000\r\n\r\n"
        started = time.monotonic()
        with connect(small) as sock:
            sock.sendall(head + b"x" * 1000)
            status, headers, body = read_reply(sock)
            assert time.monotonic() - started < 1
            assert (status, headers["connection"], envelope(body)["code"]) == (413, "close", 101)
            assert read_all(sock) == b""

    def test_a_client_that_waits_for_100_is_refused_without_sending(self, small: LiveServer) -> None:
        head = (
            b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1100000000\r\nExpect: 100-continue\r\n\r\n"
        )
        status, _, _ = exchange(small, head)
        assert status == 413

    def test_a_client_that_waits_for_100_gets_it(self, small: LiveServer) -> None:
        with connect(small) as sock:
            sock.sendall(
                b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            )
            assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"hello")
            assert read_reply(sock)[2] == b"hello"

    def test_a_client_that_sends_all_of_it_first_reads_the_refusal(self, small: LiveServer) -> None:
        for _ in range(5):
            reply = httpx.post(small.url + "/count", content=b"x" * 20 * MB)
            assert reply.status_code == 413

    def test_a_body_that_nobody_reads_does_not_disturb(self, small: LiveServer) -> None:
        with httpx.Client(base_url=small.url) as client:
            for size in (0, 10, 50_000, 5 * MB):
                assert client.post("/ignore", content=b"x" * size).text == "not read"
                assert client.get("/ping").text == "pong"


class TestTime:
    def test_a_stalled_body_is_given_up(self, start_tiny: StartTiny) -> None:
        server = start_tiny(http__body_timeout_s=0.5)
        for path in ("/echo", "/count", "/upload"):
            head = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            )
            status, headers, body = exchange(server, head.encode() + b"--b\r\n")
            assert (status, headers["connection"], envelope(body)["code"]) == (408, "close", 101)

    def test_a_slow_body_that_goes_on_is_taken(self, start_tiny: StartTiny) -> None:
        server = start_tiny(http__body_timeout_s=0.5)
        with connect(server) as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
            for letter in (b"a", b"b", b"c", b"d"):
                time.sleep(0.3)
                sock.sendall(letter)
            assert read_reply(sock)[2] == b"abcd"


class TestUploads:
    def test_a_client_that_stops_half_way_leaves_nothing(self, tiny: LiveServer) -> None:
        head = (
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        incoming = tiny.data_dir / "files" / ".incoming"
        with connect(tiny) as sock:
            sock.sendall(head + b"x" * 5 * MB)
            wait_for(lambda: list(incoming.iterdir()))
        wait_for(lambda: not list(incoming.iterdir()))
        wait_for(lambda: "POST /upload status=499" in tiny.log)
        assert "Traceback" not in tiny.log

    def test_memory_is_bounded_and_bytes_arrive_whole(self, tiny: LiveServer) -> None:
        size = 200 * MB
        block = bytes(range(256)) * 4000

        def content() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
            left = size
            while left:
                piece = block[: min(left, len(block))]
                left -= len(piece)
                yield piece
            yield b"\r\n--b--\r\n"

        digest = hashlib.sha256(block * (size // len(block)) + block[: size % len(block)]).hexdigest()
        process = psutil.Process(tiny.process.pid)
        httpx.post(tiny.url + "/upload", files={"file": ("a.txt", b"warm up")})
        base = peak = process.memory_info().rss
        is_done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not is_done.wait(0.01):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            reply = httpx.post(
                tiny.url + "/upload",
                content=content(),
                headers={"Content-Type": "multipart/form-data; boundary=b"},
                timeout=120,
            )
        finally:
            is_done.set()
            watcher.join()
        assert reply.json()[0]["size"] == size
        assert reply.json()[0]["hash"] == digest
        assert (peak - base) / MB < 60

    def test_a_slow_reader_slows_its_client_down(self, tiny: LiveServer) -> None:
        """A handler that takes 20 ms a piece must not have 100 MB waiting in memory."""
        process = psutil.Process(tiny.process.pid)
        with connect(tiny) as sock:
            sock.settimeout(1)
            sock.sendall(b"POST /count?wait=0.02 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
            base = process.memory_info().rss
            sent = 0
            end = time.monotonic() + 1.5
            try:
                while time.monotonic() < end:
                    sent += sock.send(b"x" * MB)
            except TimeoutError:
                pass
            assert (process.memory_info().rss - base) / MB < 20
            assert sent < 100 * MB
