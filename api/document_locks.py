"""One writer of a document's chunks and counters after the other, within this process."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary


class DocumentLocks:
    """Held where chunks are counted and the count is written, so that the last writer tells the truth."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, document_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of all these documents; taken in one order, so that nobody waits in a circle."""
        async with AsyncExitStack() as stack:
            for document_id in sorted(set(document_ids)):
                await stack.enter_async_context(self._locks.setdefault(document_id, asyncio.Lock()))
            yield
