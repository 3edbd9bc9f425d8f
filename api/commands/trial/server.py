"""Starts the throw-away server, and stops it whatever happens."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from api.commands.failures import CommandFailed

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class ThrowAwayServer:
    """Where it is, and a key for it."""

    address: str
    key: str
    log: IO[bytes]

    def errors(self) -> str:
        """The last lines of its log, which takes errors only."""
        return _tail(self.log)


@contextmanager
def throw_away_server(config: Path | None, flags: Mapping[str, Any]) -> Iterator[ThrowAwayServer]:
    """A server on a free port and a folder of its own; both are gone afterwards. Raises CommandFailed."""
    earlier = os.environ.get("PYTHONPATH")
    folder = Path(tempfile.mkdtemp(prefix="ragd-try-"))
    try:
        with tempfile.TemporaryFile() as log:
            # In a session of its own, so that Ctrl-C reaches it through us and not at the same time.
            process = subprocess.Popen(
                # -P: nothing is imported from the folder that the user happens to be in.
                [sys.executable, "-P", "-m", "api.commands.trial.child"],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), earlier)))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
            try:
                order = {
                    "folder": str(folder),
                    "config": str(config) if config else None,
                    "flags": dict(flags),
                }
                address, key = _start(process, json.dumps(order), log)
                yield ThrowAwayServer(address, key, log)
            finally:
                _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(process: "subprocess.Popen[bytes]", order: str, log: IO[bytes]) -> tuple[str, str]:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # it ended at once: the log says why
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
    too_late = threading.Timer(START_TIMEOUT_S, process.kill)
    too_late.start()
    try:
        line = process.stdout.readline()
    finally:
        too_late.cancel()
    if not line:
        process.wait()
        tail = _tail(log)
        raise CommandFailed("The server did not start." + (f" It said:\n{tail}" if tail else ""))
    ready = json.loads(line)
    return str(ready["address"]), str(ready["key"])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()  # it stops at the end of its input
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()


def _tail(log: IO[bytes], lines: int = 20) -> str:
    log.seek(0)
    return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
