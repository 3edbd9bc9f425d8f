"""Questions of one session are answered one after the other."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.errors import ServerBusy

MAX_WAITING = 16
"""Questions that may wait in one session; more are answered 503."""

_REMEMBERED = 4096


class Turns:
    """One lock a session, and when its last turn ended: what was read before then is stale."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}
        self._ended_at_s: OrderedDict[str, float] = OrderedDict()

    @asynccontextmanager
    async def hold(self, session_id: str, read_at_s: float) -> AsyncIterator[bool]:
        """Wait for the session's turn; yields whether what was read at `read_at_s` (monotonic) is stale.

        Raises ServerBusy.
        """
        if self._users.get(session_id, 0) > MAX_WAITING:
            raise ServerBusy(f"{MAX_WAITING} questions wait in this session; please ask again later.")
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        self._users[session_id] = self._users.get(session_id, 0) + 1
        try:
            async with lock:
                try:
                    yield self._ended_at_s.get(session_id, 0.0) >= read_at_s
                finally:
                    self._ended_at_s[session_id] = time.monotonic()
                    self._ended_at_s.move_to_end(session_id)
                    if len(self._ended_at_s) > _REMEMBERED:
                        self._ended_at_s.popitem(last=False)
        finally:
            self._users[session_id] -= 1
            if not self._users[session_id]:
                del self._users[session_id], self._locks[session_id]
