"""Sessions: what the session and completion slices share."""

from typing import Any

import orjson

from api.clock import new_id, now_ms
from api.db.models import Chat, Session


def insert_session(chat: Chat, name: str, user_id: str, opener: dict[str, Any]) -> Session:
    """Store a conversation that begins with this message."""
    now = now_ms()
    session: Session = Session.create(
        id=new_id(), create_time=now, update_time=now, chat_id=chat.id, name=name, user_id=user_id,
        messages=orjson.dumps([opener]).decode(), references="[]",
    )  # fmt: skip
    return session


def find_session(chat_id: str, session_id: str) -> Session | None:
    """A conversation of the chat."""
    session: Session | None = Session.get_or_none((Session.id == session_id) & (Session.chat_id == chat_id))
    return session


def append_turn(
    session_id: str, question: dict[str, Any], answer: dict[str, Any] | None, reference: dict[str, Any]
) -> bool:
    """Add a question and its answer to what is stored by now; False if the session is gone.

    Every answer has a reference, so that the n-th reference belongs to the n-th answer. Without an
    answer the question stands alone, and has none.
    """
    session: Session | None = Session.get_or_none(Session.id == session_id)
    if session is None:
        return False
    messages = orjson.loads(session.messages)
    messages.append(question)
    if answer is not None:
        messages.append(answer)
        references = orjson.loads(session.references)
        references.append(reference)
        session.references = orjson.dumps(references).decode()
    session.messages = orjson.dumps(messages).decode()
    session.update_time = max(now_ms(), session.update_time + 1)
    session.save()
    return True


def messages_of(session_id: str) -> list[dict[str, Any]]:
    """What was said so far; nothing if the session is gone."""
    session: Session | None = Session.get_or_none(Session.id == session_id)
    return [] if session is None else orjson.loads(session.messages)
