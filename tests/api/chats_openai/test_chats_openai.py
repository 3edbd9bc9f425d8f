"""`/api/v1/chats_openai/{chat_id}/chat/completions` with the built-in answerer, on real chunks."""

import time
from typing import Any

import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

from tests.api.chatting import OVEN, PUMP, make_chat, make_knowledge, stream
from tests.api.client import Api
from tests.api.conftest import MakeApi

QUESTION = "How long does the guarantee of the pump last?"
ASKED: Any = [{"role": "user", "content": QUESTION}]
UNKNOWN = "f00df00de54811f1955e02fc00000001"


@pytest.fixture
def chat_id(api: Api) -> str:
    return make_chat(api, dataset_ids=[make_knowledge(api, pump=PUMP, oven=OVEN)])


def client_of(api: Api, chat_id: str, key: str | None = None) -> OpenAI:
    return OpenAI(api_key=key or api.key, base_url=f"{api.url}/api/v1/chats_openai/{chat_id}", max_retries=0)


def path_of(chat_id: str) -> str:
    return f"/chats_openai/{chat_id}/chat/completions"


class TestClient:
    def test_in_one_piece(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            completion = client.chat.completions.create(model="any", messages=ASKED, stream=False)
        assert completion.id == f"chatcmpl-{chat_id}"
        assert (completion.object, completion.model) == ("chat.completion", "any")
        (choice,) = completion.choices
        assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
        assert choice.message.role == "assistant"
        assert "two years" in (choice.message.content or "")
        assert "[ID:" not in (choice.message.content or "")
        usage = completion.usage
        assert usage is not None
        assert usage.prompt_tokens > 10  # the question and the passages, as the answerer counts them
        assert usage.completion_tokens > 5
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    def test_without_saying_stream(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            completion = client.chat.completions.create(model="any", messages=ASKED)
        assert "two years" in (completion.choices[0].message.content or "")

    def test_streamed(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            chunks = list(client.chat.completions.create(model="any", messages=ASKED, stream=True))
        assert "two years" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert {chunk.model for chunk in chunks} == {"any"}
        assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
        assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
        assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]

    def test_streamed_with_a_chunk_for_the_usage(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            *chunks, end, usage = client.chat.completions.create(
                model="any", messages=ASKED, stream=True, stream_options={"include_usage": True}
            )
        assert all(chunk.usage is None for chunk in (*chunks, end))
        assert end.choices[0].finish_reason == "stop"
        assert usage.choices == []
        assert usage.id == end.id
        assert usage.usage is not None
        assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens

    @pytest.mark.parametrize("extra", [{"timings": True}, {"extra_body": {"timings": True}}])
    def test_timings(self, api: Api, chat_id: str, extra: dict[str, Any]) -> None:
        with client_of(api, chat_id) as client:
            whole: Any = client.chat.completions.create(model="any", messages=ASKED, extra_body=extra)
            plain: Any = client.chat.completions.create(model="any", messages=ASKED)
            chunks = client.chat.completions.create(
                model="any", messages=ASKED, stream=True, extra_body=extra
            )
            *_, last = chunks
        assert whole.timings["find_passages"] > 0
        assert last.timings.keys() == whole.timings.keys()  # type: ignore[attr-defined]
        assert not hasattr(plain, "timings")

    def test_models_can_be_listed(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            (model,) = client.models.list()
            assert model.id == "builtin-extractive@Builtin"
            assert abs(model.created - time.time()) < 600
            completion = client.chat.completions.create(model=model.id, messages=ASKED)
        assert completion.model == model.id
        with client_of(api, UNKNOWN) as client, pytest.raises(NotFoundError, match="You don't own the chat"):
            client.models.list()

    def test_what_it_cannot_do_is_refused(self, api: Api, chat_id: str) -> None:
        tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}
        image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
        with client_of(api, chat_id) as client:
            with pytest.raises(BadRequestError, match="`tools` are not supported"):
                client.chat.completions.create(model="any", messages=ASKED, tools=[tool])
            with pytest.raises(BadRequestError, match="`n` must be 1"):
                client.chat.completions.create(model="any", messages=ASKED, n=3)
            with pytest.raises(BadRequestError, match="image_url"):
                client.chat.completions.create(model="any", messages=image)
            ignored = client.chat.completions.create(model="any", messages=ASKED, temperature=1.9, top_p=0.1)
        assert "two years" in (ignored.choices[0].message.content or "")

    def test_reference_by_the_clients_extra_body(self, api: Api, chat_id: str) -> None:
        with client_of(api, chat_id) as client:
            completion = client.chat.completions.create(
                model="any", messages=ASKED, stream=False, extra_body={"reference": True}
            )
            *_, last = client.chat.completions.create(
                model="any", messages=ASKED, stream=True, extra_body={"extra_body": {"reference": True}}
            )
        message: Any = completion.choices[0].message
        assert "[ID:0]" in message.content
        assert message.reference[0]["content"] == PUMP
        delta: Any = last.choices[0].delta
        assert delta.reference[0]["document_name"] == "pump.txt"
        assert delta.final_content == message.content

    def test_errors_raise_the_clients_exceptions(self, api: Api, chat_id: str) -> None:
        with client_of(api, UNKNOWN) as client, pytest.raises(NotFoundError, match="You don't own the chat"):
            client.chat.completions.create(model="any", messages=ASKED)
        with client_of(api, chat_id, key="wrong") as client, pytest.raises(AuthenticationError):
            client.chat.completions.create(model="any", messages=ASKED)
        with client_of(api, chat_id) as client, pytest.raises(BadRequestError, match="not from user"):
            client.chat.completions.create(model="any", messages=[{"role": "assistant", "content": "x"}])


def test_the_wire_of_a_stream(api: Api, chat_id: str) -> None:
    *chunks, last, done = stream(api, path_of(chat_id), model="m", messages=ASKED)
    assert done == "[DONE]"
    for chunk in chunks:
        assert chunk.keys() == {
            "id", "choices", "created", "model", "object", "system_fingerprint", "usage",
        }  # fmt: skip
        assert (chunk["object"], chunk["system_fingerprint"], chunk["usage"]) == (
            "chat.completion.chunk",
            "",
            None,
        )
        (choice,) = chunk["choices"]
        assert choice["delta"].keys() == {
            "content",
            "role",
            "function_call",
            "tool_calls",
            "reasoning_content",
        }
    assert last["choices"][0]["delta"]["content"] is None
    assert "reference" not in last["choices"][0]["delta"]


def test_whether_it_streams(api: Api, chat_id: str) -> None:
    def kind(stream: Any, accept: str | None) -> str:
        body = {"model": "m", "messages": ASKED} | ({} if stream is ... else {"stream": stream})
        response = api.call("POST", path_of(chat_id), json=body, headers={"Accept": accept} if accept else {})
        return response.headers["content-type"].split(";")[0].rpartition("/")[2]

    assert kind(..., None) == "event-stream"
    assert kind(..., "application/json") == "json"
    assert kind(None, "application/json; q=1") == "json"
    assert kind(..., "application/json, text/plain, */*") == "event-stream"
    assert kind(True, "application/json") == "event-stream"
    assert kind(False, "text/event-stream") == "json"


def test_an_empty_response_is_streamed(api: Api) -> None:
    chat_id = make_chat(
        api,
        dataset_ids=[make_knowledge(api, pump=PUMP)],
        prompt={"similarity_threshold": 1.0, "empty_response": "Nothing here."},
    )
    first, last, _ = stream(api, path_of(chat_id), model="m", messages=ASKED, reference=True)
    assert first["choices"][0]["delta"]["content"] == "Nothing here."
    assert last["choices"][0]["delta"]["reference"] == []
    assert last["choices"][0]["delta"]["final_content"] == "Nothing here."


def test_metadata_of_the_documents(api: Api, chat_id: str) -> None:
    dataset_id = api.get("/chats")["data"][0]["datasets"][0]["id"]
    for document in api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]:
        fields = {"author": "Ada", "year": 1843, "name": document["name"]}
        api.put(f"/datasets/{dataset_id}/documents/{document['id']}", json={"meta_fields": fields})

    def metadata(**more: Any) -> Any:
        body = {"model": "m", "messages": ASKED, "stream": False, "reference": True, **more}
        chunk = api.post(path_of(chat_id), json=body)["choices"][0]["message"]["reference"][0]
        return chunk.get("document_metadata")

    assert metadata() is None
    everything = {"author": "Ada", "year": 1843, "name": "pump.txt"}
    assert metadata(reference_metadata={"include": True}) == everything
    assert metadata(reference_metadata={"include": True, "fields": ["year"]}) == {"year": 1843}
    assert metadata(reference_metadata={"include": True, "fields": [1]}) is None
    api.put(f"/chats/{chat_id}", json={"prompt": {"similarity_threshold": 0.0}})
    named = {"conditions": [{"name": "name", "comparison_operator": "contains", "value": "oven"}]}
    assert (
        metadata(extra_body={"metadata_condition": named}, reference_metadata={"include": True})["name"]
        == "oven.txt"
    )


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        ({"Authorization": ""}, {}, 400, "required argument are missing: model,messages; "),
        ({"Authorization": ""}, {"model": "m", "messages": []}, 401, "`Authorization` can't be empty"),
        ({}, {"model": "m", "messages": []}, 400, "You have to provide messages."),
        ({}, {"model": "m", "messages": ASKED, "extra_body": "x"}, 400, "extra_body must be an object."),
        (
            {},
            {"model": "m", "messages": ASKED, "metadata_condition": "x"},
            400,
            "metadata_condition must be an object.",
        ),
        ({}, [1], 400, "The body must be a JSON object, got an array"),
    ],
)
def test_refusals_have_openais_shape(
    api: Api, chat_id: str, headers: dict[str, str], body: Any, status: int, message: str
) -> None:
    response = api.call("POST", path_of(chat_id), json=body, headers=headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["message"] == message
    assert error.keys() == {"message", "type", "param", "code"}


def test_another_tenants_chat_is_not_found(make_api: MakeApi) -> None:
    api, other = make_api(), make_api()
    chat_id = make_chat(api, dataset_ids=[make_knowledge(api, pump=PUMP)])
    replies = [
        other.call("POST", path_of(one), json={"model": "m", "messages": ASKED}) for one in (chat_id, UNKNOWN)
    ]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert replies[0].text.replace(chat_id, "") == replies[1].text.replace(UNKNOWN, "")


def test_nothing_is_stored(api: Api, chat_id: str) -> None:
    api.post(path_of(chat_id), json={"model": "m", "messages": ASKED, "stream": False})
    assert api.get(f"/chats/{chat_id}/sessions")["data"] == []
