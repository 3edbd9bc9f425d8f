"""An approximate vector index (HNSW) for spaces that are too large to be scanned."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from usearch.index import Index

from rag.chunks import FloatArray
from rag.stores.embedded.vectors import NOTHING, ExactSnapshot, Keys, Nearest, best

_log = logging.getLogger(__name__)

# ef: recall@64 .979 at 512, .93 at 128 (100,000 x 256).
_EXPANSION_SEARCH = 512
# usearch holds the interpreter's lock while it adds: small bites, so that questions get their turn.
_BITE = 64
# A filter that leaves so few rows is searched exactly.
_FILTERED_EXACT = 30_000
_HIDE_S = 10.0


@dataclass(frozen=True, slots=True)
class GraphSnapshot:
    """The graph as one search sees it.

    hidden: keys that were removed, or added later, and are still or already in the graph.
    """

    index: Index
    dimension: int
    size: int
    highest_key: int
    hidden: frozenset[int]

    def __len__(self) -> int:
        return self.size

    def search(self, query: FloatArray, limit: int, only: Keys | None = None) -> Nearest:
        """The nearest by cosine; only: ascending keys to choose from."""
        if only is not None and len(only) <= _FILTERED_EXACT:
            scores = self.cosines(query, only)
            keys = np.fromiter(scores.keys(), np.int64, len(scores))
            return best(keys, np.fromiter(scores.values(), np.float32, len(scores)), limit)
        wanted = limit + min(len(self.hidden), 1024)
        if only is not None:
            wanted = min(8192, int(1.5 * wanted * self.size / len(only)) + limit)
        if not self.size:
            return NOTHING
        found = self.index.search(query, min(wanted, len(self.index)), threads=1)
        keys = found.keys.astype(np.int64)
        keep = keys <= self.highest_key
        if self.hidden:
            keep &= ~np.isin(keys, np.fromiter(self.hidden, np.int64, len(self.hidden)))
        if only is not None:
            keep &= np.isin(keys, only)
        return Nearest(keys[keep][:limit], (1.0 - found.distances[keep][:limit]).astype(np.float32))

    def cosines(self, query: FloatArray, keys: Keys) -> dict[int, float]:
        """Cosines of those keys that are here."""
        here = [key for key in keys.tolist() if key <= self.highest_key and key not in self.hidden]
        if not here:
            return {}
        listed = np.array(here, np.uint64)
        present = self.index.contains(listed)
        listed = listed[present]
        if not len(listed):
            return {}
        vectors = np.asarray(self.index.get(listed, "f32"))
        return dict(zip(listed.tolist(), (vectors @ query).tolist(), strict=True))


class GraphSpace:
    """A graph that follows the log."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = Index(
            ndim=dimension, metric="cos", dtype="f16", connectivity=16, expansion_add=128,
            expansion_search=_EXPANSION_SEARCH,
        )  # fmt: skip
        self._hidden: dict[int, float] = {}  # key to when it was removed
        self._highest_key = 0
        self.unsaved = 0

    @classmethod
    def restore(cls, file: Path, dimension: int) -> "GraphSpace | None":
        """From a saved file; None when it is missing or damaged."""
        space = cls(dimension)
        try:
            space._index.load(str(file))
        except (RuntimeError, ValueError, OSError) as error:
            if file.exists():
                _log.warning("a saved vector index is damaged and is built again: %s", error)
            return None
        if space._index.ndim != dimension:
            return None
        # Loading resets it to 64.
        space._index.expansion_search = _EXPANSION_SEARCH  # type: ignore[misc]
        keys = space.keys()
        space._highest_key = int(keys[-1]) if len(keys) else 0
        return space

    def keys(self) -> Keys:
        """All keys, ascending, hidden ones not."""
        keys = np.sort(np.asarray(self._index.keys, dtype=np.uint64).astype(np.int64))
        return keys[~np.isin(keys, list(self._hidden))] if self._hidden else keys

    def rows(self, keys: Keys) -> FloatArray:
        """The vectors of keys that are here."""
        rows: FloatArray = np.asarray(self._index.get(keys.astype(np.uint64), "f32"))
        return rows

    @property
    def float_count(self) -> int:
        """Numbers that a scan would look at."""
        return (len(self._index) - len(self._hidden)) * self.dimension

    def change(self, removed: list[int], added: list[int], vectors: FloatArray) -> None:
        """Take keys out and put keys in."""
        now = time.monotonic()
        self.unsaved += len(removed) + len(added)
        fresh = set(added)
        for key in removed:
            if key not in fresh and key in self._index:
                self._hidden[key] = now
        new: list[int] = []
        for place, key in enumerate(added):
            if key in self._index:
                self._hidden.pop(key, None)  # a key's vector never changes
            else:
                new.append(place)
        for start in range(0, len(new), _BITE):
            places = new[start : start + _BITE]
            keys = np.array([added[place] for place in places], np.uint64)
            self._index.add(keys, vectors[places], threads=1)
            if len(new) > _BITE:
                time.sleep(0)
        if added:
            self._highest_key = max(self._highest_key, *added)

    def tidy(self) -> None:
        """Really remove what no search looks at any more."""
        before = time.monotonic() - _HIDE_S
        gone = [key for key, at in self._hidden.items() if at < before]
        for key in gone:
            self._index.remove(key)
            del self._hidden[key]

    def save(self, file: Path) -> None:
        """Write a file that `restore` reads; hidden keys may be in it."""
        temporary = file.with_suffix(".new")
        self._index.save(str(temporary))
        temporary.replace(file)
        self.unsaved = 0

    def snapshot(self) -> GraphSnapshot:
        """What readers see from now on."""
        return GraphSnapshot(
            self._index,
            self.dimension,
            len(self._index) - len(self._hidden),
            self._highest_key,
            frozenset(self._hidden),
        )


class GraphBuilder:
    """Builds a graph of a matrix in a thread, while the matrix goes on serving."""

    def __init__(self, source: ExactSnapshot, dimension: int) -> None:
        self._source = source
        self._space = GraphSpace(dimension)
        self._stop = threading.Event()
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._build, name="vector-graph", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        alive = np.ones(len(self._source.keys), bool)
        alive[self._source.dead] = False
        rows = np.flatnonzero(alive)
        for start in range(0, len(rows), _BITE):
            if self._stop.is_set():
                return
            bite = rows[start : start + _BITE]
            self._space.change([], self._source.keys[bite].tolist(), self._source.matrix[bite])
            time.sleep(0.001)
        self._is_done.set()

    def result(self) -> GraphSpace | None:
        """The graph once it is complete."""
        return self._space if self._is_done.is_set() else None

    def close(self) -> None:
        """Stop building."""
        self._stop.set()
        self._thread.join()
