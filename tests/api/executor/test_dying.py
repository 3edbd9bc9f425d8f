"""Whatever dies, hangs or grows, and whenever: every document ends once, and only the guilty one fails."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from api.db.database import open_database
from api.executor import endings, supervisor
from api.executor.executor import Executor
from api.settings import ExecutorSettings
from tests.api.executor.office import Office, open_office
from tests.api.executor.test_parsing import TEXT, sentences

pytestmark = pytest.mark.timeout(90)  # what waits for a worker must not wait for ever


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "RETRY_DELAYS_S", (0.1, 0.1))


def limit(office: Office, **changes: float) -> None:
    executor = ExecutorSettings.model_validate(office.settings.executor.model_dump() | changes)
    office.settings = office.settings.model_copy(update={"executor": executor})


async def worker_at(executor: Executor, document_id: str) -> int:
    """The process that parses the document."""
    while True:
        for worker in (await executor.queue_status()).workers:
            if worker.document_id == document_id:
                return worker.pid
        await asyncio.sleep(0.01)


async def worker_count(executor: Executor, count: int) -> list[int]:
    """Wait until so many workers are there."""
    while True:
        pids = [worker.pid for worker in (await executor.queue_status()).workers]
        if len(pids) == count:
            return pids
        await asyncio.sleep(0.02)


async def until_noticed(executor: Executor, pid: int) -> None:
    """Wait until the executor no longer counts a worker that was killed."""
    while pid in [worker.pid for worker in (await executor.queue_status()).workers]:
        await asyncio.sleep(0.01)


def wait_until_gone(pids: list[int], timeout_s: float = 3) -> None:
    end_s = time.monotonic() + timeout_s
    while alive := [pid for pid in pids if _is_alive(pid)]:
        assert time.monotonic() < end_s, f"still alive: {alive}"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_a_killed_worker_costs_one_attempt_of_one_document(office: Office) -> None:
    victim = await office.add("victim.txt", sentences(8_000))
    others = [await office.add(f"{n}.txt", f"Lighthouse {n}. {TEXT}") for n in range(10)]
    async with office.working() as executor:
        await office.parse(victim, *others)
        os.kill(await worker_at(executor, victim), signal.SIGKILL)
        row = await office.end_of(victim)
        assert row.run == "3"
        assert "killed (signal SIGKILL)" in row.progress_msg
        assert "(1 of 3 attempts failed)" in row.progress_msg
        for one in others:
            other = await office.end_of(one)
            assert other.run == "3"
            assert "ERROR" not in other.progress_msg
        status = await executor.queue_status()
        assert (status.crashed, status.retried) == (1, 1)
    await office.check_counts()
    assert office.staged_rows() == 0


async def test_after_the_last_attempt_it_fails_with_advice(office: Office) -> None:
    document_id = await office.add("victim.txt", sentences(8_000))
    async with office.working() as executor:
        await office.parse(document_id)
        for _ in range(3):
            pid = await worker_at(executor, document_id)
            os.kill(pid, signal.SIGKILL)
            await until_noticed(executor, pid)
        row = await office.end_of(document_id)
        assert (row.run, row.progress) == ("4", -1.0)
        assert "Task is abandoned after 3 times attempts." in row.progress_msg
        assert "parse it again" in row.progress_msg
        bystander = await office.add("b.txt", TEXT)
        await office.parse(bystander)
        assert (await office.end_of(bystander)).run == "3"
    assert await office.task_count() == 0
    assert office.staged_rows() == 0
    await office.check_counts()


async def test_a_document_that_hangs_is_killed_alone(office: Office) -> None:
    limit(office, time_limit_s=1.5)
    document_id = await office.add("hangs.txt", sentences(8_000))
    bystander = await office.add("b.txt", TEXT)
    async with office.working() as executor:
        await office.parse(document_id)
        pid = await worker_at(executor, document_id)
        os.kill(pid, signal.SIGSTOP)  # deaf to everything but SIGKILL, as a loop in C would be
        await office.parse(bystander)
        assert (await office.end_of(bystander)).run == "3"
        row = await office.end_of(document_id)
        assert row.run == "4"
        assert "longer than 1.5 s" in row.progress_msg
        assert "executor.time_limit_s" in row.progress_msg
        wait_until_gone([pid])
        assert await worker_count(executor, 2)


async def test_a_document_that_takes_too_much_memory_fails_alone(office: Office) -> None:
    limit(office, memory_limit_mb=256)
    document_id = await office.add(
        "large.json", '{"a": [' + ",".join(f'["x{n}"]' for n in range(3_000_000)) + "]}"
    )
    bystander = await office.add("b.txt", TEXT)
    async with office.working() as executor:
        await office.parse(document_id, bystander)
        row = await office.end_of(document_id, 60)
        assert row.run == "4"
        assert "more than 256 MB of memory" in row.progress_msg
        assert "executor.memory_limit_mb" in row.progress_msg
        assert (await office.end_of(bystander)).run == "3"
        assert await worker_count(executor, 2)
        again = await office.add("c.txt", TEXT)
        await office.parse(again)
        assert (await office.end_of(again)).run == "3"


async def test_the_fork_server_dies(office: Office) -> None:
    ids = [await office.add(f"{n}.txt", sentences(3_000)) for n in range(4)]
    async with office.working() as executor:
        await office.parse(*ids)
        workers = await worker_count(executor, 2)
        parent = psutil.Process(workers[0]).ppid()
        assert parent != os.getpid()
        os.kill(parent, signal.SIGKILL)
        wait_until_gone([parent, *workers])  # no worker outlives it
        for one in ids:
            row = await office.end_of(one)
            assert row.run == "3"
            assert "attempts failed" not in row.progress_msg
    await office.check_counts()


async def test_nothing_is_left_after_closing(office: Office) -> None:
    async with office.working() as executor:
        workers = await worker_count(executor, 2)
        parent = psutil.Process(workers[0]).ppid()
    wait_until_gone([parent, *workers])


@contextmanager
def serving(data_dir: Path, role: str = "owner") -> Iterator[psutil.Process]:
    """An executor on the folder in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.api.executor.serve_office", str(data_dir), role], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def wait_for_workers(server: psutil.Process) -> list[psutil.Process]:
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = server.children(recursive=True)
            if len(family) == 3:
                return family
        await asyncio.sleep(0.02)


async def test_no_worker_outlives_the_server(tmp_path: Path) -> None:
    async with open_office(tmp_path):
        pass
    with serving(tmp_path) as server:
        family = await wait_for_workers(server)
        server.kill()
        wait_until_gone([process.pid for process in family])


@pytest.mark.parametrize("victims", ["server", "everything"])
async def test_killed_in_the_middle_of_a_batch(tmp_path: Path, victims: str) -> None:
    """Three kills at any moment; then every document is DONE, once, with the right counts."""
    async with open_office(tmp_path) as office:
        dataset_id = office.dataset_id
        ids = [await office.add(f"{n}.txt", f"Keeper{n}. {sentences(20 + 40 * (n % 7))}") for n in range(60)]
        await office.parse(*ids)
    for _ in range(3):
        with serving(tmp_path) as server:
            family = await wait_for_workers(server)
            await asyncio.sleep(random.uniform(0.05, 0.6))
            server.kill()
            if victims == "everything":
                for process in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
            wait_until_gone([process.pid for process in family])
    async with open_office(tmp_path) as office:
        office.dataset_id = dataset_id
        async with office.working():
            for one in ids:
                row = await office.end_of(one)
                assert row.run == "3"
        await office.check_counts()
        for n in (0, 31, 59):
            assert await office.found(f"keeper{n}") == {ids[n]}
        assert await office.task_count() == 0
        assert office.staged_rows() == 0


async def test_leases_of_a_dead_process_of_this_machine_are_taken_at_once(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        dataset_id = office.dataset_id
        document_id = await office.add("a.txt", sentences(20_000))
        await office.parse(document_id)
    with serving(tmp_path) as server:
        async with open_database(tmp_path / "ragd.sqlite", 10) as db:
            end_s = time.monotonic() + 10
            while not await db.read(_is_leased):
                assert time.monotonic() < end_s
                await asyncio.sleep(0.05)
        server.kill()
    async with open_office(tmp_path, lease_s=30) as office:  # its lease would last for half a minute
        office.dataset_id = dataset_id
        async with office.working():
            assert (await office.end_of(document_id, 15)).run == "3"


def _is_leased() -> bool:
    from api.db.models import Task

    return bool(Task.select().where(Task.state == "leased").exists())


async def test_a_task_whose_servers_died_too_often_fails(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "MAX_LOST_LEASES", 2)
    document_id = await office.add("a.txt", TEXT)
    await office.parse(document_id)
    for owner in ("gone1", "gone2"):
        assert await office.queue.lease(owner, limit=1)
        await office.queue.reclaim(lambda name, owner=owner: name == owner)
    async with office.working():
        row = await office.end_of(document_id)
    assert row.run == "4"
    assert "The server stopped 2 times" in row.progress_msg
