"""Vectors of one dataset and dimension: exact search in a matrix, or a graph where that is too large.

The one thread that follows the log changes a space; readers use immutable snapshots of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.chunks import FloatArray

Keys = npt.NDArray[np.int64]

_FIRST_CAPACITY = 256
_GROWTH = 1.3
# Dead rows cost a scan each; beyond so many the matrix is written anew (100,000 x 256: 15 ms).
_MAX_DEAD = 512


@dataclass(frozen=True, slots=True)
class Nearest:
    """Keys and cosines, best first."""

    keys: Keys
    cosines: FloatArray


NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class ExactSnapshot:
    """A matrix as one search sees it: rows may be added behind `keys`, none is changed.

    matrix: (capacity, d), L2-normalised. keys: (n,) ascending, one per row. dead: rows that were removed.
    """

    matrix: FloatArray
    keys: Keys
    dead: Keys

    def __len__(self) -> int:
        return len(self.keys) - len(self.dead)

    @property
    def dimension(self) -> int:
        """d."""
        return int(self.matrix.shape[1])

    def search(self, query: FloatArray, limit: int, only: Keys | None = None) -> Nearest:
        """The nearest by cosine; only: ascending keys to choose from."""
        if only is not None:
            rows = self._rows(only)
            if not len(rows):
                return NOTHING
            if len(rows) * 4 < len(self.keys):
                return best(self.keys[rows], self.matrix[rows] @ query, limit)
            masked = np.full(len(self.keys), -np.inf, np.float32)
            masked[rows] = (self.matrix[: len(self.keys)] @ query)[rows]
            return best(self.keys, masked, min(limit, len(rows)))
        scores = self.matrix[: len(self.keys)] @ query
        scores[self.dead] = -np.inf
        return best(self.keys, scores, min(limit, len(self)))

    def cosines(self, query: FloatArray, keys: Keys) -> dict[int, float]:
        """Cosines of those keys that are here."""
        rows = self._rows(np.sort(keys))
        scores = self.matrix[rows] @ query
        return dict(zip(self.keys[rows].tolist(), scores.tolist(), strict=True))

    def _rows(self, keys: Keys) -> Keys:
        places = np.searchsorted(self.keys, keys)
        inside = places < len(self.keys)
        places, keys = places[inside], keys[inside]
        rows: Keys = places[self.keys[places] == keys]
        return rows if not len(self.dead) else rows[~np.isin(rows, self.dead)]


def best(keys: Keys, scores: FloatArray, limit: int) -> Nearest:
    """The keys with the highest scores."""
    limit = min(limit, len(scores))
    if limit <= 0:
        return NOTHING
    rows = np.argpartition(scores, len(scores) - limit)[len(scores) - limit :]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return Nearest(keys[rows], scores[rows])


class ExactSpace:
    """A growing matrix."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._matrix: FloatArray = np.empty((0, dimension), np.float32)
        self._keys: Keys = np.empty(0, np.int64)
        self._dead: set[int] = set()
        self._snapshot: ExactSnapshot | None = None

    def keys(self) -> Keys:
        """All keys, ascending."""
        snapshot = self.snapshot()
        alive = np.ones(len(snapshot.keys), bool)
        alive[snapshot.dead] = False
        return snapshot.keys[alive]

    def rows(self, keys: Keys) -> FloatArray:
        """The vectors of keys that are here."""
        return self._matrix[np.searchsorted(self._keys, keys)]

    @property
    def float_count(self) -> int:
        """Numbers that one search has to look at."""
        return len(self._keys) * self.dimension

    def reserve(self, row_count: int) -> None:
        """Make room for rows to come, in one piece. Only for a new space."""
        self._matrix = np.empty((row_count, self.dimension), np.float32)

    def change(self, removed: list[int], added: list[int], vectors: FloatArray) -> None:
        """Take keys out and put keys in; vectors: (len(added), d), any length but zero is normalised."""
        self._snapshot = None
        fresh = dict(zip(added, range(len(added)), strict=True))
        gone = np.array(sorted({*removed, *fresh}), np.int64)
        if len(gone) and len(self._keys):
            places = np.searchsorted(self._keys, gone)
            inside = places < len(self._keys)
            hits = places[inside][self._keys[places[inside]] == gone[inside]]
            self._dead.update(hits.tolist())
        if fresh:
            order = sorted(fresh)
            rows = _normalized(vectors[[fresh[key] for key in order]])
            self._append(np.array(order, np.int64), rows)
        if len(self._dead) > _MAX_DEAD or len(self._dead) * 2 > len(self._keys):
            self._rewrite()

    def _append(self, keys: Keys, rows: FloatArray) -> None:
        size = len(self._keys)
        if size and keys[0] <= self._keys[-1]:
            # An old key comes back (a document is switched on again): the order of rows is that of keys.
            self._rewrite(keys, rows)
            return
        if size + len(keys) > len(self._matrix):
            capacity = max(size + len(keys), int(len(self._matrix) * _GROWTH), _FIRST_CAPACITY)
            matrix = np.empty((capacity, self.dimension), np.float32)
            matrix[:size] = self._matrix[:size]
            self._matrix = matrix
        self._matrix[size : size + len(keys)] = rows
        self._keys = np.concatenate([self._keys, keys])

    def _rewrite(self, keys: Keys | None = None, rows: FloatArray | None = None) -> None:
        alive = np.ones(len(self._keys), bool)
        alive[list(self._dead)] = False
        all_keys, matrix = self._keys[alive], self._matrix[: len(self._keys)][alive]
        if keys is not None and rows is not None:
            all_keys = np.concatenate([all_keys, keys])
            order = np.argsort(all_keys, kind="stable")
            all_keys, matrix = all_keys[order], np.concatenate([matrix, rows])[order]
        self._keys, self._matrix, self._dead = all_keys, matrix, set()

    def snapshot(self) -> ExactSnapshot:
        """What readers see from now on."""
        if self._snapshot is None:
            self._snapshot = ExactSnapshot(self._matrix, self._keys, np.array(sorted(self._dead), np.int64))
        return self._snapshot


def _normalized(vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = 1.0
    normalized: FloatArray = (vectors / norms).astype(np.float32, copy=False)
    return normalized
