"""`/api/v1/chats` as a client sees it."""

from typing import Any

import pytest

from tests.api.chatting import OVEN, PUMP, make_chat, make_knowledge
from tests.api.client import Api
from tests.api.conftest import MakeApi

UNKNOWN = "f00df00de54811f1955e02fc00000001"
LLM = {"temperature": 0.1, "top_p": 0.3, "frequency_penalty": 0.7, "presence_penalty": 0.4, "max_tokens": 512}


def refused(message: str, code: int = 102) -> dict[str, Any]:
    return {"code": code, "message": message}


def find(api: Api, chat_id: str) -> dict[str, Any]:
    chat: dict[str, Any] = api.get("/chats", params={"id": chat_id})["data"][0]
    return chat


def test_a_new_chat_has_every_key_and_the_defaults(api: Api) -> None:
    dataset_id = make_knowledge(api, pump=PUMP)
    data = api.post("/chats", json={"name": "help", "dataset_ids": [dataset_id]})["data"]
    assert data["tenant_id"] == api.tenant_id
    assert data["dataset_ids"] == [dataset_id]
    assert data["description"] == "A helpful Assistant"
    assert (data["avatar"], data["language"], data["prompt_type"]) == ("", "English", "simple")
    assert (data["do_refer"], data["status"], data["meta_data_filter"]) == ("1", "1", {})
    assert data["llm"] == LLM | {"model_name": "builtin-extractive@Builtin"}
    prompt = data["prompt"]
    assert "{knowledge}" in prompt.pop("prompt")
    assert prompt == {
        "opener": "Hi! I'm your assistant. What can I do for you?",
        "variables": [{"key": "knowledge", "optional": False}],
        "empty_response": "Sorry! No relevant content was found in the knowledge base!",
        "show_quote": True,
        "tts": False,
        "refine_multiturn": True,
        "similarity_threshold": 0.2,
        "keywords_similarity_weight": 0.7,
        "top_n": 6,
        "rerank_model": "",
    }
    assert "top_k" not in data
    assert data["create_date"].endswith(" GMT")


def test_a_list_shows_whole_datasets_under_their_inner_names(api: Api) -> None:
    dataset_id = make_knowledge(api, pump=PUMP)
    chat = find(api, make_chat(api, dataset_ids=[dataset_id]))
    assert "dataset_ids" not in chat
    assert chat["top_k"] == 1024
    (dataset,) = chat["datasets"]
    assert dataset["id"] == dataset_id
    assert (dataset["doc_num"], dataset["chunk_num"], dataset["parser_id"]) == (1, 1, "naive")
    assert dataset["embd_id"] == "wordllama-256@Builtin"
    assert dataset["parser_config"]["chunk_token_num"] == 512
    assert dataset["graphrag_task_id"] is None


def test_the_weight_that_is_sent_is_stored_as_the_vectors(api: Api) -> None:
    prompt = api.post("/chats", json={"name": "w", "prompt": {"keywords_similarity_weight": 0.7}})["data"][
        "prompt"
    ]
    assert prompt["keywords_similarity_weight"] == 1 - 0.7


def test_what_is_sent_is_kept(api: Api) -> None:
    sent = {
        "prompt": "Use this: {knowledge} {tone}",
        "opener": None,
        "variables": [{"key": "knowledge", "optional": True}, {"key": "tone", "optional": False}],
        "empty_response": None,
        "show_quote": False,
        "cross_languages": ["German"],
        "tavily_api_key": "t",
        "use_kg": True,
        "anything": {"a": [1]},
        "top_n": 3,
        "similarity_threshold": 0.4,
    }
    chat = api.post(
        "/chats",
        json={
            "name": "k",
            "avatar": "a",
            "description": "d",
            "prompt": sent,
            "llm": {"temperature": 0.8, "seed": 1},
        },
    )["data"]
    assert sent.items() <= chat["prompt"].items()
    assert chat["llm"] == {"temperature": 0.8, "seed": 1, "model_name": "builtin-extractive@Builtin"}
    assert (chat["avatar"], chat["description"]) == ("a", "d")


@pytest.mark.parametrize("llm", [{}, None])
def test_no_llm_settings_are_the_default_ones(api: Api, llm: Any) -> None:
    data = api.post("/chats", json={"name": "l", "llm": llm})["data"]
    assert data["llm"] == LLM | {"model_name": "builtin-extractive@Builtin"}


def test_inner_names_are_taken_as_well(api: Api) -> None:
    prompt = {
        "system": "S {knowledge}",
        "prologue": "Hello",
        "quote": False,
        "vector_similarity_weight": 0.25,
    }
    shown = api.post("/chats", json={"name": "i", "prompt": prompt})["data"]["prompt"]
    assert (shown["prompt"], shown["opener"], shown["show_quote"]) == ("S {knowledge}", "Hello", False)
    assert shown["keywords_similarity_weight"] == 0.75


def test_null_datasets_are_none(api: Api) -> None:
    assert api.post("/chats", json={"name": "n", "dataset_ids": None})["data"]["dataset_ids"] == []
    assert api.post("/chats", json={"name": "m", "dataset_ids": ["", None]})["data"]["dataset_ids"] == []


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ({}, refused("`name` is required.")),
        ({"name": ""}, refused("`name` is required.")),
        ({"name": "x", "dataset_ids": [UNKNOWN]}, refused(f"You don't own the dataset {UNKNOWN}")),
        (
            {"dataset_ids": [UNKNOWN], "llm": {"model_name": "no"}},
            refused(f"You don't own the dataset {UNKNOWN}"),
        ),
        ({"name": "x", "llm": {"model_name": "no@Such"}}, refused("`model_name` no@Such doesn't exist")),
        ({"name": "x", "llm": {"model_name": ""}}, refused("`model_name`  doesn't exist")),
        (
            {"llm": {"model_name": "no"}, "prompt": {"rerank_model": "r"}},
            refused("`model_name` no doesn't exist"),
        ),
        ({"prompt": {"rerank_model": "r@V"}}, refused("`rerank_model` r@V doesn't exist")),
        ({"name": "x", "tenant_id": "t"}, refused("`tenant_id` must not be provided.")),
        ({"name": "x", "prompt": {"prompt": "no place"}}, refused("Parameter 'knowledge' is not used")),
        (
            {"name": "x", "dataset_ids": "abc"},
            refused("Field: <dataset_ids> - Message: <Input should be a valid list> - Value: <abc>", 101),
        ),
        (
            {"name": "n" * 256},
            refused(
                "Field: <name> - Message: <String should have at most 255 characters> - Value: <"
                + "n" * 125
                + "...>",
                101,
            ),
        ),
        (
            {"name": "x", "prompt": {"variables": [{"key": "knowledge"}]}},
            refused(
                "Field: <prompt.variables.0.optional> - Message: <Field required> - Value: <{'key': 'knowledge'}>",
                101,
            ),
        ),
        (
            {"name": "x", "prompt": {"top_n": "6"}},
            refused("Field: <prompt.top_n> - Message: <Input should be a valid integer> - Value: <6>", 101),
        ),
    ],
)
def test_refusals_of_a_new_chat(api: Api, body: dict[str, Any], reply: dict[str, Any]) -> None:
    assert api.post("/chats", json=body) == reply
    assert api.get("/chats")["data"] == []


def test_a_dataset_without_chunks_is_refused(api: Api) -> None:
    dataset_id = api.make_dataset()
    reply = api.post("/chats", json={"name": "x", "dataset_ids": [dataset_id]})
    assert reply == refused(f"The dataset {dataset_id} doesn't own parsed file")


def test_a_name_is_taken_whatever_its_case_until_its_chat_is_deleted(api: Api) -> None:
    chat_id = make_chat(api, name="Manual")
    assert api.post("/chats", json={"name": "mANUAL"}) == refused("Duplicated chat name in creating chat.")
    other = make_chat(api, name="other")
    assert api.put(f"/chats/{other}", json={"name": "MANUAL"}) == refused(
        "Duplicated chat name in updating chat."
    )
    assert api.put(f"/chats/{chat_id}", json={"name": "MANUAL"}) == {"code": 0}
    api.delete("/chats", json={"ids": [chat_id]})
    assert api.put(f"/chats/{other}", json={"name": "manual"}) == {"code": 0}


def test_nested_deeper_than_can_be_stored_is_refused(api: Api) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    assert api.post("/chats", json={"name": "x", "llm": {"deep": deep}})["code"] == 101


class TestUpdate:
    def test_only_what_is_sent_changes(self, api: Api) -> None:
        dataset_id = make_knowledge(api, pump=PUMP)
        chat_id = make_chat(api, dataset_ids=[dataset_id], prompt={"opener": "Hello", "top_n": 4})
        before = find(api, chat_id)
        changes = {"name": "new", "prompt": {"empty_response": None}, "llm": {"temperature": 0.9}}
        assert api.put(f"/chats/{chat_id}", json=changes) == {"code": 0}
        after = find(api, chat_id)
        assert after["name"] == "new"
        assert after["prompt"] == before["prompt"] | {"empty_response": None}
        assert after["llm"] == before["llm"] | {"temperature": 0.9}
        assert [one["id"] for one in after["datasets"]] == [dataset_id]
        assert after["update_time"] > before["update_time"]

    @pytest.mark.parametrize("cleared", [None, []])
    def test_no_datasets_clear_them(self, api: Api, cleared: Any) -> None:
        chat_id = make_chat(api, dataset_ids=[make_knowledge(api, oven=OVEN)])
        assert api.put(f"/chats/{chat_id}", json={"dataset_ids": cleared}) == {"code": 0}
        assert find(api, chat_id)["datasets"] == []

    def test_show_quotation_is_do_refer(self, api: Api) -> None:
        chat_id = make_chat(api)
        assert api.put(f"/chats/{chat_id}", json={"show_quotation": False}) == {"code": 0}
        assert find(api, chat_id)["do_refer"] == "0"

    @pytest.mark.parametrize("key", ["id", "tenant_id", "status", "create_time", "nonsense"])
    def test_other_columns_are_refused(self, api: Api, key: str) -> None:
        chat_id = make_chat(api)
        reply = api.put(f"/chats/{chat_id}", json={key: "0"})
        assert reply == refused(
            f"Field: <{key}> - Message: <Extra inputs are not permitted> - Value: <0>", 101
        )

    @pytest.mark.parametrize(
        ("body", "reply"),
        [
            ({"name": ""}, refused("`name` cannot be empty.")),
            ({"name": None}, refused("`name` cannot be empty.")),
            ({"llm": {}}, refused("`llm` cannot be empty.", 101)),
            ({"prompt": {}}, refused("`prompt` cannot be empty.", 101)),
            ({"dataset_ids": [""]}, refused("You don't own the dataset ")),
            ({"llm": {"model_name": "no"}}, refused("`model_name` no doesn't exist")),
            ({"prompt": {"rerank_model": "r"}}, refused("`rerank_model` r doesn't exist")),
            ({"prompt": {"prompt": "no place"}}, refused("Parameter 'knowledge' is not used")),
        ],
    )
    def test_refusals(self, api: Api, body: dict[str, Any], reply: dict[str, Any]) -> None:
        chat_id = make_chat(api)
        before = find(api, chat_id)
        assert api.put(f"/chats/{chat_id}", json=body) == reply
        assert find(api, chat_id) == before

    def test_an_unknown_and_a_deleted_chat(self, api: Api) -> None:
        chat_id = make_chat(api)
        api.delete("/chats", json={"ids": [chat_id]})
        for one in (UNKNOWN, chat_id, "x"):
            assert api.put(f"/chats/{one}", json={"name": "y"}) == refused("You do not own the chat")


class TestList:
    def test_pages_cover_everything_once(self, api: Api) -> None:
        ids = {make_chat(api, name=f"c{n}") for n in range(5)}
        pages = [api.get("/chats", params={"page": page, "page_size": 2})["data"] for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert {chat["id"] for page in pages for chat in page} == ids

    def test_order(self, api: Api) -> None:
        for name in ("b", "c", "a"):
            make_chat(api, name=name)

        def names(**params: str) -> str:
            return "".join(chat["name"] for chat in api.get("/chats", params=params)["data"])

        assert names() == "acb"
        assert names(desc="False") == names(desc="false") == "bca"
        assert names(desc="0") == "acb"  # only the word is false
        assert names(orderby="name", desc="False") == "abc"

    def test_page_0_is_page_1_and_no_size_is_empty(self, api: Api) -> None:
        make_chat(api)
        assert len(api.get("/chats", params={"page": 0})["data"]) == 1
        assert api.get("/chats", params={"page_size": 0})["data"] == []
        assert len(api.get("/chats", params={"page": "", "id": ""})["data"]) == 1

    @pytest.mark.parametrize(
        "params", [{"page": "a"}, {"page": "-1"}, {"page_size": "-1"}, {"orderby": "x"}, {"page": "9" * 40}]
    )
    def test_bad_paging(self, api: Api, params: dict[str, str]) -> None:
        reply = api.get("/chats", params=params)
        assert reply["code"] == 101
        assert f"Field: <{next(iter(params))}>" in reply["message"]

    def test_filters(self, api: Api) -> None:
        chat_id = make_chat(api, name="One")
        other = make_chat(api, name="Two")
        assert [one["id"] for one in api.get("/chats", params={"name": "one"})["data"]] == [chat_id]
        assert api.get("/chats", params={"name": "on"}) == refused("The chat doesn't exist")
        assert api.get("/chats", params={"id": other, "name": "one"}) == refused("The chat doesn't exist")
        assert api.get("/chats", params={"id": UNKNOWN}) == refused("The chat doesn't exist")


class TestDelete:
    def test_all(self, api: Api) -> None:
        for body in ({"ids": None}, {"ids": []}, {}):
            make_chat(api)
            assert api.delete("/chats", json=body) == {"code": 0}
            assert api.get("/chats")["data"] == []
        make_chat(api)
        assert api.delete("/chats") == {"code": 0}
        assert api.delete("/chats") == {"code": 0}

    def test_some_unknown(self, api: Api) -> None:
        one, two = make_chat(api, name="1"), make_chat(api, name="2")
        reply = api.delete("/chats", json={"ids": [one, UNKNOWN, one, "y"]})
        errors = [f"Assistant({UNKNOWN}) not found.", "Assistant(y) not found."]
        assert reply == {"code": 0, "data": {"success_count": 1, "errors": errors}}
        assert [chat["id"] for chat in api.get("/chats")["data"]] == [two]

    def test_all_unknown(self, api: Api) -> None:
        make_chat(api)
        reply = api.delete("/chats", json={"ids": ["x", "y"]})
        assert reply == refused("Assistant(x) not found.; Assistant(y) not found.")
        assert len(api.get("/chats")["data"]) == 1

    def test_only_duplicates(self, api: Api) -> None:
        one = make_chat(api)
        reply = api.delete("/chats", json={"ids": [one, one, one]})
        errors = [f"Duplicate assistant ids: {one}"]
        assert reply == {"code": 0, "data": {"success_count": 1, "errors": errors}}


def test_another_tenants_chats_do_not_exist(make_api: MakeApi) -> None:
    api, other_api = make_api(), make_api()
    dataset_id = make_knowledge(api, pump=PUMP)
    chat_id = make_chat(api, name="mine", dataset_ids=[dataset_id])
    assert other_api.get("/chats")["data"] == []
    assert other_api.get("/chats", params={"id": chat_id}) == refused("The chat doesn't exist")
    assert other_api.put(f"/chats/{chat_id}", json={"name": "y"}) == refused("You do not own the chat")
    assert other_api.delete("/chats", json={"ids": [chat_id]}) == refused(f"Assistant({chat_id}) not found.")
    assert other_api.delete("/chats") == {"code": 0}
    reply = other_api.post("/chats", json={"name": "theirs", "dataset_ids": [dataset_id]})
    assert reply == refused(f"You don't own the dataset {dataset_id}")
    assert other_api.post("/chats", json={"name": "mine"})["code"] == 0
    assert find(api, chat_id)["name"] == "mine"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_a_key(api: Api, method: str) -> None:
    response = api.call(method, "/chats", headers={"Authorization": ""})
    assert response.status_code == 401
    assert response.json()["code"] == 109
