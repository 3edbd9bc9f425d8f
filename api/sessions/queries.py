"""Queries on sessions."""

from collections.abc import Sequence

from api.db.models import Session
from api.paging import SORT_COLUMNS
from api.sessions.schemas import SessionListQuery


def list_sessions(chat_id: str, query: SessionListQuery) -> list[Session]:
    """A page of the chat's sessions."""
    wanted = Session.chat_id == chat_id
    for name in ("id", "name", "user_id"):
        value = getattr(query, name)
        if value is not None:
            wanted &= getattr(Session, name) == value
    column = getattr(Session, SORT_COLUMNS[query.orderby])
    order = (column.desc(), Session.id.desc()) if query.desc else (column.asc(), Session.id.asc())
    return list(Session.select().where(wanted).order_by(*order).limit(query.limit).offset(query.offset))


def session_ids(chat_id: str) -> list[str]:
    """Ids of the chat's sessions, oldest first."""
    rows = (
        Session.select(Session.id).where(Session.chat_id == chat_id).order_by(Session.create_time, Session.id)
    )
    return [row.id for row in rows]


def delete_sessions(ids: Sequence[str]) -> None:
    """Delete for good."""
    for start in range(0, len(ids), 500):
        Session.delete().where(Session.id.in_(ids[start : start + 500])).execute()
