"""The OpenAI-compatible route with a remote chat model: reasoning and failures."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIError, BadRequestError, InternalServerError, OpenAI, RateLimitError

from tests.api.chatting import make_chat, running_stub, stream, stub_provider
from tests.api.client import Api
from tests.live import start_server
from tests.rag.models.stub_openai import Fault, StubOpenAI, chunk

ASKED: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubOpenAI]:
    with running_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def api(stub: StubOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    flags: dict[str, Any] = {"models__providers": [stub_provider(stub)], "executor__workers": 0}
    with start_server(tmp_path_factory.mktemp("remote") / "data", **flags) as server:
        yield Api(server.url, server.key, "")


@pytest.fixture
def chat_id(api: Api, stub: StubOpenAI) -> Iterator[str]:
    stub.faults.clear()
    stub.reasoning, stub.reply = [], ["The ", "museum."]
    chat_id = make_chat(api, llm={"model_name": "talker@Stub"})
    yield chat_id
    api.delete("/chats", json={"ids": [chat_id]})


@pytest.fixture
def client(api: Api, chat_id: str) -> Iterator[OpenAI]:
    with OpenAI(
        api_key=api.key, base_url=f"{api.url}/api/v1/chats_openai/{chat_id}", max_retries=0
    ) as client:
        yield client


def test_reasoning_is_apart(client: OpenAI, stub: StubOpenAI) -> None:
    stub.reasoning = ["Hm, ", "well."]
    deltas: list[Any] = [
        chunk.choices[0].delta
        for chunk in client.chat.completions.create(model="m", messages=ASKED, stream=True)
    ]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "Hm, well."
    assert "".join(delta.content or "" for delta in deltas) == "The museum."
    assert not any(delta.content and delta.reasoning_content for delta in deltas)


def test_usage_is_the_models_own(client: OpenAI) -> None:
    usage = client.chat.completions.create(model="m", messages=ASKED, stream=False).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)


def test_usage_is_counted_where_the_model_tells_none(client: OpenAI, stub: StubOpenAI) -> None:
    stub.faults.append(Fault(chunks=[chunk({"content": "The museum."}), chunk({}, "stop")]))
    usage = client.chat.completions.create(model="m", messages=ASKED, stream=False).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, 3)


def test_a_reply_that_was_cut_says_so(api: Api, stub: StubOpenAI) -> None:
    stub.reply = ["word "] * 20
    chat_id = make_chat(api, name="short", llm={"model_name": "talker@Stub", "max_tokens": 5})
    notice = "...\nThe answer is truncated by your chosen LLM due to its limitation on context length."
    base_url = f"{api.url}/api/v1/chats_openai/{chat_id}"
    with OpenAI(api_key=api.key, base_url=base_url, max_retries=0) as client:
        (whole,) = client.chat.completions.create(model="m", messages=ASKED, stream=False).choices
        chunks = list(client.chat.completions.create(model="m", messages=ASKED, stream=True))
    assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "length"
    assert whole.message.content == "word " * 5 + notice
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == whole.message.content
    chinese = {"role": "user", "content": "你好吗？"}
    reply = api.post(f"/chats_openai/{chat_id}/chat/completions", json={"model": "m", "messages": [chinese], "stream": False})  # fmt: skip
    assert reply["choices"][0]["message"]["content"].endswith("回答已经被大模型截断。")
    api.delete("/chats", json={"ids": [chat_id]})


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (Fault(status=400), BadRequestError, "INVALID_REQUEST"),
        (Fault(status=401), InternalServerError, "AUTH_ERROR"),
        (
            Fault(status=429, error={"message": "x", "code": "insufficient_quota"}),
            RateLimitError,
            "QUOTA_EXCEEDED",
        ),
    ],
)
def test_a_model_that_refuses_is_an_http_error(
    client: OpenAI, stub: StubOpenAI, fault: Fault, kind: type[APIError], text: str, is_streamed: bool
) -> None:
    stub.faults.append(fault)
    with pytest.raises(kind, match=text):
        client.chat.completions.create(model="m", messages=ASKED, stream=is_streamed)


def test_a_model_that_breaks_off_raises_in_the_stream(client: OpenAI, stub: StubOpenAI) -> None:
    stub.faults.append(Fault(reset_after=2))
    pieces: list[str] = []
    chunks = client.chat.completions.create(model="m", messages=ASKED, stream=True)
    with pytest.raises(APIError, match="CONNECTION_ERROR"):
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert pieces == ["The "]


def test_a_broken_stream_still_ends(api: Api, chat_id: str, stub: StubOpenAI) -> None:
    stub.faults.append(Fault(reset_after=2))
    *_, error, done = stream(api, f"/chats_openai/{chat_id}/chat/completions", model="m", messages=ASKED)
    assert error["error"].keys() == {"message", "type", "param", "code"}
    assert done == "[DONE]"


def test_a_client_that_leaves_stops_the_model(client: OpenAI, stub: StubOpenAI) -> None:
    stub.reply, stub.piece_delay_s = ["word "] * 500, 0.02
    gone_before = stub.disconnects
    try:
        with client.chat.completions.create(model="m", messages=ASKED, stream=True) as chunks:
            next(iter(chunks))
        end_s = time.monotonic() + 5
        while stub.disconnects == gone_before:
            assert time.monotonic() < end_s
            time.sleep(0.02)
    finally:
        stub.piece_delay_s = 0.0
