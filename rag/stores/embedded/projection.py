"""The owner's thread that follows the log of operations into both indexes."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import StoreError, StoreFull
from rag.stores.embedded import channel as channels
from rag.stores.embedded import text_index, truth
from rag.stores.embedded.channel import OwnerChannel
from rag.stores.embedded.spaces import SpaceSnapshot, VectorSpaces
from rag.stores.embedded.text_index import Applied, TextIndex

_log = logging.getLogger(__name__)

# Pokes may be lost with the process that sent them; then this is how late a change is seen.
_POLL_S = 0.5
_PURGE_EVERY_S = 10.0
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """Both indexes at one operation; taking it is one step, and it never changes.

    dataset_counts: rows by dataset.
    """

    seq: int
    searcher: Any
    spaces: Mapping[tuple[str, int], SpaceSnapshot]
    dataset_counts: Mapping[str, int]


class Projection:
    """Keeps the indexes at the truth. `view` is what searches use."""

    def __init__(
        self, folder: Path, database: Path, store_id: str, channel: OwnerChannel, exact_floats: int
    ) -> None:
        self._folder = folder
        self._database = database
        self._store_id = store_id
        self._channel = channel
        self._purge_writer = truth.TruthWriter(database)
        self._connection = truth.connect(database, read_only=True)
        self._spaces = VectorSpaces(folder / "vectors", exact_floats)
        self.text: TextIndex
        self._stop = threading.Event()
        self._listeners: list[tuple[int, Callable[[StoreError | None], None]]] = []
        self._listeners_lock = threading.Lock()
        self._rebuilds: list[Callable[[StoreError | None], None]] = []
        self.trouble: StoreError | None = None
        self.view: View
        self._open()
        self._thread = threading.Thread(target=self._run, name="chunk-projection", daemon=True)
        self._thread.start()

    # Opening

    def _open(self) -> None:
        started = time.perf_counter()
        self.text, applied = self._open_text()
        self._connection.execute("BEGIN")
        try:
            newest = truth.last_seq(self._connection)
            if applied is None or applied.seq > newest:
                self._fill_text(newest)
            else:
                self._replay_text(applied.seq, newest)
            if self.text.searcher().num_docs != truth.indexed_count(self._connection):
                _log.warning("the text index does not hold what it should; it is built again")
                self._fill_text(newest)
            self._spaces.load(self._connection)
            self._publish_view(newest, self.text.searcher())
        finally:
            self._connection.execute("COMMIT")
        self.text.write_marker(Applied(self._store_id, self.view.seq))
        self._channel.report(self.view.seq)
        _log.info(
            "chunk store: %d chunks in %.2f s", self.view.searcher.num_docs, time.perf_counter() - started
        )

    def _open_text(self) -> tuple[TextIndex, Applied | None]:
        """The index and how far it is; a folder that is damaged or of another store is thrown away."""
        folder = self._folder / "text"
        try:
            index = TextIndex(folder)
        except (ValueError, OSError) as error:
            _log.warning("the text index cannot be opened and is built again: %s", error)
            text_index.remove(folder)
            return TextIndex(folder), None
        applied = index.read_marker()
        if applied is not None and applied.store_id == self._store_id and applied.format == text_index.FORMAT:
            return index, applied
        if index.searcher().num_docs:
            index.close()
            text_index.remove(folder)
            index = TextIndex(folder)
        return index, None

    def _fill_text(self, newest: int) -> None:
        if self.text.searcher().num_docs:
            self.text.close()
            text_index.remove(self._folder / "text")
            self.text = TextIndex(self._folder / "text")
        self.text.change([], truth.indexed_rows(self._connection))
        self.text.commit()
        self.text.write_marker(Applied(self._store_id, newest))

    def _replay_text(self, after: int, until: int) -> None:
        if after == until:
            return
        rows = truth.changes(self._connection, after, until)
        while batch := list(itertools.islice(rows, 2000)):
            self.text.change([row.key for row in batch], [row for row in batch if row.is_indexed])
        self.text.commit()

    def _publish_view(self, seq: int, searcher: Any) -> None:
        spaces = self._spaces.snapshots()
        counts: dict[str, int] = {}
        for (dataset_id, _), space in spaces.items():
            counts[dataset_id] = counts.get(dataset_id, 0) + len(space)
        self.view = View(seq, searcher, spaces, counts)

    # Following

    def wait_for(self, seq: int, done: Callable[[StoreError | None], None]) -> None:
        """Call `done` when searches see the operation, or with the reason why they do not."""
        with self._listeners_lock:
            if self.view.seq < seq:
                self._listeners.append((seq, done))
                self._channel.poke()
                return
        done(None)

    def request_rebuild(self, done: Callable[[StoreError | None], None]) -> None:
        """Build both indexes again, in the thread, and call `done` then."""
        with self._listeners_lock:
            self._rebuilds.append(done)
        self._channel.poke()

    def close(self) -> None:
        """Stop following, and save what is dear to build."""
        self._stop.set()
        self._channel.poke()
        self._thread.join()
        self._spaces.save()
        self.text.write_marker(Applied(self._store_id, self.view.seq), is_durable=True)
        self.text.close()
        self._connection.close()
        self._purge_writer.close()

    def _run(self) -> None:
        next_purge = time.monotonic() + _PURGE_EVERY_S
        while not self._stop.is_set():
            self._channel.wait(_POLL_S)
            try:
                with truth.store_errors(self._folder):
                    if self._rebuilds:
                        self._rebuild()
                    self._follow()
                    if time.monotonic() > next_purge:
                        next_purge = time.monotonic() + _PURGE_EVERY_S
                        self._tidy()
            except Exception as error:  # noqa: BLE001 - the outermost loop of the thread
                self._report_trouble(error)
                self._stop.wait(_RETRY_S)
            else:
                self.trouble = None

    def _report_trouble(self, error: Exception) -> None:
        _log.error("the chunk indexes cannot follow", exc_info=error)
        # tantivy raises ValueError for everything, a full disk too.
        is_full = isinstance(error, StoreFull) or truth.is_full(self._folder)
        text = (
            "no space left for the chunk indexes; nothing was lost" if is_full else f"chunk indexes: {error}"
        )
        self.trouble = StoreFull(text) if is_full else StoreError(text)
        self._channel.report(self.view.seq, channels.FULL if is_full else channels.BROKEN)
        try:
            self.text.rollback()
        except (ValueError, OSError):
            _log.exception("rollback")
        with self._listeners_lock:
            waiting = [done for _, done in self._listeners] + self._rebuilds
            self._listeners, self._rebuilds = [], []
        for done in waiting:
            done(self.trouble)

    def _follow(self) -> None:
        """One round: everything that was written since the last."""
        self._connection.execute("BEGIN")
        try:
            newest = truth.last_seq(self._connection)
            if newest > self.view.seq:
                self._apply(newest)
        finally:
            self._connection.execute("COMMIT")
        self._channel.report(self.view.seq)
        with self._listeners_lock:
            ready = [done for seq, done in self._listeners if seq <= self.view.seq]
            self._listeners = [(seq, done) for seq, done in self._listeners if seq > self.view.seq]
        for done in ready:
            done(None)

    def _apply(self, newest: int) -> None:
        rows = truth.changes(self._connection, self.view.seq, newest)
        highest_key = self._spaces.highest_key
        while batch := list(itertools.islice(rows, 2000)):
            # Keys above the highest were never indexed: nothing to take out.
            old = [row.key for row in batch if row.key <= highest_key or not row.is_indexed]
            added = [row for row in batch if row.is_indexed]
            self.text.change(old, added)
            self._spaces.change(batch)
        searcher = self.text.commit()
        self._publish_view(newest, searcher)
        self.text.write_marker(Applied(self._store_id, newest))

    def _tidy(self) -> None:
        """Delete rows that both indexes have left behind; save large vector indexes now and then."""
        seq = self.view.seq
        self.text.write_marker(Applied(self._store_id, seq), is_durable=True)
        if self._connection.execute("SELECT 1 FROM chunk WHERE state >= 2 LIMIT 1").fetchone():
            self._purge_writer.purge(seq)
        self._spaces.tidy()

    def _rebuild(self) -> None:
        waiting = list(self._rebuilds)
        self._connection.execute("BEGIN")
        try:
            newest = truth.last_seq(self._connection)
            # The old view serves until the new one is complete; its files stay until it is let go.
            self._fill_text(newest)
            self._spaces.clear()
            self._spaces.load(self._connection)
            self._publish_view(newest, self.text.searcher())
        finally:
            self._connection.execute("COMMIT")
        with self._listeners_lock:
            self._rebuilds = self._rebuilds[len(waiting) :]
        for done in waiting:
            done(None)
