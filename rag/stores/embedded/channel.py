"""How the processes on one store folder speak: who owns the indexes, what is new, what is applied.

`owner.lock` is held by the process that follows the log. `wake` is a FIFO that a writer pokes.
`progress` holds two numbers, shared by memory: the last operation that searches see, and why it stands
still if it does.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import select
import struct
from pathlib import Path

from rag.errors import StoreUnavailable

_NUMBERS = struct.Struct("<qq")
FINE, FULL, BROKEN = 0, 1, 2


class OwnerChannel:
    """The owner's end. Raises StoreUnavailable when another process owns the folder."""

    def __init__(self, folder: Path) -> None:
        self._lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StoreUnavailable(
                "the chunk store is in use by another server; stop it, or use another data folder"
            ) from error
        self._progress = _map_progress(folder)
        _write(self._progress, 0, FINE)
        fifo = folder / "wake"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(fifo, 0o600)
        # Read and write: the end stays open when the last writer goes.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout_s: float) -> None:
        """Wait for a poke."""
        ready, _, _ = select.select([self._fifo], [], [], timeout_s)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._fifo, 65536)

    def poke(self) -> None:
        """Wake the owner's own thread."""
        with contextlib.suppress(BlockingIOError):  # full: it is awake anyway
            os.write(self._fifo, b"x")

    def report(self, seq: int, trouble: int = FINE) -> None:
        """Tell writers what searches see."""
        _write(self._progress, seq, trouble)

    def close(self) -> None:
        """Give the folder up."""
        os.close(self._fifo)
        self._progress.close()
        os.close(self._lock)


class WriterChannel:
    """A writer's end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._progress = _map_progress(folder)

    def poke(self) -> bool:
        """Wake the owner; False when there is none."""
        try:
            fifo = os.open(self._folder / "wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in {errno.ENXIO, errno.ENOENT}:
                return False
            raise
        try:
            os.write(fifo, b"x")
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        finally:
            os.close(fifo)
        return True

    def applied(self) -> tuple[int, int]:
        """(last operation that searches see, trouble)."""
        seq, trouble = _NUMBERS.unpack(self._progress[: _NUMBERS.size])
        return seq, trouble

    def close(self) -> None:
        """Let go."""
        self._progress.close()


def _map_progress(folder: Path) -> mmap.mmap:
    file = os.open(folder / "progress", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size < _NUMBERS.size:
            os.ftruncate(file, _NUMBERS.size)
        return mmap.mmap(file, _NUMBERS.size)
    finally:
        os.close(file)


def _write(progress: mmap.mmap, seq: int, trouble: int) -> None:
    progress[: _NUMBERS.size] = _NUMBERS.pack(seq, trouble)
