"""How requests and tasks reach the rows: one hop to a database thread, one transaction.

Measured choice: SQLite is fastest with a single thread and IMMEDIATE write transactions; deferred ones
fail by the hundred with "database is locked" once a read turns into a write.
"""

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from peewee import OperationalError, SqliteDatabase

import api.db.migrations
from api.clock import now_ms
from api.db.models import database_proxy
from api.errors import DiskFull, ServerBusy

T = TypeVar("T")
P = ParamSpec("P")

log = logging.getLogger(__name__)

SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",  # an acknowledged document survives a power cut, not only a kill
    "foreign_keys": 1,
    "busy_timeout": 30_000,
    "cache_size": -16_000,
    "temp_store": "memory",
}


class Database:
    """Runs functions on the database's own thread."""

    def __init__(self, connection: SqliteDatabase, queue_limit: int) -> None:
        self.connection = connection
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._waiting = 0
        self._queue_limit = queue_limit

    async def read(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that only reads. Raises ServerBusy when too many calls wait."""
        return await self._run(lambda: work(*args, **kwargs))

    async def transaction(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function whose writes commit together or not at all.

        The caller being cancelled does not stop it half-way: it commits or rolls back as a whole.
        Raises ServerBusy, DiskFull.
        """
        return await self._run(lambda: self.transaction_now(work, *args, **kwargs))

    def transaction_now(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same on this thread: for the command line, which has no event loop."""
        try:
            with self.connection.atomic("IMMEDIATE"):
                return work(*args, **kwargs)
        except OperationalError as error:
            if is_disk_full(error):
                raise DiskFull from error
            raise

    async def _run(self, call: Callable[[], T]) -> T:
        if self._waiting >= self._queue_limit:
            raise ServerBusy("The database is busy, please try again shortly.")
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        running.add_done_callback(self._one_less)
        # A thread cannot be stopped: a cancelled caller leaves, the call goes on to its end.
        return await asyncio.shield(running)

    def _one_less(self, _done: object) -> None:
        self._waiting -= 1

    async def close(self) -> None:
        """Finish what waits, then close the connection on the thread that owns it."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self.connection.close)
        self._threads.shutdown()


def execute(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run SQL of our own on the bound database, `?` for values; for queries where the ORM costs too much."""
    mark = database_proxy.obj.param
    rows: list[tuple[Any, ...]] = database_proxy.execute_sql(
        sql if mark == "?" else sql.replace("?", mark), values
    ).fetchall()
    return rows


def is_disk_full(error: BaseException | None) -> bool:
    """Whether SQLite says that the disk is full, or said so before a rollback failed as well."""
    while error is not None:
        if "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def connect(file: Path) -> SqliteDatabase:
    """Bind the models to a SQLite file and bring its schema up to date."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = SqliteDatabase(str(file), pragmas=SQLITE_PRAGMAS, check_same_thread=False, timeout=30)
    database_proxy.initialize(connection)
    connection.connect(reuse_if_open=True)
    migrate(connection)
    return connection


def migration_names() -> list[str]:
    """Names of all migrations, in order."""
    return sorted(m.name for m in pkgutil.iter_modules(api.db.migrations.__path__) if m.name.startswith("m"))


def migrate(connection: SqliteDatabase) -> int:
    """Run the migrations that this database has not had; returns how many ran."""
    ran = 0
    with connection.atomic("IMMEDIATE"):
        connection.execute_sql(
            "CREATE TABLE IF NOT EXISTS schema_migration (name VARCHAR(255) PRIMARY KEY, applied_at BIGINT NOT NULL)"
        )
        done = {name for (name,) in connection.execute_sql("SELECT name FROM schema_migration").fetchall()}
        for name in migration_names():
            if name in done:
                continue
            importlib.import_module(f"api.db.migrations.{name}").up(connection)
            connection.execute_sql("INSERT INTO schema_migration VALUES (?, ?)", (name, now_ms()))
            log.info("migrated the database", extra={"migration": name})
            ran += 1
    return ran


@asynccontextmanager
async def open_database(file: Path, queue_limit: int) -> AsyncIterator[Database]:
    """Open, migrate, hand out, close."""
    connection = connect(file)
    connection.close()  # the database thread opens its own
    database = Database(connection, queue_limit)
    await database.read(connection.connect, reuse_if_open=True)
    try:
        yield database
    finally:
        await database.close()


__all__ = ["Database", "connect", "execute", "is_disk_full", "migrate", "migration_names", "open_database"]
