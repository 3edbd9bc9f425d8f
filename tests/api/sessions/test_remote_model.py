"""Completions with a remote chat model: reasoning, failures, clients that leave."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.chatting import (
    PUMP,
    ask,
    make_chat,
    make_knowledge,
    make_session,
    messages_of,
    running_stub,
    stream,
    stub_provider,
)
from tests.api.client import Api
from tests.live import LiveServer, start_server
from tests.rag.models.stub_openai import Fault, StubOpenAI
from tests.serve import make_account

QUESTION = "How long does the guarantee of the pump last?"


@pytest.fixture(scope="module")
def stub() -> Iterator[StubOpenAI]:
    with running_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def server(stub: StubOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("remote") / "data"
    flags: dict[str, Any] = {"models__providers": [stub_provider(stub)], "executor__workers": 0}
    with start_server(folder, **flags) as server:
        yield server


@pytest.fixture
def api(server: LiveServer, stub: StubOpenAI) -> Iterator[Api]:
    fresh = StubOpenAI()
    stub.reply, stub.reasoning, stub.piece_delay_s = fresh.reply, fresh.reasoning, 0.0
    stub.faults.clear()
    stub.requests.clear()
    account = make_account(server.data_dir, f"t{time.monotonic_ns()}@example.com")
    api = Api(server.url, account["key"], account["user_id"])
    yield api
    api.close()


@pytest.fixture
def chat_id(api: Api) -> str:
    return make_chat(
        api,
        dataset_ids=[make_knowledge(api, pump=PUMP)],
        llm={"model_name": "talker@Stub"},
        prompt={"refine_multiturn": False},  # a call of the model for each answer, and no more
    )


def test_the_model_gets_prompt_history_and_settings(api: Api, stub: StubOpenAI) -> None:
    chat_id = make_chat(
        api,
        dataset_ids=[make_knowledge(api, pump=PUMP)],
        llm={"model_name": "talker@Stub", "temperature": 0.5},
        prompt={"refine_multiturn": False, "prompt": "Speak in the tone {tone}. {knowledge}", "variables": [
            {"key": "knowledge", "optional": False}, {"key": "tone", "optional": True}]},
    )  # fmt: skip
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question=QUESTION, tone="calm")
    ask(api, chat_id, session_id=session_id, question="And when does it begin?")
    first, second = stub.requests
    assert first["temperature"] == 0.5
    assert "model_type" not in first
    assert first["model"] == "talker"
    system = first["messages"][0]["content"]
    assert "tone calm" in system
    assert PUMP in system
    turns = [(one["role"], one["content"]) for one in second["messages"][1:]]
    assert turns[0] == ("user", QUESTION)  # the opener is not there
    assert turns[1][0] == "assistant"
    assert turns[2] == ("user", "And when does it begin?")


def test_metadata_of_documents_stands_in_the_prompt(api: Api, stub: StubOpenAI) -> None:
    dataset_id = make_knowledge(api, pump=PUMP)
    document_id = api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"][0]["id"]
    api.put(f"/datasets/{dataset_id}/documents/{document_id}", json={"meta_fields": {"author": "Ada"}})
    chat_id = make_chat(api, dataset_ids=[dataset_id], llm={"model_name": "talker@Stub"})
    ask(api, chat_id, question=QUESTION)
    assert "author: Ada" in stub.requests[0]["messages"][0]["content"]


def test_reasoning_has_its_own_frames(api: Api, stub: StubOpenAI, chat_id: str) -> None:
    stub.reasoning = ["Let me ", "see."]
    *frames, final, _ = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    marks = [
        "start" if one["data"].get("start_to_think") else "end" if one["data"].get("end_to_think") else one["data"]["answer"]
        for one in frames
    ]  # fmt: skip
    assert marks == ["start", "Let me ", "see.", "end", "The ", "museum ", "opens ", "at nine."]
    stored = messages_of(api, chat_id, final["data"]["session_id"])[-1]["content"]
    assert stored == "<think>Let me see.</think>The museum opens at nine."
    whole = ask(api, chat_id, question=QUESTION)
    assert "Let me see" not in whole["answer"]
    assert "museum opens" in whole["answer"]


def test_citations_that_the_server_places_are_beside_the_streamed_text(
    api: Api, stub: StubOpenAI, chat_id: str
) -> None:
    stub.reply = ["The guarantee of the pump ", "lasts two years."]
    *frames, final, _ = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    text = "".join(one["data"]["answer"] for one in frames)
    assert text == "The guarantee of the pump lasts two years."
    assert final["data"]["cited_answer"] == "The guarantee of the pump lasts two years [ID:0]."
    assert messages_of(api, chat_id, final["data"]["session_id"])[-1]["content"] == text
    whole = ask(api, chat_id, question=QUESTION)
    assert whole["answer"] == "The guarantee of the pump lasts two years [ID:0]."
    assert messages_of(api, chat_id, whole["session_id"])[-1]["content"] == whole["answer"]


def test_a_model_that_refuses_is_answer_text(api: Api, stub: StubOpenAI, chat_id: str) -> None:
    session_id = make_session(api, chat_id)
    stub.faults.append(Fault(status=401, error={"message": "bad key"}))
    *frames, final, end = stream(
        api, f"/chats/{chat_id}/completions", question=QUESTION, session_id=session_id
    )
    assert "".join(one["data"]["answer"] for one in frames).startswith("**ERROR**: AUTH_ERROR - ")
    assert final["data"]["final"] is True
    assert end == {"code": 0, "data": True}
    stub.faults.append(Fault(status=400, error={"message": "too long"}))
    whole = ask(api, chat_id, question=QUESTION, session_id=session_id)
    assert whole["answer"].startswith("**ERROR**: INVALID_REQUEST - ")
    contents = [one["content"] for one in messages_of(api, chat_id, session_id)]
    assert contents[1] == contents[3] == QUESTION
    assert contents[2].startswith("**ERROR**: AUTH")
    assert contents[4] == whole["answer"]


def test_a_model_that_breaks_off_keeps_what_it_said(api: Api, stub: StubOpenAI, chat_id: str) -> None:
    stub.faults.append(Fault(reset_after=3))
    *frames, final, end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    text = "".join(one["data"]["answer"] for one in frames)
    assert text.startswith("The museum ")
    assert "**ERROR**: " in text
    assert end == {"code": 0, "data": True}
    assert messages_of(api, chat_id, final["data"]["session_id"])[-1]["content"] == text


def _leave_after(api: Api, path: str, body: str, needle: bytes) -> None:
    """Ask by hand, and hang up once this was read."""
    address = api.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=20) as connection:
        connection.sendall(
            f"POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        read = b""
        while needle not in read:
            piece = connection.recv(4096)
            assert piece, read
            read += piece


def test_a_client_that_leaves_stops_the_model_and_keeps_the_question(
    api: Api, stub: StubOpenAI, chat_id: str
) -> None:
    session_id = make_session(api, chat_id)
    stub.reply = [f"word{n} " for n in range(400)]
    stub.piece_delay_s = 0.02
    gone_before = stub.disconnects
    body = f'{{"question": "{QUESTION}", "session_id": "{session_id}"}}'
    _leave_after(api, f"/chats/{chat_id}/completions", body, b"word3")
    end_s = time.monotonic() + 5
    while len(messages := messages_of(api, chat_id, session_id)) < 3:
        assert time.monotonic() < end_s, messages
        time.sleep(0.02)
    _, question, answer = messages
    assert question["content"] == QUESTION
    assert answer["content"].startswith("word0 word1 word2 word3 ")
    assert "word399" not in answer["content"]
    assert answer["reference"][0]["content"] == PUMP
    while stub.disconnects == gone_before:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    stub.reply, stub.piece_delay_s = ["Yes."], 0.0
    assert ask(api, chat_id, session_id=session_id, question=QUESTION)["answer"].startswith("Yes")
    assert len(messages_of(api, chat_id, session_id)) == 5


def test_a_session_deleted_in_mid_answer_is_gone(api: Api, stub: StubOpenAI, chat_id: str) -> None:
    session_id = make_session(api, chat_id)
    stub.reply, stub.piece_delay_s = ["It ", "lasts."], 0.1
    frames: list[Any] = []
    asking = threading.Thread(
        target=lambda: frames.extend(
            stream(api, f"/chats/{chat_id}/completions", question=QUESTION, session_id=session_id)
        )
    )
    asking.start()
    while not stub.requests:
        time.sleep(0.01)
    assert api.delete(f"/chats/{chat_id}/sessions", json={"ids": [session_id]}) == {"code": 0}
    asking.join()
    assert [frame["code"] for frame in frames] == [0] * len(frames)
    assert frames[-1] == {"code": 0, "data": True}
    assert api.get(f"/chats/{chat_id}/sessions")["data"] == []


def test_the_next_question_waits_for_the_answer_and_sees_it(api: Api, stub: StubOpenAI, chat_id: str) -> None:
    session_id = make_session(api, chat_id)
    stub.reply, stub.piece_delay_s = ["It ", "lasts ", "two ", "years."], 0.1
    first = threading.Thread(
        target=ask, args=(api, chat_id), kwargs={"session_id": session_id, "question": QUESTION}
    )
    first.start()
    while not stub.requests:
        time.sleep(0.01)
    ask(api, chat_id, session_id=session_id, question=f"Really? {QUESTION}")
    first.join()
    sent = [one["content"] for one in stub.requests[1]["messages"][1:]]
    assert sent == [QUESTION, "It lasts two years.", f"Really? {QUESTION}"]


def test_a_server_that_goes_down_keeps_what_was_answered(
    stub: StubOpenAI, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("down") / "data"
    flags: dict[str, Any] = {"models__providers": [stub_provider(stub)], "executor__workers": 0}
    stub.reply, stub.piece_delay_s = [f"word{n} " for n in range(1000)], 0.02
    with start_server(folder, **flags) as server:
        api = Api(server.url, server.key, "")
        chat_id = make_chat(api, llm={"model_name": "talker@Stub"})
        session_id = make_session(api, chat_id)
        with api.http.stream(
            "POST",
            f"/api/v1/chats/{chat_id}/completions",
            json={"question": "Talk", "session_id": session_id},
        ) as response:
            lines = response.iter_lines()
            while "word5" not in next(lines):
                pass
            started_s = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started_s < 5
            rest = list(lines)
        assert not any("word999" in line for line in rest)
    stub.reply, stub.piece_delay_s = ["x"], 0.0
    with start_server(folder, **flags) as server:
        api = Api(server.url, server.key, "")
        contents = [one["content"] for one in messages_of(api, chat_id, session_id)]
        assert contents[1] == "Talk"
        assert contents[2].startswith("word0 word1 word2 word3 word4 word5 ")
