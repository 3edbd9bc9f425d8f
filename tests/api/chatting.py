"""Helpers of the tests that ask chats."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.client import Api
from tests.rag.models.stub_openai import API_KEY, StubOpenAI, open_stub

PUMP = "The guarantee of the pump lasts two years. It begins on the day of delivery."
OVEN = "The oven reaches 230 degrees after ten minutes of heating."


def make_knowledge(api: Api, **texts: str) -> str:
    """A dataset with a document of one chunk for each text; returns its id."""
    dataset_id = api.make_dataset()
    for name, text in texts.items():
        document = api.upload(dataset_id, (f"{name}.txt", text.encode()))[0]
        add_chunk(api, dataset_id, document["id"], text)
    return dataset_id


def add_chunk(api: Api, dataset_id: str, document_id: str, text: str) -> str:
    """A chunk of a document; returns its id."""
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
    reply = api.post(path, json={"content": text})
    assert reply["code"] == 0, reply
    chunk_id: str = reply["data"]["chunk"]["id"]
    return chunk_id


def make_chat(api: Api, **fields: Any) -> str:
    """A chat; returns its id."""
    reply = api.post("/chats", json={"name": "c", **fields})
    assert reply["code"] == 0, reply
    chat_id: str = reply["data"]["id"]
    return chat_id


def make_session(api: Api, chat_id: str, **fields: Any) -> str:
    """A session; returns its id."""
    session_id: str = api.post(f"/chats/{chat_id}/sessions", json=fields)["data"]["id"]
    return session_id


def messages_of(api: Api, chat_id: str, session_id: str) -> list[dict[str, Any]]:
    """What the session list shows of a session."""
    messages: list[dict[str, Any]] = api.get(f"/chats/{chat_id}/sessions", params={"id": session_id})["data"][
        0
    ]["messages"]
    return messages


def ask(api: Api, chat_id: str, **body: Any) -> dict[str, Any]:
    """`data` of an answer in one piece."""
    reply = api.post(f"/chats/{chat_id}/completions", json={"stream": False, **body})
    assert reply["code"] == 0, reply
    data: dict[str, Any] = reply["data"]
    return data


def stream(api: Api, path: str, **body: Any) -> list[Any]:
    """The frames of a streamed reply; every one must be `data: `, JSON or `[DONE]`, and a blank line."""
    response = api.call("POST", path, json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8", response.text
    *frames, rest = response.text.split("\n\n")
    assert rest == ""
    assert all(frame.startswith(("data: ", ": ")) for frame in frames)
    texts = [frame.removeprefix("data: ") for frame in frames if not frame.startswith(":")]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


@contextmanager
def in_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """An event loop in a thread of its own; gives what runs a coroutine there and waits for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda call: asyncio.run_coroutine_threadsafe(call, loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def running_stub() -> Iterator[StubOpenAI]:
    """A remote chat model in a thread of its own."""
    with in_thread() as run:
        opened = open_stub()
        yield run(opened.__aenter__())
        run(opened.__aexit__(None, None, None))


def stub_provider(stub: StubOpenAI) -> dict[str, Any]:
    """The stub as a provider in the settings; its chat model is `talker@Stub`."""
    return {
        "name": "Stub",
        "base_url": stub.base_url,
        "api_key": API_KEY,
        "chat_models": ["talker"],
        "timeout_s": 5,
    }
