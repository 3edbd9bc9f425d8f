"""Questions to the parsed library with the real openai client, synchronous and asynchronous."""

from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from tests.api.client import Api
from tests.walks.corpus import FACTS, Fact, library

UNKNOWN = "f00df00de54811f1955e02fc00000001"


def asked(fact: Fact) -> Any:
    return [{"role": "user", "content": fact.question}]


@pytest.fixture
def chat_url(api: Api) -> str:
    """The base URL of a chat over the library."""
    dataset_id = api.make_dataset(name="library")
    for name, content in library().items():
        api.add_document(dataset_id, name, content)
    chat_id = api.post("/chats", json={"name": "librarian", "dataset_ids": [dataset_id]})["data"]["id"]
    return f"{api.url}/api/v1/chats_openai/{chat_id}"


def test_every_fact(api: Api, chat_url: str) -> None:
    with OpenAI(api_key=api.key, base_url=chat_url, max_retries=0) as client:
        for fact in FACTS:
            whole = client.chat.completions.create(
                model="model", messages=asked(fact), stream=False, extra_body={"reference": True}
            )
            message: Any = whole.choices[0].message
            assert fact.answer in message.content, (fact, message.content)
            cited = [one for n, one in enumerate(message.reference) if f"[ID:{n}]" in message.content]
            assert cited[0]["document_name"] == fact.name
            assert whole.usage is not None
            assert whole.usage.total_tokens > 0

            chunks = list(client.chat.completions.create(model="model", messages=asked(fact), stream=True))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            assert fact.answer in text, (fact, text)
            assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_conversation(api: Api, chat_url: str) -> None:
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    with OpenAI(api_key=api.key, base_url=chat_url + "/", max_retries=0) as client:
        for fact in FACTS[:3]:
            messages.append({"role": "user", "content": fact.question})
            answer = client.chat.completions.create(model="model", messages=messages)
            text = answer.choices[0].message.content or ""
            assert fact.answer in text, (fact, text)
            messages.append({"role": "assistant", "content": text})


async def test_asynchronously(api: Api, chat_url: str) -> None:
    async with AsyncOpenAI(api_key=api.key, base_url=chat_url, max_retries=0) as client:
        stream = await client.chat.completions.create(model="m", messages=asked(FACTS[0]), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert FACTS[0].answer in text


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_the_clients_own_exceptions(api: Api, chat_url: str, stream: bool) -> None:
    def refusal(base_url: str, key: str, messages: Any) -> APIStatusError:
        client = OpenAI(api_key=key, base_url=base_url, max_retries=0)
        with client, pytest.raises(APIStatusError) as caught:
            client.chat.completions.create(model="model", messages=messages, stream=stream)
        return caught.value

    unknown = chat_url.rpartition("/")[0] + f"/{UNKNOWN}"
    good = asked(FACTS[0])
    for base_url, key, messages, kind, text in (
        (chat_url, "ragflow-wrong", good, AuthenticationError, "API key is invalid"),
        (unknown, api.key, good, NotFoundError, UNKNOWN),
        (chat_url, api.key, [], BadRequestError, "messages"),
        (chat_url, api.key, [{"role": "user", "content": ["x"]}], BadRequestError, "content"),
        (chat_url, api.key, [{"role": "assistant", "content": "x"}], BadRequestError, "not from user"),
    ):
        error = refusal(base_url, key, messages)
        assert type(error) is kind, (error, messages)
        assert text in error.message
        assert isinstance(error.body, dict)
        assert error.body["message"]
        assert error.request_id


def test_a_wrong_route_and_method_are_told_in_openais_shape(api: Api, chat_url: str) -> None:
    for method, url, status in (
        ("POST", f"{chat_url}/completions", 404),
        ("GET", f"{chat_url}/chat/completions", 405),
    ):
        response = httpx.request(method, url, headers={"Authorization": f"Bearer {api.key}"})
        assert response.status_code == status
        assert isinstance(response.json()["error"]["message"], str)
