"""Files in a folder."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api.storage.local import LocalStorage
from api.storage.protocol import FileStorage
from tests.api.storage.suite import KEY, FileStorageSuite, content, pieces_of


class TestLocalStorage(FileStorageSuite):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[LocalStorage]:
        storage = LocalStorage(tmp_path / "files")
        yield storage
        await storage.close()

    @pytest.fixture
    def full_storage(self, storage: LocalStorage) -> Iterator[LocalStorage]:
        """The size limit of a process gives a real refusal (EFBIG) in the middle of a file."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
        yield storage
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    async def assert_nothing(self, storage: FileStorage) -> None:
        await super().assert_nothing(storage)
        assert isinstance(storage, LocalStorage)
        assert [path for path in storage._folder.rglob("*") if path.is_file()] == []


async def test_a_crash_leaves_nothing_after_the_next_start(tmp_path: Path) -> None:
    program = """
import asyncio, pathlib, sys
from api.storage.local import LocalStorage
async def endless():
    yield b"x" * 3_000_000
    print("writing", flush=True)
    await asyncio.sleep(60)
asyncio.run(LocalStorage(pathlib.Path(sys.argv[1])).put("a/b", endless()))
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        # It is locked before the first byte: a file that has some is under the lock.
        while not any(path.stat().st_size for path in (tmp_path / ".incoming").iterdir()):
            await asyncio.sleep(0.01)
        other = LocalStorage(tmp_path)  # a second process that starts meanwhile leaves the upload alone
        assert len(list((tmp_path / ".incoming").iterdir())) == 1
        await other.close()
        writer.kill()
    again = LocalStorage(tmp_path)
    assert list((tmp_path / ".incoming").iterdir()) == []
    await again.put(KEY, pieces_of(b"x"))
    assert await content(again, KEY) == b"x"
    await again.close()


async def test_a_put_that_fails_after_an_older_one_keeps_the_older(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    await storage.put(KEY, pieces_of(b"old"))

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.put(KEY, broken())
    assert await content(storage, KEY) == b"old"
    await storage.close()


async def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file, not a folder")
    with pytest.raises(OSError, match="files"):
        LocalStorage(tmp_path / "files")


async def test_put_while_the_folder_is_deleted(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    for _ in range(20):
        await asyncio.gather(
            storage.put("a/1", pieces_of(b"x")), storage.delete_prefix("a/"), return_exceptions=False
        )
    assert list((tmp_path / ".incoming").iterdir()) == []
    await storage.close()
