"""Asks chats in OpenAI's terms."""

from collections.abc import Callable
from typing import Any

from api.answers import Answerer, AnswerPlan, FoundMetadata, plan_answer, read_condition
from api.auth import Caller
from api.chats_openai.completions import OpenAIAnswer
from api.chats_openai.schemas import OpenAIQuestion
from api.db.chats import find_chat
from api.db.database import Database
from api.db.models import Chat
from api.errors import AppError, NotFound


class OpenAIService:
    """Asks chats in OpenAI's terms; nothing is stored."""

    def __init__(self, db: Database, answerer: Answerer) -> None:
        self._db = db
        self._answerer = answerer

    async def ask(
        self,
        caller: Caller,
        chat_id: str,
        question: OpenAIQuestion,
        as_error: Callable[[AppError], dict[str, Any]],
    ) -> OpenAIAnswer:
        """An answer that has not begun. as_error: how a failure in mid-stream is sent. Raises NotFound, Refused."""
        plan = await self._db.read(self._plan, caller, chat_id, question)
        metadata = FoundMetadata()
        events = self._answerer.answer(plan, question.messages, quote=question.reference, metadata=metadata)
        return OpenAIAnswer(chat_id, question, events, metadata, as_error)

    async def models(self, caller: Caller, chat_id: str) -> dict[str, Any]:
        """The chat's model as a list, for clients that want to choose one. Raises NotFound."""
        chat = await self._db.read(_get_chat, caller, chat_id)
        created = chat.create_time // 1000
        return {
            "object": "list",
            "data": [{"id": chat.llm_id, "object": "model", "created": created, "owned_by": "ragd"}],
        }

    def _plan(self, caller: Caller, chat_id: str, question: OpenAIQuestion) -> AnswerPlan:
        chat = _get_chat(caller, chat_id)
        condition = read_condition(question.condition)
        return plan_answer(caller, chat, condition=condition if question.text.strip() else None)


def _get_chat(caller: Caller, chat_id: str) -> Chat:
    chat = find_chat(caller.tenant_id, chat_id)
    if chat is None:
        raise NotFound(f"You don't own the chat {chat_id}")
    return chat
