"""Deep research when the search itself fails, or its reader leaves."""

import asyncio
from dataclasses import replace

import pytest

from rag.answering.events import AnswerEvent, ThinkingEnded, ThinkingStarted, ThinkingText
from rag.answering.helpers import Helpers
from rag.answering.pipeline import answer
from rag.answering.request import PassageQuery
from rag.errors import StoreUnavailable
from rag.models.protocol import ChatRequest
from rag.retrieval.result import RetrievalResult
from tests.rag.answering.test_pipeline import PLAIN, Script, Search, ask

SETTINGS = replace(PLAIN, reasoning=True)


async def test_a_store_that_is_down_ends_the_thinking_and_is_raised() -> None:
    model = Script()
    events: list[AnswerEvent] = []
    with pytest.raises(StoreUnavailable):  # noqa: PT012 - what came before it counts
        async for event in answer(
            ask(SETTINGS),
            retrieve=Search(error=StoreUnavailable("gone")),
            chat_model=model,
            helpers=Helpers(instructed=model),
        ):
            events.append(event)
    kinds = [type(event) for event in events]
    assert kinds == [ThinkingStarted, ThinkingText, ThinkingText, ThinkingEnded]


async def test_a_store_that_fails_later_leaves_what_was_found() -> None:
    class FailsLater(Search):
        async def __call__(self, query: PassageQuery) -> RetrievalResult:
            self.error = StoreUnavailable("gone") if self.queries else None
            return await super().__call__(query)

    class Plans(Script):
        async def stream(self, request: ChatRequest):  # type: ignore[no-untyped-def]
            is_plan = "plan the next" in request.messages[0].content
            is_verdict = "judge whether" in request.messages[0].content
            if is_plan:
                self.pieces = ['{"questions": [{"query": "a"}, {"query": "b"}]}']
            elif is_verdict:
                self.pieces = ['{"is_sufficient": false, "missing_information": ["x"]}']
            else:
                self.pieces = ["Hello."]
            async for delta in super().stream(request):
                yield delta

    model = Plans()
    events = [
        event
        async for event in answer(
            ask(SETTINGS), retrieve=FailsLater(), chat_model=model, helpers=Helpers(instructed=model)
        )
    ]
    last = events[-1]
    assert last.answer == "Hello."  # type: ignore[union-attr]
    assert len(last.reference.chunks) == 3  # type: ignore[union-attr]


async def test_a_reader_who_leaves_stops_it() -> None:
    class Slow(Search):
        is_cancelled = False

        async def __call__(self, query: PassageQuery) -> RetrievalResult:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.is_cancelled = True
                raise
            raise AssertionError

    search, model = Slow(), Script()
    events = answer(ask(SETTINGS), retrieve=search, chat_model=model, helpers=Helpers(instructed=model))
    assert isinstance(await anext(events), ThinkingStarted)
    assert isinstance(await anext(events), ThinkingText)
    async with asyncio.timeout(1):
        await events.aclose()  # type: ignore[attr-defined]
    assert search.is_cancelled


async def test_it_searches_in_its_own_way() -> None:
    search, model = Search(), Script(['{"is_sufficient": true}'])
    settings = replace(SETTINGS, similarity_threshold=0.9, vector_similarity_weight=0.9, top_n=4)
    request = ask(settings, document_ids=["d1"])
    async for _ in answer(request, retrieve=search, chat_model=model, helpers=Helpers(instructed=model)):
        pass
    (query,) = search.queries
    assert (query.similarity_threshold, query.vector_similarity_weight, query.top_n) == (0.2, 0.3, 4)
    assert query.document_ids == ["d1"]
    assert query.is_reranked is False
