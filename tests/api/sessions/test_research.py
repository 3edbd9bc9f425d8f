"""Deep research through HTTP: its progress is reasoning, and the answer is written from all that was found."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.api.chatting import OVEN, PUMP, ask, make_chat, make_knowledge, messages_of, stream, stub_provider
from tests.api.client import Api
from tests.api.scripted import ScriptedStub, running_scripted_stub, warm_up
from tests.live import start_server
from tests.rag.models.stub_openai import Fault

QUESTION = "How long is the guarantee of the pump?"
ENOUGH = json.dumps({"is_sufficient": True, "reasoning": "", "missing_information": []})
LACKING = json.dumps({"is_sufficient": False, "reasoning": "", "missing_information": ["oven heating"]})
PLAN = json.dumps(
    {
        "reasoning": "",
        "questions": [{"question": "How hot is the oven?", "query": "oven degrees minutes heating"}],
    }
)


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedStub]:
    with running_scripted_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def api(running: ScriptedStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    flags: dict[str, Any] = {
        "models__providers": [stub_provider(running)],
        "executor__workers": 0,
        "answering__step_timeout_s": 10,
        "answering__research_timeout_s": 4,
    }
    with start_server(tmp_path_factory.mktemp("research") / "data", **flags) as server:
        warm_up(server)
        api = Api(server.url, server.key, "")
        yield api
        api.close()


@pytest.fixture(scope="module")
def dataset_id(api: Api) -> str:
    return make_knowledge(api, pump=PUMP, oven=OVEN)


@pytest.fixture
def stub(running: ScriptedStub) -> ScriptedStub:
    running.reset()
    running.replies |= {"sufficiency": [LACKING, ENOUGH], "follow_ups": PLAN}
    return running


@pytest.fixture
def chat_id(api: Api, dataset_id: str) -> Iterator[str]:
    chat_id = make_chat(
        api,
        dataset_ids=[dataset_id],
        llm={"model_name": "talker@Stub"},
        prompt={"reasoning": True, "refine_multiturn": False, "similarity_threshold": 0.9},
    )
    yield chat_id
    api.delete("/chats", json={"ids": [chat_id]})


def names(reference: dict[str, Any]) -> list[str]:
    return [chunk["document_name"] for chunk in reference["chunks"]]


def test_progress_is_reasoning_and_all_passages_are_used(api: Api, chat_id: str, stub: ScriptedStub) -> None:
    *frames, final, end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    datas = [frame["data"] for frame in frames]
    begin = next(place for place, data in enumerate(datas) if data.get("start_to_think"))
    stop = next(place for place, data in enumerate(datas) if data.get("end_to_think"))
    lines = [data["answer"] for data in datas[begin + 1 : stop]]
    assert all(line.endswith("<br/>") for line in lines)
    assert lines[0] == f"Searching: {QUESTION}<br/>"
    assert "Still missing: oven heating<br/>" in lines
    assert "Searching: oven degrees minutes heating<br/>" in lines
    assert "".join(data["answer"] for data in datas[stop + 1 :]) == "The museum opens at nine."
    assert names(final["data"]["reference"]) == ["pump.txt", "oven.txt"]
    assert end == {"code": 0, "data": True}
    assert stub.steps() == ["sufficiency", "follow_ups", "sufficiency", "answer"]
    assert "oven heating" in stub.asked("follow_ups")[0]["messages"][1]["content"]
    system = stub.asked("answer")[0]["messages"][0]["content"]
    assert PUMP in system
    assert OVEN in system
    stored = messages_of(api, chat_id, final["data"]["session_id"])[-1]["content"]
    assert stored.startswith("<think>Searching: ")
    assert stored.endswith("</think>The museum opens at nine.")


def test_a_request_switches_it_on(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    chat_id = make_chat(
        api, name="plain", dataset_ids=[dataset_id], llm={"model_name": "talker@Stub"}, prompt={"refine_multiturn": False}
    )  # fmt: skip
    try:
        ask(api, chat_id, question=QUESTION)
        assert stub.steps() == ["answer"]
        answer = ask(api, chat_id, question=QUESTION, reasoning=True)
        assert "oven.txt" in names(answer["reference"])
        assert "Searching" not in answer["answer"]
        assert "research: " in answer["prompt"]
    finally:
        api.delete("/chats", json={"ids": [chat_id]})


def test_openai_clients_get_it_as_reasoning(api: Api, chat_id: str, stub: ScriptedStub) -> None:
    with OpenAI(api_key=api.key, base_url=f"{api.url}/api/v1/chats_openai/{chat_id}") as client:
        deltas: list[Any] = [
            chunk.choices[0].delta
            for chunk in client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
        ]
    assert "".join(delta.reasoning_content or "" for delta in deltas).startswith("Searching: ")
    assert "".join(delta.content or "" for delta in deltas) == "The museum opens at nine."


def test_it_is_bounded_in_depth_and_width(api: Api, chat_id: str, stub: ScriptedStub) -> None:
    numbers = iter(range(1000))
    plans = [
        json.dumps({"questions": [{"question": f"q{n}", "query": f"pump {n}"} for n in (next(numbers) for _ in range(9))]})
        for _ in range(20)
    ]  # fmt: skip
    stub.replies |= {"sufficiency": LACKING, "follow_ups": plans}
    *frames, _final, _end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    searches = [frame for frame in frames if frame["data"]["answer"].startswith("Searching: ")]
    assert len(searches) == 1 + 3 + 9
    assert len(stub.asked("sufficiency")) == len(stub.asked("follow_ups")) == 4


def test_a_query_is_not_searched_twice(api: Api, chat_id: str, stub: ScriptedStub) -> None:
    plan = json.dumps({"questions": [{"question": QUESTION, "query": QUESTION}] * 3})
    stub.replies |= {"sufficiency": LACKING, "follow_ups": plan}
    *frames, _final, _end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    assert sum(frame["data"]["answer"].startswith("Searching: ") for frame in frames) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"sufficiency": Fault(status=400)},
        {"sufficiency": Fault(slow_s=20)},
        {"sufficiency": "no JSON at all"},
        {"follow_ups": Fault(status=400)},
        {"follow_ups": '{"questions": "none"}'},
        {"follow_ups": '{"questions": [5, {"query": ""}, null]}'},
    ],
    ids=["judge refuses", "judge silent", "judge rambles", "planner refuses", "no plan", "odd plan"],
)
def test_a_failure_ends_the_thinking_and_the_answer_goes_on(
    api: Api, chat_id: str, stub: ScriptedStub, broken: dict[str, Any]
) -> None:
    stub.replies |= {"sufficiency": LACKING} | broken
    started_s = time.monotonic()
    *frames, final, end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    assert time.monotonic() - started_s < 8
    marks = [key for frame in frames for key in ("start_to_think", "end_to_think") if frame["data"].get(key)]
    assert marks == ["start_to_think", "end_to_think"]
    assert "pump.txt" in names(final["data"]["reference"])
    assert frames[-1]["data"]["answer"] == "at nine."
    assert end == {"code": 0, "data": True}
    if broken.get("sufficiency") == "no JSON at all":
        assert len(stub.asked("sufficiency")) == 2  # asked again once


def test_its_time_is_bounded(api: Api, chat_id: str, stub: ScriptedStub) -> None:
    stub.replies |= {"sufficiency": LACKING}
    stub.piece_delay_s = 0.6  # each call takes three times as long; three take more than the 4 s there are
    started_s = time.monotonic()
    *frames, final, _end = stream(api, f"/chats/{chat_id}/completions", question=QUESTION)
    assert any(frame["data"]["answer"] == "The time for research is over.<br/>" for frame in frames)
    assert "pump.txt" in names(final["data"]["reference"])
    assert time.monotonic() - started_s < 14


def test_the_built_in_answerer_searches_once(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    chat_id = make_chat(api, name="built-in", dataset_ids=[dataset_id], prompt={"reasoning": True})
    assert "two years" in ask(api, chat_id, question=QUESTION)["answer"]
    assert stub.requests == []
    api.delete("/chats", json={"ids": [chat_id]})
