"""`/api/v1/chats/{chat_id}/sessions` and `…/completions`."""

from typing import Any

from quart import Blueprint, Response

from api.answers import stream_error
from api.auth import require_api_key
from api.deletions import DeletionBody, DeletionReport
from api.http import read_loose, read_query, sdk_ok
from api.logs import request_id
from api.openapi import operation
from api.runtime import services
from api.sessions.completion_schemas import CompletionBody, CompletionReply
from api.sessions.frames import error_frames
from api.sessions.schemas import (
    SessionCreate,
    SessionListQuery,
    SessionReply,
    SessionUpdate,
)
from api.streams import sse

blueprint = Blueprint("sessions", __name__, url_prefix="/api/v1/chats/<chat_id>")

TAG = "sessions"


@blueprint.post("/sessions")
@operation(
    "Open a session",
    tag=TAG,
    body=SessionCreate,
    is_body_required=False,
    data=SessionReply,
    example={"name": "first steps"},
    errors=((102, "You do not own the assistant."), (102, "`name` can not be empty.")),
)
async def create_session(chat_id: str) -> Response:
    """It begins with the chat's opener."""
    caller = await require_api_key()
    return sdk_ok(await services().sessions.create(caller, chat_id, await read_loose(SessionCreate)))


@blueprint.put("/sessions/<session_id>")
@operation(
    "Rename a session",
    tag=TAG,
    body=SessionUpdate,
    example={"name": "second thoughts"},
    errors=(
        (102, "Session does not exist"),
        (102, "You do not own the session"),
        (102, "`message` can not be change"),
        (102, "`reference` can not be change"),
        (102, "`name` can not be empty."),
    ),
)
async def update_session(chat_id: str, session_id: str) -> Response:
    """Name and user id can be changed."""
    caller = await require_api_key()
    await services().sessions.update(caller, chat_id, session_id, await read_loose(SessionUpdate))
    return sdk_ok()


@blueprint.get("/sessions")
@operation(
    "List the sessions of a chat",
    tag=TAG,
    query=SessionListQuery,
    data=[SessionReply],
    errors=((102, "You don't own the assistant <id>."),),
)
async def list_sessions(chat_id: str) -> Response:
    """Each answer carries the passages it was made from."""
    caller = await require_api_key()
    return sdk_ok(await services().sessions.find(caller, chat_id, read_query(SessionListQuery)))


@blueprint.delete("/sessions")
@operation(
    "Delete sessions",
    tag=TAG,
    body=DeletionBody,
    is_body_required=False,
    data=DeletionReport,
    is_data_optional=True,
    example={"ids": ["7a7d1e5e241e11f0b1f59f24fc270c7f"]},
    errors=((102, "You don't own the chat"), (102, "The chat doesn't own the session <id>")),
)
async def delete_sessions(chat_id: str) -> Response:
    """No ids: all of the chat. `data` comes only where something was wrong with some ids."""
    caller = await require_api_key()
    body = await read_loose(DeletionBody)
    return sdk_ok(await services().sessions.delete(caller, chat_id, body.ids))


@blueprint.post("/completions")
@operation(
    "Ask a chat assistant",
    tag=TAG,
    body=CompletionBody,
    data=CompletionReply,
    streams=True,
    example={"question": "How long is the guarantee?", "stream": False},
    errors=(
        (102, "You don't own the chat <id>"),
        (102, "You don't own the session <id>"),
        (102, "metadata_condition must be an object."),
        (102, "Please input your question."),
        (102, "You don't own the dataset <id>"),
        (102, "`name` can not be empty."),
    ),
)
async def complete(chat_id: str) -> Response:
    """Streams unless `stream` is false. Without `session_id` a session is opened, and its id comes with the
    answer; without a question the reply is then the chat's opener. Frames hold deltas: join their `answer`.
    The last frame but one has the references, the last one is `{"code": 0, "data": true}`. Citations
    `[ID:i]` point to `reference.chunks[i]`.
    """
    caller = await require_api_key()
    body = await read_loose(CompletionBody)
    completions = services().completions
    turn = await completions.open(caller, chat_id, body)
    if not body.stream:
        return sdk_ok(await completions.reply(turn))
    asked_as = request_id()

    def tell(error: Exception) -> list[dict[str, Any]]:
        return error_frames(stream_error(error, asked_as))

    return sse(completions.frames(turn), on_error=tell)
