"""Probes of the data folder and what lies in it."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from api.commands.probes.result import Finding, failed, ok, skipped
from api.data_folder import chunk_folder, database_file, file_folder
from api.db.database import migration_names
from api.secrets import load_secret
from api.server import RunningServer
from api.settings import Settings, SettingsError
from rag.errors import RagError
from rag.stores.embedded import open_embedded_store

LEAST_FREE_BYTES = 1_000_000_000
NOT_YET = "not there yet; the first start makes it"


def probe_folder(settings: Settings) -> Finding:
    """Whether the folder, or the one that it will be made in, can be written and has space."""
    folder = settings.data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"probe")
        free_bytes = shutil.disk_usage(existing).free
    except OSError as error:
        return failed(
            "data folder",
            f"{existing}: {error.strerror}",
            "give this user the right to write there, or name another folder with --data",
        )
    detail = f"{folder}, {free_bytes / 1e9:.1f} GB free" + ("" if existing == folder else f"; {NOT_YET}")
    if free_bytes < LEAST_FREE_BYTES:
        return failed("data folder", detail, "free some space: uploads are refused once the disk is full")
    return ok("data folder", detail)


def probe_secret(settings: Settings) -> Finding:
    """Whether the secret can be read and is private."""
    if settings.secret_key.get_secret_value():
        return ok("secret", "from the settings")
    file = settings.data_dir / "secret"
    if not file.exists():
        return skipped("secret", NOT_YET)
    try:
        load_secret(settings)
        mode = file.stat().st_mode
    except (SettingsError, OSError) as error:
        return failed("secret", str(error), "restore the file from a backup")
    if mode & 0o077:
        return failed("secret", f"other users of this machine may read {file}", f"chmod 600 {file}")
    return ok("secret", str(file))


def probe_database(settings: Settings) -> Finding:
    """Whether the database opens, is sound, and is not of a newer version."""
    file = database_file(settings)
    if not file.exists():
        return skipped("database", NOT_YET)
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
        ) as connection:
            [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
            done = {name for (name,) in connection.execute("SELECT name FROM schema_migration")}
            [(documents,)] = connection.execute("SELECT count(*) FROM document").fetchall()
    except sqlite3.Error as error:
        return failed("database", f"{file}: {error}", "restore the data folder from a backup")
    if verdict != "ok":
        return failed("database", f"{file} is damaged: {verdict}", "restore the data folder from a backup")
    if newer := done - set(migration_names()):
        return failed(
            "database",
            f"made by a newer version (has {', '.join(sorted(newer))})",
            "install that version of ragd",
        )
    waiting = set(migration_names()) - done
    detail = f"{documents} documents, {file.stat().st_size / 1e6:.1f} MB"
    return ok("database", detail + (f"; the next start runs {len(waiting)} migrations" if waiting else ""))


def probe_files(settings: Settings) -> Finding:
    """Whether a file can be stored."""
    folder = file_folder(settings)
    if not folder.is_dir():
        return skipped("files", NOT_YET)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return failed("files", f"{folder}: {error.strerror}", "give this user the right to write there")
    return ok("files", f"{folder} can be written")


async def probe_chunks(settings: Settings, server: RunningServer | None) -> Finding:
    """Whether the chunk store opens; its owner's view unless a server owns it."""
    folder: Path = chunk_folder(settings)
    if not await asyncio.to_thread(folder.is_dir):
        return skipped("search index", NOT_YET)
    try:
        async with open_embedded_store(folder, role="writer" if server else "owner") as store:
            health = await store.health()
    except (RagError, OSError) as error:
        return failed("search index", str(error), "stop the server and run `ragd reindex`")
    if not health.is_ok:
        return failed("search index", health.detail, "stop the server and run `ragd reindex`")
    return ok("search index", health.detail)
