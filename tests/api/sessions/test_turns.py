"""Turns of a session come one after the other."""

import asyncio
import time

import pytest

from api.errors import ServerBusy
from api.sessions.turns import MAX_WAITING, Turns


async def test_one_at_a_time_and_others_are_told() -> None:
    turns = Turns()
    inside = 0
    stale: list[bool] = []

    async def turn() -> None:
        nonlocal inside
        async with turns.hold("s", read_at_s) as is_stale:
            stale.append(is_stale)
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            inside -= 1

    read_at_s = time.monotonic()
    await asyncio.gather(*(turn() for _ in range(5)))
    assert stale == [False, True, True, True, True]


async def test_sessions_do_not_wait_for_each_other() -> None:
    turns = Turns()
    async with turns.hold("a", 0.0), asyncio.timeout(1), turns.hold("b", time.monotonic()) as is_stale:
        assert not is_stale


async def test_what_is_read_after_a_turn_is_fresh() -> None:
    turns = Turns()
    async with turns.hold("s", time.monotonic()):
        pass
    await asyncio.sleep(0.001)
    async with turns.hold("s", time.monotonic()) as is_stale:
        assert not is_stale


async def test_a_turn_that_fails_or_is_cancelled_lets_the_next_in() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="x"):
        async with turns.hold("s", 0.0):
            raise ValueError("x")

    async def forever() -> None:
        async with turns.hold("s", 0.0):
            await asyncio.sleep(60)

    holder, waiter = asyncio.ensure_future(forever()), asyncio.ensure_future(forever())
    await asyncio.sleep(0.01)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with asyncio.timeout(1), turns.hold("s", 0.0):
        pass
    assert not turns._locks
    assert not turns._users


async def test_too_many_waiting_are_refused() -> None:
    turns = Turns()

    async def turn() -> None:
        async with turns.hold("s", 0.0):
            await asyncio.sleep(0.01)

    results = await asyncio.gather(*(turn() for _ in range(MAX_WAITING + 3)), return_exceptions=True)
    assert sum(isinstance(one, ServerBusy) for one in results) == 2
    assert sum(one is None for one in results) == MAX_WAITING + 1
