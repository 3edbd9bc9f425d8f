"""Files in a folder: one file a key, written aside and renamed into place once it is safe on disk."""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from api.clock import new_id
from api.errors import DiskFull
from api.storage.protocol import StoredFile

T = TypeVar("T")
P = ParamSpec("P")

BATCH_BYTES = 1 << 20
"""What is written, hashed and read in one hop to a thread: large enough that the hop costs nothing."""

THREADS = 8
"""More than cores: most of a small upload is waiting for fsync, and the file system joins those."""

KEYS_AT_ONCE = 500

INCOMING = ".incoming"
"""Where files are written; a name that no key can have."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9_-]{0,63}){0,3}", re.ASCII)


class _Incoming:
    """A file that is being written, locked for as long as its process lives. Used by one thread at a time."""

    def __init__(self, folder: Path, reserve_bytes: int = 0) -> None:
        self._reserve_bytes = reserve_bytes
        self._path = folder / new_id()
        self._handle = -1
        self._size = 0
        self._hash = hashlib.sha256()

    def _open(self) -> None:
        while True:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            if os.fstat(self._handle).st_nlink:
                return
            # Another process, cleaning up, took it for a leftover before it was locked.
            os.close(self._handle)

    def write(self, pieces: list[bytes]) -> None:
        """Append. Raises OSError."""
        if self._handle < 0:
            self._open()
        if self._reserve_bytes:
            room = os.fstatvfs(self._handle)
            if room.f_bavail * room.f_frsize < self._reserve_bytes + sum(map(len, pieces)):
                raise OSError(errno.ENOSPC, "Only the reserve is left on the disk")
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._handle, view) :]
            self._hash.update(piece)
            self._size += len(piece)

    def publish(self, target: Path) -> StoredFile:
        """Make the bytes and then the name durable."""
        os.fsync(self._handle)
        is_new_folder = not target.parent.is_dir()
        if is_new_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._path.rename(target)
        except FileNotFoundError:  # the folder was deleted, as empty, a moment ago
            target.parent.mkdir(parents=True, exist_ok=True)
            self._path.rename(target)
        _sync_folder(target.parent)
        if is_new_folder:
            _sync_folder(target.parent.parent)
        self._close()
        return StoredFile(self._size, self._hash.hexdigest())

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def discard(self) -> None:
        """Leave nothing; fine if there is nothing."""
        self._close()
        self._path.unlink(missing_ok=True)


class LocalStorage:
    """`FileStorage` in a folder of this machine."""

    def __init__(self, folder: Path, *, reserve_bytes: int = 0) -> None:
        """Create the folder, and drop what a crash left half-written. Raises OSError.

        reserve_bytes: left free on the disk, so that rows and indexes can still be written, and things
        deleted, when files have filled the rest.
        """
        self._reserve_bytes = reserve_bytes
        self._folder = folder
        self._incoming = folder / INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        self._drop_leftovers()

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        """See `FileStorage`. While one batch is written the next one is received: two are in memory."""
        target = self._path(key)
        incoming = _Incoming(self._incoming, self._reserve_bytes)
        running: asyncio.Future[None] | None = None
        publishing: asyncio.Future[StoredFile] | None = None
        batch: list[bytes] = []
        batch_size = 0
        try:
            async for piece in pieces:
                batch.append(piece)
                batch_size += len(piece)
                if batch_size < BATCH_BYTES:
                    continue
                if running is not None:
                    await asyncio.shield(running)
                running = self._start(incoming.write, batch)
                batch, batch_size = [], 0
            if running is not None:
                await asyncio.shield(running)
            publishing = self._start(_finish, incoming, batch, target)
            return await asyncio.shield(publishing)
        except BaseException as error:
            await self._take_back(incoming, running, publishing, target)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise DiskFull from error
            raise

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `FileStorage`."""
        path = self._path(key)
        file = await self._run(path.open, "rb", buffering=0)
        try:
            while piece := await self._run(file.read, BATCH_BYTES):
                yield piece
        finally:
            file.close()

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        """See `FileStorage`: here it is the file itself."""
        path = self._path(key)
        if not await self._run(path.is_file):
            raise FileNotFoundError(errno.ENOENT, "No such stored file", key)
        yield path

    async def delete(self, keys: list[str]) -> None:
        """See `FileStorage`."""
        await self._run(_unlink, [self._path(key) for key in keys])

    async def delete_prefix(self, prefix: str) -> None:
        """See `FileStorage`. The prefix is whole names, ending in a slash."""
        if not prefix.endswith("/"):
            raise ValueError(f"A prefix must end in a slash, got {prefix!r}")
        folder = self._path(prefix[:-1])
        await self._run(_remove_folder, folder)

    async def list_keys(self, stored_before: float) -> AsyncIterator[list[str]]:
        """See `FileStorage`."""
        waiting = [self._folder]
        while waiting:
            folder = waiting.pop()
            found, deeper = await self._run(_list_folder, folder, stored_before)
            waiting += [path for path in deeper if path != self._incoming]
            keys = [path.relative_to(self._folder).as_posix() for path in found]
            keys = [key for key in keys if _KEY.fullmatch(key)]
            for start in range(0, len(keys), KEYS_AT_ONCE):
                yield keys[start : start + KEYS_AT_ONCE]

    async def health(self) -> str:
        """See `FileStorage`: writes a file and deletes it."""

        def probe() -> str:
            self._incoming.mkdir(parents=True, exist_ok=True)
            file = _Incoming(self._incoming)
            try:
                file.write([b"probe"])
            finally:
                file.discard()
            free_gb = shutil.disk_usage(self._folder).free / 1e9
            return f"{self._folder}, {free_gb:.1f} GB free"

        return await self._run(probe)

    async def close(self) -> None:
        """Let running writes end."""
        await asyncio.to_thread(self._threads.shutdown)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"Not a storage key: {key!r}")
        return self._folder / key

    def _start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args, **kwargs))

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._start(call, *args, **kwargs)

    async def _take_back(
        self,
        incoming: _Incoming,
        running: asyncio.Future[None] | None,
        publishing: asyncio.Future[StoredFile] | None,
        target: Path,
    ) -> None:
        """Leave nothing. A thread cannot be stopped: what it does is waited for, then undone."""

        async def undo() -> None:
            for future in (running, publishing):
                if future is not None:
                    await asyncio.wait([future])
            await self._run(incoming.discard)
            if publishing is not None and publishing.exception() is None:
                await self._run(_unlink, [target])

        await asyncio.shield(asyncio.ensure_future(undo()))

    def _drop_leftovers(self) -> None:
        for path in self._incoming.iterdir():
            with suppress(OSError):
                handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()  # nobody writes it: its process is gone
                finally:
                    os.close(handle)


def _finish(incoming: _Incoming, rest: list[bytes], target: Path) -> StoredFile:
    incoming.write(rest)
    return incoming.publish(target)


def _list_folder(folder: Path, stored_before: float) -> tuple[list[Path], list[Path]]:
    """Old files and folders in it; what goes meanwhile is left out."""
    files, folders = [], []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.stat(follow_symlinks=False).st_mtime < stored_before:
                    files.append(Path(entry.path))
    return files, folders


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        # NotADirectoryError: a part of the key is a file, so the key holds nothing.
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _remove_folder(folder: Path) -> None:
    # Uploads that end meanwhile may put a file into the folder again: then it is not empty at the end.
    for _ in range(3):
        with suppress(FileNotFoundError):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                continue
        return


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
