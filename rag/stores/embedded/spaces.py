"""All vector spaces of a store: one for each dataset and dimension."""

import hashlib
import itertools
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rag.chunks import FloatArray
from rag.stores.embedded import truth
from rag.stores.embedded.graph import GraphBuilder, GraphSnapshot, GraphSpace
from rag.stores.embedded.truth import Change
from rag.stores.embedded.vectors import ExactSnapshot, ExactSpace

_log = logging.getLogger(__name__)

SpaceSnapshot = ExactSnapshot | GraphSnapshot
_Name = tuple[str, int]  # dataset id, dimension

# What is scanned for each question: 100,000 x 256 or 25,000 x 1024 take 3 ms on one core. Above, a graph.
EXACT_FLOATS = 100_000 * 256
# A graph goes back to a matrix only far below, so that a dataset at the limit does not swing.
_SHRUNK = 0.5
_LOADED_ROWS = 10_000


class VectorSpaces:
    """Changed by one thread; `snapshots` are for all. Rows without a vector are a space of dimension 0."""

    def __init__(self, folder: Path, exact_floats: int) -> None:
        self._folder = folder
        self._exact_floats = exact_floats
        self._spaces: dict[_Name, ExactSpace | GraphSpace] = {}
        self._builders: dict[_Name, GraphBuilder] = {}
        self.highest_key = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Read everything from the truth, large graphs from their files."""
        (self.highest_key,) = connection.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunk'), 0)"
        ).fetchone()
        for dataset_id, dimension, row_count in truth.vector_spaces(connection):
            name = (dataset_id, dimension)
            space = None
            if row_count * dimension > self._exact_floats:
                space = self._restored(connection, name)
            self._spaces[name] = space or self._loaded(connection, name)
        self._balance()

    def _loaded(self, connection: sqlite3.Connection, name: _Name) -> ExactSpace:
        space = ExactSpace(name[1])
        keys = truth.space_keys(connection, *name)
        space.reserve(len(keys))
        for start in range(0, len(keys), _LOADED_ROWS):
            part = keys[start : start + _LOADED_ROWS]
            space.change([], part, _matrix(connection, part, name[1]))
        return space

    def _restored(self, connection: sqlite3.Connection, name: _Name) -> GraphSpace | None:
        space = GraphSpace.restore(self._file(name), name[1])
        if space is None:
            return None
        wanted = np.array(truth.space_keys(connection, *name), np.int64)
        present = space.keys()
        missing = np.setdiff1d(wanted, present).tolist()
        if len(missing) * 5 > len(wanted):
            return None  # adding takes as long as building: a matrix serves meanwhile
        space.change(np.setdiff1d(present, wanted).tolist(), [], np.empty((0, name[1]), np.float32))
        for start in range(0, len(missing), _LOADED_ROWS):
            part = missing[start : start + _LOADED_ROWS]
            space.change([], part, _matrix(connection, part, name[1]))
        return space

    def change(self, rows: Sequence[Change]) -> None:
        """Follow changed rows."""
        for name, group in _grouped(rows):
            space = self._spaces.get(name)
            if space is None:
                space = self._spaces[name] = ExactSpace(name[1])
            added = [row for row in group if row.is_indexed]
            removed = [row.key for row in group if not row.is_indexed]
            vectors = np.empty((len(added), name[1]), np.float32)
            if name[1]:
                stored = b"".join(row.vector or b"" for row in added)
                vectors = np.frombuffer(stored, np.float16).reshape(len(added), name[1]).astype(np.float32)
            space.change(removed, [row.key for row in added], vectors)
            if added:
                self.highest_key = max(self.highest_key, *(row.key for row in added))

    def snapshots(self) -> dict[_Name, SpaceSnapshot]:
        """What readers see from now on."""
        self._balance()
        snapshots: dict[_Name, SpaceSnapshot] = {}
        for name, space in list(self._spaces.items()):
            snapshot = space.snapshot()
            if len(snapshot):
                snapshots[name] = snapshot
            elif name not in self._builders:
                del self._spaces[name]
                self._file(name).unlink(missing_ok=True)
        return snapshots

    def _balance(self) -> None:
        """Let matrices that have grown too large become graphs, and graphs that shrank matrices."""
        for name, space in list(self._spaces.items()):
            if isinstance(space, ExactSpace) and space.float_count > self._exact_floats:
                builder = self._builders.get(name)
                if builder is None:
                    self._builders[name] = GraphBuilder(space.snapshot(), name[1])
                elif (graph := builder.result()) is not None:
                    del self._builders[name]
                    self._spaces[name] = _caught_up(graph, space)
            elif isinstance(space, ExactSpace) and name in self._builders:
                self._builders.pop(name).close()
            elif isinstance(space, GraphSpace) and space.float_count < self._exact_floats * _SHRUNK:
                keys = space.keys()
                exact = ExactSpace(name[1])
                if len(keys):
                    exact.change([], keys.tolist(), space.rows(keys))
                self._spaces[name] = exact

    def tidy(self) -> None:
        """Upkeep, every some seconds."""
        for name, space in self._spaces.items():
            if isinstance(space, GraphSpace):
                space.tidy()
                if space.unsaved * 5 > space.float_count / max(1, space.dimension):
                    self._save(name, space)

    def save(self) -> None:
        """Save what takes long to build; stops building."""
        for builder in self._builders.values():
            builder.close()
        for name, space in self._spaces.items():
            if isinstance(space, GraphSpace) and space.unsaved:
                self._save(name, space)

    def clear(self) -> None:
        """Forget everything, files too."""
        for builder in self._builders.values():
            builder.close()
        self._builders.clear()
        for name in self._spaces:
            self._file(name).unlink(missing_ok=True)
        self._spaces.clear()

    def _save(self, name: _Name, space: GraphSpace) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            space.save(self._file(name))
        except (RuntimeError, OSError) as error:  # a full disk: it is built again at the next start
            _log.warning("a vector index could not be saved: %s", error)

    def _file(self, name: _Name) -> Path:
        digest = hashlib.sha256(name[0].encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / f"{digest}-{name[1]}.usearch"


def _caught_up(graph: GraphSpace, space: ExactSpace) -> GraphSpace:
    wanted, present = space.keys(), graph.keys()
    missing = np.setdiff1d(wanted, present)
    graph.change(np.setdiff1d(present, wanted).tolist(), missing.tolist(), space.rows(missing))
    return graph


def _grouped(rows: Iterable[Change]) -> Iterable[tuple[_Name, list[Change]]]:
    def name(row: Change) -> _Name:
        return (row.dataset_id, row.dimension)

    for key, group in itertools.groupby(sorted(rows, key=name), key=name):
        yield key, list(group)


def _matrix(connection: sqlite3.Connection, keys: Sequence[int], dimension: int) -> FloatArray:
    if not dimension:
        return np.empty((len(keys), 0), np.float32)
    stored = truth.vectors_of(connection, keys)
    joined = b"".join(stored[key] for key in keys)
    return np.frombuffer(joined, np.float16).reshape(len(keys), dimension).astype(np.float32)
