"""Cancelling and deleting in the middle of a parse: it stops soon, and nothing of it is left."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from api.db import tasks
from api.db.datasets import add_to_counters
from api.db.documents import cancel_parse, find_row
from api.db.models import Document
from api.purge import Purge, Purger
from tests.api.executor.office import Office, open_office
from tests.api.executor.test_dying import serving, wait_for_workers, worker_at
from tests.api.executor.test_parsing import TEXT, sentences

pytestmark = pytest.mark.timeout(90)  # what waits for a worker must not wait for ever

LONG = sentences(20_000)


async def cancel(office: Office, document_id: str) -> None:
    """As the route does it."""

    def work() -> None:
        row = find_row(document_id)
        assert row is not None
        cancel_parse(row)

    await office.db.transaction(work)
    office.queue.poke()
    await office.store.delete_documents(office.dataset_id, [document_id])


async def delete(office: Office, document_id: str) -> None:
    """As the route does it."""

    def work() -> tuple[str, Purge]:
        row = find_row(document_id)
        assert row is not None
        Document.delete().where(Document.id == document_id).execute()
        tasks.drop_parse_tasks([document_id])
        add_to_counters(office.dataset_id, documents=-1, chunks=-row.chunk_count, tokens=-row.token_count)
        purge = Purge(dataset_id=office.dataset_id, document_ids=(document_id,))
        return purge.insert(), purge

    task_id, purge = await office.db.transaction(work)
    await Purger(office.db, office.store, office.storage).run_task(task_id, purge)


async def no_tasks(office: Office, timeout_s: float = 3) -> None:
    end_s = time.monotonic() + timeout_s
    while await office.task_count():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)


def files(office: Office) -> list[Path]:
    return [path for path in office.settings.data_dir.rglob("files/**/*") if path.is_file()]


async def test_a_cancelled_parse_stops_and_leaves_nothing(office: Office) -> None:
    document_id = await office.add("a.txt", LONG)
    bystander = await office.add("b.txt", TEXT)
    async with office.working() as executor:
        await office.parse(document_id)
        await worker_at(executor, document_id)
        await asyncio.sleep(0.7)
        await cancel(office, document_id)
        row = await office.row(document_id)
        assert (row.run, row.progress, row.chunk_count, row.token_count) == ("2", 0.0, 0, 0)
        assert "Task has been canceled." in row.progress_msg
        await no_tasks(office, 2.5)
        await office.parse(bystander)
        assert (await office.end_of(bystander)).run == "3"
        assert (await executor.queue_status()).crashed == 0  # it stopped by itself
        await asyncio.sleep(0.6)
        row = await office.row(document_id)
        assert (row.run, row.progress) == ("2", 0.0)
    assert await office.found("lighthous") == {bystander}
    assert office.staged_rows() == 0
    await office.check_counts()


async def test_a_deaf_worker_is_killed(office: Office) -> None:
    document_id = await office.add("a.txt", LONG)
    async with office.working() as executor:
        await office.parse(document_id)
        pid = await worker_at(executor, document_id)
        os.kill(pid, signal.SIGSTOP)
        await cancel(office, document_id)
        await no_tasks(office, 3.5)
        assert pid not in [worker.pid for worker in (await executor.queue_status()).workers]
    assert office.staged_rows() == 0


async def test_cancelled_while_it_waits(office: Office) -> None:
    document_id = await office.add("a.txt", TEXT)
    await office.parse(document_id)
    await cancel(office, document_id)
    assert await office.task_count() == 0
    async with office.working():
        await asyncio.sleep(0.3)
        assert (await office.row(document_id)).run == "2"


async def test_cancelled_and_parsed_again_at_once(office: Office) -> None:
    document_id = await office.add("a.txt", sentences(4_000))
    async with office.working():
        for _ in range(4):
            await office.parse(document_id)
            await asyncio.sleep(random.uniform(0.05, 0.5))
            await cancel(office, document_id)
        await office.parse(document_id)
        row = await office.end_of(document_id)
        assert row.run == "3"
        assert row.chunk_count > 0
        await no_tasks(office)
    await office.check_counts()
    assert office.staged_rows() == 0


async def test_cancelled_at_any_moment_counts_stay_right(office: Office) -> None:
    async with office.working():
        for n in range(25):
            document_id = await office.add(f"{n}.txt", f"{TEXT} {n}")
            await office.parse(document_id)
            await asyncio.sleep(random.uniform(0, 0.12))
            row = await office.row(document_id)
            if row.run == "1":
                await cancel(office, document_id)
        await no_tasks(office)
        rows = await office.db.read(lambda: list(Document.select()))
        assert {row.run for row in rows} <= {"2", "3"}
        await office.check_counts()
        assert await office.found("lighthous") == {row.id for row in rows if row.run == "3"}
    assert office.staged_rows() == 0


async def test_deleted_at_any_moment_nothing_is_left(office: Office) -> None:
    async with office.working():
        ids = []
        for n in range(25):
            ids.append(await office.add(f"{n}.txt", f"{TEXT} {n}" if n % 3 else sentences(2_000)))
            await office.parse(ids[-1])
            await asyncio.sleep(random.uniform(0, 0.15))
            await delete(office, ids[-1])
        await no_tasks(office)
        assert await office.found("lighthous") == set()
        await office.check_counts()
        for one in ids:
            assert (await office.store.count(office.dataset_id, one)).chunks == 0
    assert office.staged_rows() == 0
    assert files(office) == []


@pytest.mark.parametrize("end", ["cancel", "delete"])
async def test_the_server_dies_before_it_has_cleaned_up(tmp_path: Path, end: str) -> None:
    async with open_office(tmp_path) as office:
        dataset_id = office.dataset_id
        document_id = await office.add("a.txt", LONG)
        await office.parse(document_id)
    with serving(tmp_path) as server:
        family = await wait_for_workers(server)
        await asyncio.sleep(0.8)
        for process in [server, *family]:
            process.kill()
    async with open_office(tmp_path) as office:
        office.dataset_id = dataset_id
        await (cancel if end == "cancel" else delete)(office, document_id)
        async with office.working():
            await no_tasks(office)
        assert await office.found("lighthous") == set()
        assert office.staged_rows() == 0
        await office.check_counts()


async def test_a_deletion_that_was_interrupted_is_finished(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.purge.RETRY_DELAY_MS", 100)
    document_id = await office.add("a.txt", TEXT)
    async with office.working():
        await office.parse(document_id)
        await office.end_of(document_id)

        def rows_go() -> None:
            Document.delete().where(Document.id == document_id).execute()
            Purge(dataset_id=office.dataset_id, document_ids=(document_id,)).insert()

        await office.db.transaction(rows_go)  # and then the server dies, before it deletes chunks and file
        assert await office.found("lighthous") == {document_id}
        await no_tasks(office)
        assert await office.found("lighthous") == set()
        assert files(office) == []
