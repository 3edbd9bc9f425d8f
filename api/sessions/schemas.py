"""Bodies, queries and replies of the session and completion routes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.http import LooseBody, Reply
from api.paging import PageQuery

ShortText = Annotated[str, StringConstraints(max_length=255)]
SortColumn = Literal["create_time", "update_time", "create_date", "update_date", "name", "id"]


class SessionCreate(LooseBody):
    """Body of POST …/sessions."""

    name: ShortText | None = "New session"
    user_id: ShortText | None = Field(None, description="whose conversation it is; yours to choose")


class SessionUpdate(BaseModel):
    """Body of PUT …/sessions/{session_id}; messages cannot be changed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: ShortText | None = None
    user_id: ShortText | None = None
    message: Any = Field(None, description="must not be sent")
    messages: Any = Field(None, description="must not be sent")
    reference: Any = Field(None, description="must not be sent")


class SessionListQuery(PageQuery):
    """Query of GET …/sessions."""

    orderby: SortColumn = "create_time"
    id: str | None = None
    name: str | None = None
    user_id: str | None = None


class CitedChunkReply(Reply):
    """A passage behind an answer, as a session list shows it."""

    id: str
    content: str
    document_id: str
    document_name: str
    dataset_id: str | list[str] = Field(description="[] for a page of the web")
    image_id: str
    positions: list[list[int]]


class MessageReply(BaseModel):
    """A turn; question and answer share their id."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"required": ["role", "content"]})

    role: Literal["assistant", "user"]
    content: str | None
    id: str = ""
    created_at: float = Field(0.0, description="seconds since the epoch")
    reference: list[CitedChunkReply] = Field(default_factory=list)


class SessionReply(Reply):
    """A conversation."""

    id: str
    chat_id: str
    name: str
    user_id: str
    messages: list[MessageReply]
    create_time: int = Field(description="milliseconds since the epoch, UTC")
    update_time: int
    create_date: str
    update_date: str
