"""The SQLite file that is the truth: chunks, their states, and the log of what changed.

Both indexes are projections of it. A row's key is never used again (AUTOINCREMENT), and what a key
stands for changes only in its title; so a projection is right when it holds the keys that it should.

Each change that a search could see gets a number in `operation`, and the rows that it touched carry the
number in `changed_seq` and whether they belong into the indexes in `is_indexed`. To follow the log is to
read the rows with a higher number; doing it twice changes nothing.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from rag.chunks import Chunk, FloatArray, Position
from rag.errors import StoreFull, StoreUnavailable
from rag.stores.protocol import Candidate, StoreCounts

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 60.0
# How long a replaced row can still be fetched by a search that found it before.
REPLACED_GRACE_S = 60.0


class State(IntEnum):
    """What a row is to readers."""

    STAGED = 0  # of a running parse
    VISIBLE = 1
    REPLACED = 2  # by a re-parse or an upsert; fetchable for a while
    DELETED = 3


_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, dataset_id TEXT NOT NULL,
    document_id TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, dataset_id TEXT NOT NULL,
    document_id TEXT NOT NULL, document_name TEXT NOT NULL, run_id TEXT NOT NULL, state INTEGER NOT NULL,
    is_parent INTEGER NOT NULL, is_available INTEGER NOT NULL, parent_id TEXT NOT NULL,
    place INTEGER NOT NULL, created_at REAL NOT NULL, token_count INTEGER NOT NULL,
    dimension INTEGER NOT NULL, changed_seq INTEGER NOT NULL, is_indexed INTEGER NOT NULL,
    retired_at REAL NOT NULL DEFAULT 0);
-- What scoring reads stands before what only a page of hits reads (long rows overflow).
CREATE TABLE IF NOT EXISTS passage (
    key INTEGER PRIMARY KEY, words TEXT NOT NULL, title_words TEXT NOT NULL, keyword_words TEXT NOT NULL,
    question_words TEXT NOT NULL, kind TEXT NOT NULL, image_id TEXT NOT NULL, keywords TEXT NOT NULL,
    questions TEXT NOT NULL, positions TEXT NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS embedding (key INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS published (
    dataset_id TEXT NOT NULL, document_id TEXT NOT NULL, run_id TEXT NOT NULL,
    PRIMARY KEY (dataset_id, document_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunk_of_document ON chunk (dataset_id, document_id, state, place);
CREATE INDEX IF NOT EXISTS chunk_by_id ON chunk (id);
CREATE INDEX IF NOT EXISTS chunk_staged ON chunk (run_id) WHERE state = {State.STAGED:d};
CREATE INDEX IF NOT EXISTS chunk_retired ON chunk (changed_seq) WHERE state >= {State.REPLACED:d};
CREATE INDEX IF NOT EXISTS chunk_changed ON chunk (changed_seq) WHERE changed_seq > 0;
CREATE INDEX IF NOT EXISTS chunk_indexed ON chunk (dataset_id, dimension) WHERE is_indexed = 1;
"""

_CHUNK_COLUMNS = (
    "c.id, c.dataset_id, c.document_id, c.document_name, p.content, p.words, p.title_words, c.place,"
    " c.created_at, c.token_count, p.keywords, p.keyword_words, p.questions, p.question_words, p.positions,"
    " p.image_id, p.kind, c.parent_id, c.is_available, c.is_parent, c.dimension, c.key"
)
_CHUNK_TABLES = "chunk c JOIN passage p ON p.key = c.key"
_NO_VECTOR = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Change:
    """A row that a projection has to follow. words and vector are None where it is to be removed."""

    key: int
    dataset_id: str
    document_id: str
    dimension: int
    is_indexed: bool
    words: str | None
    title_words: str | None
    keyword_words: str | None
    question_words: str | None
    vector: bytes | None


@contextmanager
def store_errors(folder: Path) -> Iterator[None]:
    """SQLite's and the system's errors as the store's."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL or (isinstance(error, sqlite3.OperationalError) and is_full(folder)):
            raise StoreFull(
                f"no space left in {folder.name} for chunks: free some, nothing was lost"
            ) from error
        raise StoreUnavailable(f"the chunk store failed: {error}") from error
    except OSError as error:
        if error.errno == 28 or is_full(folder):  # ENOSPC
            raise StoreFull(
                f"no space left in {folder.name} for chunks: free some, nothing was lost"
            ) from error
        raise StoreUnavailable(f"the chunk store failed: {error}") from error


def is_full(folder: Path) -> bool:
    """Whether the disk has no room for another page or two."""
    import shutil

    try:
        return shutil.disk_usage(folder).free < 64 * 1024
    except OSError:
        return False


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that may go from thread to thread, for one at a time."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    # FULL: what was acknowledged survives a power failure as well.
    connection.execute("PRAGMA synchronous = FULL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def create(path: Path) -> str:
    """Make the file and its tables where they are missing; returns the store's own id."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', ?)", (uuid.uuid4().hex,))
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(SCHEMA_VERSION),))
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        connection.execute("COMMIT")
    finally:
        connection.close()
    if int(meta["version"]) > SCHEMA_VERSION:
        raise StoreUnavailable(f"{path.name} was written by a newer version of this program")
    return str(meta["store_id"])


class TruthWriter:
    """All changes; one connection, one caller at a time.

    Methods that change what a search sees return the number of the operation; it is durable then.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _transaction(self, *, is_synced: bool = True) -> Iterator[sqlite3.Connection]:
        """is_synced: False for what survives a killed process, and a power failure only with a later commit."""
        connection = self._connection
        if not is_synced:
            connection.execute("PRAGMA synchronous = NORMAL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            if not is_synced:
                connection.execute("PRAGMA synchronous = FULL")

    def _log(self, kind: str, dataset_id: str, document_id: str = "") -> int:
        cursor = self._connection.execute(
            "INSERT INTO operation (kind, dataset_id, document_id, created_at) VALUES (?, ?, ?, ?)",
            (kind, dataset_id, document_id, time.time()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _insert(self, chunks: Iterable[Chunk], run_id: str, state: State, seq: int) -> None:
        connection = self._connection
        (last,) = connection.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunk'), 0)"
        ).fetchone()
        rows, passages, embeddings = [], [], []
        for key, chunk in enumerate(chunks, last + 1):
            vector = np.asarray(chunk.vector, np.float16)
            is_indexed = state is State.VISIBLE and chunk.is_available and not chunk.is_parent
            rows.append(
                (key, chunk.id, chunk.dataset_id, chunk.document_id, _clean(chunk.document_name), run_id, int(state),
                 chunk.is_parent, chunk.is_available and not chunk.is_parent, chunk.parent_id, chunk.order,
                 chunk.created_at, chunk.token_count, vector.size, seq, is_indexed)
            )  # fmt: skip
            passages.append(
                (key, _clean(chunk.words), _clean(chunk.title_words), _clean(chunk.keyword_words),
                 _clean(chunk.question_words), chunk.kind, chunk.image_id, json.dumps(chunk.keywords),
                 json.dumps(chunk.questions), json.dumps(chunk.positions), _clean(chunk.content))
            )  # fmt: skip
            if vector.size:
                embeddings.append((key, vector.tobytes()))
        connection.executemany(
            "INSERT INTO chunk (key, id, dataset_id, document_id, document_name, run_id, state, is_parent,"
            " is_available, parent_id, place, created_at, token_count, dimension, changed_seq, is_indexed)"
            f" VALUES ({', '.join('?' * 16)})",
            rows,
        )
        connection.executemany(f"INSERT INTO passage VALUES ({', '.join('?' * 11)})", passages)
        connection.executemany("INSERT INTO embedding VALUES (?, ?)", embeddings)

    def _remove(self, where: str, parameters: Sequence[object]) -> int:
        """Really delete rows."""
        connection = self._connection
        keys = [key for (key,) in connection.execute(f"SELECT key FROM chunk WHERE {where}", parameters)]
        for start in range(0, len(keys), 10_000):
            listed = json.dumps(keys[start : start + 10_000])
            for table in ("embedding", "passage", "chunk"):
                connection.execute(
                    f"DELETE FROM {table} WHERE key IN (SELECT value FROM json_each(?))", (listed,)
                )
        return len(keys)

    def _retire(self, state: State, seq: int, where: str, parameters: Sequence[object]) -> None:
        self._connection.execute(
            "UPDATE chunk SET state = ?, is_indexed = 0, changed_seq = ?, retired_at = ?"
            f" WHERE state = {State.VISIBLE:d} AND {where}",
            (int(state), seq, time.time(), *parameters),
        )

    def stage(self, run_id: str, chunks: Sequence[Chunk]) -> None:
        """Write invisible rows of a run; the last of equal ids stays.

        The commit of the publish, which comes later in the same write-ahead log, makes them safe from a
        power failure: waiting for the disk here took more time than all the rest of a small document.
        """
        unique = {(chunk.document_id, chunk.id, chunk.is_parent): chunk for chunk in chunks}
        with self._transaction(is_synced=False):
            listed = json.dumps(sorted({chunk.id for chunk in unique.values()}))
            old = self._connection.execute(
                f"SELECT key, document_id, id, is_parent FROM chunk WHERE run_id = ? AND state = {State.STAGED:d}"
                " AND id IN (SELECT value FROM json_each(?))",
                (run_id, listed),
            ).fetchall()
            keys = [
                key for key, document_id, id_, parent in old if (document_id, id_, bool(parent)) in unique
            ]
            if keys:
                self._remove("key IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
            self._insert(unique.values(), run_id, State.STAGED, 0)

    def publish(self, runs: Sequence[tuple[str, str, str]]) -> list[tuple[int, StoreCounts]]:
        """Swap the rows of (run id, dataset id, document id), all in one transaction.

        For each the operation (0: nothing to do) and the counts.
        """
        with self._transaction() as connection:
            return [self._publish(connection, *run) for run in runs]

    def _publish(
        self, connection: sqlite3.Connection, run_id: str, dataset_id: str, document_id: str
    ) -> tuple[int, StoreCounts]:
        document = (dataset_id, document_id)
        staged, done = connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM chunk WHERE run_id = ? AND state = {State.STAGED:d}"
            " AND dataset_id = ? AND document_id = ?),"
            " EXISTS (SELECT 1 FROM published WHERE dataset_id = ? AND document_id = ? AND run_id = ?)",
            (run_id, *document, *document, run_id),
        ).fetchone()
        if staged or not done:
            seq = self._log("publish", *document)
            self._retire(State.REPLACED, seq, "dataset_id = ? AND document_id = ?", document)
            connection.execute(
                f"UPDATE chunk SET state = {State.VISIBLE:d}, changed_seq = ?,"
                " is_indexed = (is_available AND NOT is_parent)"
                f" WHERE run_id = ? AND state = {State.STAGED:d} AND dataset_id = ? AND document_id = ?",
                (seq, run_id, *document),
            )
            connection.execute("INSERT OR REPLACE INTO published VALUES (?, ?, ?)", (*document, run_id))
        else:
            # A worker that died between the commit and its answer asks again: what it waits for is
            # the last operation at most.
            seq = last_seq(connection)
        self._remove(f"state = {State.STAGED:d} AND dataset_id = ? AND document_id = ?", document)
        return seq, count(connection, *document)

    def discard(self, run_id: str) -> None:
        """Delete what a run staged."""
        with self._transaction(is_synced=False):
            self._remove(f"run_id = ? AND state = {State.STAGED:d}", (run_id,))

    def upsert(self, chunks: Sequence[Chunk]) -> int:
        """Write visible rows; equal ids of the document are replaced."""
        unique = {(c.dataset_id, c.document_id, c.id, c.is_parent): c for c in chunks}
        with self._transaction() as connection:
            first = chunks[0]
            seq = self._log("upsert", first.dataset_id, first.document_id)
            connection.executemany(
                "UPDATE chunk SET state = ?, is_indexed = 0, changed_seq = ?, retired_at = ?"
                f" WHERE id = ? AND dataset_id = ? AND document_id = ? AND is_parent = ? AND state = {State.VISIBLE:d}",
                [
                    (int(State.REPLACED), seq, time.time(), id_, dataset_id, document_id, parent)
                    for dataset_id, document_id, id_, parent in unique
                ],
            )
            self._insert(unique.values(), "", State.VISIBLE, seq)
        return seq

    def delete_chunks(
        self, dataset_id: str, document_id: str, ids: Sequence[str] | None
    ) -> tuple[int, StoreCounts]:
        """Delete chunks of a document; parents go with the last chunks."""
        where = "dataset_id = ? AND document_id = ?"
        parameters: list[object] = [dataset_id, document_id]
        if ids is not None:
            where += " AND is_parent = 0 AND id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(ids)))
        with self._transaction() as connection:
            chunks, tokens = connection.execute(
                f"SELECT count(*), coalesce(sum(token_count), 0) FROM chunk WHERE {where}"
                f" AND is_parent = 0 AND state = {State.VISIBLE:d}",
                parameters,
            ).fetchone()
            if not chunks and ids is not None:
                return 0, StoreCounts(0, 0)
            seq = self._log("delete_chunks", dataset_id, document_id)
            self._retire(State.DELETED, seq, where, parameters)
        return seq, StoreCounts(chunks, tokens)

    def delete_documents(self, dataset_id: str, document_ids: Sequence[str]) -> int:
        """Delete documents' rows, staged ones too."""
        where = "dataset_id = ? AND document_id IN (SELECT value FROM json_each(?))"
        return self._delete(
            "delete_documents", dataset_id, where, (dataset_id, json.dumps(list(document_ids)))
        )

    def delete_datasets(self, dataset_ids: Sequence[str]) -> int:
        """Delete datasets' rows, staged ones too."""
        where = "dataset_id IN (SELECT value FROM json_each(?))"
        return self._delete("delete_datasets", "", where, (json.dumps(list(dataset_ids)),))

    def _delete(self, kind: str, dataset_id: str, where: str, parameters: Sequence[object]) -> int:
        with self._transaction() as connection:
            seq = self._log(kind, dataset_id)
            self._remove(f"{where} AND state = {State.STAGED:d}", parameters)
            self._retire(State.DELETED, seq, where, parameters)
            # Replaced rows of what is deleted are gone for `fetch` at once.
            connection.execute(
                f"UPDATE chunk SET state = {State.DELETED:d} WHERE state = {State.REPLACED:d} AND {where}",
                parameters,
            )
            connection.execute(f"DELETE FROM published WHERE {where}", parameters)
        return seq

    def set_available(self, dataset_id: str, document_id: str, *, is_available: bool) -> int:
        """Switch a document's rows on or off, those of a running parse too."""
        document = (dataset_id, document_id)
        with self._transaction() as connection:
            seq = self._log("set_available", *document)
            connection.execute(
                "UPDATE chunk SET is_available = ?, is_indexed = ?, changed_seq = ? WHERE dataset_id = ?"
                f" AND document_id = ? AND state = {State.VISIBLE:d} AND is_parent = 0 AND is_available <> ?",
                (is_available, is_available, seq, *document, is_available),
            )
            connection.execute(
                f"UPDATE chunk SET is_available = ? WHERE dataset_id = ? AND document_id = ?"
                f" AND state = {State.STAGED:d} AND is_parent = 0",
                (is_available, *document),
            )
        return seq

    def rename_document(self, dataset_id: str, document_id: str, name: str, title_words: str) -> int:
        """Give a document's rows another name, those of a running parse too."""
        document = (dataset_id, document_id)
        with self._transaction() as connection:
            seq = self._log("rename_document", *document)
            connection.execute(
                "UPDATE chunk SET document_name = ?, changed_seq = iif(state = 1, ?, changed_seq)"
                " WHERE dataset_id = ? AND document_id = ? AND state <= 1",
                (_clean(name), seq, *document),
            )
            connection.execute(
                "UPDATE passage SET title_words = ? WHERE title_words <> '' AND key IN"
                " (SELECT key FROM chunk WHERE dataset_id = ? AND document_id = ? AND state <= 1)",
                (_clean(title_words), *document),
            )
        return seq

    def purge(self, durable_seq: int) -> int:
        """Delete rows that every projection has left behind; returns how many, at most some thousands."""
        with self._transaction() as connection:
            removed = self._remove(
                f"key IN (SELECT key FROM chunk WHERE state >= {State.REPLACED:d} AND changed_seq <= ?"
                f" AND (state = {State.DELETED:d} OR retired_at < ?) LIMIT 5000)",
                (durable_seq, time.time() - REPLACED_GRACE_S),
            )
            # AUTOINCREMENT remembers the highest number: the log may be cut behind the projections.
            connection.execute("DELETE FROM operation WHERE seq < ?", (durable_seq - 1000,))
        return removed


def _clean(text: str) -> str:
    """Text that SQLite can store: lone surrogates replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def last_seq(connection: sqlite3.Connection) -> int:
    """The number of the last operation."""
    (seq,) = connection.execute(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'operation'), 0)"
    ).fetchone()
    return int(seq)


def count(connection: sqlite3.Connection, dataset_id: str, document_id: str) -> StoreCounts:
    """Visible chunks of a document, parents not counted."""
    chunks, tokens = connection.execute(
        "SELECT count(*), coalesce(sum(token_count), 0) FROM chunk WHERE dataset_id = ? AND document_id = ?"
        f" AND state = {State.VISIBLE:d} AND is_parent = 0",
        (dataset_id, document_id),
    ).fetchone()
    return StoreCounts(chunks, tokens)


def indexed_count(connection: sqlite3.Connection) -> int:
    """How many rows the indexes should hold."""
    (rows,) = connection.execute("SELECT count(*) FROM chunk WHERE is_indexed = 1").fetchone()
    return int(rows)


def changes(connection: sqlite3.Connection, after: int, until: int) -> Iterator[Change]:
    """Rows whose last change is in (after, until]; each once."""
    for row in connection.execute(
        "SELECT c.key, c.dataset_id, c.document_id, c.dimension, c.is_indexed, p.words, p.title_words,"
        " p.keyword_words, p.question_words, e.vector FROM chunk c"
        " LEFT JOIN passage p ON p.key = c.key AND c.is_indexed"
        " LEFT JOIN embedding e ON e.key = c.key AND c.is_indexed"
        " WHERE c.changed_seq > ? AND c.changed_seq <= ? AND c.changed_seq > 0 ORDER BY c.key",
        (after, until),
    ):
        yield Change(*row)


def indexed_rows(connection: sqlite3.Connection) -> Iterator[Change]:
    """All rows that the text index should hold; without vectors."""
    for row in connection.execute(
        "SELECT c.key, c.dataset_id, c.document_id, c.dimension, 1, p.words, p.title_words, p.keyword_words,"
        " p.question_words, NULL FROM chunk c JOIN passage p ON p.key = c.key WHERE c.is_indexed = 1 ORDER BY c.key"
    ):
        yield Change(*row)


def vector_spaces(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """(dataset id, dimension, rows) of what the vector indexes should hold."""
    return connection.execute(
        "SELECT dataset_id, dimension, count(*) FROM chunk WHERE is_indexed = 1 GROUP BY 1, 2"
    ).fetchall()


def space_keys(connection: sqlite3.Connection, dataset_id: str, dimension: int) -> list[int]:
    """Keys of one vector space, ascending."""
    rows = connection.execute(
        "SELECT key FROM chunk WHERE is_indexed = 1 AND dataset_id = ? AND dimension = ? ORDER BY key",
        (dataset_id, dimension),
    )
    return [key for (key,) in rows]


def vectors_of(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int, bytes]:
    """The stored vectors (float16) of keys."""
    return dict(
        connection.execute(
            "SELECT key, vector FROM embedding WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps([int(key) for key in keys]),),
        )
    )


def document_keys(
    connection: sqlite3.Connection, dataset_ids: Sequence[str], document_ids: Sequence[str]
) -> list[int]:
    """Keys of the documents' rows that the indexes hold or held a moment ago, ascending."""
    (answer,) = connection.execute(
        "SELECT json_group_array(key) FROM (SELECT key FROM chunk"
        " WHERE dataset_id IN (SELECT value FROM json_each(?))"
        " AND document_id IN (SELECT value FROM json_each(?)) AND state BETWEEN 1 AND 2 ORDER BY key)",
        (json.dumps(list(dataset_ids)), json.dumps(list(document_ids))),
    ).fetchone()
    keys: list[int] = orjson.loads(answer)
    return keys


def candidates(
    connection: sqlite3.Connection, scores: dict[int, tuple[float, float]], dataset_ids: Sequence[str]
) -> list[Candidate]:
    """What scoring needs of rows; scores: key to (cosine, text score). Deleted rows are left out."""
    allowed = set(dataset_ids)
    rows = _one_answer(
        connection,
        "c.key, c.id, c.dataset_id, c.document_id, c.document_name, p.words, p.title_words,"
        " p.keyword_words, p.question_words, c.parent_id",
        "c.key IN (SELECT value FROM json_each(?)) AND c.state BETWEEN 1 AND 2",
        (json.dumps(list(scores)),),
    )
    return [
        Candidate(
            key, id_, dataset_id, document_id, name, *scores[key], words, title, keyword, question, parent
        )
        for key, id_, dataset_id, document_id, name, words, title, keyword, question, parent in rows
        if dataset_id in allowed
    ]


def _one_answer(
    connection: sqlite3.Connection, columns: str, where: str, parameters: Sequence[object]
) -> list[list[Any]]:
    """All rows as one row of JSON.

    sqlite3 gives the interpreter's lock back and takes it again for every row; with other threads at work
    each of these can wait for the switch interval (5 ms). One row is one wait.
    """
    (answer,) = connection.execute(
        f"SELECT json_group_array(json_array({columns})) FROM {_CHUNK_TABLES} WHERE {where}", parameters
    ).fetchone()
    rows: list[list[Any]] = orjson.loads(answer)
    return rows


def fetch(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int | str, Chunk]:
    """Chunks by key, without vectors; replaced ones too, deleted ones not."""
    rows = _one_answer(
        connection,
        _CHUNK_COLUMNS,
        "c.key IN (SELECT value FROM json_each(?)) AND c.state BETWEEN 1 AND 2",
        (json.dumps(list(keys)),),
    )
    return {row[-1]: _chunk(row) for row in rows}


def fetch_parents(
    connection: sqlite3.Connection, dataset_id: str, parent_ids: Sequence[str]
) -> dict[str, Chunk]:
    """Parent chunks by id; a visible one goes before a replaced one."""
    rows = connection.execute(
        f"SELECT {_CHUNK_COLUMNS} FROM {_CHUNK_TABLES} WHERE c.id IN (SELECT value FROM json_each(?))"
        " AND c.dataset_id = ? AND c.is_parent = 1 AND c.state BETWEEN 1 AND 2 ORDER BY c.state DESC, c.key",
        (json.dumps(list(parent_ids)), dataset_id),
    )
    return {row[0]: _chunk(row) for row in rows}


def get(connection: sqlite3.Connection, dataset_id: str, document_id: str, chunk_id: str) -> Chunk | None:
    """One visible chunk with its vector."""
    row = connection.execute(
        f"SELECT {_CHUNK_COLUMNS} FROM {_CHUNK_TABLES} WHERE c.id = ? AND c.dataset_id = ? AND c.document_id = ?"
        f" AND c.state = {State.VISIBLE:d} AND c.is_parent = 0",
        (chunk_id, dataset_id, document_id),
    ).fetchone()
    if row is None:
        return None
    chunk = _chunk(row)
    stored = vectors_of(connection, [row[-1]]).get(row[-1])
    if stored is not None:
        chunk.vector = to_float32(stored)
    return chunk


def to_float32(stored: bytes) -> FloatArray:
    """A stored vector as the program uses it: rounded to float16, of length 1 again."""
    vector = np.frombuffer(stored, np.float16).astype(np.float32)
    norm = float(np.linalg.norm(vector))
    return vector / np.float32(norm) if norm > 0 else vector


def list_visible(
    connection: sqlite3.Connection, dataset_id: str, document_id: str, offset: int, limit: int
) -> list[Chunk]:
    """A document's chunks in order, parents not."""
    rows = connection.execute(
        f"SELECT {_CHUNK_COLUMNS} FROM {_CHUNK_TABLES} WHERE c.dataset_id = ? AND c.document_id = ?"
        f" AND c.state = {State.VISIBLE:d} AND c.is_parent = 0 ORDER BY c.place, c.key LIMIT ? OFFSET ?",
        (dataset_id, document_id, limit, offset),
    )
    return [_chunk(row) for row in rows]


def document_terms(
    connection: sqlite3.Connection, dataset_id: str, document_id: str
) -> Iterator[tuple[int, int, str]]:
    """(key, place, all words) of a document's visible chunks."""
    yield from connection.execute(
        "SELECT c.key, c.place, p.words || ' ' || p.keyword_words || ' ' || p.question_words"
        f" FROM {_CHUNK_TABLES} WHERE c.dataset_id = ? AND c.document_id = ?"
        f" AND c.state = {State.VISIBLE:d} AND c.is_parent = 0",
        (dataset_id, document_id),
    )


def _chunk(row: Sequence[object]) -> Chunk:
    (id_, dataset_id, document_id, name, content, words, title_words, place, created_at, tokens, keywords,
     keyword_words, questions, question_words, positions, image_id, kind, parent_id, available, parent, _dim,
     _key) = row  # fmt: skip
    listed: list[Position] = [tuple(position) for position in _read_list(positions)]
    return Chunk(
        id=str(id_), dataset_id=str(dataset_id), document_id=str(document_id), document_name=str(name),
        content=str(content), words=str(words), title_words=str(title_words), vector=_NO_VECTOR,
        order=int(place), created_at=float(created_at), token_count=int(tokens),  # type: ignore[call-overload, arg-type]
        keywords=_read_list(keywords), keyword_words=str(keyword_words),
        questions=_read_list(questions), question_words=str(question_words), positions=listed,
        image_id=str(image_id), kind=str(kind), parent_id=str(parent_id), is_available=bool(available),
        is_parent=bool(parent),
    )  # fmt: skip


def _read_list(text: object) -> list[Any]:
    """A stored list; most are empty, and a page of 30 chunks has 90 of them."""
    return [] if text == "[]" else list(orjson.loads(str(text)))
