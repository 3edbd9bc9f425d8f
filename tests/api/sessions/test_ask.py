"""Questions without a chat: `/sessions/ask` and `/sessions/related_questions`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.chatting import OVEN, PUMP, add_chunk, make_knowledge, stream, stub_provider
from tests.api.client import Api
from tests.api.scripted import ScriptedStub, running_scripted_stub
from tests.live import LiveServer, start_server
from tests.rag.models.stub_openai import Fault
from tests.serve import make_account

QUESTION = "How long is the guarantee of the pump?"
UNKNOWN = "f00df00de54811f1955e02fc00000001"


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedStub]:
    with running_scripted_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def server(running: ScriptedStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose default chat model is the stub."""
    flags: dict[str, Any] = {
        "models__providers": [stub_provider(running)],
        "models__default_chat": "talker@Stub",
        "executor__workers": 0,
    }
    with start_server(tmp_path_factory.mktemp("ask") / "data", **flags) as server:
        yield server


@pytest.fixture(scope="module")
def remote(server: LiveServer) -> Iterator[Api]:
    api = Api(server.url, server.key, "")
    yield api
    api.close()


@pytest.fixture(scope="module")
def dataset_id(remote: Api) -> str:
    return make_knowledge(remote, pump=PUMP, oven=OVEN)


@pytest.fixture
def stub(running: ScriptedStub) -> ScriptedStub:
    running.reset()
    return running


def test_an_answer_from_the_default_model(remote: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.reply, stub.reasoning = ["Two ", "years [ID:0]."], ["Hm."]
    frames = stream(remote, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])
    assert [list(frame) for frame in frames] == [["code", "message", "data"]] * len(frames)
    *deltas, final, end = [frame["data"] for frame in frames]
    assert [data.get("start_to_think", False) for data in deltas] == [True, False, False, False, False]
    assert [data["answer"] for data in deltas] == ["", "Hm.", "", "Two ", "years [ID:0]."]
    assert all(data["reference"] == {} and data["final"] is False for data in deltas)
    assert final["answer"] == ""
    assert final["final"] is True
    assert final["reference"]["chunks"][0]["content"] == PUMP
    assert [one["doc_name"] for one in final["reference"]["doc_aggs"]] == ["pump.txt"]
    assert end is True
    request = stub.requests[0]
    assert request["temperature"] == 0.1
    assert request["messages"][0]["content"].startswith("You answer a question from search results")
    assert request["messages"][1:] == [{"role": "user", "content": QUESTION}]


def test_citations_are_placed_by_the_server(remote: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.reply = ["The guarantee of the pump lasts two years."]
    final = stream(remote, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])[-2]["data"]
    assert [one["doc_name"] for one in final["reference"]["doc_aggs"]] == ["pump.txt"]
    assert final["cited_answer"] == "The guarantee of the pump lasts two years [ID:0]."


def test_nothing_found_still_asks_the_model(remote: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.reply = ["Sorry."]
    frames = stream(remote, "/sessions/ask", question="xyzzy?", dataset_ids=[dataset_id])
    assert frames[0]["data"]["answer"] == "Sorry."
    assert frames[-2]["data"]["reference"] == {"total": 0, "chunks": [], "doc_aggs": []}


def test_a_chinese_question_gets_chinese_instructions(
    remote: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    stream(remote, "/sessions/ask", question="水泵的保修期是多久？", dataset_ids=[dataset_id])
    assert stub.requests[0]["messages"][0]["content"].startswith("请根据检索结果回答问题")


def test_a_model_that_fails_is_told_in_the_stream(remote: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["answer"] = Fault(status=401)
    frames = stream(remote, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])
    assert frames[0]["data"]["answer"].startswith("**ERROR**: AUTH_ERROR")
    assert frames[-1] == {"code": 0, "message": "", "data": True}


def test_the_built_in_answerer_quotes(api: Api) -> None:
    dataset_id = make_knowledge(api, pump=PUMP)
    frames = stream(api, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])
    assert "two years" in "".join(frame["data"]["answer"] for frame in frames[:-1])


def test_the_tenants_own_default_answers(remote: Api, server: LiveServer, stub: ScriptedStub) -> None:
    account = make_account(server.data_dir, "quoting@example.com")
    api = Api(server.url, account["key"], account["user_id"])
    dataset_id = make_knowledge(api, pump=PUMP)
    defaults = {"llm_id": "builtin-extractive@Builtin", "embd_id": "", "asr_id": "", "img2txt_id": ""}
    reply = api.http.post("/v1/user/set_tenant_info", json={"tenant_id": api.tenant_id} | defaults).json()
    assert reply["code"] == 0, reply
    frames = stream(api, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])
    assert "two years" in "".join(frame["data"]["answer"] for frame in frames[:-1])
    assert api.post("/sessions/related_questions", json={"question": "a"})["code"] == 101
    assert stub.requests == []
    api.close()


def test_refusals(api: Api) -> None:
    empty = api.make_dataset()
    for body, message in (
        ({}, "`question` is required."),
        ({"question": " ", "dataset_ids": [empty]}, "`question` is required."),
        ({"question": "a"}, "`dataset_ids` is required."),
        ({"question": "a", "dataset_ids": []}, "`dataset_ids` is required."),
        ({"question": "a", "dataset_ids": empty}, "`dataset_ids` should be a list."),
        ({"question": "a", "dataset_ids": [empty, 5]}, "`dataset_ids` should be a list."),
        ({"question": "a", "dataset_ids": [UNKNOWN]}, f"You don't own the dataset {UNKNOWN}."),
        ({"question": "a", "dataset_ids": [empty]}, f"The dataset {empty} doesn't own parsed file"),
    ):
        assert api.post("/sessions/ask", json=body) == {"code": 102, "message": message}


def test_datasets_of_others_are_not_asked(make_api: Any) -> None:
    owner, other = make_api(), make_api()
    dataset_id = make_knowledge(owner, pump=PUMP)
    reply = other.post("/sessions/ask", json={"question": "a", "dataset_ids": [dataset_id]})
    assert reply == {"code": 102, "message": f"You don't own the dataset {dataset_id}."}


def test_related_questions(remote: Api, stub: ScriptedStub) -> None:
    lines = [f"{n}. Question {n}?" for n in range(1, 13)]
    stub.replies["related"] = "Here you are:\n" + "\n".join(lines) + "\n- not this"
    reply = remote.post("/sessions/related_questions", json={"question": QUESTION, "industry": "pumps"})
    assert reply == {"code": 0, "data": [f"Question {n}?" for n in range(1, 11)]}
    request = stub.requests[0]
    assert request["temperature"] == 0.9
    assert request["messages"][1]["content"] == f"{QUESTION}\n\nIndustry: pumps"


def test_related_questions_are_refused(remote: Api, api: Api, stub: ScriptedStub) -> None:
    refusal = {"code": 102, "message": "`question` is required."}
    assert remote.post("/sessions/related_questions", json={"industry": "pumps"}) == refusal
    reply = api.post("/sessions/related_questions", json={"question": "a"})
    assert reply["code"] == 101
    assert "needs a chat model that follows instructions" in reply["message"]
    stub.replies["related"] = Fault(status=400)
    assert remote.post("/sessions/related_questions", json={"question": "a"})["code"] == 102


def test_odd_replies_are_no_questions(remote: Api, stub: ScriptedStub) -> None:
    stub.replies["related"] = "I cannot think of any."
    assert remote.post("/sessions/related_questions", json={"question": "a"}) == {"code": 0, "data": []}


def test_more_chunks_than_twelve(remote: Api, stub: ScriptedStub) -> None:
    dataset_id = make_knowledge(remote, pump=PUMP)
    document_id = remote.get(f"/datasets/{dataset_id}/documents")["data"]["docs"][0]["id"]
    for number in range(14):
        add_chunk(remote, dataset_id, document_id, f"{PUMP} Number {number}.")
    final = stream(remote, "/sessions/ask", question=QUESTION, dataset_ids=[dataset_id])[-2]["data"]
    assert len(final["reference"]["chunks"]) == 12
    assert final["reference"]["total"] == 15
