"""`/api/v1/datasets` as a client sees it."""

import uuid
from typing import Any

import pytest

from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"


def refused(message: str, code: int = 101) -> dict[str, Any]:
    return {"code": code, "message": message}


def test_a_new_dataset_has_every_key(api: Api) -> None:
    data = api.post("/datasets", json={"name": " manuals ", "description": "d"})["data"]
    assert data["name"] == "manuals"
    assert data["tenant_id"] == data["created_by"] == api.tenant_id
    assert uuid.UUID(data["id"]).version == 1
    assert data["chunk_method"] == "naive"
    assert (data["document_count"], data["chunk_count"], data["token_num"]) == (0, 0, 0)
    assert data["permission"] == "me"
    assert data["status"] == "1"
    assert data["embedding_model"] == "wordllama-256@Builtin"
    assert data["parser_config"]["chunk_token_num"] == 512
    assert data["parser_config"]["delimiter"] == "\n"
    assert data["parser_config"]["raptor"]["use_raptor"] is True
    assert data["create_date"].endswith(" GMT")


def test_the_same_name_gets_a_number(api: Api) -> None:
    names = [
        api.post("/datasets", json={"name": name})["data"]["name"]
        for name in ("trim", "TRIM", "trim", "a.b", "a.b")
    ]
    assert names == ["trim", "TRIM(1)", "trim(2)", "a.b", "a(1).b"]


def test_a_long_taken_name_is_shortened(api: Api) -> None:
    api.post("/datasets", json={"name": "x" * 128})
    assert api.post("/datasets", json={"name": "x" * 128})["data"]["name"] == "x" * 125 + "(1)"


def test_sending_one_setting_brings_the_whole_schema(api: Api) -> None:
    config = api.post("/datasets", json={"name": "c", "parser_config": {"auto_keywords": 4}})["data"][
        "parser_config"
    ]
    assert config["auto_keywords"] == 4
    assert config["raptor"]["use_raptor"] is False
    assert config["delimiter"] == "\\n"
    assert config["topn_tags"] == 1
    assert config["filename_embd_weight"] == 0.1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Field: <name> - Message: <Field required> - Value: <{}>"),
        ({"name": None}, "Field: <name> - Message: <Input should be a valid string> - Value: <None>"),
        ({"name": "  "}, "Field: <name> - Message: <String should have at least 1 character> - Value: <  >"),
        (
            {"name": "x" * 129},
            f"Field: <name> - Message: <String should have at most 128 characters> - Value: <{'x' * 125}...>",
        ),
        (
            {"name": "a", "extra": 1},
            "Field: <extra> - Message: <Extra inputs are not permitted> - Value: <1>",
        ),
        (
            {"name": "a", "permission": "ME"},
            "Field: <permission> - Message: <Input should be 'me' or 'team'> - Value: <ME>",
        ),
        (
            {"name": "a", "chunk_method": None},
            (
                "Field: <chunk_method> - Message: <Input should be 'naive', 'book', 'email', 'laws', 'manual', 'one', "
                "'paper', 'picture', 'presentation', 'qa', 'table' or 'tag'> - Value: <None>"
            ),
        ),
        (
            {"name": "a", "embedding_model": "bge"},
            (
                "Field: <embedding_model> - Message: <Embedding model identifier must follow "
                "<model_name>@<provider> format> - Value: <bge>"
            ),
        ),
        (
            {"name": "a", "embedding_model": "@x"},
            "Field: <embedding_model> - Message: <Both model_name and provider must be non-empty strings> - Value: <@x>",
        ),
        (
            {"name": "a", "avatar": "x"},
            "Field: <avatar> - Message: <Missing MIME prefix. Expected format: data:<mime>;base64,<data>> - Value: <x>",
        ),
        (
            {"name": "a", "avatar": "data:image/gif;base64,x"},
            (
                "Field: <avatar> - Message: <Unsupported MIME type. Allowed: ['image/jpeg', 'image/png']> - Value: "
                "<data:image/gif;base64,x>"
            ),
        ),
        (
            {"name": "a", "parser_config": {"chunk_token_num": "4"}},
            "Field: <parser_config.chunk_token_num> - Message: <Input should be a valid integer> - Value: <4>",
        ),
        (
            {"name": "a", "parser_config": {"chunk_token_num": 2049}},
            "Field: <parser_config.chunk_token_num> - Message: <Input should be less than or equal to 2048> - Value: <2049>",
        ),
        (
            {"name": "a", "parser_config": []},
            "Field: <parser_config> - Message: <Input should be a valid dictionary or instance of ParserConfig> - Value: <[]>",
        ),
        (
            {"name": "a", "parser_config": {"raptor": {"scope": "file"}}},
            "Field: <parser_config.raptor.scope> - Message: <Extra inputs are not permitted> - Value: <file>",
        ),
        (
            {"name": "a", "parse_type": 1},
            (
                "Field: <> - Message: <parser_id omitted → required fields missing: pipeline_id> - Value: "
                "<{'name': 'a', 'parse_type': 1}>"
            ),
        ),
        (
            {"name": "a", "chunk_method": "naive", "parse_type": 1},
            (
                "Field: <> - Message: <parser_id provided → disallowed fields present: parse_type> - Value: "
                "<{'name': 'a', 'chunk_method': 'naive', 'parse_type': 1}>"
            ),
        ),
        ({"name": "a", "embedding_model": "m@Nobody"}, "Unsupported model: <m@Nobody>"),
    ],
)
def test_a_bad_field_is_named(api: Api, body: dict[str, Any], message: str) -> None:
    assert api.post("/datasets", json=body) == refused(message)
    assert api.get("/datasets")["data"] == []


def test_all_bad_fields_are_named_unknown_ones_last(api: Api) -> None:
    lines = api.post("/datasets", json={"zzz": 1, "permission": 1, "name": ""})["message"].split("\n")
    assert [line.split(">")[0] for line in lines] == ["Field: <name", "Field: <permission", "Field: <zzz"]


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b"{}", "text/plain", "Unsupported content type: Expected application/json, got text/plain"),
        (b"{", "application/json", "Malformed JSON syntax: Missing commas/brackets or invalid encoding"),
        (b"", "application/json", "Malformed JSON syntax: Missing commas/brackets or invalid encoding"),
        (
            b'{"name":"\xff"}',
            "application/json",
            "Malformed JSON syntax: Missing commas/brackets or invalid encoding",
        ),
        (
            b'{"name": NaN}',
            "application/json",
            "Malformed JSON syntax: Missing commas/brackets or invalid encoding",
        ),
        (b"[1]", "application/json", "Invalid request payload: expected object, got list"),
        (b'"a"', "application/json; charset=utf-8", "Invalid request payload: expected object, got str"),
        (b"[]", "application/json", "Field: <name> - Message: <Field required> - Value: <{}>"),
    ],
)
def test_a_bad_body_is_told(api: Api, content: bytes, content_type: str, message: str) -> None:
    assert api.post("/datasets", content=content, headers={"Content-Type": content_type}) == refused(message)


def test_128_characters_of_two_bytes_are_too_many(api: Api) -> None:
    reply = api.post("/datasets", json={"name": "é" * 100})
    assert reply == refused("Dataset name length is 100 which is large than 128", 102)


def test_listing_pages_and_counts(api: Api) -> None:
    for number in range(5):
        api.post("/datasets", json={"name": f"d{number}"})
    reply = api.get("/datasets", params={"page": 2, "page_size": 2, "desc": "False"})
    assert [row["name"] for row in reply["data"]] == ["d2", "d3"]
    assert reply["total_datasets"] == 5
    past = api.get("/datasets", params={"page": 9})
    assert (past["data"], past["total_datasets"]) == ([], 5)


def test_listing_by_id_and_name(api: Api) -> None:
    first = api.post("/datasets", json={"name": "Laws"})["data"]
    api.post("/datasets", json={"name": "manuals"})
    for params in (
        {"id": first["id"]},
        {"name": "laws"},
        {"id": str(uuid.UUID(first["id"])), "name": "LAWS"},
    ):
        assert [row["id"] for row in api.get("/datasets", params=params)["data"]] == [first["id"]]
    assert api.get("/datasets", params={"id": first["id"], "name": "manuals"})["data"] == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"page": "0"}, "Field: <page> - Message: <Input should be greater than or equal to 1> - Value: <0>"),
        (
            {"page": "-1"},
            "Field: <page> - Message: <Input should be greater than or equal to 1> - Value: <-1>",
        ),
        (
            {"page": "a"},
            "Field: <page> - Message: <Input should be a valid integer, unable to parse string as an integer> - Value: <a>",
        ),
        (
            {"orderby": "name"},
            "Field: <orderby> - Message: <Input should be 'create_time' or 'update_time'> - Value: <name>",
        ),
        (
            {"desc": "maybe"},
            "Field: <desc> - Message: <Input should be a valid boolean, unable to interpret input> - Value: <maybe>",
        ),
        ({"id": "x"}, "Field: <id> - Message: <Invalid UUID1 format> - Value: <x>"),
        ({"id": str(uuid.uuid4())}, None),
        ({"color": "red"}, "Field: <color> - Message: <Extra inputs are not permitted> - Value: <red>"),
    ],
)
def test_a_bad_parameter_is_named(api: Api, params: dict[str, str], message: str | None) -> None:
    expected = message or f"Field: <id> - Message: <Invalid UUID1 format> - Value: <{params['id']}>"
    assert api.get("/datasets", params=params) == refused(expected)


def test_a_huge_page_size_is_capped(api: Api) -> None:
    api.post("/datasets", json={"name": "a"})
    assert len(api.get("/datasets", params={"page_size": 10**9, "page": 1})["data"]) == 1
    assert api.get("/datasets", params={"page_size": 10**9, "page": 10**15})["data"] == []


@pytest.mark.parametrize("what", ["id", "name"])
def test_an_unknown_dataset_is_refused(api: Api, what: str) -> None:
    value = UNKNOWN if what == "id" else "nobody"
    reply = api.get("/datasets", params={what: value})
    assert reply == refused(f"User '{api.tenant_id}' lacks permission for dataset '{value}'", 108)


def test_update_changes_what_is_sent(api: Api) -> None:
    old = api.post("/datasets", json={"name": "a", "description": "d"})["data"]
    new = api.put(f"/datasets/{old['id']}", json={"name": "A", "pagerank": 7, "description": None})["data"]
    assert (new["name"], new["pagerank"], new["description"]) == ("A", 7, None)
    assert new["update_time"] > old["update_time"]
    assert api.get("/datasets", params={"id": old["id"]})["data"] == [new]


def test_update_merges_the_keys_sent_and_no_defaults(api: Api) -> None:
    old = api.post("/datasets", json={"name": "a"})["data"]
    new = api.put(f"/datasets/{old['id']}", json={"parser_config": {"raptor": {"max_token": 9}}})["data"]
    expected = old["parser_config"]
    expected["raptor"]["max_token"] = 9
    assert new["parser_config"] == expected


def test_a_new_method_brings_its_defaults(api: Api) -> None:
    old = api.post("/datasets", json={"name": "a"})["data"]
    new = api.put(f"/datasets/{old['id']}", json={"chunk_method": "qa"})["data"]
    assert new["parser_config"] == {
        "table_context_size": 0,
        "image_context_size": 0,
        "raptor": {"use_raptor": False},
        "graphrag": {"use_graphrag": False},
    }


def test_update_to_a_taken_name(api: Api) -> None:
    api.post("/datasets", json={"name": "manuals"})
    laws = api.post("/datasets", json={"name": "laws"})["data"]
    reply = api.put(f"/datasets/{laws['id']}", json={"name": "MANUALS"})
    assert reply == refused("Dataset name 'MANUALS' already exists", 102)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "No properties were modified"),
        ({"name": None}, "Field: <name> - Message: <Input should be a valid string> - Value: <None>"),
        (
            {"pagerank": 101},
            "Field: <pagerank> - Message: <Input should be less than or equal to 100> - Value: <101>",
        ),
        (
            {"pagerank": True},
            "Field: <pagerank> - Message: <Input should be a valid integer> - Value: <True>",
        ),
    ],
)
def test_a_bad_update_is_told(api: Api, body: dict[str, Any], message: str) -> None:
    dataset = api.post("/datasets", json={"name": "a"})["data"]
    assert api.put(f"/datasets/{dataset['id']}", json=body) == refused(message)


def test_update_of_unknown_ids(api: Api) -> None:
    assert api.put("/datasets/x", json={"name": "a"}) == refused(
        "Field: <dataset_id> - Message: <Invalid UUID1 format> - Value: <x>"
    )
    assert api.put(f"/datasets/{UNKNOWN}", json={"name": "a"}) == refused(
        f"User '{api.tenant_id}' lacks permission for dataset '{UNKNOWN}'", 108
    )


def test_delete(api: Api) -> None:
    ids = [api.post("/datasets", json={"name": name})["data"]["id"] for name in "abc"]
    assert api.delete("/datasets", json={"ids": []}) == {"code": 0}
    refusal = api.delete("/datasets", json={"ids": [ids[0], UNKNOWN]})
    assert refusal == refused(f"User '{api.tenant_id}' lacks permission for datasets: '{UNKNOWN}'", 108)
    assert api.get("/datasets")["total_datasets"] == 3
    assert api.delete("/datasets", json={"ids": [str(uuid.UUID(ids[0])).upper()]}) == {"code": 0}
    assert [row["id"] for row in api.get("/datasets")["data"]] == [ids[2], ids[1]]
    assert api.delete("/datasets", json={"ids": None}) == {"code": 0}
    assert api.get("/datasets") == {"code": 0, "data": [], "total_datasets": 0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Field: <ids> - Message: <Field required> - Value: <{}>"),
        ({"ids": "x"}, "Field: <ids> - Message: <Input should be a valid list> - Value: <x>"),
        ({"ids": [1]}, "Field: <ids.0> - Message: <Input should be a valid string> - Value: <1>"),
        ({"ids": ["x"]}, "Field: <ids> - Message: <Invalid UUID1 format> - Value: <['x']>"),
        (
            {"ids": [UNKNOWN, UNKNOWN]},
            f"Field: <ids> - Message: <Duplicate ids: '{UNKNOWN}'> - Value: <['{UNKNOWN}', '{UNKNOWN}']>",
        ),
    ],
)
def test_a_bad_delete_is_told(api: Api, body: dict[str, Any], message: str) -> None:
    assert api.delete("/datasets", json=body) == refused(message)
