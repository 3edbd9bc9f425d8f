"""Calls side by side."""

import asyncio

import pytest

from rag.answering.together import together
from rag.errors import StoreUnavailable


async def test_results_are_in_order() -> None:
    async def after(delay_s: float) -> float:
        await asyncio.sleep(delay_s)
        return delay_s

    assert await together([after(0.02), after(0.01)]) == [0.02, 0.01]
    assert await together([after(0.0)]) == [0.0]
    assert await together([]) == []


async def test_a_failure_is_raised_as_it_is_and_cancels_the_others() -> None:
    is_cancelled = False

    async def fail() -> None:
        raise StoreUnavailable("gone")

    async def wait() -> None:
        nonlocal is_cancelled
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            is_cancelled = True
            raise

    with pytest.raises(StoreUnavailable):
        await together([wait(), fail()])
    assert is_cancelled


async def test_a_caller_that_is_cancelled_cancels_all() -> None:
    task = asyncio.ensure_future(together([asyncio.sleep(60), asyncio.sleep(60)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
