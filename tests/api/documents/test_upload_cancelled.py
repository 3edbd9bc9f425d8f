"""A client that leaves at the worst moment: rows and files stay together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from api.auth import Caller, Credential
from api.db.database import Database
from api.db.models import Document
from api.documents.upload import Upload
from tests.api.executor.office import Office, open_office
from tests.api.storage.memory import MemoryStorage


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def rows() -> list[str]:
    return [row.storage_key for row in Document.select()]


class SlowCommit:
    """The database, with a pause around the commit in which the client can leave."""

    def __init__(
        self, db: Database, begun: asyncio.Event, go_on: asyncio.Event, error: Exception | None
    ) -> None:
        self._db, self._begun, self._go_on, self._error = db, begun, go_on, error

    async def read(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._db.read(work, *args)

    async def transaction(self, work: Callable[..., Any], *args: Any) -> Any:
        async def run() -> Any:
            self._begun.set()
            await self._go_on.wait()
            if self._error is not None:
                raise self._error
            return await self._db.transaction(work, *args)

        return await asyncio.shield(asyncio.ensure_future(run()))


@pytest.mark.parametrize("is_committed", [True, False])
async def test_the_client_leaves_during_the_commit(office: Office, is_committed: bool) -> None:
    storage = MemoryStorage()
    begun, go_on = asyncio.Event(), asyncio.Event()
    db: Any = SlowCommit(office.db, begun, go_on, None if is_committed else RuntimeError("no commit"))
    caller = Caller("t" * 32, "t" * 32, frozenset(), Credential.API_KEY, "k")

    async def request() -> None:
        async with Upload(db, storage, caller, office.dataset_id, 0) as upload:
            await upload.add("a.txt", pieces(b"first"))
            await upload.add("b.txt", pieces(b"second" * 100_000))
            await upload.finish()

    running = asyncio.create_task(request())
    await begun.wait()
    running.cancel()
    await asyncio.sleep(0.02)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(await office.db.read(rows)) == sorted(storage.files)
    assert len(storage.files) == (2 if is_committed else 0)
