"""What a retrieval is asked for, and what it finds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rag.chunks import Chunk

DEFAULT_VECTOR_WEIGHT = 0.3
"""Share of the vector in `similarity` where a request says nothing."""

Rerank = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]
"""(question, texts) to one score per text, 0..1."""


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """How to retrieve; the defaults are RAGFlow's.

    document_ids: only these documents; None: all of the datasets; an empty list finds nothing.
    page: 1-based.
    similarity_threshold: hits below are dropped (not when vector_similarity_weight <= 0).
    vector_similarity_weight: share of the vector in `similarity`, the words have the rest.
    top_k: most candidates by vector.
    pagerank: dataset id to what is added to its chunks' similarity.
    rerank: takes the place of the vector similarity.
    """

    dataset_ids: Sequence[str]
    document_ids: Sequence[str] | None = None
    page: int = 1
    page_size: int = 30
    similarity_threshold: float = 0.2
    vector_similarity_weight: float = DEFAULT_VECTOR_WEIGHT
    top_k: int = 1024
    highlight: bool = False
    pagerank: Mapping[str, float] = field(default_factory=dict)
    rerank: Rerank | None = None


@dataclass(slots=True)
class Hit:
    """A chunk that was found (or its parent, which stands for it), and why.

    similarity: weight * vector + (1 - weight) * term + pagerank; can exceed 1 by the pagerank.
    vector_similarity: cosine, or the rerank model's score. term_similarity: share of the question's
    weight that the chunk holds, 0..1.
    highlight: the chunk's text with the question's words in `<em>`, when asked for.
    child_ids: the chunks that a parent stands for.
    """

    chunk: Chunk
    similarity: float
    vector_similarity: float
    term_similarity: float
    highlight: str | None = None
    child_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DocumentCount:
    """How many of all hits (not just of the page) are in a document."""

    document_id: str
    document_name: str
    count: int


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """A page of hits, best first.

    total: hits in all; the same for every page.
    document_counts: over all hits, most hits first.
    """

    total: int
    hits: list[Hit]
    document_counts: list[DocumentCount]
