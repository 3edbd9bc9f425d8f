"""Where uploaded bytes are kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.data_folder import file_folder
from api.settings import Settings
from api.storage.local import LocalStorage
from api.storage.protocol import FileStorage


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[FileStorage]:
    """The storage that the settings name. Raises OSError when it cannot be used."""
    reserve_bytes = settings.storage.reserve_mb * 1_000_000
    storage = LocalStorage(file_folder(settings), reserve_bytes=reserve_bytes)
    try:
        yield storage
    finally:
        await storage.close()
