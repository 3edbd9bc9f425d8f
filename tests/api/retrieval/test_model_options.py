"""`keyword` and `cross_languages` of `/api/v1/retrieval`, with a default chat model that follows instructions."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.chatting import OVEN, PUMP, make_knowledge, stub_provider
from tests.api.client import Api
from tests.api.scripted import ScriptedStub, running_scripted_stub, warm_up
from tests.live import start_server
from tests.rag.models.stub_openai import Fault

GERMAN = "Wie lange gilt die Garantie der Pumpe?"


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedStub]:
    with running_scripted_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def api(running: ScriptedStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    flags: dict[str, Any] = {
        "models__providers": [stub_provider(running)],
        "models__default_chat": "talker@Stub",
        "executor__workers": 0,
        "answering__step_timeout_s": 2,
    }
    with start_server(tmp_path_factory.mktemp("retrieval") / "data", **flags) as server:
        warm_up(server)
        api = Api(server.url, server.key, "")
        yield api
        api.close()


@pytest.fixture
def stub(running: ScriptedStub) -> ScriptedStub:
    running.reset()
    return running


@pytest.fixture(scope="module")
def dataset_id(api: Api) -> str:
    return make_knowledge(api, pump=PUMP, oven=OVEN)


def names(found: dict[str, Any]) -> list[str]:
    return [chunk["document_name"] for chunk in found["chunks"]]


def test_plain_questions_ask_no_model(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    assert names(api.retrieve([dataset_id], "guarantee of the pump"))[0] == "pump.txt"
    assert stub.requests == []


def test_translations_find_what_the_question_does_not(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["translate"] = "How long does the guarantee of the pump last?"
    assert names(api.retrieve([dataset_id], GERMAN, similarity_threshold=0.3)) == []
    found = api.retrieve([dataset_id], GERMAN, similarity_threshold=0.3, cross_languages=["English"])
    assert names(found) == ["pump.txt"]
    assert found["total"] == 1
    assert found["doc_aggs"][0]["doc_name"] == "pump.txt"
    assert stub.asked("translate")[0]["messages"][1]["content"] == GERMAN


def test_the_original_is_searched_as_well(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["translate"] = "The oven reaches 230 degrees"
    question = "guarantee of the pump"
    found = api.retrieve([dataset_id], question, cross_languages=["English"], highlight=True)
    assert set(names(found)) == {"pump.txt", "oven.txt"}
    # Each passage is highlighted by the spelling that found it.
    assert all("<em>" in chunk["highlight"] for chunk in found["chunks"])
    pages = [
        names(api.retrieve([dataset_id], question, cross_languages=["English"], page=page, page_size=1))
        for page in (1, 2, 3)
    ]
    assert pages == [[name] for name in names(found)] + [[]]


def test_keywords_widen_the_question(api: Api, dataset_id: str, stub: ScriptedStub) -> None:
    stub.replies["keywords"] = "oven, degrees, heating"
    found = api.retrieve([dataset_id], "guarantee of the pump", keyword=True, similarity_threshold=0.1)
    assert set(names(found)) == {"pump.txt", "oven.txt"}
    assert names(api.retrieve([dataset_id], "guarantee of the pump", similarity_threshold=0.1)) == [
        "pump.txt"
    ]


@pytest.mark.parametrize("fault", [Fault(status=400), Fault(slow_s=10)], ids=["refused", "silent"])
def test_a_model_that_fails_leaves_the_question_as_it_is(
    api: Api, dataset_id: str, stub: ScriptedStub, fault: Fault
) -> None:
    stub.replies |= {"keywords": fault, "translate": fault}
    started_s = time.monotonic()
    found = api.retrieve([dataset_id], "guarantee of the pump", keyword=True, cross_languages=["German"])
    assert time.monotonic() - started_s < 6
    assert names(found)[0] == "pump.txt"
    assert sorted(stub.steps()) == ["keywords", "translate"]
