"""Waiting for parts that are full for a moment: the executor has time, requests do not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from api.errors import DiskFull, ServerBusy
from rag.errors import Overloaded

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 2.0


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the database, its disk or the chunk store takes it."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await call()
        except (ServerBusy, Overloaded):
            pass
        except DiskFull:
            log.error("the disk is full: tasks wait until there is room")
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
