"""What every task queue must do; a subclass supplies the `bench` fixture."""

import asyncio
import time
from typing import Any, Protocol

from api.db.tasks import SMALL_BYTES
from api.executor.protocol import Lease, TaskQueue

LEASE_S = 0.6


class QueueBench(Protocol):
    """A queue with leases of LEASE_S, and the other side of it: those who add and cancel tasks."""

    queue: TaskQueue

    async def add(
        self, document_id: str, *, kind: str = "parse", size: int = 0, delay_s: float = 0
    ) -> str: ...

    async def cancel(self, document_id: str) -> None: ...


async def lease_one(queue: TaskQueue, owner: str = "one") -> Lease:
    (lease,) = await queue.lease(owner, limit=1)
    return lease


class TaskQueueSuite:
    async def test_nothing_to_lease(self, bench: QueueBench) -> None:
        assert await bench.queue.lease("one", limit=5) == []
        assert await bench.queue.depth() == 0

    async def test_the_oldest_first_and_each_once(self, bench: QueueBench) -> None:
        ids = [await bench.add(f"d{n}") for n in range(5)]
        assert await bench.queue.depth() == 5
        first = await bench.queue.lease("one", limit=2)
        rest = await bench.queue.lease("two", limit=10)
        assert [lease.task_id for lease in first + rest] == ids
        assert [lease.document_id for lease in first] == ["d0", "d1"]
        assert await bench.queue.lease("three", limit=1) == []
        assert await bench.queue.depth() == 0

    async def test_small_tasks_come_in_larger_numbers(self, bench: QueueBench) -> None:
        for n in range(4):
            await bench.add(f"small{n}", size=100)
        await bench.add("large", size=SMALL_BYTES + 1)
        await bench.add("last", size=100)
        assert len(await bench.queue.lease("one", limit=1, extra_small=2)) == 3
        assert [x.document_id for x in await bench.queue.lease("one", limit=1, extra_small=9)] == ["small3"]
        assert [x.document_id for x in await bench.queue.lease("one", limit=1, extra_small=9)] == ["large"]

    async def test_not_before_its_time(self, bench: QueueBench) -> None:
        await bench.add("later", delay_s=0.2)
        assert await bench.queue.lease("one", limit=1) == []
        await asyncio.sleep(0.25)
        assert len(await bench.queue.lease("one", limit=1)) == 1

    async def test_two_processes_never_hold_one_task(self, bench: QueueBench) -> None:
        ids = [await bench.add(f"d{n}") for n in range(30)]
        taken = await asyncio.gather(*(bench.queue.lease(f"w{n}", limit=3) for n in range(12)))
        assert sorted(lease.task_id for leases in taken for lease in leases) == sorted(ids)

    async def test_a_lease_that_is_not_prolonged_is_given_on(self, bench: QueueBench) -> None:
        await bench.add("d")
        old = await lease_one(bench.queue)
        assert old.lease_count == 1
        await asyncio.sleep(LEASE_S + 0.1)
        new = await lease_one(bench.queue, "two")
        assert new.task_id == old.task_id
        assert new.token != old.token
        assert new.lease_count == 2
        assert new.run_id != old.run_id
        assert new.earlier_run_ids == [old.run_id]
        assert new.attempts == 0  # its failure was not the task's
        assert await bench.queue.beat([old]) == {old.task_id}
        assert await bench.queue.beat([new]) == set()

    async def test_a_beat_prolongs(self, bench: QueueBench) -> None:
        await bench.add("d")
        lease = await lease_one(bench.queue)
        end = time.monotonic() + 2 * LEASE_S
        while time.monotonic() < end:
            assert await bench.queue.beat([lease]) == set()
            await asyncio.sleep(0.1)
        assert await bench.queue.lease("two", limit=1) == []

    async def test_who_lost_the_lease_changes_nothing(self, bench: QueueBench) -> None:
        await bench.add("d")
        old = await lease_one(bench.queue)
        await asyncio.sleep(LEASE_S + 0.1)
        new = await lease_one(bench.queue, "two")
        written: list[str] = []
        assert await bench.queue.write([(old, lambda: written.append("write"))]) == {}
        assert await bench.queue.finish([(old, lambda: written.append("finish"))]) == {}
        assert not await bench.queue.retry(old, 0, lambda: written.append("retry"), is_counted=True)
        await bench.queue.release([old])
        await bench.queue.forget(old)
        assert written == []
        assert await bench.queue.finish([(new, lambda: "done")]) == {new.task_id: "done"}

    async def test_finished_is_gone(self, bench: QueueBench) -> None:
        await bench.add("a")
        await bench.add("b")
        leases = await bench.queue.lease("one", limit=2)
        seen: list[str] = []

        def write(lease: Lease) -> Any:
            return lambda: seen.append(lease.document_id) or lease.document_id

        results = await bench.queue.finish([(lease, write(lease)) for lease in leases])
        assert results == {lease.task_id: lease.document_id for lease in leases}
        assert seen == ["a", "b"]
        assert await bench.queue.beat(leases) == {lease.task_id for lease in leases}
        await asyncio.sleep(LEASE_S + 0.1)
        assert await bench.queue.lease("one", limit=2) == []

    async def test_a_write_that_fails_finishes_nothing(self, bench: QueueBench) -> None:
        await bench.add("d")
        lease = await lease_one(bench.queue)

        def broken() -> None:
            raise ZeroDivisionError

        try:
            await bench.queue.finish([(lease, broken)])
        except ZeroDivisionError:
            assert await bench.queue.beat([lease]) == set()
        else:
            raise AssertionError("the error was swallowed")

    async def test_retries_count_what_failed_and_what_was_put_off(self, bench: QueueBench) -> None:
        await bench.add("d")
        written: list[str] = []
        assert await bench.queue.retry(
            await lease_one(bench.queue), 0, lambda: written.append("failed"), is_counted=True
        )
        assert await bench.queue.retry(
            await lease_one(bench.queue), 0, lambda: written.append("busy"), is_counted=False
        )
        lease = await lease_one(bench.queue)
        assert (lease.attempts, lease.busy_count, lease.lease_count) == (1, 1, 3)
        assert written == ["failed", "busy"]

    async def test_a_retry_waits(self, bench: QueueBench) -> None:
        await bench.add("d")
        await bench.queue.retry(await lease_one(bench.queue), 0.3, lambda: None, is_counted=True)
        assert await bench.queue.depth() == 1
        assert await bench.queue.lease("one", limit=1) == []
        await asyncio.sleep(0.35)
        assert (await lease_one(bench.queue)).attempts == 1

    async def test_released_is_leased_again_at_once_and_costs_nothing(self, bench: QueueBench) -> None:
        await bench.add("d")
        lease = await lease_one(bench.queue)
        await bench.queue.release([lease])
        again = await lease_one(bench.queue, "two")
        assert (again.task_id, again.attempts) == (lease.task_id, 0)
        assert await bench.queue.beat([lease]) == {lease.task_id}

    async def test_cancelled_while_waiting_is_gone(self, bench: QueueBench) -> None:
        await bench.add("d")
        await bench.cancel("d")
        assert await bench.queue.depth() == 0
        assert await bench.queue.lease("one", limit=1) == []

    async def test_cancelled_while_leased_is_told_and_cleaned_up(self, bench: QueueBench) -> None:
        await bench.add("d")
        lease = await lease_one(bench.queue)
        await bench.cancel("d")
        assert await bench.queue.beat([lease]) == {lease.task_id}
        assert await bench.queue.finish([(lease, lambda: None)]) == {}
        await bench.queue.forget(lease)
        await asyncio.sleep(LEASE_S + 0.1)
        assert await bench.queue.lease("one", limit=1) == []

    async def test_cancelled_and_abandoned_goes_to_another_for_cleaning(self, bench: QueueBench) -> None:
        await bench.add("d")
        old = await lease_one(bench.queue)
        await bench.cancel("d")
        assert await bench.queue.reclaim(lambda owner: owner == "one") == 1
        new = await lease_one(bench.queue, "two")
        assert new.is_cancelled
        assert new.earlier_run_ids == [old.run_id]

    async def test_one_lease_per_document(self, bench: QueueBench) -> None:
        await bench.add("d")
        old = await lease_one(bench.queue)
        await bench.cancel("d")
        await bench.add("d")
        assert await bench.queue.lease("two", limit=5) == []  # the first is not cleaned up yet
        await bench.queue.forget(old)
        assert (await lease_one(bench.queue)).task_id != old.task_id

    async def test_leases_of_the_dead_end(self, bench: QueueBench) -> None:
        await bench.add("a")
        await bench.add("b")
        dead, alive = await lease_one(bench.queue, "dead"), await lease_one(bench.queue, "alive")
        assert await bench.queue.reclaim(lambda owner: owner == "dead") == 1
        assert (await lease_one(bench.queue, "new")).task_id == dead.task_id
        assert await bench.queue.beat([alive]) == set()

    async def test_a_poke_wakes(self, bench: QueueBench) -> None:
        start = time.monotonic()
        asyncio.get_running_loop().call_later(0.05, bench.queue.poke)
        await bench.queue.wait(5)
        assert time.monotonic() - start < 1

    async def test_a_poke_is_remembered(self, bench: QueueBench) -> None:
        bench.queue.poke()
        start = time.monotonic()
        await bench.queue.wait(5)
        await bench.queue.wait(0.05)
        assert 0.04 < time.monotonic() - start < 1
