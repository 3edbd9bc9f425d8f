"""Questions that belong to no chat: asked of datasets, and proposals for what to ask next."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from api.answers import Answerer, AnswerPlan, DefaultModel, StepOptions, reference_reply
from api.auth import Caller
from api.db.database import Database
from api.errors import NotFound, Refused
from api.permissions import Right, get_datasets
from api.search import bare_model
from api.sessions.ask_schemas import AskBody, RelatedQuestionsBody
from rag.answering.ask import ask_model
from rag.answering.events import AnswerEvent, Done, Failed, Text, ThinkingEnded, ThinkingStarted, ThinkingText
from rag.answering.prompts import PromptLanguage
from rag.answering.reference import Reference
from rag.answering.request import ChatSettings
from rag.models.protocol import Message
from rag.text.languages import is_chinese

MAX_RELATED = 10
_NUMBERED = re.compile(r"\s*\d{1,2}\s*[.)、．]\s*(\S.*)")


class AskService:
    """Answers from datasets with the tenant's default chat model; nothing is stored."""

    def __init__(
        self, db: Database, answerer: Answerer, default_model: DefaultModel, options: StepOptions
    ) -> None:
        self._db = db
        self._answerer = answerer
        self._default_model = default_model
        self._options = options

    async def open(self, caller: Caller, body: AskBody) -> AnswerPlan:
        """Check a question. Raises NotFound, Refused."""
        if not (body.question or "").strip():
            raise Refused("`question` is required.")
        if not body.dataset_ids:
            raise Refused("`dataset_ids` is required.")
        ids = body.dataset_ids
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Refused("`dataset_ids` should be a list.")
        return await self._db.read(self._plan, caller, list(dict.fromkeys(ids)), body.question or "")

    async def frames(self, plan: AnswerPlan, question: str) -> AsyncGenerator[dict[str, Any], None]:
        """The answer as it comes. Raises RagError."""
        events = self._answerer.answer(plan, [Message("user", question)])
        async with aclosing(events):
            async for event in events:
                if (data := _data(event)) is not None:
                    yield _frame(data)
        yield _frame(True)

    async def related_questions(self, caller: Caller, body: RelatedQuestionsBody) -> list[str]:
        """What may be asked next. Raises Refused, BadArgument, ModelError."""
        question = (body.question or "").strip()
        if not question:
            raise Refused("`question` is required.")
        model = await self._default_model.find_instructed(caller.tenant_id, "This endpoint")
        text = f"{question}\n\nIndustry: {body.industry}" if body.industry else question
        reply = await ask_model(
            model,
            self._options.prompts.load("related", _language(question)),
            text,
            timeout_s=self._options.step_timeout_s,
            temperature=0.9,
        )
        found = [match.group(1).strip() for line in reply.splitlines() if (match := _NUMBERED.match(line))]
        return found[:MAX_RELATED]

    def _plan(self, caller: Caller, dataset_ids: list[str], question: str) -> AnswerPlan:
        datasets = get_datasets(
            caller, dataset_ids, Right.WORK, lambda id: NotFound(f"You don't own the dataset {id}.")
        )
        for dataset in datasets:
            if dataset.chunk_count == 0:
                raise Refused(f"The dataset {dataset.id} doesn't own parsed file")
        if len({bare_model(dataset.embedding_model) for dataset in datasets}) > 1:
            raise Refused('Datasets use different embedding models."')
        settings = ChatSettings(
            system_prompt=self._options.prompts.load("summary", _language(question)),
            top_n=12,
            top_k=1024,
            similarity_threshold=0.1,
            vector_similarity_weight=0.3,
            llm={"temperature": 0.1},
        )
        return AnswerPlan(
            model_id="",  # the tenant's default
            settings=settings,
            datasets=datasets,
            has_datasets=True,
            document_ids=None,
            tenant_id=caller.tenant_id,
        )


def error_frames(message: str) -> list[dict[str, Any]]:
    """The end of a stream that failed."""
    data = {"answer": f"**ERROR**: {message}", "reference": []}
    return [{"code": 500, "message": message, "data": data}, _frame(True)]


def _frame(data: Any) -> dict[str, Any]:
    return {"code": 0, "message": "", "data": data}


def _data(event: AnswerEvent) -> dict[str, Any] | None:
    delta: dict[str, Any] = {"answer": "", "reference": {}, "final": False}
    match event:
        case Text() | ThinkingText():
            return delta | {"answer": event.text}
        case Failed():
            return delta | {"answer": event.answer_text}
        case ThinkingStarted():
            return delta | {"start_to_think": True}
        case ThinkingEnded():
            return delta | {"end_to_think": True}
        case Done():
            final = {
                "answer": "",
                "reference": reference_reply(event.reference or Reference()),
                "final": True,
            }
            return final | (
                {"cited_answer": event.cited_answer} if event.cited_answer != event.answer else {}
            )
    return None


def _language(text: str) -> PromptLanguage:
    return "zh" if is_chinese(text) else "en"
