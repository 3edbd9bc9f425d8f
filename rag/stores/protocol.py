"""What a chunk store promises. One conformance suite (`tests/rag/stores/suite.py`) holds every store to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rag.chunks import Chunk, FloatArray


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of a question in the stores' pre-tokenised form, with its weight (sum of all weights: 1)."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One hybrid query.

    terms: the question's terms in order; may be empty (then vectors alone select candidates).
    vector: (d,) L2-normalised, or None (then words alone).
    document_ids: restrict to these documents; None: all of the datasets.
    text_limit, vector_limit: candidates taken from each side.
    """

    dataset_ids: Sequence[str]
    terms: Sequence[QueryTerm]
    vector: FloatArray | None
    document_ids: Sequence[str] | None = None
    text_limit: int = 128
    vector_limit: int = 128


@dataclass(slots=True)
class Candidate:
    """A chunk that words or vectors found, with what scoring needs and no more.

    key: the store's own handle for `fetch`.
    cosine: cosine of question and chunk, 0.0 where the chunk has no vector.
    text_score: the engine's own score of the words (BM25), 0.0 when only the vector found it.
    words, title_words, keyword_words, question_words: as in `Chunk`.
    """

    key: int | str
    id: str
    dataset_id: str
    document_id: str
    document_name: str
    cosine: float
    text_score: float
    words: str
    title_words: str
    keyword_words: str
    question_words: str
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, and how common the question's terms are.

    candidates: in no order.
    chunk_count: chunks in the index that the frequencies were counted in.
    document_frequencies: term to the number of chunks whose content holds it; may be approximate, a term
        may be missing (then nothing is known about it). Scoring weighs rare terms more.
    """

    candidates: list[Candidate]
    chunk_count: int = 0
    document_frequencies: Mapping[str, int] = field(default_factory=dict)


Choose = Callable[[SearchResult], Sequence[int | str]]
"""Ranks what a search found; returns the keys of the candidates whose chunks are wanted."""


@dataclass(frozen=True, slots=True)
class ChunkPage:
    """A page of a document's chunks, and how many match in all."""

    total: int
    chunks: list[Chunk]


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What a store holds for one document: visible chunks (parents not counted) and their tokens."""

    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether the store works, in words for an operator."""

    is_ok: bool
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)


class ChunkStore(Protocol):
    """Chunks with words and vectors: written, listed, searched.

    Everything that a method has returned from survives a `kill -9`. A method that makes something
    visible returns when a search would find it. Unknown ids are not errors: they match nothing.
    Raises StoreUnavailable, StoreFull.
    """

    async def stage(self, run_id: str, chunks: Sequence[Chunk]) -> None:
        """Write chunks of a running parse; invisible until `publish`. An id seen before in the run is replaced."""

    async def publish(self, run_id: str, dataset_id: str, document_id: str) -> StoreCounts:
        """Replace all chunks of the document by what the run staged, in one step for every reader.

        Other runs' staged chunks of the document are dropped. Doing it twice changes nothing.
        """

    async def discard(self, run_id: str) -> None:
        """Drop what a run staged."""

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Write chunks; an id seen before in the same document is replaced. Searchable on return."""

    async def delete_chunks(
        self, dataset_id: str, document_id: str, ids: Sequence[str] | None
    ) -> StoreCounts:
        """Delete these chunks of the document (None: all); returns what was really deleted."""

    async def delete_documents(self, dataset_id: str, document_ids: Sequence[str]) -> None:
        """Delete the documents' chunks, visible and staged."""

    async def delete_datasets(self, dataset_ids: Sequence[str]) -> None:
        """Delete everything of the datasets."""

    async def set_available(self, dataset_id: str, document_id: str, *, is_available: bool) -> None:
        """Switch all chunks of a document on or off for retrieval."""

    async def rename_document(self, dataset_id: str, document_id: str, name: str, title_words: str) -> None:
        """Give the document's chunks its new name."""

    async def get(self, dataset_id: str, document_id: str, chunk_id: str) -> Chunk | None:
        """One visible chunk, with its vector."""

    async def list_chunks(
        self, dataset_id: str, document_id: str, *, offset: int, limit: int, terms: Sequence[QueryTerm] = ()
    ) -> ChunkPage:
        """Visible chunks of a document, unavailable ones included, parents not.

        In document order; with terms only those that hold one, best match first. Vectors are not filled
        (an empty array).
        """

    async def count(self, dataset_id: str, document_id: str) -> StoreCounts:
        """What a listing of the document would show."""

    async def search(self, request: SearchRequest) -> SearchResult:
        """The union of the best by words and the best by vector among available chunks.

        Each candidate once, with its cosine also where only the words found it. During a re-parse a search
        finds a document's old chunks or its new ones.
        """

    async def search_and_fetch(self, request: SearchRequest, choose: Choose) -> dict[int | str, Chunk]:
        """`search`, and `fetch` of what `choose` picks from the result, as one step.

        choose: called once, on a thread that may be kept busy; it must not use the store. What it raises
        comes out here.
        """

    async def fetch(self, keys: Sequence[int | str]) -> dict[int | str, Chunk]:
        """The chunks behind candidates, without vectors.

        Those deleted since are absent; those replaced since (re-parse, upsert) are still there for a while.
        """

    async def fetch_vectors(self, keys: Sequence[int | str]) -> dict[int | str, FloatArray]:
        """The vectors behind candidates; absent where there is none."""

    async def fetch_parents(self, dataset_id: str, parent_ids: Sequence[str]) -> dict[str, Chunk]:
        """Parent chunks by id."""

    async def health(self) -> StoreHealth:
        """Try the store."""

    async def rebuild(self) -> int:
        """Throw the indexes away and build them again from the truth; returns the number of chunks."""

    async def close(self) -> None:
        """Stop. What was acknowledged is durable."""
