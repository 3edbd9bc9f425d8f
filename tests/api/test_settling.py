"""Rows and chunks agree, whoever leaves, fails or deletes in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.db import tasks
from api.db.documents import DONE, find_row, set_counts_of
from api.db.models import Document
from api.errors import NotFound
from api.purge import Purge, Purger
from api.settling import Settlement, Settler
from rag.errors import StoreError
from rag.stores.protocol import StoreCounts
from tests.api.executor.office import Office, open_office
from tests.api.executor.test_parsing import TEXT, sentences


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
def settler(office: Office) -> Settler:
    return Settler(office.db, office.store, office.locks)


async def parsed(office: Office) -> str:
    document_id = await office.add("a.txt", sentences(200))
    async with office.working():
        await office.parse(document_id)
        assert (await office.end_of(document_id)).run == DONE
    return document_id


async def test_counters_follow_the_chunks(office: Office, settler: Settler) -> None:
    document_id = await parsed(office)
    deleted, _ = await settler.change(
        office.dataset_id,
        document_id,
        lambda: office.store.delete_chunks(office.dataset_id, document_id, None),
        is_alone=True,
    )
    assert deleted.chunks > 0
    assert (await office.row(document_id)).chunk_count == 0
    await office.check_counts()
    assert await office.task_count() == 1  # for the next change
    await settler.close()
    assert await office.task_count() == 0


async def test_the_caller_leaves_in_the_middle(office: Office, settler: Settler) -> None:
    document_id = await parsed(office)
    is_deleted, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await office.store.delete_chunks(office.dataset_id, document_id, None)
        is_deleted.set()
        await go_on.wait()

    caller = asyncio.create_task(settler.change(office.dataset_id, document_id, work, is_alone=True))
    await is_deleted.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await office.until(document_id, lambda row: row.chunk_count == 0)
    await office.check_counts()


async def test_the_server_dies_in_the_middle(office: Office, settler: Settler) -> None:
    """What `change` has done by then is done here by hand."""
    document_id = await parsed(office)
    await office.db.transaction(Settlement(office.dataset_id, (document_id,)).insert)
    await office.store.delete_chunks(office.dataset_id, document_id, None)
    assert (await office.row(document_id)).chunk_count > 0
    await Settler(office.db, office.store, office.locks).run_all()
    assert (await office.row(document_id)).chunk_count == 0
    await office.check_counts()
    assert await office.task_count() == 0


async def test_a_change_of_the_row_is_followed(office: Office, settler: Settler) -> None:
    document_id = await parsed(office)

    def change() -> None:
        Document.update(name="renamed.txt", is_enabled=False).where(Document.id == document_id).execute()
        Settlement(office.dataset_id, (document_id,), renames=True, switches=True).insert()

    await office.db.transaction(change)
    await settler.run_all()
    page = await office.store.list_chunks(office.dataset_id, document_id, offset=0, limit=9)
    assert page.chunks
    assert {(one.document_name, one.is_available) for one in page.chunks} == {("renamed.txt", False)}


async def test_a_new_parse_keeps_its_chunks(office: Office, settler: Settler) -> None:
    """The deletion of a stopped parse comes late: the document was parsed again meanwhile."""
    document_id = await parsed(office)
    before = (await office.row(document_id)).chunk_count
    task_id = await office.db.transaction(Settlement(office.dataset_id, (document_id,), deletes=True).insert)
    await settler.run_task(task_id, Settlement(office.dataset_id, (document_id,), deletes=True))
    assert (await office.row(document_id)).chunk_count == before > 0
    await office.check_counts()


async def test_the_document_is_deleted_meanwhile(office: Office, settler: Settler) -> None:
    """A chunk that arrives after its document has gone does not stay."""
    document_id = await parsed(office)
    page = await office.store.list_chunks(office.dataset_id, document_id, offset=0, limit=1)

    async def work() -> None:
        await office.store.delete_documents(office.dataset_id, [document_id])
        await office.db.transaction(lambda: Document.delete().where(Document.id == document_id).execute())
        await office.store.upsert(page.chunks)

    with pytest.raises(NotFound):
        await settler.change(office.dataset_id, document_id, work, is_alone=True)
    assert await office.store.count(office.dataset_id, document_id) == StoreCounts(0, 0)
    await settler.close()
    assert await office.task_count() == 0


async def test_a_failure_is_told_and_settled(office: Office, settler: Settler) -> None:
    document_id = await parsed(office)

    async def work() -> None:
        await office.store.delete_chunks(office.dataset_id, document_id, None)
        raise StoreError("half of it")

    with pytest.raises(StoreError, match="half of it"):
        await settler.change(office.dataset_id, document_id, work, is_alone=True)
    await office.check_counts()
    await settler.close()
    assert await office.task_count() == 0


async def test_workers_settle_what_is_left(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.settling.RETRY_DELAY_MS", 0)
    document_id = await office.add("a.txt", TEXT)
    await office.db.transaction(set_counts_of, document_id, StoreCounts(7, 70))
    await office.db.transaction(Settlement(office.dataset_id, (document_id,)).insert)
    async with office.working():
        await office.until(document_id, lambda row: row.chunk_count == 0)
        while await office.task_count():
            await asyncio.sleep(0.01)
    await office.check_counts()


async def test_changes_of_one_document_come_one_after_the_other(office: Office, settler: Settler) -> None:
    document_id = await office.add("a.txt", TEXT)
    running = 0

    async def work() -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0.005)
        assert running == 1
        running -= 1

    await asyncio.gather(
        *(settler.change(office.dataset_id, document_id, work, is_alone=True) for _ in range(10))
    )
    assert await office.db.read(find_row, document_id) is not None


async def test_many_changes_need_one_settlement(
    office: Office, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.settling.IDLE_S", 0.05)
    document_id = await office.add("a.txt", TEXT)
    inserted = 0
    insert = Settlement.insert

    def counting_insert(self: Settlement) -> str:
        nonlocal inserted
        inserted += 1
        return insert(self)

    monkeypatch.setattr(Settlement, "insert", counting_insert)

    async def nothing() -> None:
        pass

    for _ in range(5):
        await asyncio.gather(
            *(settler.change(office.dataset_id, document_id, nothing, is_alone=False) for _ in range(5))
        )
    assert inserted == 1
    async with asyncio.timeout(5):
        while await office.task_count():
            await asyncio.sleep(0.01)
    await settler.change(office.dataset_id, document_id, nothing, is_alone=False)
    assert inserted == 2
    assert await office.task_count() == 1


async def test_a_settlement_is_renewed_before_workers_take_it(
    office: Office, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.settling.MARK_S", -1.0)
    monkeypatch.setattr("api.settling.IDLE_S", 0.02)
    document_id = await office.add("a.txt", TEXT)

    async def look() -> None:
        assert await office.task_count() >= 1

    for _ in range(5):
        await settler.change(office.dataset_id, document_id, look, is_alone=False)
    async with asyncio.timeout(5):
        while await office.task_count():
            await asyncio.sleep(0.01)


async def test_what_could_not_be_counted_is_left_to_workers(
    office: Office, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await parsed(office)

    async def work() -> None:
        await office.store.delete_chunks(office.dataset_id, document_id, None)

    async def no_count(*_: object) -> StoreCounts:
        raise StoreError("no count")

    with monkeypatch.context() as patch:
        patch.setattr(office.store, "count", no_count)
        with pytest.raises(StoreError, match="no count"):
            await settler.change(office.dataset_id, document_id, work, is_alone=True)
    await settler.close()
    assert await office.task_count() == 1
    await settler.run_all()
    await office.check_counts()
    assert await office.task_count() == 0


async def test_purges_that_were_cut_short_end_at_the_start(office: Office) -> None:
    from api.tidying import tidy

    document_id = await parsed(office)

    def delete() -> None:
        Document.delete().where(Document.id == document_id).execute()
        Purge(dataset_id=office.dataset_id, document_ids=(document_id,)).insert()

    await office.db.transaction(delete)
    await tidy(office.db, office.storage, Purger(office.db, office.store, office.storage))
    assert await office.store.count(office.dataset_id, document_id) == StoreCounts(0, 0)
    assert [key async for keys in office.storage.list_keys(2e9 * 2) for key in keys] == []
    assert await office.db.read(tasks.list_payloads, tasks.PURGE) == []
