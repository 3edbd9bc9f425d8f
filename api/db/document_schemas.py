"""A document as clients see it, in the replies of several slices."""

from typing import Any, Literal

from pydantic import Field

from api.http import Reply

RunText = Literal["UNSTART", "RUNNING", "CANCEL", "DONE", "FAIL"]


class UploadReply(Reply):
    """A document right after its upload."""

    id: str
    dataset_id: str
    chunk_method: str
    pipeline_id: str | None
    parser_config: dict[str, Any]
    created_by: str
    type: str
    name: str
    source_type: str
    suffix: str
    location: str
    size: int
    thumbnail: str | None
    run: RunText


class DocumentReply(UploadReply):
    """A document after an update, or above a list of its chunks."""

    chunk_count: int
    token_count: int
    progress: float = Field(description="0 to 1; -1 after a failure")
    progress_msg: str
    process_begin_at: str | None
    process_duration: float = Field(description="seconds")
    status: str = Field(description="1 enabled, 0 disabled")
    create_time: int
    update_time: int
    create_date: str
    update_date: str
