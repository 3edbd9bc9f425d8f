"""`/api/v1/chats`."""

from quart import Blueprint, Response

from api.auth import require_api_key
from api.chats.schemas import (
    ChatCreate,
    ChatListQuery,
    ChatReply,
    ChatUpdate,
    ListedChatReply,
)
from api.deletions import DeletionBody, DeletionReport
from api.http import read_loose, read_query, sdk_ok
from api.openapi import operation
from api.runtime import services

blueprint = Blueprint("chats", __name__, url_prefix="/api/v1/chats")

TAG = "chats"


@blueprint.post("")
@operation(
    "Create a chat assistant",
    tag=TAG,
    body=ChatCreate,
    data=ChatReply,
    example={"name": "support", "dataset_ids": ["3b4de7d4241d11f0a6a79f24fc270c7f"]},
    errors=(
        (102, "You don't own the dataset <id>"),
        (102, "The dataset <id> doesn't own parsed file"),
        (109, 'Datasets use different embedding models."'),
        (102, "`model_name` <name> doesn't exist"),
        (102, "`rerank_model` <name> doesn't exist"),
        (102, "`name` is required."),
        (102, "Duplicated chat name in creating chat."),
        (102, "`tenant_id` must not be provided."),
        (102, "Parameter '<key>' is not used"),
    ),
)
async def create_chat() -> Response:
    """Datasets must hold chunks and share an embedding model. Without datasets the model answers alone."""
    caller = await require_api_key()
    return sdk_ok(await services().chats.create(caller, await read_loose(ChatCreate)))


@blueprint.put("/<chat_id>")
@operation(
    "Change a chat assistant",
    tag=TAG,
    body=ChatUpdate,
    example={"name": "help desk", "prompt": {"top_n": 10}},
    errors=(
        (102, "You do not own the chat"),
        (102, "`name` cannot be empty."),
        (102, "Duplicated chat name in updating chat."),
        (101, "Field: <id> - Message: <Extra inputs are not permitted> - Value: <…>"),
    ),
)
async def update_chat(chat_id: str) -> Response:
    """Only what is sent changes; `prompt` and `llm` change key by key."""
    caller = await require_api_key()
    await services().chats.update(caller, chat_id, await read_loose(ChatUpdate))
    return sdk_ok()


@blueprint.get("")
@operation(
    "List chat assistants",
    tag=TAG,
    query=ChatListQuery,
    data=[ListedChatReply],
    errors=((102, "The chat doesn't exist"),),
)
async def list_chats() -> Response:
    """Newest first unless asked otherwise."""
    caller = await require_api_key()
    return sdk_ok(await services().chats.find(caller, read_query(ChatListQuery)))


@blueprint.delete("")
@operation(
    "Delete chat assistants",
    tag=TAG,
    body=DeletionBody,
    is_body_required=False,
    data=DeletionReport,
    is_data_optional=True,
    example={"ids": ["5c5d1e5e241e11f0b1f59f24fc270c7f"]},
    errors=((102, "Assistant(<id>) not found."),),
)
async def delete_chats() -> Response:
    """No ids: all. `data` comes only where something was wrong with some ids."""
    caller = await require_api_key()
    body = await read_loose(DeletionBody)
    return sdk_ok(await services().chats.delete(caller, body.ids))
