"""The chunk store that needs no server: one folder, shared by the processes of one machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rag.stores.embedded.spaces import EXACT_FLOATS
from rag.stores.embedded.store import EmbeddedStore, Role
from rag.stores.protocol import ChunkStore

__all__ = ["open_embedded_store"]


@asynccontextmanager
async def open_embedded_store(
    folder: Path,
    *,
    role: Role,
    thread_count: int = 4,
    max_queued: int = 256,
    exact_floats: int = EXACT_FLOATS,
) -> AsyncIterator[ChunkStore]:
    """The store in the folder, made when missing.

    role: "owner" for the one process that searches, "writer" for those that only write (workers).
    thread_count: jobs at once. max_queued: more waiting jobs than that are refused (Overloaded).
    exact_floats: vectors times dimension up to which a dataset is searched exactly.
    Raises StoreUnavailable when another process owns the folder, or when its files cannot be read.
    """
    store = EmbeddedStore(
        folder, role, thread_count=thread_count, max_queued=max_queued, exact_floats=exact_floats
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()
