"""Deep research: search, judge what was found, ask on, at most three levels deep."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from rag.answering.ask import ask_for_object
from rag.answering.events import ThinkingEnded, ThinkingStarted, ThinkingText
from rag.answering.prompt import build_knowledge
from rag.answering.prompts import PromptLanguage
from rag.answering.reference import Reference, ReferenceChunk
from rag.answering.stages.passages import count_documents, search
from rag.answering.state import AnswerState
from rag.answering.together import together
from rag.errors import ModelError, RagError

MAX_DEPTH = 3
MAX_FOLLOW_UPS = 3
"""At most 13 searches and 8 questions to the model (each asked again once when its reply is no JSON)."""

_THRESHOLD = 0.2
_VECTOR_WEIGHT = 0.3
# Of the model's context, for the passages that it judges.
_PASSAGES_SHARE = 0.5
_LONGEST_QUESTION = 1000
_LONGEST_LINE = 300

_LINES: Mapping[PromptLanguage, Mapping[str, str]] = {
    "en": {
        "search": "Searching: {}",
        "found": "Found {} passages, {} of them new.",
        "enough": "This is enough to answer: {}",
        "missing": "Still missing: {}",
        "stopped": "The research stops here: {}",
        "time": "The time for research is over.",
    },
    "zh": {
        "search": "检索：{}",
        "found": "找到 {} 个段落，其中 {} 个是新的。",
        "enough": "已足以回答：{}",
        "missing": "尚缺：{}",
        "stopped": "研究到此为止：{}",
        "time": "研究时间已用完。",
    },
}

ResearchEvent = ThinkingStarted | ThinkingText | ThinkingEnded


def wants_research(state: AnswerState) -> bool:
    """Whether passages are found by research in place of a single search."""
    is_on = state.request.settings.reasoning and state.helpers.instructed is not None
    return is_on and state.wants_passages and state.document_ids != []


async def research(state: AnswerState) -> AsyncGenerator[ResearchEvent, None]:
    """Progress as reasoning, a line each; what was found is the state's reference, also after a failure.

    Raises the RagError of the first search, after the reasoning has ended.
    """
    inquiry = _Inquiry(state)
    task = asyncio.create_task(inquiry.run())
    try:
        yield ThinkingStarted()
        while (line := await inquiry.lines.get()) is not None:
            yield ThinkingText(f"{line}<br/>")
        yield ThinkingEnded()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if inquiry.pool:
        state.reference = inquiry.reference()
    elif inquiry.error is not None:
        raise inquiry.error


class _Inquiry:
    """One research. lines: its progress, None at the end. pool: passages in the order in which they turned up."""

    def __init__(self, state: AnswerState) -> None:
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.pool: dict[tuple[str, str], ReferenceChunk] = {}
        self.error: RagError | None = None
        self._state = state
        self._queries: set[str] = set()

    async def run(self) -> None:
        state = self._state
        try:
            async with asyncio.timeout(state.helpers.research_timeout_s):
                await self._explore(state.question, state.search_texts, depth=1)
        except TimeoutError:
            self._say("time")
        except RagError as error:
            self.error = error
            self._say("stopped", error)
        finally:
            self.lines.put_nowait(None)

    def reference(self) -> Reference:
        """All that was found."""
        chunks = list(self.pool.values())
        return Reference(len(chunks), chunks, count_documents(chunks))

    async def _explore(self, question: str, texts: Sequence[str], depth: int) -> None:
        self._queries.add(texts[0].casefold())
        self._say("search", texts[0])
        found = await search(
            self._state,
            texts,
            similarity_threshold=_THRESHOLD,
            vector_similarity_weight=_VECTOR_WEIGHT,
            is_reranked=False,
        )
        self._say("found", len(found.chunks), self._add(found.chunks))
        if depth == MAX_DEPTH:
            return
        try:
            follow_ups = await self._follow_ups(question, texts[0], found.chunks)
        except ModelError as error:
            self._say("stopped", error)
            return
        if follow_ups:
            await together([self._explore(asked, [query], depth + 1) for asked, query in follow_ups])

    async def _follow_ups(
        self, question: str, query: str, chunks: Sequence[ReferenceChunk]
    ) -> list[tuple[str, str]]:
        """(question, query) pairs for what the passages do not tell; none where they are enough."""
        passages = self._passages(chunks)
        verdict = await self._ask("sufficiency", f"{passages}\n\nQuestion: {question}")
        if verdict is None or _is_true(verdict.get("is_sufficient")):
            if verdict is not None:
                self._say("enough", question)
            return []
        missing = "; ".join(_texts(verdict.get("missing_information")))[:_LONGEST_QUESTION]
        self._say("missing", missing or question)
        asked = f"{passages}\n\nQuestion: {question}\nSearch: {query}\nMissing: {missing}"
        plan = await self._ask("follow_ups", asked)
        return self._read_plan((plan or {}).get("questions"))

    def _read_plan(self, entries: Any) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict):
                continue
            query = next(iter(_texts([entry.get("query"), entry.get("question")])), "")
            question = next(iter(_texts([entry.get("question")])), query)
            if query and query.casefold() not in self._queries and len(pairs) < MAX_FOLLOW_UPS:
                self._queries.add(query.casefold())
                pairs.append((question, query))
        return pairs

    async def _ask(self, prompt: str, text: str) -> dict[str, Any] | None:
        helpers = self._state.helpers
        assert helpers.instructed is not None
        return await ask_for_object(
            helpers.instructed,
            helpers.prompts.load(prompt, self._state.language),
            text,
            timeout_s=helpers.step_timeout_s,
        )

    def _passages(self, chunks: Sequence[ReferenceChunk]) -> str:
        helpers = self._state.helpers
        assert helpers.instructed is not None
        budget = int(_PASSAGES_SHARE * helpers.instructed.context_tokens)
        block = build_knowledge(chunks, budget, language=self._state.language, prompts=helpers.prompts)
        return block.text or "(no passages)"

    def _add(self, chunks: Sequence[ReferenceChunk]) -> int:
        """Put passages into the pool; returns how many are new."""
        before = len(self.pool)
        for chunk in chunks:
            self.pool.setdefault((chunk.document_id, chunk.id), chunk)
        return len(self.pool) - before

    def _say(self, line: str, *values: object) -> None:
        shown = (" ".join(str(value).split())[:_LONGEST_LINE] for value in values)
        self.lines.put_nowait(_LINES[self._state.language][line].format(*shown))


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))


def _texts(values: Any) -> list[str]:
    found = values if isinstance(values, list) else [values]
    texts = (" ".join(one.split())[:_LONGEST_QUESTION] for one in found if isinstance(one, str))
    return [text for text in texts if text]
