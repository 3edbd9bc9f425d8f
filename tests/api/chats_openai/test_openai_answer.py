"""The wait for a model's first piece, on answers made of events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api.answers import FoundMetadata
from api.chats_openai.completions import OpenAIAnswer
from api.chats_openai.errors import failure_error
from api.chats_openai.schemas import read_question
from api.errors import AppError
from rag.answering.events import AnswerEvent, Done, Failed, FailureCode, Text
from rag.errors import StoreUnavailable

FAILED = Failed(FailureCode.SERVER_ERROR, "down")


class Events:
    """Gives events; an Exception is raised, a float is slept."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.is_closed = False

    async def run(self) -> AsyncGenerator[AnswerEvent, None]:
        try:
            for one in self.script:
                if isinstance(one, Exception):
                    raise one
                if isinstance(one, float):
                    await asyncio.sleep(one)
                else:
                    yield one
        finally:
            self.is_closed = True


def answer_of(events: Events) -> OpenAIAnswer:
    question = read_question({"model": "m", "messages": [{"role": "user", "content": "q"}]})
    return OpenAIAnswer("c", question, events.run(), FoundMetadata(), lambda error: {"error": error.message})


async def test_a_failure_in_time_is_raised() -> None:
    events = Events(FAILED)
    with pytest.raises(AppError, match="SERVER_ERROR - down"):
        await answer_of(events).begin()
    assert events.is_closed


async def test_what_retrieval_raises_is_raised() -> None:
    events = Events(StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable):
        await answer_of(events).begin()


async def test_a_slow_failure_is_a_chunk() -> None:
    events = Events(0.05, FAILED)
    answer = answer_of(events)
    await answer.begin(patience_s=0.01)
    assert [chunk async for chunk in answer] == [{"error": "SERVER_ERROR - down"}, b"[DONE]"]


async def test_nothing_is_lost_by_waiting() -> None:
    answer = answer_of(Events(0.03, Text("a"), 0.03, Text("b"), Done("ab", "ab")))
    await answer.begin(patience_s=0.01)
    chunks: list[Any] = [chunk async for chunk in answer]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-1]] == ["a", "b", None]


async def test_closing_while_the_model_is_silent_stops_it() -> None:
    events = Events(60.0, Text("a"))
    answer = answer_of(events)
    await answer.begin(patience_s=0.01)
    async with asyncio.timeout(1):
        await answer.aclose()
    assert events.is_closed


async def test_a_caller_cancelled_while_waiting_stops_the_model() -> None:
    events = Events(60.0)
    waiting = asyncio.ensure_future(answer_of(events).begin())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert events.is_closed


@pytest.mark.parametrize("code", list(FailureCode))
def test_every_failure_has_a_true_status(code: FailureCode) -> None:
    error = failure_error(Failed(code, "detail", retry_after_s=3.0))
    assert error.status in (400, 429, 502, 504)
    assert error.message == f"{code} - detail"
    assert (error.retry_after_s == 3.0) == (error.status != 400)
