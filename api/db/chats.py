"""Chats: what the chat, session and completion slices share."""

from typing import Any

import orjson

from api.db.models import Chat

DEFAULT_LLM = {
    "temperature": 0.1,
    "top_p": 0.3,
    "frequency_penalty": 0.7,
    "presence_penalty": 0.4,
    "max_tokens": 512,
}
LIVE, DELETED = "1", "0"


def find_chat(tenant_id: str, chat_id: str) -> Chat | None:
    """A live chat of the tenant."""
    chat: Chat | None = Chat.get_or_none(
        (Chat.id == chat_id) & (Chat.tenant_id == tenant_id) & (Chat.status == LIVE)
    )
    return chat


def opener_of(chat: Chat) -> dict[str, Any]:
    """The assistant's first message in every session."""
    return {"role": "assistant", "content": orjson.loads(chat.prompt_config).get("prologue")}
