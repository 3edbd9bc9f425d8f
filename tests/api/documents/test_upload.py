"""Files of one request: stored side by side, kept in order, taken back together."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.auth import Caller, Credential
from api.documents.upload import AT_ONCE, SMALL_BYTES, Upload
from api.errors import DiskFull
from api.storage.protocol import StoredFile
from tests.api.storage.memory import MemoryStorage

DATASET = "d" * 32


class SlowStorage(MemoryStorage):
    """Takes its time, and counts how many files it has in hand."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        super().__init__(capacity)
        self.at_once = self.most_at_once = 0

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            stored = await super().put(key, pieces)
            await asyncio.sleep(0.01)
            return stored
        finally:
            self.at_once -= 1


class Rows:
    """In the place of the database: remembers what was to be inserted."""

    async def read(self, work: Any, *args: Any) -> None:
        """Every caller may upload."""

    async def transaction(self, work: Any) -> tuple[list[Any], list[Any]]:
        files = work.__self__._files
        return [(file.name, file.storing.result().size) for file in files], []


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def upload(storage: MemoryStorage) -> Upload:
    caller = Caller("u", "u", frozenset(), Credential.API_KEY, "k")
    return Upload(Rows(), storage, caller, DATASET, 0)  # type: ignore[arg-type]


async def test_small_files_are_stored_side_by_side_and_stay_in_order() -> None:
    storage = SlowStorage()
    async with upload(storage) as files:
        for number in range(40):
            await files.add(f"{number}.txt", pieces(b"x" * number, b"y"))
        replies: Any = await files.finish()
    assert replies == [(f"{number}.txt", number + 1) for number in range(40)]
    assert len(storage.files) == 40
    assert 1 < storage.most_at_once <= AT_ONCE


async def test_a_large_file_is_stored_as_it_comes() -> None:
    storage = SlowStorage()
    part = b"z" * (SMALL_BYTES // 2)
    async with upload(storage) as files:
        await files.add("large.txt", pieces(part, part, part, b"end"))
        assert [len(content) for content in storage.files.values()] == [3 * len(part) + 3]
        await files.finish()


async def test_nothing_stays_when_one_file_cannot_be_stored() -> None:
    storage = SlowStorage(capacity=2000)

    async def send() -> None:
        async with upload(storage) as files:
            for number in range(30):
                await files.add(f"{number}.txt", pieces(b"x" * 100))
            await files.finish()

    with pytest.raises(DiskFull):
        await send()
    assert storage.files == {}
    assert storage.at_once == 0


async def test_nothing_stays_when_the_client_leaves() -> None:
    storage = SlowStorage()

    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise asyncio.CancelledError

    async def send() -> None:
        async with upload(storage) as files:
            for number in range(5):
                await files.add(f"{number}.txt", pieces(b"x" * 100))
            await files.add("broken.txt", breaks())

    with pytest.raises(asyncio.CancelledError):
        await send()
    assert storage.files == {}
    assert storage.at_once == 0
