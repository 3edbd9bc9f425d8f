"""Queries on chats."""

from collections.abc import Sequence

from api.chats.schemas import ChatListQuery
from api.db.chats import DELETED, LIVE
from api.db.models import Chat, fold_name
from api.paging import SORT_COLUMNS


def is_name_taken(tenant_id: str, name: str, *, but: str = "") -> bool:
    """Whether another live chat of the tenant (not `but`) has this name, ignoring case."""
    return bool(
        Chat.select()
        .where(
            (Chat.tenant_id == tenant_id)
            & (Chat.name_key == fold_name(name))
            & (Chat.status == LIVE)
            & (Chat.id != but)
        )
        .exists()
    )


def list_chats(tenant_id: str, query: ChatListQuery) -> list[Chat]:
    """A page of the tenant's live chats."""
    wanted = (Chat.tenant_id == tenant_id) & (Chat.status == LIVE)
    if query.id is not None:
        wanted &= Chat.id == query.id
    if query.name is not None:
        wanted &= Chat.name_key == fold_name(query.name)
    column = getattr(Chat, SORT_COLUMNS[query.orderby])
    order = (column.desc(), Chat.id.desc()) if query.desc else (column.asc(), Chat.id.asc())
    return list(Chat.select().where(wanted).order_by(*order).limit(query.limit).offset(query.offset))


def chat_exists(tenant_id: str, chat_id: str | None, name: str | None) -> bool:
    """Whether a live chat has this id and this name; None stands for any."""
    wanted = (Chat.tenant_id == tenant_id) & (Chat.status == LIVE)
    if chat_id is not None:
        wanted &= Chat.id == chat_id
    if name is not None:
        wanted &= Chat.name_key == fold_name(name)
    return bool(Chat.select().where(wanted).exists())


def live_ids(tenant_id: str) -> list[str]:
    """Ids of the tenant's live chats, oldest first."""
    rows = (
        Chat.select(Chat.id)
        .where((Chat.tenant_id == tenant_id) & (Chat.status == LIVE))
        .order_by(Chat.create_time, Chat.id)
    )
    return [row.id for row in rows]


def mark_deleted(ids: Sequence[str], now: int) -> None:
    """Delete softly: the chats' sessions stay."""
    for start in range(0, len(ids), 500):
        Chat.update(status=DELETED, update_time=now).where(Chat.id.in_(ids[start : start + 500])).execute()
