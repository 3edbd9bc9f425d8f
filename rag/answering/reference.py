"""The passages behind an answer, as clients see them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from rag.retrieval.result import DocumentCount, RetrievalResult


@dataclass(frozen=True, slots=True)
class ReferenceChunk:
    """A retrieved chunk; its place in `Reference.chunks` is its citation number.

    url: address of a web result (whose dataset_id is []), else None. kind: "", "table", "image".
    """

    id: str
    content: str
    document_id: str
    document_name: str
    dataset_id: str | list[str]
    similarity: float
    vector_similarity: float
    term_similarity: float
    positions: Sequence[tuple[int, int, int, int, int]] = ()
    image_id: str = ""
    kind: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """total: chunks over the threshold, also those that `top_n` left out; documents: most chunks first."""

    total: int = 0
    chunks: list[ReferenceChunk] = field(default_factory=list)
    documents: list[DocumentCount] = field(default_factory=list)

    def cited(self, indexes: Collection[int]) -> "Reference":
        """All chunks, and the documents of the cited ones; all documents if none is cited."""
        ids = {self.chunks[index].document_id for index in indexes if 0 <= index < len(self.chunks)}
        if not ids:
            return self
        return replace(self, documents=[d for d in self.documents if d.document_id in ids])


def build_reference(found: RetrievalResult) -> Reference:
    """The reference of a search result, before anything is cited."""
    chunks = [
        ReferenceChunk(
            id=hit.chunk.id,
            content=hit.chunk.content,
            document_id=hit.chunk.document_id,
            document_name=hit.chunk.document_name,
            dataset_id=hit.chunk.dataset_id,
            similarity=float(hit.similarity),
            vector_similarity=float(hit.vector_similarity),
            term_similarity=float(hit.term_similarity),
            positions=tuple(hit.chunk.positions),
            image_id=hit.chunk.image_id,
            kind=hit.chunk.kind,
        )
        for hit in found.hits
    ]
    return Reference(found.total, chunks, list(found.document_counts))
