"""The embedded chunk store: SQLite, tantivy and usearch in one folder."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from sqlite3 import Connection
from typing import Literal, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from rag.chunks import Chunk, FloatArray
from rag.errors import Overloaded, StoreError, StoreFull, StoreUnavailable
from rag.stores.embedded import channel as channels
from rag.stores.embedded import text_index, truth
from rag.stores.embedded.channel import OwnerChannel, WriterChannel
from rag.stores.embedded.projection import Projection, View
from rag.stores.protocol import (
    Candidate,
    Choose,
    ChunkPage,
    QueryTerm,
    SearchRequest,
    SearchResult,
    StoreCounts,
    StoreHealth,
)

_T = TypeVar("_T")
Role = Literal["owner", "writer"]

DATABASE_NAME = "chunks.sqlite"
# How long a writer waits until searches see what it wrote; the owner may be building an index.
_VISIBLE_TIMEOUT_S = 300.0
_ALIVE_CHECK_S = 0.25


class EmbeddedStore:
    """A ChunkStore on a folder. Open it by `open_embedded_store`.

    The owner holds the indexes and answers searches; there is one for a folder. Writers only write (and
    read what SQLite alone can tell); their changes are seen when the owner has applied them, and the
    methods wait for that. Without an owner they return at once: an owner applies everything before it
    serves.
    """

    def __init__(
        self, folder: Path, role: Role, *, thread_count: int, max_queued: int, exact_floats: int
    ) -> None:
        self._exact_floats = exact_floats
        self._folder = folder
        self._role = role
        self._thread_count = thread_count
        self._max_queued = max_queued
        self._queued = 0
        self._is_closed = False
        self._projection: Projection | None = None
        self._owner_channel: OwnerChannel | None = None
        self._writer_channel: WriterChannel | None = None
        self._pool = ThreadPoolExecutor(thread_count, thread_name_prefix="chunk-store")
        self._write_pool = ThreadPoolExecutor(1, thread_name_prefix="chunk-writes")
        self._connections: SimpleQueue[Connection] = SimpleQueue()
        self._publishes: deque[tuple[tuple[str, str, str], Future[tuple[int, StoreCounts]]]] = deque()

    async def open(self) -> None:
        """Make the folder, take the role, and as owner catch up with the truth."""
        await asyncio.get_running_loop().run_in_executor(self._write_pool, self._open)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        database = self._folder / DATABASE_NAME
        with truth.store_errors(self._folder):
            if self._role == "owner":
                # Questions run side by side: with BLAS's own threads on top, each waits for all others
                # (16 at once on 2 cores: 10 questions a second instead of 200).
                threadpool_limits(1, "blas")
                self._owner_channel = OwnerChannel(self._folder)
            else:
                self._writer_channel = WriterChannel(self._folder)
            try:
                store_id = truth.create(database)
                self._writer = truth.TruthWriter(database)
                for _ in range(self._thread_count):
                    self._connections.put(truth.connect(database, read_only=True))
                if self._owner_channel is not None:
                    self._projection = Projection(
                        self._folder, database, store_id, self._owner_channel, self._exact_floats
                    )
                    self._warm_up()
            except BaseException:
                if self._owner_channel is not None:
                    self._owner_channel.close()
                raise

    def _warm_up(self) -> None:
        """Ask each dataset's index something: the first question took 250 ms cold."""
        view = self._view()
        for dataset_id, dimension in list(view.spaces)[:8]:
            vector = np.zeros(dimension, np.float32)
            vector[:1] = 1.0
            terms = [QueryTerm("a", 0.5), QueryTerm("1", 0.5)]
            request = SearchRequest([dataset_id], terms, vector, text_limit=16, vector_limit=64)
            with self._reading() as connection:
                self._search(connection, request)

    async def close(self) -> None:
        """Stop. What was acknowledged is durable."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._write_pool, self._close)
        self._write_pool.shutdown()

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._projection is not None:
            self._projection.close()
        if self._owner_channel is not None:
            self._owner_channel.close()
        if self._writer_channel is not None:
            self._writer_channel.close()
        for _ in range(self._thread_count):
            self._connections.get().close()
        self._writer.close()

    # Threads

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        """Do blocking work in a pool, unless too much of it waits already."""
        if self._is_closed:
            raise StoreUnavailable("the chunk store is closed")
        if self._queued >= self._max_queued:
            raise Overloaded(f"{self._queued} requests wait for the chunk store already; try again shortly")
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._guarded, work)
        finally:
            self._queued -= 1

    def _guarded(self, work: Callable[[], _T]) -> _T:
        with truth.store_errors(self._folder):
            return work()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection for one job; a job sees one state of the database."""
        connection = self._connections.get()
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
            self._connections.put(connection)

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        def job() -> _T:
            with self._reading() as connection:
                return work(connection)

        return await self._run(self._pool, job)

    async def _write(self, work: Callable[[], _T]) -> _T:
        return await self._run(self._write_pool, work)

    def _view(self) -> View:
        if self._projection is None:
            raise StoreUnavailable("this process only writes chunks; searches go to the server")
        return self._projection.view

    async def _seen(self, seq: int) -> None:
        """Wait until searches see the operation."""
        if seq <= 0:
            return
        if self._projection is not None:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()

            def settle(error: StoreError | None) -> None:
                if waiter.done():
                    return
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(type(error)(*error.args))

            def done(error: StoreError | None) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is gone
                    loop.call_soon_threadsafe(settle, error)

            self._projection.wait_for(seq, done)
            await waiter
        else:
            await self._seen_by_owner(seq)

    async def _seen_by_owner(self, seq: int) -> None:
        assert self._writer_channel is not None
        channel = self._writer_channel
        if not channel.poke():
            return
        deadline = time.monotonic() + _VISIBLE_TIMEOUT_S
        next_check = time.monotonic() + _ALIVE_CHECK_S
        pause_s = 0.001
        while True:
            applied, trouble = channel.applied()
            if applied >= seq:
                return
            if trouble == channels.FULL:
                raise StoreFull("no space left for the chunk indexes; nothing was lost")
            if trouble == channels.BROKEN:
                raise StoreUnavailable("the chunk indexes cannot follow; see the server's log")
            now = time.monotonic()
            if now > next_check:
                next_check = now + _ALIVE_CHECK_S
                if not channel.poke():
                    return
                if now > deadline:
                    raise StoreUnavailable(f"not searchable after {_VISIBLE_TIMEOUT_S:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(0.01, pause_s * 1.5)

    # Writing

    async def stage(self, run_id: str, chunks: Sequence[Chunk]) -> None:
        """Write chunks of a running parse; invisible until `publish`. An id seen before in the run is replaced."""
        if chunks:
            await self._write(lambda: self._writer.stage(run_id, chunks))

    async def publish(self, run_id: str, dataset_id: str, document_id: str) -> StoreCounts:
        """Replace all chunks of the document by what the run staged, in one step for every reader."""
        asked = ((run_id, dataset_id, document_id), Future[tuple[int, StoreCounts]]())
        self._publishes.append(asked)
        try:
            await self._write(self._publish_waiting)
        except (Overloaded, StoreUnavailable):
            with contextlib.suppress(ValueError):
                self._publishes.remove(asked)
            raise
        seq, counts = asked[1].result()
        await self._seen(seq)
        return counts

    def _publish_waiting(self) -> None:
        """Publish all that is asked for by now: one wait for the disk serves all of it."""
        asked = []
        with contextlib.suppress(IndexError):
            while True:
                asked.append(self._publishes.popleft())
        if not asked:
            return  # the job of another has done it
        try:
            with truth.store_errors(self._folder):
                results = self._writer.publish([run for run, _ in asked])
        except BaseException as error:  # noqa: BLE001 - each caller raises it
            for _, future in asked:
                future.set_exception(error)
            return
        for (_, future), result in zip(asked, results, strict=True):
            future.set_result(result)

    async def discard(self, run_id: str) -> None:
        """Drop what a run staged."""
        await self._write(lambda: self._writer.discard(run_id))

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Write chunks; an id seen before in the same document is replaced. Searchable on return."""
        if chunks:
            await self._seen(await self._write(lambda: self._writer.upsert(chunks)))

    async def delete_chunks(
        self, dataset_id: str, document_id: str, ids: Sequence[str] | None
    ) -> StoreCounts:
        """Delete these chunks of the document (None: all); returns what was really deleted."""
        seq, counts = await self._write(lambda: self._writer.delete_chunks(dataset_id, document_id, ids))
        await self._seen(seq)
        return counts

    async def delete_documents(self, dataset_id: str, document_ids: Sequence[str]) -> None:
        """Delete the documents' chunks, visible and staged."""
        if document_ids:
            await self._seen(
                await self._write(lambda: self._writer.delete_documents(dataset_id, document_ids))
            )

    async def delete_datasets(self, dataset_ids: Sequence[str]) -> None:
        """Delete everything of the datasets."""
        if dataset_ids:
            await self._seen(await self._write(lambda: self._writer.delete_datasets(dataset_ids)))

    async def set_available(self, dataset_id: str, document_id: str, *, is_available: bool) -> None:
        """Switch all chunks of a document on or off for retrieval."""
        seq = await self._write(
            lambda: self._writer.set_available(dataset_id, document_id, is_available=is_available)
        )
        await self._seen(seq)

    async def rename_document(self, dataset_id: str, document_id: str, name: str, title_words: str) -> None:
        """Give the document's chunks its new name."""
        seq = await self._write(
            lambda: self._writer.rename_document(dataset_id, document_id, name, title_words)
        )
        await self._seen(seq)

    # Reading

    async def get(self, dataset_id: str, document_id: str, chunk_id: str) -> Chunk | None:
        """One visible chunk, with its vector."""
        return await self._read(lambda connection: truth.get(connection, dataset_id, document_id, chunk_id))

    async def list_chunks(
        self, dataset_id: str, document_id: str, *, offset: int, limit: int, terms: Sequence[QueryTerm] = ()
    ) -> ChunkPage:
        """Visible chunks of a document, unavailable ones included, parents not."""

        def work(connection: Connection) -> ChunkPage:
            if terms:
                return _list_matching(connection, dataset_id, document_id, offset, limit, terms)
            return ChunkPage(
                truth.count(connection, dataset_id, document_id).chunks,
                truth.list_visible(connection, dataset_id, document_id, max(0, offset), max(0, limit)),
            )

        return await self._read(work)

    async def count(self, dataset_id: str, document_id: str) -> StoreCounts:
        """What a listing of the document would show."""
        return await self._read(lambda connection: truth.count(connection, dataset_id, document_id))

    async def search(self, request: SearchRequest) -> SearchResult:
        """The union of the best by words and the best by vector among available chunks."""
        self._view()
        return await self._read(lambda connection: self._search(connection, request))

    async def search_and_fetch(self, request: SearchRequest, choose: Choose) -> dict[int | str, Chunk]:
        """`search`, and `fetch` of what `choose` picks from the result, in one job and one state of the database."""
        self._view()

        def work(connection: Connection) -> dict[int | str, Chunk]:
            keys = choose(self._search(connection, request))
            return truth.fetch(connection, [int(key) for key in keys]) if keys else {}

        return await self._read(work)

    def _search(self, connection: Connection, request: SearchRequest) -> SearchResult:
        # Before anything is read: a state of the database that is older than the view has not what it finds.
        view = self._view()
        if not request.dataset_ids or (request.document_ids is not None and not request.document_ids):
            return SearchResult([], view.searcher.num_docs)
        texts = self._search_words(view, request)
        cosines = _search_vectors(connection, view, request, list(texts))
        scores = {key: (cosines.get(key, 0.0), texts.get(key, 0.0)) for key in {**texts, **cosines}}
        found: list[Candidate] = truth.candidates(connection, scores, request.dataset_ids)
        frequencies = {term.text: view.searcher.doc_freq("content", term.text) for term in request.terms}
        return SearchResult(found, view.searcher.num_docs, frequencies)

    def search_and_fetch_blocking(self, request: SearchRequest, hit_count: int) -> list[Chunk]:
        """Candidates and the first of their chunks, in the calling thread: what benchmarks call the engine."""
        with self._reading() as connection:
            candidates = self._search(connection, request).candidates
            return list(truth.fetch(connection, [int(each.key) for each in candidates[:hit_count]]).values())

    def _search_words(self, view: View, request: SearchRequest) -> dict[int, float]:
        if not request.terms or request.text_limit <= 0:
            return {}
        assert self._projection is not None
        # Without a filter tantivy may skip what cannot be among the best: leave it out where it says nothing.
        is_everything = view.dataset_counts.keys() <= set(request.dataset_ids)
        query = self._projection.text.query(
            request.terms, None if is_everything else request.dataset_ids, request.document_ids
        )
        return text_index.search(view.searcher, query, request.text_limit)

    async def fetch(self, keys: Sequence[int | str]) -> dict[int | str, Chunk]:
        """The chunks behind candidates, without vectors."""
        wanted = [key for key in keys if isinstance(key, int)]
        return await self._read(lambda connection: truth.fetch(connection, wanted)) if wanted else {}

    async def fetch_vectors(self, keys: Sequence[int | str]) -> dict[int | str, FloatArray]:
        """The vectors behind candidates; absent where there is none."""
        wanted = [key for key in keys if isinstance(key, int)]
        stored = await self._read(lambda connection: truth.vectors_of(connection, wanted)) if wanted else {}
        return {key: truth.to_float32(vector) for key, vector in stored.items()}

    async def fetch_parents(self, dataset_id: str, parent_ids: Sequence[str]) -> dict[str, Chunk]:
        """Parent chunks by id."""
        if not parent_ids:
            return {}
        return await self._read(lambda connection: truth.fetch_parents(connection, dataset_id, parent_ids))

    # Upkeep

    async def health(self) -> StoreHealth:
        """Try the store."""
        try:
            row_count, newest = await self._read(
                lambda connection: (truth.indexed_count(connection), truth.last_seq(connection))
            )
        except (StoreError, Overloaded) as error:
            return StoreHealth(False, str(error))
        figures: dict[str, float] = {"chunks": row_count, "queued": self._queued}
        if self._projection is None:
            return StoreHealth(True, f"{row_count} chunks; this process writes only", figures)
        view = self._projection.view
        figures |= {"indexed": view.searcher.num_docs, "behind": newest - view.seq}
        trouble = self._projection.trouble
        if trouble is not None:
            return StoreHealth(False, str(trouble), figures)
        return StoreHealth(True, f"{row_count} chunks in {len(view.dataset_counts)} datasets", figures)

    async def rebuild(self) -> int:
        """Throw the indexes away and build them again from the truth; returns the number of chunks."""
        if self._projection is None:
            raise StoreUnavailable("this process only writes chunks; the server builds the indexes")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[StoreError | None] = loop.create_future()

        def done(error: StoreError | None) -> None:
            loop.call_soon_threadsafe(waiter.set_result, error)

        self._projection.request_rebuild(done)
        error = await waiter
        if error is not None:
            raise error
        return int(self._projection.view.searcher.num_docs)


def _search_vectors(
    connection: Connection, view: View, request: SearchRequest, text_keys: list[int]
) -> dict[int, float]:
    """Key to cosine: of the nearest, and of what the words found."""
    vector = request.vector
    if vector is None or not np.any(vector):
        return {}
    query = np.ascontiguousarray(vector, np.float32)
    only = None
    if request.document_ids is not None:
        only = np.array(truth.document_keys(connection, request.dataset_ids, request.document_ids), np.int64)
    nearest: list[tuple[float, int]] = []
    cosines: dict[int, float] = {}
    listed = np.array(sorted(text_keys), np.int64)
    for dataset_id in dict.fromkeys(request.dataset_ids):
        space = view.spaces.get((dataset_id, len(query)))
        if space is None:
            continue
        found = space.search(query, request.vector_limit, only)
        nearest += zip(found.cosines.tolist(), found.keys.tolist(), strict=True)
        if len(listed):
            cosines.update(space.cosines(query, listed))
    nearest.sort(reverse=True)
    cosines.update((key, cosine) for cosine, key in nearest[: request.vector_limit])
    return cosines


def _list_matching(
    connection: Connection,
    dataset_id: str,
    document_id: str,
    offset: int,
    limit: int,
    terms: Sequence[QueryTerm],
) -> ChunkPage:
    """The document's chunks that hold a term, those with more of the weight first."""
    weights = {term.text: term.weight for term in terms}
    matching: list[tuple[float, int, int]] = []
    for key, place, words in truth.document_terms(connection, dataset_id, document_id):
        counts = Counter(word for word in words.split() if word in weights)
        if counts:
            score = sum(weights[term] * (1 + count / (1 + count)) for term, count in counts.items())
            matching.append((-score, place, key))
    matching.sort()
    keys = [key for _, _, key in matching[max(0, offset) : max(0, offset) + max(0, limit)]]
    chunks = truth.fetch(connection, keys)
    return ChunkPage(len(matching), [chunks[key] for key in keys if key in chunks])
