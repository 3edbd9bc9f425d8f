"""Bodies, queries and replies of the document routes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.db.document_schemas import DocumentReply
from api.http import LooseBody, LooseQuery, Reply

SORT_COLUMNS = {
    "create_time": "create_time",
    "update_time": "update_time",
    "name": "name_key",
    "size": "size",
    "type": "type",
    "suffix": "suffix",
    "progress": "progress",
    "run": "run",
    "status": "is_enabled",
    "chunk_num": "chunk_count",
    "chunk_count": "chunk_count",
    "token_num": "token_count",
    "token_count": "token_count",
    "process_begin_at": "process_begin_at",
    "process_duration": "process_duration",
    "create_date": "create_time",
    "update_date": "update_time",
}

MAX_INTEGER = 2**53

Wanted = Annotated[bool, BeforeValidator(lambda text: str(text).strip().lower() != "false")]
"""`false` in any case is false, everything else is true."""

Page = Annotated[int, Field(ge=0, le=MAX_INTEGER, description="1-based; 0 is taken as 1")]
PageSize = Annotated[int, Field(ge=0, le=MAX_INTEGER, description="more than 1000 is taken as 1000")]


class DocumentListQuery(LooseQuery):
    """Query of GET /api/v1/datasets/{dataset_id}/documents; filters are combined with AND."""

    page: Page = 1
    page_size: PageSize = 30
    orderby: str = Field("create_time", description=f"one of {', '.join(SORT_COLUMNS)}")
    desc: Wanted = True
    keywords: str = Field("", description="part of the name, ignoring case")
    id: str | None = None
    name: str | None = None
    suffix: list[str] = Field(default_factory=list, description="without dot; repeatable, any of them")
    run: list[str] = Field(default_factory=list, description="UNSTART, RUNNING, ... or 0 to 4; repeatable")
    create_time_from: int = Field(0, ge=0, le=MAX_INTEGER, description="milliseconds, inclusive; 0: open")
    create_time_to: int = Field(0, ge=0, le=MAX_INTEGER, description="milliseconds, inclusive; 0: open")
    metadata_condition: str | None = Field(None, description="JSON text of a metadata condition")


class IdsBody(LooseBody):
    """Ids; nothing or an empty list means all."""

    ids: list[str] | None = None


class DocumentIdsBody(LooseBody):
    """Documents to parse or to stop."""

    document_ids: list[str] | None = None


class DocumentUpdate(LooseBody):
    """Body of PUT …/documents/{document_id}; the counters may only repeat what is stored."""

    name: str | None = None
    parser_config: dict[str, Any] | None = None
    chunk_method: str | None = None
    enabled: bool | Literal[0, 1, "0", "1"] | None = None
    meta_fields: Any = None
    chunk_count: int | None = None
    token_count: int | None = None
    progress: float | None = None


class MetadataSummaryBody(LooseBody):
    """Optional body of GET …/metadata/summary."""

    doc_ids: list[str] | None = None


class MetadataUpdateBody(LooseBody):
    """Body of POST …/metadata/update."""

    selector: Any = None
    updates: Any = None
    deletes: Any = None


class ListedDocumentReply(DocumentReply):
    """A document in a list."""

    meta_fields: dict[str, Any]
    title: str | None


class DocumentPageReply(Reply):
    """A page of documents, and how many match in all."""

    total: int
    docs: list[ListedDocumentReply]


class PartlyDoneReply(Reply):
    """Some ids were named twice or not found."""

    success_count: int
    errors: list[str]


class MetadataUpdateReply(Reply):
    """Documents really changed, and those looked at."""

    updated: int
    matched_docs: int
