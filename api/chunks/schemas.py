"""Bodies, queries and replies of the chunk routes."""

from typing import Annotated, Any

from pydantic import Field

from api.db.document_schemas import DocumentReply
from api.http import LooseBody, LooseQuery, Reply

MAX_INTEGER = 2**53


class ChunkListQuery(LooseQuery):
    """Query of GET …/documents/{document_id}/chunks."""

    page: Annotated[int, Field(ge=0, le=MAX_INTEGER, description="1-based; 0 is taken as 1")] = 1
    page_size: Annotated[int, Field(ge=1, le=MAX_INTEGER, description="more than 1024 is taken as 1024")] = 30
    keywords: str = Field("", description="only chunks that hold one of these words, best first, with `<em>`")
    id: str | None = Field(None, description="just this chunk")


class ChunkCreate(LooseBody):
    """Body of POST …/documents/{document_id}/chunks."""

    content: str | None = Field(None, description="required")
    important_keywords: Any = Field(default_factory=list, description="list of strings")
    questions: Any = Field(
        default_factory=list, description="list of strings; they are embedded in place of the text"
    )


class ChunkUpdate(LooseBody):
    """Body of PUT …/chunks/{chunk_id}; what is not sent stays."""

    content: str | None = None
    important_keywords: Any = None
    questions: Any = None
    available: Any = None
    positions: Any = None


class ChunkIdsBody(LooseBody):
    """Chunks to delete; nothing, null or an empty list means all of the document."""

    chunk_ids: list[str] | None = None


class ChunkReply(Reply):
    """A chunk in a list."""

    id: str
    content: str
    document_id: str
    docnm_kwd: str = Field(description="the document's name")
    important_keywords: list[str]
    questions: list[str]
    dataset_id: str
    image_id: str
    available: bool
    positions: list[list[int]]


class ChunkPageReply(Reply):
    """A page of chunks, how many match in all, and their document."""

    total: int
    chunks: list[ChunkReply]
    doc: DocumentReply


class NewChunkReply(Reply):
    """A chunk right after it was added."""

    id: str
    content: str
    document_id: str
    important_keywords: list[str]
    questions: list[str]
    dataset_id: str
    create_timestamp: float
    create_time: str


class AddedChunkReply(Reply):
    """What adding a chunk returns."""

    chunk: NewChunkReply


class DeletedChunksReply(Reply):
    """Some ids came twice."""

    success_count: int
    errors: list[str]
