"""`POST /api/v1/chats/{chat_id}/completions` with the built-in answerer, on real chunks."""

import json
import re
import threading
import uuid
from typing import Any

import pytest
from ragflow_sdk import RAGFlow

from tests.api.chatting import (
    OVEN,
    PUMP,
    add_chunk,
    ask,
    make_chat,
    make_knowledge,
    make_session,
    messages_of,
    stream,
)
from tests.api.client import Api
from tests.api.conftest import MakeApi

QUESTION = "How long does the guarantee of the pump last?"
OPENER = "Hi! I'm your assistant. What can I do for you?"
UNKNOWN = "f00df00de54811f1955e02fc00000001"
CHUNK_KEYS = {
    "id", "content", "document_id", "document_name", "dataset_id", "image_id", "positions", "url", "similarity",
    "vector_similarity", "term_similarity", "doc_type",
}  # fmt: skip


def refused(message: str, code: int = 102) -> dict[str, Any]:
    return {"code": code, "message": message}


@pytest.fixture
def chat_id(api: Api) -> str:
    """A chat that knows a pump and an oven."""
    return make_chat(api, dataset_ids=[make_knowledge(api, pump=PUMP, oven=OVEN)])


class TestStream:
    def test_text_then_reference_then_the_end(self, api: Api, chat_id: str) -> None:
        session_id = make_session(api, chat_id)
        frames = stream(api, f"/chats/{chat_id}/completions", question=QUESTION, session_id=session_id)
        *texts, final, end = frames
        assert end == {"code": 0, "data": True}
        assert texts
        question_id = final["data"]["id"]
        assert uuid.UUID(question_id).version == 4
        for frame in texts:
            assert frame.keys() == {"code", "data"}
            data = frame["data"]
            assert (data["final"], data["audio_binary"]) == (False, None)
            assert data["reference"] == {"chunks": []}
            assert (data["id"], data["session_id"]) == (question_id, session_id)
        text = "".join(frame["data"]["answer"] for frame in texts)
        assert "two years" in text
        data = final["data"]
        assert (data["answer"], data["final"], data["session_id"]) == ("", True, session_id)
        assert isinstance(data["created_at"], float)
        cited = {int(number) for number in re.findall(r"\[ID:(\d+)\]", text)}
        reference = data["reference"]
        assert cited
        assert all(PUMP in reference["chunks"][number]["content"] for number in cited)
        assert all(chunk.keys() == CHUNK_KEYS for chunk in reference["chunks"])
        assert reference["doc_aggs"][0]["doc_name"] == "pump.txt"
        assert [one["doc_name"] for one in reference["doc_aggs"]] == ["pump.txt"]  # the cited ones
        assert reference["total"] >= len(reference["chunks"])
        assert "### Query:" in data["prompt"]
        assert PUMP not in data["prompt"]

    def test_what_was_streamed_is_stored(self, api: Api, chat_id: str) -> None:
        session_id = make_session(api, chat_id)
        frames = stream(api, f"/chats/{chat_id}/completions", question=QUESTION, session_id=session_id)
        text = "".join(frame["data"]["answer"] for frame in frames[:-1])
        opener, question, answer = messages_of(api, chat_id, session_id)
        assert opener == {"role": "assistant", "content": OPENER}
        assert question == {"role": "user", "content": QUESTION, "id": frames[0]["data"]["id"]}
        assert (answer["role"], answer["content"], answer["id"]) == ("assistant", text, question["id"])
        chunks = frames[-2]["data"]["reference"]["chunks"]
        assert [one["id"] for one in answer["reference"]] == [one["id"] for one in chunks]

    def test_an_empty_response_is_one_frame(self, api: Api) -> None:
        prompt = {"similarity_threshold": 1.0, "empty_response": "Nothing here."}
        chat_id = make_chat(api, dataset_ids=[make_knowledge(api, pump=PUMP)], prompt=prompt)
        only, end = stream(api, f"/chats/{chat_id}/completions", question="Wer war Kaiser Karl?")
        assert end == {"code": 0, "data": True}
        data = only["data"]
        assert (data["answer"], data["final"]) == ("Nothing here.", True)
        assert data["reference"] == {"total": 0, "chunks": [], "doc_aggs": []}
        assert messages_of(api, chat_id, data["session_id"])[-1]["content"] == "Nothing here."

    def test_line_separators_do_not_cut_a_frame(self, api: Api) -> None:
        text = "The guarantee\u2028of the\u0085pump lasts\u2029two years."
        chat_id = make_chat(api, dataset_ids=[make_knowledge(api, pump=text)])
        response = api.call("POST", f"/chats/{chat_id}/completions", json={"question": QUESTION})
        lines = [line for line in response.text.splitlines() if line]
        frames = [json.loads(line.removeprefix("data: ")) for line in lines]
        assert frames[-1] == {"code": 0, "data": True}
        assert frames[-2]["data"]["reference"]["chunks"][0]["content"] == text


class TestWithoutSession:
    def test_a_question_is_answered_in_a_session_that_is_opened(self, api: Api, chat_id: str) -> None:
        data = ask(api, chat_id, question=QUESTION, name="mine", user_id="u")
        assert "two years" in data["answer"]
        session = api.get(f"/chats/{chat_id}/sessions", params={"id": data["session_id"]})["data"][0]
        assert (session["name"], session["user_id"]) == ("mine", "u")
        assert [one["role"] for one in session["messages"]] == ["assistant", "user", "assistant"]

    @pytest.mark.parametrize("body", [{}, {"question": ""}, {"question": " \n"}, {"session_id": ""}])
    def test_without_a_question_the_opener_comes(self, api: Api, chat_id: str, body: dict[str, Any]) -> None:
        data = ask(api, chat_id, **body)
        session_id = data.pop("session_id")
        assert data == {"answer": OPENER, "reference": {}, "audio_binary": None, "id": None}
        (opener,) = messages_of(api, chat_id, session_id)
        assert opener["content"] == OPENER
        assert isinstance(opener["created_at"], float)

    def test_the_opener_as_a_stream(self, api: Api, chat_id: str) -> None:
        only, end = stream(api, f"/chats/{chat_id}/completions")
        assert only == {
            "code": 0,
            "message": "",
            "data": {
                "answer": OPENER,
                "reference": {},
                "audio_binary": None,
                "id": None,
                "session_id": only["data"]["session_id"],
            },
        }
        assert end == {"code": 0, "message": "", "data": True}

    def test_the_session_needs_a_name(self, api: Api, chat_id: str) -> None:
        reply = api.post(f"/chats/{chat_id}/completions", json={"question": "x", "name": ""})
        assert reply == refused("`name` can not be empty.")
        assert api.get(f"/chats/{chat_id}/sessions")["data"] == []


class TestRefusals:
    def test_in_their_order(self, api: Api, chat_id: str) -> None:
        session_id = make_session(api, chat_id)

        def reply(chat: str, **body: Any) -> Any:
            return api.post(f"/chats/{chat}/completions", json=body)

        assert reply(UNKNOWN, session_id="x") == refused(f"You don't own the chat {UNKNOWN}")
        assert reply(chat_id, session_id="x", metadata_condition=[1]) == refused(
            "You don't own the session x"
        )
        broken = {"session_id": session_id, "metadata_condition": "x"}
        assert reply(chat_id, **broken) == refused("metadata_condition must be an object.")
        assert reply(chat_id, session_id=session_id) == refused("Please input your question.")
        assert reply(chat_id, question="x", kb_ids=[UNKNOWN]) == refused(
            f"You don't own the dataset {UNKNOWN}"
        )
        assert reply(chat_id, question=1)["code"] == 101
        assert len(messages_of(api, chat_id, session_id)) == 1

    def test_a_malformed_condition(self, api: Api, chat_id: str) -> None:
        body = {"question": QUESTION, "metadata_condition": {"conditions": [{"name": "a"}]}}
        reply = api.post(f"/chats/{chat_id}/completions", json=body)
        assert reply["code"] == 101
        assert "comparison_operator" in reply["message"]

    def test_a_missing_variable(self, api: Api) -> None:
        prompt = {
            "prompt": "{knowledge} in the tone {tone}",
            "variables": [{"key": "knowledge", "optional": True}, {"key": "tone", "optional": False}],
        }
        chat_id = make_chat(api, dataset_ids=[make_knowledge(api, pump=PUMP)], prompt=prompt)
        failed, end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
        assert failed["code"] == 500
        assert failed["data"]["answer"].startswith("**ERROR**: ")
        assert "tone" in failed["message"]
        assert end == {"code": 0, "data": True}
        assert "two years" in ask(api, chat_id, question=QUESTION, tone="calm")["answer"]


class TestNarrowing:
    def test_documents(self, api: Api) -> None:
        dataset_id = make_knowledge(api, pump=PUMP, oven=OVEN)
        chat_id = make_chat(api, dataset_ids=[dataset_id], prompt={"similarity_threshold": 0.0})
        documents = {
            one["name"]: one["id"] for one in api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]
        }

        def found(**body: Any) -> set[str]:
            chunks = ask(api, chat_id, question=QUESTION, **body)["reference"]["chunks"]
            return {chunk["document_name"] for chunk in chunks}

        assert found() == {"pump.txt", "oven.txt"}
        assert found(doc_ids=documents["oven.txt"]) == {"oven.txt"}
        assert found(doc_ids=" , ".join(documents.values())) == {"pump.txt", "oven.txt"}
        assert found(doc_ids="nope") == set()
        for name, colour in (("pump.txt", "red"), ("oven.txt", "blue")):
            path = f"/datasets/{dataset_id}/documents/{documents[name]}"
            assert api.put(path, json={"meta_fields": {"colour": colour}})["code"] == 0
        red = {"conditions": [{"name": "colour", "comparison_operator": "is", "value": "Red"}]}
        green = {"conditions": [{"name": "colour", "comparison_operator": "is", "value": "green"}]}
        assert found(metadata_condition=red) == {"pump.txt"}
        assert found(metadata_condition=green) == set()
        assert found(metadata_condition=red, doc_ids=documents["oven.txt"]) == {"pump.txt"}
        assert found(metadata_condition={}) == {"pump.txt", "oven.txt"}
        manual = {
            "method": "manual",
            "manual": [{"key": "colour", "op": "=", "value": "blue"}],
            "logic": "and",
        }
        assert api.put(f"/chats/{chat_id}", json={"meta_data_filter": manual}) == {"code": 0}
        assert found() == {"oven.txt"}
        assert found(metadata_condition=red) == set()
        assert api.get("/chats", params={"id": chat_id})["data"][0]["meta_data_filter"] == manual

    def test_more_datasets(self, api: Api) -> None:
        chat_id = make_chat(api, dataset_ids=[make_knowledge(api, oven=OVEN)])
        more = api.make_dataset(name="more")
        document = api.upload(more, ("pump.txt", PUMP.encode()))[0]
        add_chunk(api, more, document["id"], PUMP)
        assert "two years" not in ask(api, chat_id, question=QUESTION)["answer"]
        assert "two years" in ask(api, chat_id, question=QUESTION, kb_ids=[more])["answer"]

    def test_another_tenants_documents_are_not_found(self, make_api: MakeApi) -> None:
        api, other = make_api(), make_api()
        dataset_id = make_knowledge(api, pump=PUMP)
        document_id = api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"][0]["id"]
        chat_id = make_chat(other, dataset_ids=[make_knowledge(other, oven=OVEN)])
        reply = other.post(
            f"/chats/{chat_id}/completions", json={"question": QUESTION, "kb_ids": [dataset_id]}
        )
        assert reply == refused(f"You don't own the dataset {dataset_id}")
        data = ask(other, chat_id, question=QUESTION, doc_ids=document_id)
        assert data["reference"] in ({}, {"total": 0, "chunks": [], "doc_aggs": []})


def test_no_citations(api: Api, chat_id: str) -> None:
    data = ask(api, chat_id, question=QUESTION, quote=False)
    assert data["reference"] == {}
    assert "two years" in data["answer"]
    assert "[ID:" not in data["answer"]
    assert messages_of(api, chat_id, data["session_id"])[-1]["reference"] == []
    api.put(f"/chats/{chat_id}", json={"show_quotation": False})
    assert ask(api, chat_id, question=QUESTION)["reference"] == {}


def test_a_chat_whose_dataset_is_gone_still_answers(api: Api) -> None:
    dataset_id = make_knowledge(api, pump=PUMP)
    chat_id = make_chat(api, dataset_ids=[dataset_id])
    api.delete("/datasets", json={"ids": [dataset_id]})
    assert ask(api, chat_id, question=QUESTION)["answer"].startswith("Sorry! No relevant content")
    assert api.get("/chats", params={"id": chat_id})["data"][0]["datasets"] == []


def test_a_chat_without_datasets(api: Api) -> None:
    chat_id = make_chat(api)
    *texts, final, end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    assert "".join(frame["data"]["answer"] for frame in texts)
    assert all(frame["data"]["prompt"] == "" and frame["data"]["created_at"] for frame in texts)
    assert final["data"]["final"] is True
    assert "### Query:" in final["data"]["prompt"]
    assert final["data"]["reference"] == {}
    assert end == {"code": 0, "data": True}


def test_references_stay_with_their_answers(api: Api, chat_id: str) -> None:
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question=QUESTION)
    ask(api, chat_id, session_id=session_id, question="Is this cited?", quote=False)
    ask(api, chat_id, session_id=session_id, question="How many degrees does the oven reach?")
    answers = [one for one in messages_of(api, chat_id, session_id)[1:] if one["role"] == "assistant"]
    assert [one["reference"][0]["content"] if one["reference"] else "" for one in answers] == [PUMP, "", OVEN]


def test_questions_at_once_are_answered_one_after_the_other(api: Api, chat_id: str) -> None:
    session_id = make_session(api, chat_id)
    questions = [f"{QUESTION} {n}" for n in range(8)]
    threads = [
        threading.Thread(
            target=ask, args=(api, chat_id), kwargs={"session_id": session_id, "question": question}
        )
        for question in questions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = messages_of(api, chat_id, session_id)[1:]
    assert [one["role"] for one in messages] == ["user", "assistant"] * 8
    assert sorted(one["content"] for one in messages[::2]) == questions
    assert all(one["id"] == two["id"] for one, two in zip(messages[::2], messages[1::2], strict=True))
    assert all(one["reference"] for one in messages[1::2])


class TestSdk:
    def test_chat_session_and_questions(self, api: Api) -> None:
        dataset_id = make_knowledge(api, pump=PUMP, oven=OVEN)
        client = RAGFlow(api.key, api.url)
        chat = client.create_chat("helper", dataset_ids=[dataset_id])
        assert chat.prompt.top_n == 8
        assert chat.llm.model_name == "builtin-extractive@Builtin"
        chat.update({"name": "renamed", "prompt": {"top_n": 4}})
        (listed,) = client.list_chats(name="renamed")
        assert listed.prompt.top_n == 4
        session = listed.create_session("s")
        (whole,) = list(session.ask(QUESTION))
        assert "two years" in whole.content
        assert whole.reference[0]["document_name"] == "pump.txt"
        pieces = list(session.ask(QUESTION, stream=True))
        assert "two years" in "".join(piece.content for piece in pieces)
        assert pieces[-1].reference[0]["content"] == PUMP
        session.update({"name": "renamed"})
        (found,) = listed.list_sessions(name="renamed")
        assert len(found.messages) == 5
        listed.delete_sessions([found.id])
        assert listed.list_sessions() == []
        client.delete_chats()
        assert client.list_chats() == []

    def test_messages_of_refusals(self, api: Api) -> None:
        client = RAGFlow(api.key, api.url)
        chat = client.create_chat("helper")
        for call, text in (
            (lambda: client.create_chat("HELPER"), "Duplicated chat name in creating chat."),
            (lambda: client.list_chats(id=UNKNOWN), "The chat doesn't exist"),
            (lambda: chat.update({"llm": {}}), "`llm` cannot be empty."),
            (lambda: chat.create_session(""), "`name` can not be empty."),
            (lambda: chat.delete_sessions(["x"]), "The chat doesn't own the session x"),
        ):
            with pytest.raises(Exception, match=re.escape(text)):
                call()
