"""What a file storage promises; `tests/api/storage/suite.py` holds every implementation to it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredFile:
    """size in bytes; content_hash: SHA-256, 64 hex digits."""

    size: int
    content_hash: str


class FileStorage(Protocol):
    """Bytes by key. Keys are made by the server (`<dataset id>/<document id>`), never from a client's text.

    Raises DiskFull (api.errors), ServerBusy when the storage cannot be reached.
    """

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        """Store what the iterator gives, in bounded memory; durable on return, nothing left behind on failure."""

    def read(self, key: str) -> AsyncIterator[bytes]:
        """The bytes in pieces; the first step raises FileNotFoundError."""

    def local_copy(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A path that holds the file while the context is open; not to be written to. Raises FileNotFoundError."""

    async def delete(self, keys: list[str]) -> None:
        """Delete; unknown keys are fine."""

    async def delete_prefix(self, prefix: str) -> None:
        """Delete every key that starts with the prefix (`<dataset id>/`)."""

    def list_keys(self, stored_before: float) -> AsyncIterator[list[str]]:
        """The keys that were stored before this time (seconds since the epoch), some at a time, in any order."""

    async def health(self) -> str:
        """Try it; a word for the operator. Raises OSError when it does not work."""
