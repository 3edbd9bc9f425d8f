"""`/api/v1/sessions/ask` and `/api/v1/sessions/related_questions`."""

from typing import Any

from quart import Blueprint, Response

from api.answers import stream_error
from api.auth import require_api_key
from api.http import read_loose, sdk_ok
from api.logs import request_id
from api.openapi import operation
from api.runtime import services
from api.sessions.ask import error_frames
from api.sessions.ask_schemas import AskBody, RelatedQuestionsBody
from api.streams import sse

blueprint = Blueprint("questions", __name__, url_prefix="/api/v1/sessions")


@blueprint.post("/ask")
@operation(
    "Ask datasets without a chat",
    tag="sessions",
    body=AskBody,
    produces="text/event-stream",
    example={"question": "How long is the guarantee?", "dataset_ids": ["3b4de7d4241d11f0a6a79f24fc270c7f"]},
    errors=(
        (102, "`question` is required."),
        (102, "`dataset_ids` is required."),
        (102, "`dataset_ids` should be a list."),
        (102, "You don't own the dataset <id>."),
        (102, "The dataset <id> doesn't own parsed file"),
    ),
)
async def ask() -> Response:
    """Always streams. Frames hold deltas: join their `answer`. The last frame but one has the reference, the
    last one is `{"code": 0, "message": "", "data": true}`. The tenant's default chat model answers.
    """
    caller = await require_api_key()
    body = await read_loose(AskBody)
    questions = services().questions
    plan = await questions.open(caller, body)
    asked_as = request_id()

    def tell(error: Exception) -> list[dict[str, Any]]:
        return error_frames(stream_error(error, asked_as))

    return sse(questions.frames(plan, body.question or ""), on_error=tell)


@blueprint.post("/related_questions")
@operation(
    "Propose what to ask next",
    tag="sessions",
    body=RelatedQuestionsBody,
    data={"type": "array", "items": {"type": "string"}},
    example={"question": "How long is the guarantee?", "industry": "pumps"},
    errors=((102, "`question` is required."),),
)
async def related_questions() -> Response:
    """Up to ten questions, by the tenant's default chat model, which must be one that follows instructions."""
    caller = await require_api_key()
    body = await read_loose(RelatedQuestionsBody)
    return sdk_ok(await services().questions.related_questions(caller, body))
