"""Dify's external knowledge API."""

from typing import Any

import httpx
import pytest

from tests.api.chatting import OVEN, PUMP, make_knowledge
from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"
QUERY = "How long is the guarantee of the pump?"


@pytest.fixture
def dataset_id(api: Api) -> str:
    dataset_id = make_knowledge(api, pump=PUMP, oven=OVEN)
    for document in api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]:
        fields = {"kind": document["name"].removesuffix(".txt"), "doc_id": "forged"}
        api.put(f"/datasets/{dataset_id}/documents/{document['id']}", json={"meta_fields": fields})
    return dataset_id


def ask(api: Api, **body: Any) -> httpx.Response:
    return api.call("POST", "/dify/retrieval", json=body)


def titles(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [record["title"] for record in response.json()["records"]]


def test_records(api: Api, dataset_id: str) -> None:
    setting = {"top_k": 1, "score_threshold": 0.2}
    response = ask(api, knowledge_id=dataset_id, query=QUERY, retrieval_setting=setting)
    assert response.status_code == 200
    (record,) = response.json()["records"]
    best = api.retrieve([dataset_id], QUERY)["chunks"][0]
    assert record == {
        "content": PUMP,
        "score": best["similarity"],
        "title": "pump.txt",
        "metadata": {"kind": "pump", "doc_id": best["document_id"]},
    }


def test_settings_may_be_left_out(api: Api, dataset_id: str) -> None:
    assert titles(ask(api, knowledge_id=dataset_id, query=QUERY))[0] == "pump.txt"


def test_the_threshold_counts(api: Api, dataset_id: str) -> None:
    high = ask(api, knowledge_id=dataset_id, query=QUERY, retrieval_setting={"score_threshold": 0.99})
    assert titles(high) == []


@pytest.mark.parametrize("name", ["kind", ["kind"]])
@pytest.mark.parametrize("logic", ["logic", "logical_operator"])
def test_conditions_in_both_spellings(api: Api, dataset_id: str, name: Any, logic: str) -> None:
    def found(*values: str) -> list[str]:
        conditions = [{"name": name, "comparison_operator": "is", "value": value} for value in values]
        condition = {logic: "or", "conditions": conditions}
        return titles(ask(api, knowledge_id=dataset_id, query="pump oven", metadata_condition=condition))

    assert found("oven") == ["oven.txt"]
    assert set(found("oven", "pump")) == {"oven.txt", "pump.txt"}
    assert found("boat") == []


@pytest.mark.parametrize("condition", [None, {}, {"logical_operator": "and"}, {"conditions": []}])
def test_no_conditions_filter_nothing(api: Api, dataset_id: str, condition: Any) -> None:
    response = ask(api, knowledge_id=dataset_id, query=QUERY, metadata_condition=condition)
    assert titles(response)[0] == "pump.txt"


def test_a_blank_query_finds_nothing(api: Api, dataset_id: str) -> None:
    assert ask(api, knowledge_id=dataset_id, query=" ").json() == {"records": []}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer ragflow-no"}])
def test_bad_keys(api: Api, headers: dict[str, str]) -> None:
    body = {"knowledge_id": UNKNOWN, "query": "a"}
    response = httpx.post(f"{api.url}/api/v1/dify/retrieval", json=body, headers=headers)
    assert response.status_code == 403
    assert response.json() == {"code": 403, "message": "API-KEY is invalid!"}


def test_what_must_be_there(api: Api) -> None:
    response = ask(api)
    message = "required argument are missing: knowledge_id,query; "
    assert (response.status_code, response.json()) == (200, {"code": 101, "data": None, "message": message})
    assert ask(api, query="a").json()["message"] == "required argument are missing: knowledge_id; "


def test_datasets_that_are_not_the_callers(api: Api, make_api: Any) -> None:
    foreign = make_knowledge(make_api(), pump=PUMP)
    for knowledge_id in (UNKNOWN, foreign):
        response = ask(api, knowledge_id=knowledge_id, query="guarantee")
        assert response.status_code == 404
        assert response.json() == {"code": 404, "message": "Knowledgebase not found!"}


@pytest.mark.parametrize(
    "more",
    [
        {"retrieval_setting": None},
        {"retrieval_setting": {"top_k": 0}},
        {"retrieval_setting": {"top_k": "many"}},
        {"retrieval_setting": {"score_threshold": None}},
        {"metadata_condition": []},
        {"metadata_condition": {"conditions": [{"name": 5}]}},
        {"query": 5},
        {"use_kg": True},
    ],
)
def test_bad_arguments(api: Api, dataset_id: str, more: dict[str, Any]) -> None:
    reply = ask(api, **({"knowledge_id": dataset_id, "query": "a"} | more)).json()
    assert reply["code"] == 101, reply
