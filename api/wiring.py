"""Opens everything once, hands out the services, closes in reverse order."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from api.auth import CallerResolver
from api.datasets.service import DatasetService
from api.db.database import Database, open_database
from api.secrets import Vault, load_secret
from api.settings import Settings


@dataclass(slots=True)
class Services:
    """What handlers use. closing: set when the server goes down; streams watch it."""

    settings: Settings
    db: Database
    vault: Vault
    callers: CallerResolver
    datasets: DatasetService
    closing: asyncio.Event


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open every part; what cannot be opened raises SettingsError or OSError before anything is served."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        vault = Vault(load_secret(settings))
        db = await stack.enter_async_context(
            open_database(settings.data_dir / "ragd.sqlite", settings.database.queue_limit)
        )
        yield Services(
            settings=settings,
            db=db,
            vault=vault,
            callers=CallerResolver(db, vault, settings.http.rate_limit_per_minute),
            datasets=DatasetService(db),
            closing=asyncio.Event(),
        )


def worker_count(settings: Settings) -> int:
    """Worker processes: as set, else one a core, at most four."""
    wanted = settings.executor.workers
    return min(4, os.cpu_count() or 1) if wanted is None else wanted
