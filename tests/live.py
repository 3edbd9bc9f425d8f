"""Real server processes for tests: started on a free port and a data folder of their own, ended by their pid."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

ROOT = Path(__file__).resolve().parents[1]

START_TIMEOUT_S = 60


@dataclass(slots=True)
class LiveServer:
    """A running server. url: `http://127.0.0.1:port`; log: everything it wrote to standard error."""

    url: str
    data_dir: Path
    process: subprocess.Popen[str]
    log_file: Path
    key: str = ""
    email: str = ""
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def headers(self) -> dict[str, str]:
        """What a caller with the server's first key sends."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    def stop(self, *, number: int = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Signal it and wait; returns the exit code. Its own processes go with it, by its doing or by ours."""
        children = (
            psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        )
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise
        finally:
            for child in children:
                if child.is_running():
                    child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()


class ServerDidNotStart(Exception):
    """code: its exit code, None if it hung; the text is what it logged."""

    def __init__(self, code: int | None, log: str) -> None:
        super().__init__(f"exit code {code}\n{log}")
        self.code = code
        self.log = log


def start_process(module: str, data_dir: Path, flags: dict[str, Any]) -> LiveServer:
    """Start `python -m <module> <flags as JSON>`, which prints its address as its first line."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log_file = Path(tempfile.mkstemp(prefix="server-", suffix=".log", dir=data_dir.parent)[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAGD_")}
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(flags)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []

    def first_line(pipe: IO[str]) -> None:
        lines.append(pipe.readline())

    reader = threading.Thread(target=first_line, args=(process.stdout,), daemon=True)
    reader.start()
    reader.join(START_TIMEOUT_S)
    if not lines or not lines[0]:
        if lines:
            code: int | None = process.wait(10)
        else:
            process.kill()
            process.wait(10)
            code = None
        raise ServerDidNotStart(code, log_file.read_text("utf-8", "replace"))
    return LiveServer(lines[0].strip(), data_dir, process, log_file)


def start_server(data_dir: Path, **flags: Any) -> LiveServer:
    """Start the real server; flags are settings with `__` for the dot: `http__header_timeout_s=1`.

    An account and an API key are made before the start, unless the folder has them already.
    """
    settings: dict[str, Any] = {"data_dir": str(data_dir), "http.port": 0}
    settings |= {name.replace("__", "."): value for name, value in flags.items()}
    email, key = _account(data_dir, settings)
    server = start_process("tests.serve", data_dir, settings)
    server.key, server.email = key, email
    return server


def _account(data_dir: Path, settings: dict[str, Any]) -> tuple[str, str]:
    remembered = data_dir.parent / f"{data_dir.name}.account.json"
    if not remembered.exists():
        made = subprocess.run(
            [sys.executable, "-m", "tests.serve", json.dumps(settings), "--account", "first@example.com"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        remembered.write_text(made.stdout)
    account = json.loads(remembered.read_text())
    return account["email"], account["key"]
