"""What a tenant can do with the sessions of its chats."""

from collections.abc import Sequence
from typing import Any

from api.auth import Caller
from api.clock import now_ms
from api.db.chats import find_chat, opener_of
from api.db.database import Database
from api.db.models import Chat
from api.db.sessions import find_session, insert_session
from api.deletions import plan_deletion
from api.errors import NotFound, Refused
from api.sessions.queries import delete_sessions, list_sessions, session_ids
from api.sessions.replies import listed_reply, session_reply
from api.sessions.schemas import SessionCreate, SessionListQuery, SessionUpdate


class SessionService:
    """What a tenant can do with the sessions of its chats."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, caller: Caller, chat_id: str, new: SessionCreate) -> dict[str, Any]:
        """Open a session. Raises NotFound, Refused."""
        return await self._db.transaction(self._create, caller, chat_id, new)

    async def update(self, caller: Caller, chat_id: str, session_id: str, changes: SessionUpdate) -> None:
        """Change name or user id. Raises NotFound, Refused."""
        await self._db.transaction(self._update, caller, chat_id, session_id, changes)

    async def find(self, caller: Caller, chat_id: str, query: SessionListQuery) -> list[dict[str, Any]]:
        """A page of a chat's sessions. Raises NotFound."""
        return await self._db.read(self._find, caller, chat_id, query)

    async def delete(self, caller: Caller, chat_id: str, ids: Sequence[str] | None) -> dict[str, Any] | None:
        """Delete sessions; nothing named: all. Returns what went wrong with some ids. Raises NotFound."""
        return await self._db.transaction(self._delete, caller, chat_id, ids)

    def _create(self, caller: Caller, chat_id: str, new: SessionCreate) -> dict[str, Any]:
        chat = find_chat(caller.tenant_id, chat_id)
        if chat is None:
            raise NotFound("You do not own the assistant.")
        if not new.name:
            raise Refused("`name` can not be empty.")
        return session_reply(insert_session(chat, new.name, new.user_id or "", opener_of(chat)))

    def _update(self, caller: Caller, chat_id: str, session_id: str, changes: SessionUpdate) -> None:
        own = (Chat.id == chat_id) & (Chat.tenant_id == caller.tenant_id)
        session = find_session(chat_id, session_id) if Chat.select().where(own).exists() else None
        if session is None:
            # A foreign chat's session is as good as unknown: who asks must not learn that it exists.
            raise NotFound("Session does not exist")
        if find_chat(caller.tenant_id, chat_id) is None:
            raise NotFound("You do not own the session")
        sent = changes.model_fields_set
        if sent & {"message", "messages"}:
            raise Refused("`message` can not be change")
        if "reference" in sent:
            raise Refused("`reference` can not be change")
        if "name" in sent:
            if not changes.name:
                raise Refused("`name` can not be empty.")
            session.name = changes.name
        if "user_id" in sent:
            session.user_id = changes.user_id or ""
        session.update_time = max(now_ms(), session.update_time + 1)
        session.save()

    def _find(self, caller: Caller, chat_id: str, query: SessionListQuery) -> list[dict[str, Any]]:
        if find_chat(caller.tenant_id, chat_id) is None:
            raise NotFound(f"You don't own the assistant {chat_id}.")
        return [listed_reply(session) for session in list_sessions(chat_id, query)]

    def _delete(self, caller: Caller, chat_id: str, ids: Sequence[str] | None) -> dict[str, Any] | None:
        if find_chat(caller.tenant_id, chat_id) is None:
            raise NotFound("You don't own the chat")
        existing = session_ids(chat_id)
        plan = plan_deletion(
            ids or existing,
            set(existing),
            unknown="The chat doesn't own the session {id}",
            duplicate="Duplicate session ids: {id}",
        )
        delete_sessions(plan.ids)
        return plan.report
