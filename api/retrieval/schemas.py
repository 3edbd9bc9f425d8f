"""Body and reply of the retrieval route."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from api.errors import Refused
from api.http import LooseBody, Reply


def _truth(value: Any) -> bool:
    return bool(value)


def read_highlight(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise Refused("`highlight` should be a boolean")


Truth = Annotated[bool, BeforeValidator(_truth)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
TopK = Annotated[int, Field(ge=1, le=100_000)]


class RetrievalBody(LooseBody):
    """Body of POST /api/v1/retrieval."""

    dataset_ids: Any = Field(None, description="required: ids of datasets with the same embedding model")
    question: Any = Field(None, description="required")
    document_ids: Any = Field(default_factory=list, description="restrict to these documents")
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=1_000_000, description="more than 1000 is taken as 1000")] = 30
    similarity_threshold: Finite = 0.2
    vector_similarity_weight: Annotated[float, Field(ge=0, le=1)] = 0.3
    top_k: TopK = 1024
    rerank_id: str | None = None
    keyword: Truth = False
    use_kg: Truth = False
    toc_enhance: Truth = False
    highlight: Any = False
    cross_languages: list[str] | None = None
    metadata_condition: Any = None


class RetrievedChunkReply(Reply):
    """A passage that was found."""

    id: str
    content: str
    content_ltks: str = Field(description="the passage as it is searched: terms joined by spaces")
    document_id: str
    document_keyword: str = Field(description="the document's name")
    document_name: str
    dataset_id: str
    important_keywords: list[str]
    image_id: str
    similarity: float = Field(description="weighted sum of the two below, plus the dataset's pagerank")
    vector_similarity: float = Field(description="cosine of question and passage")
    term_similarity: float = Field(
        description="share of the question's weight that the passage's words cover, 0 to 1"
    )
    positions: list[list[int]]
    doc_type_kwd: str
    mom_id: str
    highlight: str = Field("", description="with `<em>` around what was found; only when asked for")


class DocumentCountReply(Reply):
    """How many of the passages a document has."""

    doc_name: str
    doc_id: str
    count: int


class RetrievalReply(Reply):
    """A page of passages; `total` counts those over the threshold."""

    total: int
    chunks: list[RetrievedChunkReply]
    doc_aggs: list[DocumentCountReply] | dict[str, Any]
