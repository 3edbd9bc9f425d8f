"""Vectors by what they were made from, in a SQLite file that several processes share."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rag.chunks import FloatArray

log = logging.getLogger(__name__)

_KEYS_PER_QUERY = 500
_BUSY_TIMEOUT_S = 5.0


class VectorCache:
    """Remembers vectors within bounds; the oldest go first.

    A cache is no reason to fail: what SQLite refuses (busy, full) is logged, and nothing is found; a damaged
    file is thrown away. Blocks while it works: of 1,024 dimensions 8 microseconds to read a vector, 25 to write.
    max_bytes: of the file; once it is larger, the older half of the vectors makes room.
    """

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        """Those that are known."""
        found: dict[bytes, FloatArray] = {}
        with self._forgiving():
            connection = self._open()
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, data FROM vector WHERE key IN ({marks})", some)
                found.update((key, np.frombuffer(data, dtype="<f4")) for key, data in rows)
        return found

    def store(self, vectors: Mapping[bytes, FloatArray]) -> None:
        """Remember these."""
        rows = [(key, np.asarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()]
        with self._forgiving():
            connection = self._open()
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vector (key, data) VALUES (?, ?)", rows)
            if self._size(connection) > self._max_bytes:
                self._make_room(connection)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            log.warning("the cache of vectors does not work: %s", error)
            with contextlib.suppress(sqlite3.Error):
                self.close()
            if type(error) is sqlite3.DatabaseError:  # no database, or a malformed one
                self._throw_away()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._file, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = wal")
            # A power cut may damage the file: it is thrown away then, which costs less than waiting for the
            # disk (25 instead of 86 microseconds a vector).
            connection.execute("PRAGMA synchronous = off")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vector (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, data BLOB NOT NULL)"
            )
            self._connection = connection
        return self._connection

    def _throw_away(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._file.with_name(self._file.name + suffix).unlink()

    def _size(self, connection: sqlite3.Connection) -> int:
        """Bytes in use; freed pages are used again before the file grows."""
        figures = ("page_count", "freelist_count", "page_size")
        pages, free, size = (int(connection.execute(f"PRAGMA {one}").fetchone()[0]) for one in figures)
        return (pages - free) * size

    def _make_room(self, connection: sqlite3.Connection) -> None:
        with connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM vector").fetchone()
            connection.execute(
                "DELETE FROM vector WHERE id IN (SELECT id FROM vector ORDER BY id LIMIT ?)", (count // 2,)
            )
