"""Questions in sessions: answered one after the other, kept whatever happens to the answer."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from api.answers import Answerer, AnswerPlan, plan_answer, read_condition
from api.auth import Caller
from api.db.chats import find_chat, opener_of
from api.db.database import Database
from api.db.sessions import append_turn, find_session, insert_session, messages_of
from api.errors import NotFound, Refused
from api.json_text import dump_column
from api.sessions.completion_schemas import CompletionBody
from api.sessions.frames import END, Record, event_frames, opener_reply, whole_reply
from api.sessions.turns import Turns
from rag.answering.events import AnswerEvent, Done
from rag.models.protocol import Message


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that passed its checks. question: None when only a session was opened.

    messages: what the session held at `read_at_s` (monotonic).
    """

    session_id: str
    plan: AnswerPlan
    question: str | None
    messages: Sequence[Mapping[str, Any]]
    read_at_s: float
    quote: bool
    variables: Mapping[str, str] = field(default_factory=dict)
    has_timings: bool = False
    question_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def ids(self) -> dict[str, str]:
        """What every frame carries."""
        return {"id": self.question_id, "session_id": self.session_id}


class CompletionService:
    """Asks chats within sessions."""

    def __init__(self, db: Database, answerer: Answerer) -> None:
        self._db = db
        self._answerer = answerer
        self._turns = Turns()
        self._writes: set[asyncio.Task[bool]] = set()

    async def open(self, caller: Caller, chat_id: str, body: CompletionBody) -> Turn:
        """Check a question; without a session id, open a session. Raises NotFound, Refused, BadFilter."""
        if body.session_id:
            return await self._db.read(self._open, caller, chat_id, body)
        return await self._db.transaction(self._open, caller, chat_id, body)

    async def frames(self, turn: Turn) -> AsyncGenerator[dict[str, Any], None]:
        """The answer as it comes. Raises RagError, ServerBusy; see `error_frames`."""
        if turn.question is None:
            yield {"code": 0, "message": "", "data": self._opener(turn)}
            yield {"code": 0, "message": "", "data": True}
            return
        async with aclosing(self._answer(turn, is_streamed=True)) as events:
            async for event in events:
                for frame in event_frames(
                    event, turn.ids, has_datasets=turn.plan.has_datasets, has_timings=turn.has_timings
                ):
                    yield frame
        yield END

    async def reply(self, turn: Turn) -> dict[str, Any]:
        """The answer in one piece. Raises RagError, ServerBusy."""
        if turn.question is None:
            return self._opener(turn)
        done: Done | None = None
        async with aclosing(self._answer(turn, is_streamed=False)) as events:
            async for event in events:
                if isinstance(event, Done):
                    done = event
        assert done is not None, "an answer without its end"
        return whole_reply(done, turn.ids, has_timings=turn.has_timings)

    async def close(self) -> None:
        """Wait until every answer that broke off is stored."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    def _opener(self, turn: Turn) -> dict[str, Any]:
        return opener_reply(turn.messages[0]["content"], turn.session_id)

    async def _answer(self, turn: Turn, *, is_streamed: bool) -> AsyncGenerator[AnswerEvent, None]:
        """The events of an answer; it is stored before `Done`, or what there is of it when it breaks off."""
        assert turn.question is not None
        async with self._turns.hold(turn.session_id, turn.read_at_s) as is_stale:
            earlier = turn.messages
            if is_stale:
                earlier = await self._db.read(messages_of, turn.session_id)
            asked = {"content": turn.question, "role": "user", "id": turn.question_id}
            history = [as_message(one) for one in (*earlier, asked)]
            record = Record()
            is_citing = turn.quote and turn.plan.settings.show_quote
            is_stored = False
            try:
                events = self._answerer.answer(turn.plan, history, variables=turn.variables, quote=turn.quote)
                async with aclosing(events):
                    async for event in events:
                        record.note(event, is_streamed=is_streamed, is_citing=is_citing)
                        if isinstance(event, Done):
                            is_stored = True
                            await self._store(turn, asked, record)
                        yield event
            finally:
                if not is_stored:
                    await self._store(turn, asked, record)

    async def _store(self, turn: Turn, asked: dict[str, Any], record: Record) -> None:
        """Write question and answer; the caller going away does not stop it."""
        answer = None
        if record.content:
            answer = {
                "role": "assistant",
                "content": record.content,
                "created_at": time.time(),
                "id": turn.question_id,
            }
        write = asyncio.ensure_future(
            self._db.transaction(append_turn, turn.session_id, asked, answer, record.reference)
        )
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    def _open(self, caller: Caller, chat_id: str, body: CompletionBody) -> Turn:
        read_at_s = time.monotonic()
        chat = find_chat(caller.tenant_id, chat_id)
        if chat is None:
            raise NotFound(f"You don't own the chat {chat_id}")
        session = None
        if body.session_id:
            session = find_session(chat_id, body.session_id)
            if session is None:
                raise NotFound(f"You don't own the session {body.session_id}")
        condition = read_condition(body.metadata_condition)
        question = body.question
        if session is not None and question is None:
            raise Refused("Please input your question.")
        if session is None and not (question or "").strip():
            question = None
        plan = plan_answer(
            caller,
            chat,
            condition=condition if (question or "").strip() else None,
            document_ids=_document_ids(body.doc_ids),
            more_dataset_ids=body.kb_ids or (),
            is_researching=bool(body.reasoning),
        )
        if session is None:
            if not body.name:
                raise Refused("`name` can not be empty.")
            opener = opener_of(chat) | {"created_at": time.time()}
            session = insert_session(chat, body.name, body.user_id or "", opener)
        return Turn(
            session_id=session.id,
            plan=plan,
            question=question,
            messages=orjson.loads(session.messages),
            read_at_s=read_at_s,
            quote=body.quote is None or bool(body.quote),
            has_timings=bool(body.timings),
            variables={
                name: value if isinstance(value, str) else dump_column(name, value)
                for name, value in (body.model_extra or {}).items()
            },
        )


def _document_ids(sent: str | list[str] | None) -> list[str] | None:
    ids = sent.split(",") if isinstance(sent, str) else sent or []
    return [stripped for one in ids if (stripped := one.strip())] or None


def as_message(stored: Mapping[str, Any]) -> Message:
    """A stored turn as a model sees it."""
    role: Literal["user", "assistant"] = "user" if stored["role"] == "user" else "assistant"
    return Message(role, stored["content"] or "")
