"""A file storage in memory: the second implementation, for tests of what uses a storage."""

import errno
import hashlib
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.errors import DiskFull
from api.storage.protocol import StoredFile

PIECE_BYTES = 1 << 16


class MemoryStorage:
    """Bytes in a dictionary; `capacity` bytes fit in."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.files: dict[str, bytes] = {}
        self.stored_at: dict[str, float] = {}
        self._capacity = capacity

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        self._check(key)
        whole = bytearray()
        async for piece in pieces:
            whole += piece
            if len(whole) + sum(map(len, self.files.values())) > self._capacity:
                raise DiskFull
        self.files[key] = bytes(whole)
        self.stored_at[key] = time.time()
        return StoredFile(len(whole), hashlib.sha256(whole).hexdigest())

    async def read(self, key: str) -> AsyncIterator[bytes]:
        whole = self._get(key)
        for start in range(0, len(whole), PIECE_BYTES):
            yield whole[start : start + PIECE_BYTES]

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        whole = self._get(key)
        with tempfile.NamedTemporaryFile() as file:
            file.write(whole)
            file.flush()
            yield Path(file.name)

    async def delete(self, keys: list[str]) -> None:
        for key in keys:
            self._check(key)
            self.files.pop(key, None)

    async def delete_prefix(self, prefix: str) -> None:
        if not prefix.endswith("/"):
            raise ValueError(f"A prefix must end in a slash, got {prefix!r}")
        self.files = {key: whole for key, whole in self.files.items() if not key.startswith(prefix)}

    async def list_keys(self, stored_before: float) -> AsyncIterator[list[str]]:
        old = [key for key in self.files if self.stored_at[key] < stored_before]
        for start in range(0, len(old), 100):
            yield old[start : start + 100]

    async def health(self) -> str:
        return "in memory"

    def _check(self, key: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*(/[A-Za-z0-9][\w-]*){0,3}", key, re.ASCII):
            raise ValueError(f"Not a storage key: {key!r}")

    def _get(self, key: str) -> bytes:
        self._check(key)
        if key not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such stored file", key)
        return self.files[key]
