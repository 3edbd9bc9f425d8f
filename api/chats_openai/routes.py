"""`/api/v1/chats_openai/{chat_id}/chat/completions`."""

from typing import Any

from quart import Blueprint, Response, request

from api.answers import stream_error
from api.auth import require_api_key
from api.chats_openai.completions import DONE
from api.chats_openai.schemas import (
    OpenAICompletionBody,
    OpenAICompletionReply,
    OpenAIModelList,
    check_presence,
    read_question,
)
from api.errors import AppError, Unexpected, from_rag
from api.http import error_content, json_response, read_object
from api.logs import request_id
from api.openapi import operation
from api.runtime import services
from api.streams import sse
from rag.errors import RagError

blueprint = Blueprint("chats_openai", __name__, url_prefix="/api/v1/chats_openai")


@blueprint.post("/<chat_id>/chat/completions")
@operation(
    "Ask a chat assistant in OpenAI's terms",
    tag="chats_openai",
    body=OpenAICompletionBody,
    reply=OpenAICompletionReply,
    streams=True,
    example={
        "model": "model",
        "messages": [{"role": "user", "content": "How long is the guarantee?"}],
        "stream": False,
        "extra_body": {"reference": True},
    },
    errors=(
        (101, "required argument are missing: model,messages; "),
        (102, "extra_body must be an object."),
        (102, "reference_metadata must be an object."),
        (102, "reference_metadata.fields must be an array."),
        (102, "You have to provide messages."),
        (102, "The last content of this conversation is not from user."),
        (102, "You don't own the chat <id>"),
        (102, "metadata_condition must be an object."),
        (102, "stream_options must be an object."),
        (102, "`tools` are not supported: a chat answers from its datasets; leave them out"),
        (102, "`n` must be 1, got <n>: there is one answer to a question"),
    ),
)
async def chat_completions(chat_id: str) -> Response:
    """Streams unless `stream` is false. `model` is sent back and selects nothing: the chat has its model.

    With `reference` the answer cites `[ID:i]`, and the passages come along, in the message or in the last
    delta. Errors have OpenAI's shape and their true status; after the first piece they are a chunk with
    `error`. Nothing is stored.
    """
    body = await read_object()
    check_presence(body)
    caller = await require_api_key()
    question = read_question(body)
    path, asked_as = request.path, request_id()

    def as_error(error: AppError) -> dict[str, Any]:
        return error_content(error, path)

    def tell(error: Exception) -> list[dict[str, Any] | bytes]:
        match error:
            case AppError():
                refusal = error
            case RagError():
                refusal = from_rag(error)
            case _:
                refusal = Unexpected(stream_error(error, asked_as))
        return [as_error(refusal), DONE]

    answer = await services().openai.ask(caller, chat_id, question, as_error)
    if not (_accepts_stream() if question.stream is None else question.stream):
        return json_response(await answer.whole())
    await answer.begin()
    return sse(answer, on_error=tell)


@blueprint.get("/<chat_id>/models")
@operation(
    "List the model of a chat assistant",
    tag="chats_openai",
    reply=OpenAIModelList,
    errors=((102, "You don't own the chat <id>"),),
)
async def list_models(chat_id: str) -> Response:
    """For clients that ask what they may choose. Any other `model` is answered by the same one."""
    caller = await require_api_key()
    return json_response(await services().openai.models(caller, chat_id))


def _accepts_stream() -> bool:
    """Whether the client would take a stream that it did not ask for.

    RAGFlow streams by default. OpenAI's clients leave `stream` out when they want none, and say so in
    `Accept` (docs/decisions/0060-openai-stream-default.md).
    """
    accepted = [kind.strip().partition(";")[0] for kind in request.headers.get("Accept", "*/*").split(",")]
    return accepted != ["application/json"]
