"""What every file storage must do; a subclass supplies the `storage` fixture."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

import pytest

from api.errors import DiskFull
from api.storage.protocol import FileStorage

KEY = "4d1f0a2e/77aa"


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def content(storage: FileStorage, key: str) -> bytes:
    return b"".join([piece async for piece in storage.read(key)])


class FileStorageSuite:
    """What every file storage must do."""

    @pytest.mark.parametrize(
        "sizes", [(), (0,), (1,), (0, 5, 0), (1_000_000, 1_000_000, 700_001), (5_000_000,)]
    )
    async def test_gives_back_what_was_put(self, storage: FileStorage, sizes: tuple[int, ...]) -> None:
        parts = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
        stored = await storage.put(KEY, pieces_of(*parts))
        whole = b"".join(parts)
        assert (stored.size, stored.content_hash) == (len(whole), hashlib.sha256(whole).hexdigest())
        assert await content(storage, KEY) == whole
        async with storage.local_copy(KEY) as path:
            assert path.read_bytes() == whole

    async def test_reads_in_pieces(self, storage: FileStorage) -> None:
        await storage.put(KEY, pieces_of(b"x" * 5_000_000))
        assert max([len(piece) async for piece in storage.read(KEY)]) <= 1 << 20

    async def test_put_replaces(self, storage: FileStorage) -> None:
        await storage.put(KEY, pieces_of(b"old" * 1000))
        await storage.put(KEY, pieces_of(b"new"))
        assert await content(storage, KEY) == b"new"

    async def test_lists_what_is_old_enough(self, storage: FileStorage) -> None:
        start = time.time() - 1
        keys = {f"a{n % 3}/b{n}" for n in range(40)} | {"alone", "a/b/c"}
        for key in keys:
            await storage.put(key, pieces_of(b"x"))
        await storage.delete(["a0/b0"])
        listed = [key async for some in storage.list_keys(time.time() + 1) for key in some]
        assert sorted(listed) == sorted(keys - {"a0/b0"})
        assert [key async for some in storage.list_keys(start) for key in some] == []

    async def test_unknown_key(self, storage: FileStorage) -> None:
        with pytest.raises(FileNotFoundError):
            await anext(storage.read("a/b"))
        with pytest.raises(FileNotFoundError):
            async with storage.local_copy("a/b"):
                pass

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/",
            "..",
            "a/..",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            ".incoming",
            "a\0",
            "a\n",
            "a/b/c/d/e",
            "é",
        ],
    )
    async def test_refuses_keys_that_are_no_keys(self, storage: FileStorage, key: str) -> None:
        with pytest.raises(ValueError, match="Not a storage key"):
            await storage.put(key, pieces_of(b"x"))
        with pytest.raises(ValueError, match="Not a storage key"):
            await anext(storage.read(key))
        with pytest.raises(ValueError, match="Not a storage key"):
            await storage.delete([key])

    async def test_delete(self, storage: FileStorage) -> None:
        for key in ("a/1", "a/2", "b/1"):
            await storage.put(key, pieces_of(b"x"))
        await storage.delete(["a/1", "never/stored", "a/1/deeper"])
        await storage.delete([])
        with pytest.raises(FileNotFoundError):
            await content(storage, "a/1")
        assert await content(storage, "a/2") == b"x"

    async def test_delete_prefix_takes_whole_names(self, storage: FileStorage) -> None:
        for key in ("ab/1", "ab/2", "abc/1", "b/1"):
            await storage.put(key, pieces_of(b"x"))
        await storage.delete_prefix("ab/")
        await storage.delete_prefix("unknown/")
        for key in ("ab/1", "ab/2"):
            with pytest.raises(FileNotFoundError):
                await content(storage, key)
        assert await content(storage, "abc/1") == b"x"
        with pytest.raises(ValueError, match="slash"):
            await storage.delete_prefix("ab")

    @pytest.mark.parametrize("size", [3, 3_000_000])
    async def test_a_source_that_fails_leaves_nothing(self, storage: FileStorage, size: int) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * size
            raise ConnectionResetError("client left")

        with pytest.raises(ConnectionResetError):
            await storage.put(KEY, broken())
        await self.assert_nothing(storage)

    @pytest.mark.parametrize("size", [3, 3_000_000])
    async def test_a_cancelled_put_leaves_nothing(self, storage: FileStorage, size: int) -> None:
        reached = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x" * size
            reached.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(storage.put(KEY, endless()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await self.assert_nothing(storage)

    async def test_cancelled_at_any_moment_it_is_whole_or_not_there(self, storage: FileStorage) -> None:
        for delay_ms in range(12):
            task = asyncio.create_task(storage.put(KEY, pieces_of(*[b"y" * 400_000] * 6)))
            await asyncio.sleep(delay_ms / 1000)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                await self.assert_nothing(storage)
            else:
                assert len(await content(storage, KEY)) == 2_400_000
                await storage.delete([KEY])

    async def test_many_at_once(self, storage: FileStorage) -> None:
        keys = [f"d{place % 3}/f{place}" for place in range(40)]
        await asyncio.gather(*(storage.put(key, pieces_of(key.encode() * 1000)) for key in keys))
        for key in keys:
            assert await content(storage, key) == key.encode() * 1000

    async def test_disk_full(self, full_storage: FileStorage) -> None:
        with pytest.raises(DiskFull):
            await full_storage.put(KEY, pieces_of(*[b"z" * 700_000] * 9))
        await self.assert_nothing(full_storage)

    async def test_is_healthy(self, storage: FileStorage) -> None:
        assert await storage.health()

    async def assert_nothing(self, storage: FileStorage) -> None:
        """Nothing is stored under KEY."""
        with pytest.raises(FileNotFoundError):
            await content(storage, KEY)
