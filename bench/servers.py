"""Server processes for benchmarks: a folder of their own, a free port on loopback, ended by their pid."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class CallFailed(Exception):
    """The server refused something that a benchmark needs."""


@dataclass(slots=True)
class Server:
    """A running `ragd serve`. started_at: `perf_counter` right before the process was made."""

    port: int
    key: str
    data_dir: Path
    process: subprocess.Popen[str]
    log_file: Path
    started_at: float

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        return self.log_file.read_text("utf-8", "replace")

    def call(self, method: str, path: str, body: Any = None, *, timeout_s: float = 60) -> Any:
        """The `data` of a JSON reply. Raises CallFailed."""
        content = None if body is None else json.dumps(body).encode()
        return self._send(method, path, content, "application/json", timeout_s)

    def upload(
        self, dataset_id: str, files: Sequence[tuple[str, bytes]], *, timeout_s: float = 300
    ) -> list[str]:
        """Upload files in one request; the documents' ids."""
        edge = "ragd-bench-boundary"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            + b"\r\n"
            for name, content in files
        ]
        data = self._send(
            "POST",
            f"/api/v1/datasets/{dataset_id}/documents",
            b"".join(parts) + f"--{edge}--\r\n".encode(),
            f"multipart/form-data; boundary={edge}",
            timeout_s,
        )
        return [document["id"] for document in data]

    def _send(
        self, method: str, path: str, content: bytes | None, content_type: str, timeout_s: float
    ) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content, method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        if content is not None:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            answer = json.load(reply)
        if answer["code"] != 0:
            raise CallFailed(f"{method} {path}: {answer}")
        return answer.get("data")

    def create_dataset(self, name: str, **more: Any) -> str:
        """A new dataset's id."""
        return str(self.call("POST", "/api/v1/datasets", {"name": name, **more})["id"])

    def cpu_s(self) -> float:
        """Seconds of processor time that the server itself has used, without its workers."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def tree_cpu_s(self) -> float:
        """Seconds of processor time of the server and all its processes, ended ones as well."""
        root = psutil.Process(self.pid)
        total = 0.0
        for process in (root, *root.children(recursive=True)):
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return total

    def process_count(self) -> int:
        """The server and all its processes."""
        return 1 + len(psutil.Process(self.pid).children(recursive=True))

    def pss_mb(self, kind: str = "Pss") -> float:
        """Proportional set size of the server and all its processes, in MB. kind: Pss_Anon without files' pages."""
        return pss_mb(self.pid, kind)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after a while."""
        if self.process.poll() is not None:
            return
        children = psutil.Process(self.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in children:
            if child.is_running():
                child.kill()


def pss_mb(pid: int, kind: str = "Pss") -> float:
    """Proportional set size of a process and its descendants, in MB (2^20 bytes). kind: as in smaps_rollup."""
    total_kb = 0
    for process in (root := psutil.Process(pid), *root.children(recursive=True)):
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        total_kb += sum(int(kb) for kb in re.findall(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE))
    return total_kb / 1024


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """This environment with settings by dotted name, `{"executor.workers": 0}`, and none but those."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAGD_")}
    for path, value in settings.items():
        clean["RAGD_" + path.upper().replace(".", "_")] = str(value)
    return clean


def create_key(data_dir: Path) -> str:
    """A new API key of the folder's first user, which is made when missing."""
    command = [sys.executable, "-m", "api.cli", "key", "create", "--data", str(data_dir)]
    made = subprocess.run(command, cwd=ROOT, env=environment({}), check=True, capture_output=True, text=True)
    return made.stdout.strip()


def start(data_dir: Path, settings: Mapping[str, Any] | None = None) -> Server:
    """Start `ragd serve` and wait until it answers."""
    key = create_key(data_dir)
    log_file = data_dir.parent / f"{data_dir.name}.log"
    port_wanted = ["--port", "0", "--host", "127.0.0.1"]
    started_at = time.perf_counter()
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "serve", "--data", str(data_dir), *port_wanted],
            cwd=ROOT, env=environment(settings or {}),
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    server = Server(0, key, data_dir, process, log_file, started_at)
    try:
        server.port = _read_port(process)
    except BaseException:
        server.stop()
        raise
    if not server.port:
        server.stop()
        raise CallFailed(f"the server did not start: {server.log[-2000:]}")
    return server


def _read_port(process: subprocess.Popen[str]) -> int:
    """The port from what the server prints; 0 when it ended instead."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    for line in process.stdout:
        found = re.match(r"Address\s+http://\S+:(\d+)", line)
        if found:
            return int(found[1])
        if time.monotonic() > deadline:
            break
    return 0


@contextmanager
def server(settings: Mapping[str, Any] | None = None, data_dir: Path | None = None) -> Iterator[Server]:
    """A running server, stopped at the end; data_dir: kept, else a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="ragd-bench-") as temporary:
        running = start(data_dir or Path(temporary) / "data", settings)
        try:
            yield running
        finally:
            running.stop()
