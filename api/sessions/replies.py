"""How a session row becomes what clients see."""

from collections.abc import Iterator
from typing import Any

import orjson

from api.clock import http_date
from api.db.models import Session

_CITED_KEYS = ("id", "content", "document_id", "document_name", "dataset_id", "image_id", "positions")


def session_reply(session: Session) -> dict[str, Any]:
    """A conversation, without references."""
    return {
        "id": session.id,
        "chat_id": session.chat_id,
        "name": session.name,
        "user_id": session.user_id,
        "messages": orjson.loads(session.messages),
        "create_time": session.create_time,
        "update_time": session.update_time,
        "create_date": http_date(session.create_time),
        "update_date": http_date(session.update_time),
    }


def listed_reply(session: Session) -> dict[str, Any]:
    """A conversation; every answer with the passages behind it.

    References are stored one per answer. The opener is no answer and takes none.
    """
    reply = session_reply(session)
    references: Iterator[dict[str, Any]] = iter(orjson.loads(session.references))
    has_question = False
    for message in reply["messages"]:
        if message["role"] == "user":
            has_question = True
        elif has_question:
            chunks = next(references, {}).get("chunks") or ()
            message["reference"] = [{key: chunk[key] for key in _CITED_KEYS} for chunk in chunks]
    return reply
