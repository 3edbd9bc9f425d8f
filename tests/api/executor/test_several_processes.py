"""Executors of several processes on one data folder, as `ragd worker` beside `ragd serve`."""

import asyncio
from pathlib import Path

import pytest

from tests.api.executor.office import Office, open_office
from tests.api.executor.test_dying import serving
from tests.api.executor.test_parsing import TEXT, sentences

pytestmark = pytest.mark.timeout(90)  # what waits for a worker must not wait for ever


async def test_a_worker_beside_a_server_without_workers(office: Office) -> None:
    with serving(office.settings.data_dir, "writer"):
        ids = [await office.add(f"{n}.txt", f"Keeper{n}. {TEXT}") for n in range(12)]
        await office.parse(*ids)
        for n, one in enumerate(ids):
            assert (await office.end_of(one)).run == "3"
            assert await office.found(f"keeper{n}") == {one}  # DONE is said when the server finds it
    await office.check_counts()


async def test_two_executors_share_the_queue(tmp_path: Path) -> None:
    async with open_office(tmp_path, workers=1) as office:
        with serving(tmp_path, "writer"):
            async with office.working() as executor:
                ids = [await office.add(f"{n}.txt", sentences(900, f"owl{n}")) for n in range(40)]
                await office.parse(*ids)
                for one in ids:
                    assert (await office.end_of(one)).run == "3"
                done_here = (await executor.queue_status()).done
        assert 0 < done_here < len(ids)
        await office.check_counts()


async def test_a_worker_that_is_killed_gives_its_tasks_to_the_server(tmp_path: Path) -> None:
    async with open_office(tmp_path, lease_s=3) as office:
        document_id = await office.add("a.txt", sentences(20_000))
        with serving(tmp_path, "writer") as worker:
            await office.parse(document_id)
            await office.until(document_id, lambda row: "received" in row.progress_msg)
            worker.kill()
        async with office.working():
            assert (await office.end_of(document_id)).run == "3"
        await office.check_counts()
        await asyncio.sleep(0.2)
        assert office.staged_rows() == 0
