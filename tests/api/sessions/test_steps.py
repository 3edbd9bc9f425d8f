"""The steps between a question and its answer, each switched on by a chat's options."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.chatting import (
    OVEN,
    PUMP,
    ask,
    make_chat,
    make_knowledge,
    make_session,
    messages_of,
    stream,
    stub_provider,
)
from tests.api.client import Api
from tests.api.scripted import ScriptedStub, running_scripted_stub, warm_up
from tests.live import LiveServer, ServerDidNotStart, start_server
from tests.rag.models.stub_openai import Fault
from tests.serve import make_account

QUESTION = "How long does the guarantee of the pump last?"
GERMAN = "Wie lange gilt die Garantie der Pumpe?"
TALKER = {"model_name": "talker@Stub"}


@pytest.fixture(scope="module")
def stub() -> Iterator[ScriptedStub]:
    with running_scripted_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def server(stub: ScriptedStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    flags: dict[str, Any] = {
        "models__providers": [stub_provider(stub)],
        "executor__workers": 0,
        "answering__step_timeout_s": 2,
    }
    with start_server(tmp_path_factory.mktemp("steps") / "data", **flags) as server:
        warm_up(server)
        yield server


@pytest.fixture
def api(server: LiveServer, stub: ScriptedStub) -> Iterator[Api]:
    stub.reset()
    account = make_account(server.data_dir, f"t{time.monotonic_ns()}@example.com")
    api = Api(server.url, account["key"], account["user_id"])
    yield api
    api.close()


@pytest.fixture
def dataset_id(api: Api) -> str:
    return make_knowledge(api, pump=PUMP, oven=OVEN)


def chat_with(api: Api, dataset_id: str, prompt: dict[str, Any] | None = None, **fields: Any) -> str:
    return make_chat(
        api,
        dataset_ids=[dataset_id],
        llm=TALKER,
        prompt={"refine_multiturn": False} | (prompt or {}),
        **fields,
    )


def names(answer: dict[str, Any]) -> list[str]:
    return [chunk["document_name"] for chunk in answer["reference"].get("chunks", [])]


def test_nothing_stands_before_the_model_when_no_step_is_on(
    api: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    ask(api, chat_with(api, dataset_id), question=QUESTION)
    assert stub.steps() == ["answer"]


def test_a_follow_up_question_is_searched_self_contained(
    api: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    stub.replies["refine"] = "<think>pump, surely</think>When does the guarantee of the pump begin?"
    chat_id = chat_with(api, dataset_id, {"refine_multiturn": True, "empty_response": "Nothing."})
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question=QUESTION)
    assert stub.steps() == ["answer"]  # a first question leans on nothing
    answer = ask(api, chat_id, session_id=session_id, question="Und ab wann?")
    assert names(answer) == ["pump.txt"]
    assert "When does the guarantee of the pump begin?" in answer["prompt"]
    refine = stub.asked("refine")[0]["messages"]
    assert refine[1]["content"].splitlines()[0] == f"USER: {QUESTION}"
    assert refine[1]["content"].splitlines()[-1] == "USER: Und ab wann?"
    assert time.strftime("%Y-%m-%d", time.gmtime()) in refine[0]["content"]
    # The model itself gets the question as it was asked.
    assert stub.asked("answer")[1]["messages"][-1] == {"role": "user", "content": "Und ab wann?"}


def test_openai_clients_send_the_conversation_themselves(
    api: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    stub.replies["refine"] = "When does the guarantee of the pump begin?"
    chat_id = chat_with(api, dataset_id, {"refine_multiturn": True})
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Two years."},
        {"role": "user", "content": "Und ab wann?"},
    ]
    body = {"model": "m", "messages": messages, "stream": False, "extra_body": {"reference": True}}
    reply = api.post(f"/chats_openai/{chat_id}/chat/completions", json=body)
    assert [one["content"] for one in reply["choices"][0]["message"]["reference"]] == [PUMP]
    assert stub.steps() == ["refine", "answer"]
    assert "ASSISTANT: Two years." in stub.asked("refine")[0]["messages"][1]["content"]


def test_without_refining_a_follow_up_question_stands_alone(
    api: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    chat_id = chat_with(api, dataset_id, {"empty_response": "Nothing."})
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question=QUESTION)
    assert ask(api, chat_id, session_id=session_id, question="Xyzzy?")["answer"] == "Nothing."
    assert stub.steps() == ["answer"]


def test_cross_languages_search_the_translations_and_the_original(
    api: Api, dataset_id: str, stub: ScriptedStub
) -> None:
    stub.replies["translate"] = f"Output:\n{QUESTION}\n===\nCombien dure la garantie de la pompe ?"
    off = chat_with(api, dataset_id, {"empty_response": "Nothing.", "similarity_threshold": 0.3})
    assert ask(api, off, question=GERMAN)["answer"] == "Nothing."
    prompt = {"cross_languages": ["English", "French"], "empty_response": "Nothing."}
    on = make_chat(
        api, name="on", dataset_ids=[dataset_id], llm=TALKER, prompt=prompt | {"similarity_threshold": 0.3}
    )
    answer = ask(api, on, question=GERMAN)
    assert names(answer) == ["pump.txt"]
    searched = f"{GERMAN}\n{QUESTION}\nCombien dure la garantie de la pompe ?"
    assert f"### Query:\n{searched}\n" in answer["prompt"]
    translate = stub.asked("translate")[0]
    assert "English, French" in translate["messages"][0]["content"]
    assert translate["messages"][1]["content"] == GERMAN
    assert translate["temperature"] == 0.2


def test_keywords_are_added_with_a_space(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["keywords"] = "oven, heating\n degrees, minutes, more"
    answer = ask(
        api,
        chat_with(api, dataset_id, {"keyword": True, "similarity_threshold": 0.05}),
        question=QUESTION,
    )
    assert f"### Query:\n{QUESTION} oven, heating, degrees\n" in answer["prompt"]
    assert set(names(answer)) == {"pump.txt", "oven.txt"}
    assert stub.asked("keywords")[0]["temperature"] == 0.2


def test_a_chinese_question_gets_chinese_instructions(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["keywords"] = "水泵，保修"
    chat_id = chat_with(api, dataset_id, {"keyword": True})
    assert "水泵, 保修" in ask(api, chat_id, question="水泵的保修期是多久？")["prompt"]
    assert stub.asked("keywords")[0]["messages"][0]["content"].startswith("请挑选检索词")


@pytest.mark.parametrize(
    "fault",
    [Fault(status=400), Fault(slow_s=20), Fault(reset_after=1)],
    ids=["refused", "silent", "broken off"],
)
def test_steps_that_fail_change_nothing_and_take_bounded_time(
    api: Api, dataset_id: str, stub: ScriptedStub, fault: Fault
) -> None:
    for step in ("refine", "translate", "keywords", "conditions"):
        stub.replies[step] = fault
    document = api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"][0]
    api.put(f"/datasets/{dataset_id}/documents/{document['id']}", json={"meta_fields": {"kind": "manual"}})
    prompt = {"refine_multiturn": True, "cross_languages": ["English"], "keyword": True}
    chat_id = chat_with(api, dataset_id, prompt, meta_data_filter={"method": "auto"})
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question="Hello")
    started_s = time.monotonic()
    answer = ask(api, chat_id, session_id=session_id, question=QUESTION)
    assert time.monotonic() - started_s < 12
    assert f"### Query:\n{QUESTION}\n" in answer["prompt"]
    assert "pump.txt" in names(answer)
    assert set(stub.steps()) == {"refine", "translate", "keywords", "conditions", "answer"}


def test_an_endless_reply_of_a_step_is_cut(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["keywords"] = "oven " * 10_000
    answer = ask(api, chat_with(api, dataset_id, {"keyword": True}), question=QUESTION)
    assert f"### Query:\n{QUESTION}\n" in answer["prompt"]


def test_independent_steps_run_side_by_side(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    for step in ("translate", "keywords"):
        stub.replies[step] = Fault(slow_s=0.4)
    chat_id = chat_with(api, dataset_id, {"cross_languages": ["English"], "keyword": True})
    ask(api, chat_id, question=QUESTION)
    translate, keywords, answer = stub.arrivals
    assert abs(keywords - translate) < 0.3
    assert answer - translate >= 0.4


def test_the_built_in_answerer_skips_the_steps(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    prompt = {"cross_languages": ["English"], "keyword": True, "refine_multiturn": True}
    chat_id = make_chat(api, dataset_ids=[dataset_id], prompt=prompt, meta_data_filter={"method": "auto"})
    session_id = make_session(api, chat_id)
    ask(api, chat_id, session_id=session_id, question="Hello")
    answer = ask(api, chat_id, session_id=session_id, question=QUESTION)
    assert "two years" in answer["answer"]
    assert stub.requests == []


def test_a_client_that_leaves_in_a_step_stops_it(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    chat_id = chat_with(api, dataset_id, {"keyword": True})
    session_id = make_session(api, chat_id)
    stub.replies["keywords"], stub.piece_delay_s = "pump", 0.25
    gone_before = stub.disconnects
    body = json.dumps({"question": QUESTION, "session_id": session_id}).encode()
    end_s = time.monotonic() + 10
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = (
            f"POST /api/v1/chats/{chat_id}/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}"
        )
        head += f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        while not stub.requests:
            assert time.monotonic() < end_s
            time.sleep(0.01)
    while stub.disconnects == gone_before or len(messages := messages_of(api, chat_id, session_id)) < 2:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    assert [one["content"] for one in messages[1:]] == [QUESTION]
    assert stub.steps() == ["keywords"]


def test_timings_come_when_they_are_asked_for(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    chat_id = chat_with(api, dataset_id, {"keyword": True})
    stub.replies["keywords"] = Fault(slow_s=0.2)
    timings = ask(api, chat_id, question=QUESTION, timings=True)["timings"]
    assert list(timings) == [
        "read_question", "read_variables", "find_keywords", "find_passages", "build_prompt", "first_piece",
        "generate", "cite",
    ]  # fmt: skip
    assert timings["find_keywords"] >= 200
    assert 0 <= timings["first_piece"] <= timings["generate"]
    path = f"/chats/{chat_id}/completions"
    *_, final, _ = stream(api, path, question=QUESTION, timings=True)
    assert final["data"]["timings"].keys() == timings.keys()
    *_, final, _ = stream(api, path, question=QUESTION)
    assert "timings" not in final["data"]
    assert "timings" not in ask(api, chat_id, question=QUESTION)


def test_stages_are_counted(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    def count(stage: str) -> float:
        line = f'ragd_answer_stage_seconds_count{{stage="{stage}"}} '
        text = api.http.get("/metrics").text
        return sum(float(one.removeprefix(line)) for one in text.splitlines() if one.startswith(line))

    before = count("find_passages"), count("find_keywords")
    ask(api, chat_with(api, dataset_id), question=QUESTION)
    assert (count("find_passages"), count("find_keywords")) == (before[0] + 1, before[1])


class TestMetadataFilter:
    @pytest.fixture
    def dataset_id(self, api: Api) -> str:
        """Two documents about a pump, of different years."""
        dataset_id = make_knowledge(api, old=f"{PUMP} Old.", new=f"{PUMP} New.")
        for document in api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]:
            is_old = document["name"] == "old.txt"
            fields = {"year": "2019" if is_old else "2024", "kind": ["manual", "pump"]}
            api.put(f"/datasets/{dataset_id}/documents/{document['id']}", json={"meta_fields": fields})
        return dataset_id

    def found(self, api: Api, dataset_id: str, method: dict[str, Any], **body: Any) -> list[str]:
        chat_id = chat_with(api, dataset_id, {"empty_response": "Nothing."}, meta_data_filter=method)
        try:
            return sorted(names(ask(api, chat_id, question=QUESTION, **body)))
        finally:
            api.delete("/chats", json={"ids": [chat_id]})

    def test_auto(self, api: Api, dataset_id: str, stub: ScriptedStub) -> None:
        stub.replies["conditions"] = (
            'Sure: ```json\n{"logic": "and", "conditions": [{"key": "year", "op": "=", "value": "2024",},]}\n```'
        )
        assert self.found(api, dataset_id, {"method": "auto"}) == ["new.txt"]
        sent = stub.asked("conditions")[0]["messages"][1]["content"]
        assert '"year":["2019","2024"]' in sent or '"year":["2024","2019"]' in sent
        assert '"kind":["manual","pump"]' in sent

    @pytest.mark.parametrize(
        "reply",
        [
            '{"logic": "and", "conditions": []}',
            "I see no conditions.",
            "[1, 2",
            '{"conditions": "none"}',
            '{"conditions": [{"key": "colour", "op": "=", "value": "red"}, 5, {"op": "="}]}',
            '{"conditions": [{"key": "year", "op": "resembles", "value": "2024"}]}',
        ],
    )
    def test_no_usable_condition_is_no_filter(
        self, api: Api, dataset_id: str, stub: ScriptedStub, reply: str
    ) -> None:
        stub.replies["conditions"] = reply
        assert self.found(api, dataset_id, {"method": "auto"}) == ["new.txt", "old.txt"]
        assert stub.steps() == ["conditions", "answer"]

    def test_conditions_that_select_nothing_find_nothing(
        self, api: Api, dataset_id: str, stub: ScriptedStub
    ) -> None:
        stub.replies["conditions"] = '{"conditions": [{"key": "year", "op": "=", "value": "1999"}]}'
        assert self.found(api, dataset_id, {"method": "auto"}) == []

    def test_it_intersects_with_the_requested_documents(
        self, api: Api, dataset_id: str, stub: ScriptedStub
    ) -> None:
        documents = api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]
        old = next(one["id"] for one in documents if one["name"] == "old.txt")
        stub.replies["conditions"] = '{"conditions": [{"key": "year", "op": "=", "value": "2024"}]}'
        assert self.found(api, dataset_id, {"method": "auto"}, doc_ids=old) == []

    def test_semi_auto_shows_its_keys_and_fixes_the_operator(
        self, api: Api, dataset_id: str, stub: ScriptedStub
    ) -> None:
        stub.replies["conditions"] = '{"conditions": [{"key": "year", "op": "=", "value": "2020"}]}'
        method = {"method": "semi_auto", "semi_auto": [{"key": "year", "op": "<"}]}
        assert self.found(api, dataset_id, method) == ["old.txt"]
        sent = stub.asked("conditions")[0]["messages"][1]["content"]
        assert '"operators":{"year":"<"}' in sent
        assert "manual" not in sent

    def test_semi_auto_of_unknown_keys_is_no_filter(
        self, api: Api, dataset_id: str, stub: ScriptedStub
    ) -> None:
        method = {"method": "semi_auto", "semi_auto": ["colour"]}
        assert self.found(api, dataset_id, method) == ["new.txt", "old.txt"]
        assert stub.steps() == ["answer"]

    def test_manual_needs_no_model(self, api: Api, dataset_id: str, stub: ScriptedStub) -> None:
        method = {"method": "manual", "logic": "and", "manual": [{"key": "year", "op": "≥", "value": "2020"}]}
        assert self.found(api, dataset_id, method) == ["new.txt"]
        assert stub.steps() == ["answer"]


def test_prompts_can_be_replaced(stub: ScriptedStub, tmp_path: Path) -> None:
    stub.reset()
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "keywords.en.md").write_text("You choose search terms, {count} of them, in Latin.")
    flags: dict[str, Any] = {"models__providers": [stub_provider(stub)], "executor__workers": 0}
    with start_server(tmp_path / "data", answering__prompts_dir=str(folder), **flags) as server:
        api = Api(server.url, server.key, "")
        chat_id = chat_with(api, make_knowledge(api, pump=PUMP), {"keyword": True})
        ask(api, chat_id, question=QUESTION)
        api.close()
    assert (
        stub.asked("keywords")[0]["messages"][0]["content"] == "You choose search terms, 3 of them, in Latin."
    )


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("keyword.en.md", "x {count}", "replaces no prompt; the prompts are citation.en.md"),
        ("keywords.en.md", "Choose search terms.", "keywords.en.md lacks {count}"),
    ],
)
def test_a_prompt_that_cannot_be_used_stops_the_start(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ServerDidNotStart, match=r"answering\.prompts_dir") as stopped:
        start_server(tmp_path / "data", answering__prompts_dir=str(tmp_path), executor__workers=0)
    assert problem in stopped.value.log
