"""A lean HTTP/1.1 load generator: `python -m bench.load --port 9380 --path /v1/system/ping --connections 16`.

Sends requests that are bytes already on kept-open connections, one at a time on each, and takes the time
until the reply is complete. It runs in a process of its own, so that it does not share the server's lock.
"""

import argparse
import asyncio
import base64
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

HOST = "127.0.0.1"
GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load found out. p50_ms, p99_ms, max_ms: of good replies; errors: what, and how often."""

    requests_per_s: float
    request_count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    error_count: int
    errors: dict[str, int] = field(default_factory=dict)


def request_bytes(method: str, path: str, *, key: str = "", body: Any = None) -> bytes:
    """A request as it goes over the wire; body: sent as JSON."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Accept: */*"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the reply to the last is complete."""

    def __init__(self, run: "_Run", first: int) -> None:
        self._run = run
        self._next = first
        self._data = bytearray()
        self._wanted = -1
        self._started = 0.0
        self._transport: Any = None
        self.is_done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        run = self._run
        self._started = time.perf_counter()
        if self._started >= run.ends_at or run.count >= run.max_count:
            self._finish()
            return
        request = run.requests[self._next % len(run.requests)]
        self._next += run.connections
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._wanted < 0 and not self._read_head():
            return
        if len(self._data) < self._wanted:
            return
        run = self._run
        run.count += 1
        run.last_reply_at = now = time.perf_counter()
        status = bytes(self._data[9:12])
        if status == b"200" and run.expect in self._data:
            run.times_s.append(now - self._started)
        else:
            run.fail(f"status {status.decode('ascii', 'replace')}: {bytes(self._data[-200:])!r}")
        del self._data[: self._wanted]
        self._wanted = -1
        self._send()

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._data[:end]).lower()
        place = head.find(b"\r\ncontent-length:")
        if place < 0:
            self._run.fail("a reply without Content-Length")
            self._finish()
            return False
        self._wanted = end + 4 + int(head[place + 17 :].split(b"\r\n", 1)[0])
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_done.done():
            self._run.fail(f"connection lost: {error}")
            self.is_done.set_result(None)

    def _finish(self) -> None:
        if not self.is_done.done():
            self.is_done.set_result(None)
        self._transport.close()


class _Run:
    """What the connections of one load share."""

    def __init__(self, requests: Sequence[bytes], connections: int, expect: bytes, max_count: int) -> None:
        self.requests = requests
        self.connections = connections
        self.expect = expect
        self.max_count = max_count
        self.ends_at = 0.0
        self.count = 0
        self.last_reply_at = 0.0
        self.times_s: list[float] = []
        self.errors: dict[str, int] = {}

    def fail(self, reason: str) -> None:
        self.errors[reason] = self.errors.get(reason, 0) + 1

    async def go(self, port: int, seconds: float) -> LoadResult:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        self.ends_at = started + seconds
        clients: list[_Client] = []
        for first in range(self.connections):
            try:
                async with asyncio.timeout(GRACE_S):
                    _, client = await loop.create_connection(
                        lambda first=first: _Client(self, first), HOST, port
                    )
            except OSError as error:
                self.fail(f"cannot connect: {error}")
            else:
                clients.append(client)
        if clients:
            _, pending = await asyncio.wait([client.is_done for client in clients], timeout=seconds + GRACE_S)
            if pending:
                self.errors["no reply in time"] = len(pending)
        elapsed_s = max(self.last_reply_at - started, 1e-9)
        times = sorted(self.times_s)
        return LoadResult(
            requests_per_s=len(times) / elapsed_s,
            request_count=len(times),
            p50_ms=_quantile(times, 0.5) * 1000,
            p99_ms=_quantile(times, 0.99) * 1000,
            max_ms=(times[-1] if times else 0.0) * 1000,
            error_count=sum(self.errors.values()),
            errors=dict(sorted(self.errors.items(), key=lambda item: -item[1])[:5]),
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def load(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    max_count: int = 10_000_000,
    expect: bytes = b"",
) -> LoadResult:
    """Run a load in a process of its own. expect: bytes that every good reply holds.

    The requests are dealt to the connections in turn. Ends after `seconds` or `max_count` replies.
    """
    task = start_load(
        port, requests, connections=connections, seconds=seconds, max_count=max_count, expect=expect
    )
    return finish_load(task, seconds)


def start_load(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    max_count: int = 10_000_000,
    expect: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start a load and go on; `finish_load` waits for it."""
    job = {
        "port": port, "connections": connections, "seconds": seconds, "max_count": max_count,
        "expect": base64.b64encode(expect).decode(),
        "requests": [base64.b64encode(request).decode() for request in requests],
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load", "--job", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    process.stdin = None
    return process


def finish_load(process: subprocess.Popen[bytes], seconds: float) -> LoadResult:
    """Wait for a load and read what it found."""
    try:
        output, _ = process.communicate(timeout=seconds + 3 * GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"the load generator ended with exit code {process.returncode}")
    return LoadResult(**json.loads(output))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--job", help="`-`: read everything as JSON from standard input, as the benchmarks do"
    )
    parser.add_argument("--port", type=int, default=9380)
    parser.add_argument("--path", default="/v1/system/ping")
    parser.add_argument("--key", default="", help="API key")
    parser.add_argument("--body", help="JSON; the request is a POST then")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    if arguments.job:
        job = json.load(sys.stdin)
        requests = [base64.b64decode(request) for request in job["requests"]]
        run = _Run(requests, job["connections"], base64.b64decode(job["expect"]), job["max_count"])
        port, seconds = job["port"], job["seconds"]
    else:
        body = None if arguments.body is None else json.loads(arguments.body)
        method = "GET" if body is None else "POST"
        request = request_bytes(method, arguments.path, key=arguments.key, body=body)
        run = _Run([request], arguments.connections, b"", 10_000_000)
        port, seconds = arguments.port, arguments.seconds
    gc.disable()
    result = uvloop.run(run.go(port, seconds))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
