"""Chat models of OpenAI-compatible servers, against a server that misbehaves."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rag.errors import ModelBroken, ModelBusy, ModelError, ModelRefused
from rag.models import openai_endpoint
from rag.models.errors import (
    ContentFiltered,
    KeyRefused,
    ModelTimedOut,
    ModelUnreachable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFailed,
)
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_endpoint import Endpoint
from tests.rag.models.stub_openai import API_KEY, Fault, StubOpenAI, chunk, open_stub
from tests.rag.models.suite_chat import ChatModelSuite, ask, read


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with open_stub() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_endpoint, "_FIRST_DELAY_S", 0.01)


def open_endpoint(stub: StubOpenAI, **options: Any) -> Endpoint:
    return Endpoint(
        **{"provider": "Stub", "base_url": stub.base_url, "api_key": API_KEY, "attempts": 3} | options
    )


@pytest.fixture
async def model(stub: StubOpenAI) -> AsyncIterator[OpenAIChat]:
    endpoint = open_endpoint(stub)
    yield OpenAIChat(endpoint, "gpt-stub", "gpt-stub@Stub")
    await endpoint.close()


class TestOpenAI(ChatModelSuite):
    pass


async def test_what_is_sent(stub: StubOpenAI, model: OpenAIChat) -> None:
    await read(model, ask("Hello?", temperature=0.1, max_tokens=0, model_type="chat", top_p=None, seed=3))
    (body,) = stub.requests
    assert body["model"] == "gpt-stub"
    assert body["messages"][-1] == {"role": "user", "content": "Hello?"}
    assert body["stream_options"] == {"include_usage": True}
    assert {"temperature", "seed"} <= set(body)
    assert not {"max_tokens", "model_type", "top_p", "passages"} & set(body)


async def test_reasoning_comes_apart_from_text(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.reasoning = ["Let me ", "think."]
    deltas = await read(model, ask())
    assert "".join(delta.reasoning for delta in deltas) == "Let me think."
    assert "".join(delta.text for delta in deltas) == "The museum opens at nine."


async def test_reasoning_only(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.reasoning, stub.reply = ["Hm."], []
    deltas = await read(model, ask())
    assert [(d.text, d.reasoning) for d in deltas] == [("", "Hm."), ("", "")]


async def test_empty_choices_are_passed_over(stub: StubOpenAI, model: OpenAIChat) -> None:
    empty = {**chunk({}), "choices": []}
    stub.faults.append(Fault(chunks=[empty, chunk({"content": "Yes"}), empty, chunk({}, "stop")]))
    assert "".join(delta.text for delta in await read(model, ask())) == "Yes"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=401, error={"message": f"Incorrect API key provided: {API_KEY}"}), KeyRefused),
        (Fault(status=403), KeyRefused),
        (Fault(status=402), QuotaExhausted),
        (Fault(status=429, error={"message": "m", "code": "insufficient_quota"}), QuotaExhausted),
        (Fault(status=400), RequestRefused),
        (Fault(status=404), RequestRefused),
        (Fault(status=400, error={"message": "m", "code": "content_filter"}), ContentFiltered),
        (Fault(raw="data: {not json}\n\n", content_type="text/event-stream"), ModelBroken),
        (Fault(raw="<html>a proxy's page</html>", content_type="text/html"), ModelBroken),
        (Fault(raw='data: {"choices": 7}\n\n', content_type="text/event-stream"), ModelBroken),
        (
            Fault(raw='data: {"choices": [{"delta": null}]}\n\n', content_type="text/event-stream"),
            ModelBroken,
        ),
        (
            Fault(raw='data: {"error": {"message": "overloaded"}}\n\n', content_type="text/event-stream"),
            ServerFailed,
        ),
        (Fault(chunks=[]), ModelBroken),
        (Fault(chunks=[chunk({"content": "half"})]), ModelBroken),
        (Fault(reset_after=2), ModelUnreachable),
    ],
)
async def test_failures_that_are_not_tried_again(
    stub: StubOpenAI, model: OpenAIChat, fault: Fault, expected: type[ModelError]
) -> None:
    stub.faults.append(fault)
    with pytest.raises(expected) as caught:
        await read(model, ask())
    assert type(caught.value) is expected
    assert "gpt-stub@Stub" in str(caught.value)
    assert API_KEY not in str(caught.value)
    assert len(stub.requests) == 1


async def test_text_before_a_reset_is_not_lost(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.faults.append(Fault(reset_after=3))
    stream = model.stream(ask())
    texts = [(await anext(stream)).text, (await anext(stream)).text]
    with pytest.raises(ModelBusy):
        await anext(stream)
    assert texts == ["The ", "museum "]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_failures_are_tried_again(stub: StubOpenAI, model: OpenAIChat, status: int) -> None:
    stub.faults.extend([Fault(status=status), Fault(status=status)])
    assert (await read(model, ask()))[-1].finish_reason == "stop"
    assert len(stub.requests) == 3


async def test_attempts_are_bounded(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.faults.extend([Fault(status=500)] * 10)
    with pytest.raises(ServerFailed):
        await read(model, ask())
    assert len(stub.requests) == 3


async def test_retry_after_is_respected(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.faults.append(Fault(status=429, headers={"Retry-After": "0.4"}))
    await read(model, ask())
    assert stub.arrivals[1] - stub.arrivals[0] >= 0.4


async def test_a_long_retry_after_is_told_to_the_caller(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimited) as caught:
        await read(model, ask())
    assert caught.value.retry_after_s == 3600
    assert len(stub.requests) == 1


async def test_a_silent_server(stub: StubOpenAI) -> None:
    endpoint = open_endpoint(stub, timeout_s=0.3)
    model = OpenAIChat(endpoint, "m", "m@Stub")
    stub.faults.append(Fault(slow_s=2))
    started = time.monotonic()
    with pytest.raises(ModelTimedOut):
        await read(model, ask())
    assert time.monotonic() - started < 1.5
    assert len(stub.requests) == 1
    await endpoint.close()


async def test_an_endless_stream_ends_at_the_time_out(stub: StubOpenAI) -> None:
    endpoint = open_endpoint(stub, timeout_s=0.5)
    model = OpenAIChat(endpoint, "m", "m@Stub")
    stub.reply, stub.piece_delay_s = ["x"] * 10_000, 0.01
    with pytest.raises(ModelTimedOut):
        await read(model, ask())
    await endpoint.close()


async def test_leaving_closes_the_connection(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.reply, stub.piece_delay_s = ["x"] * 10_000, 0.005
    stream = model.stream(ask())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    for _ in range(200):
        if stub.disconnects:
            break
        await asyncio.sleep(0.005)
    assert stub.disconnects == 1


async def test_cancelling_closes_the_connection(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.reply, stub.piece_delay_s = ["x"] * 10_000, 0.005
    task = asyncio.create_task(read(model, ask()))
    while not stub.requests:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        if stub.disconnects:
            break
        await asyncio.sleep(0.005)
    assert stub.disconnects == 1


async def test_nobody_listens() -> None:
    endpoint = Endpoint(provider="Stub", base_url="http://127.0.0.1:9/v1", api_key=API_KEY, attempts=2)
    with pytest.raises(ModelUnreachable) as caught:
        await read(OpenAIChat(endpoint, "m", "m@Stub"), ask())
    assert "127.0.0.1" not in str(caught.value)
    await endpoint.close()


async def test_without_a_key_none_is_sent(stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-from-the-environment")
    stub.api_key = None
    endpoint = open_endpoint(stub, api_key="")
    await read(OpenAIChat(endpoint, "m", "m@Stub"), ask())
    await endpoint.close()


async def test_a_server_that_knows_no_stream_options(stub: StubOpenAI, model: OpenAIChat) -> None:
    stub.refuses_stream_options = True
    for _ in range(2):
        deltas = await read(model, ask())
        assert deltas[-1].usage is None
    assert ["stream_options" in body for body in stub.requests] == [True, False, False]


def test_refused_and_busy_are_told_apart() -> None:
    assert issubclass(KeyRefused, ModelRefused)
    assert issubclass(RateLimited, ModelBusy)
    assert not issubclass(KeyRefused, ModelBusy)
