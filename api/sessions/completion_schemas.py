"""Body and reply of the completion route."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.http import Reply
from api.sessions.schemas import ShortText


class CompletionBody(BaseModel):
    """A question. Any other key is the value of the system prompt's variable of that name."""

    model_config = ConfigDict(extra="allow", strict=True)

    question: str | None = None
    session_id: str | None = Field(None, description="without one, a session is opened")
    stream: Any = True
    name: ShortText | None = Field("New session", description="of the session that is opened")
    user_id: ShortText | None = Field(None, description="of the session that is opened")
    metadata_condition: Any = Field(
        None, description="an object: restricts to documents whose metadata fulfil it"
    )
    quote: Any = Field(True, description="false: no citations")
    reasoning: Any = Field(None, description="true: deep research, also where the chat has it switched off")
    doc_ids: str | list[str] | None = Field(
        None, description="ids of documents to restrict to, separated by commas"
    )
    timings: Any = Field(
        False, description="true: `timings`, the milliseconds of each stage, with the answer"
    )
    kb_ids: Annotated[list[str], Field(max_length=1000)] | None = Field(
        None, description="ids of datasets that are asked as well"
    )


class CompletionReply(Reply):
    """An answer in one piece."""

    model_config = ConfigDict(extra="allow")

    answer: str
    reference: dict[str, Any]
    session_id: str
    id: str | None = Field(description="of the question; null for an opener")
    audio_binary: None = None
