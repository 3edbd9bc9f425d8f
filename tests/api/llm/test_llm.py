"""Tenants register models of their own, and use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.chatting import in_thread
from tests.api.client import Api
from tests.conftest import StartServer
from tests.live import LiveServer
from tests.rag.models.stub_openai import API_KEY, DIMENSION, Fault, open_stub
from tests.rag.models.stub_providers import LOCAL, TEI, Dialect, StubProvider
from tests.serve import make_account


@contextmanager
def running(dialect: Dialect = LOCAL) -> Iterator[StubProvider]:
    with in_thread() as run:
        opened = open_stub(StubProvider(dialect=dialect))
        stub = run(opened.__aenter__())
        stub.root = stub.base_url.removesuffix("/v1")
        yield stub
        run(opened.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    from tests.live import start_server

    flags: dict[str, Any] = {"models__allow_private_hosts": ["127.0.0.1"], "executor__workers": 1}
    with start_server(tmp_path_factory.mktemp("llm") / "data", **flags) as server:
        yield server


@pytest.fixture
def make_tenant(server: LiveServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    made: list[Api] = []

    def make() -> Api:
        name = f"t{len(made)}-{abs(hash(request.node.nodeid))}@example.com"
        account = make_account(server.data_dir, name)
        made.append(Api(server.url, account["key"], account["user_id"]))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def tenant(make_tenant: Any) -> Api:
    api: Api = make_tenant()
    return api


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with running() as stub:
        yield stub


def llm(api: Api, path: str, body: dict[str, Any] | None = None, **params: Any) -> Any:
    """The reply of a route of `/v1`."""
    if body is None:
        return api.http.get(f"/v1{path}", params=params).json()
    return api.http.post(f"/v1{path}", json=body).json()


def add(api: Api, stub: StubProvider, kind: str, name: str, **more: Any) -> Any:
    body = {
        "llm_factory": "Xinference",
        "llm_name": name,
        "model_type": kind,
        "api_base": stub.root,
        "api_key": API_KEY,
    }
    return llm(api, "/llm/add_llm", body | more)


OK = {"code": 0, "message": "success", "data": True}


def test_factories(tenant: Api) -> None:
    found = llm(tenant, "/llm/factories")["data"]
    names = [one["name"] for one in found]
    assert names[:2] == ["OpenAI", "Ollama"]
    assert "Builtin" not in names
    assert [one["rank"] for one in found] == sorted((one["rank"] for one in found), reverse=True)
    (jina,) = [one for one in found if one["name"] == "Jina"]
    assert jina["model_types"] == ["embedding", "rerank"]
    assert jina["tags"] == "TEXT EMBEDDING,TEXT RE-RANK"


def test_a_model_is_tried_stored_listed_switched_and_forgotten(tenant: Api, stub: StubProvider) -> None:
    assert add(tenant, stub, "chat", "talker", max_tokens=32768) == OK
    assert stub.requests[0]["model"] == "talker"
    mine = llm(tenant, "/llm/my_llms")["data"]
    assert mine["Xinference"]["llm"] == [{"type": "chat", "name": "talker", "used_token": 0, "status": "1"}]
    detailed = llm(tenant, "/llm/my_llms", include_details="true")["data"]["Xinference"]["llm"][0]
    assert (detailed["api_base"], detailed["max_tokens"]) == (stub.root, 32768)
    assert API_KEY not in str(detailed)
    assert [one["llm_name"] for one in llm(tenant, "/llm/list")["data"]["Xinference"]] == ["talker"]

    named = {"llm_factory": "Xinference", "llm_name": "talker"}
    chat = {"name": "c", "llm": {"model_name": "talker@Xinference"}}
    assert llm(tenant, "/llm/enable_llm", named | {"status": "0"}) == OK
    assert "Xinference" not in llm(tenant, "/llm/list")["data"]
    assert llm(tenant, "/llm/my_llms")["data"]["Xinference"]["llm"][0]["status"] == "0"
    assert tenant.post("/chats", json=chat)["code"] == 102
    assert llm(tenant, "/llm/enable_llm", named | {"status": "1"}) == OK
    assert tenant.post("/chats", json=chat)["code"] == 0
    assert llm(tenant, "/llm/delete_llm", named) == OK
    assert llm(tenant, "/llm/my_llms")["data"] == {}
    assert llm(tenant, "/llm/delete_llm", named) == OK


def test_registering_again_changes_the_model(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "chat", "talker", max_tokens=4096)
    add(tenant, stub, "chat", "talker", max_tokens=9999)
    add(tenant, stub, "embedding", "emb")
    (talker,) = [
        one for one in llm(tenant, "/llm/my_llms", include_details=True)["data"]["Xinference"]["llm"]
        if one["type"] == "chat"
    ]  # fmt: skip
    assert talker["max_tokens"] == 9999
    assert llm(tenant, "/llm/delete_factory", {"llm_factory": "Xinference"}) == OK
    assert llm(tenant, "/llm/my_llms")["data"] == {}


def test_the_listing_holds_what_is_built_in_and_says_what_serves_it(tenant: Api) -> None:
    found = llm(tenant, "/llm/list", model_type="embed")["data"]["Builtin"]
    assert {one["model_type"] for one in found} == {"embedding"}
    (bge,) = [one for one in found if one["llm_name"] == "BAAI/bge-small-en-v1.5"]
    assert "served by wordllama-256@Builtin" in bge["tags"]
    assert tenant.make_dataset(embedding_model="BAAI/bge-small-en-v1.5@Builtin")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=401), "refused the API key"),
        (Fault(status=500), "failed (HTTP 500)"),
        (Fault(raw="{}"), "sent 0 vectors for 1 texts"),
        (Fault(reset_after=0), "cannot be reached"),
    ],
)
def test_a_model_that_does_not_answer_is_not_stored(
    tenant: Api, stub: StubProvider, fault: Fault, said: str
) -> None:
    stub.faults.append(fault)
    reply = add(tenant, stub, "embedding", "emb")
    assert reply["code"] == 102
    assert reply["message"].startswith("\nFail to access model(Xinference/emb).")
    assert said in reply["message"]
    assert API_KEY not in str(reply)
    assert llm(tenant, "/llm/my_llms")["data"] == {}
    assert len(stub.requests) == 1  # no second try while somebody waits


def test_verify_stores_nothing(tenant: Api, stub: StubProvider) -> None:
    assert add(tenant, stub, "rerank", "rank", verify=True)["data"] == {"message": "", "success": True}
    stub.faults.append(Fault(status=401))
    tried = add(tenant, stub, "rerank", "rank", verify=True)["data"]
    assert tried["success"] is False
    assert "Fail to access model(Xinference/rank)" in tried["message"]
    assert llm(tenant, "/llm/my_llms")["data"] == {}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"llm_factory": "Nobody"}, 102, "LLM factory Nobody is not allowed"),
        ({"llm_factory": "Builtin"}, 102, "LLM factory Builtin is not allowed"),
        ({"llm_factory": None}, 101, "required argument are missing: llm_factory; "),
        ({"llm_name": "", "model_type": None}, 101, "required argument are missing: llm_name,model_type; "),
        ({"model_type": "ocr"}, 101, "`model_type` must be one of chat, embedding"),
        ({"llm_factory": "DeepSeek", "model_type": "tts"}, 102, "DeepSeek has no tts models; it has chat"),
        ({"api_base": ""}, 102, "Xinference has no public address: say where it is with `api_base`"),
        ({"api_base": "http://169.254.169.254/"}, 102, "169.254.169.254 is not a public address"),
        ({"api_base": "http://10.0.0.1:9997"}, 102, "allow_private_hosts"),
        ({"api_base": "http://127.0.0.2:9997"}, 102, "not a public address"),
        ({"api_base": "file:///etc/passwd"}, 102, "not a valid URL"),
        ({"llm_name": "x" * 129}, 101, "llm_name"),
        ({"max_tokens": 0}, 101, "max_tokens"),
        ({"max_tokens": "many"}, 101, "max_tokens"),
    ],
)
def test_bad_input(tenant: Api, stub: StubProvider, changes: dict[str, Any], code: int, said: str) -> None:
    reply = add(tenant, stub, "chat", "talker", **changes)
    assert reply["code"] == code
    assert said in reply["message"]
    assert stub.requests == []


def test_a_key_for_well_known_models(tenant: Api, stub: StubProvider) -> None:
    body = {"llm_factory": "OpenAI", "api_key": API_KEY, "base_url": stub.base_url}
    stub.faults.extend([Fault(status=404)] * 3)  # one of those that are tried is enough
    assert llm(tenant, "/llm/set_api_key", body) == OK
    names = {one["name"] for one in llm(tenant, "/llm/my_llms")["data"]["OpenAI"]["llm"]}
    assert {"gpt-4o-mini", "text-embedding-3-small", "whisper-1"} <= names
    assert tenant.make_dataset(embedding_model="text-embedding-3-small@OpenAI")


def test_a_wrong_key(tenant: Api, stub: StubProvider) -> None:
    stub.faults.extend([Fault(status=401)] * 4)
    body = {"llm_factory": "OpenAI", "api_key": API_KEY, "base_url": stub.base_url}
    reply = llm(tenant, "/llm/set_api_key", body)
    assert reply["code"] == 102
    assert "Fail to access embedding model(text-embedding-3-small) using this api key." in reply["message"]
    assert "Fail to access model(OpenAI/gpt-5) using this api key." in reply["message"]
    assert llm(tenant, "/llm/my_llms")["data"] == {}


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"llm_factory": "OpenAI"}, 101, "required argument are missing: api_key; "),
        ({"llm_factory": "Nope", "api_key": "k"}, 102, "LLM factory Nope is not allowed"),
        ({"llm_factory": "OpenRouter", "api_key": "k"}, 102, "has no well-known models"),
        (
            {"llm_factory": "OpenAI", "api_key": "k", "base_url": "http://10.0.0.1"},
            102,
            "not a public address",
        ),
    ],
)
def test_bad_keys(tenant: Api, body: dict[str, Any], code: int, said: str) -> None:
    reply = llm(tenant, "/llm/set_api_key", body)
    assert reply["code"] == code
    assert said in reply["message"]


def test_names_with_the_suffix_of_the_wire(tenant: Api, stub: StubProvider) -> None:
    assert add(tenant, stub, "chat", "qwen", llm_factory="VLLM") == OK
    assert stub.requests[0]["model"] == "qwen"
    assert llm(tenant, "/llm/my_llms")["data"]["VLLM"]["llm"][0]["name"] == "qwen___VLLM"
    for name in ("qwen___VLLM@VLLM", "qwen@VLLM"):
        assert tenant.post("/chats", json={"name": name, "llm": {"model_name": name}})["code"] == 0


def test_default_models(tenant: Api, stub: StubProvider) -> None:
    info = llm(tenant, "/user/tenant_info")["data"]
    assert info["tenant_id"] == tenant.tenant_id
    assert (info["llm_id"], info["role"]) == ("", "owner")
    assert info["parser_ids"].startswith("naive:General,")
    add(tenant, stub, "chat", "talker")
    add(tenant, stub, "embedding", "emb")
    body = {
        "tenant_id": tenant.tenant_id, "llm_id": "talker@Xinference", "embd_id": "emb@Xinference",
        "asr_id": "", "img2txt_id": "", "rerank_id": "rank@Xinference",
    }  # fmt: skip
    assert llm(tenant, "/user/set_tenant_info", body) == OK
    assert llm(tenant, "/user/tenant_info")["data"]["rerank_id"] == "rank@Xinference"
    assert tenant.post("/chats", json={"name": "c"})["data"]["llm"]["model_name"] == "talker@Xinference"
    made = tenant.post("/datasets", json={"name": "d"})["data"]
    assert made["embedding_model"] == "emb@Xinference"


def test_default_models_of_others(tenant: Api, make_tenant: Any) -> None:
    other = make_tenant()
    body = {"tenant_id": other.tenant_id, "llm_id": "x", "embd_id": "", "asr_id": "", "img2txt_id": ""}
    reply = llm(tenant, "/user/set_tenant_info", body)
    assert (reply["code"], reply["message"]) == (109, "No authorization.")
    assert llm(other, "/user/tenant_info")["data"]["llm_id"] == ""
    reply = llm(tenant, "/user/set_tenant_info", {"tenant_id": tenant.tenant_id})
    assert reply["code"] == 101
    assert "asr_id,embd_id,img2txt_id,llm_id" in reply["message"]


def test_models_of_others_are_not_there(tenant: Api, make_tenant: Any, stub: StubProvider) -> None:
    add(tenant, stub, "chat", "talker")
    add(tenant, stub, "embedding", "emb")
    add(tenant, stub, "rerank", "rank")
    other = make_tenant()
    assert llm(other, "/llm/my_llms")["data"] == {}
    assert "Xinference" not in llm(other, "/llm/list")["data"]
    assert other.post("/chats", json={"name": "c", "llm": {"model_name": "talker@Xinference"}})["code"] == 102
    reply = other.post("/datasets", json={"name": "d", "embedding_model": "emb@Xinference"})
    assert (reply["code"], reply["message"]) == (101, "Unsupported model: <emb@Xinference>")
    reply = other.post("/chats", json={"name": "c", "prompt": {"rerank_model": "rank@Xinference"}})
    assert reply["message"] == "`rerank_model` rank@Xinference doesn't exist"
    for path in ("/llm/delete_llm", "/llm/enable_llm"):
        llm(other, path, {"llm_factory": "Xinference", "llm_name": "talker", "status": "0"})
    llm(other, "/llm/delete_factory", {"llm_factory": "Xinference"})
    assert len(llm(tenant, "/llm/list")["data"]["Xinference"]) == 3


def test_known_models_without_a_key_are_unauthorized(tenant: Api) -> None:
    reply = tenant.post("/datasets", json={"name": "d", "embedding_model": "text-embedding-3-small@OpenAI"})
    assert reply["message"] == "Unauthorized model: <text-embedding-3-small@OpenAI>"


def test_documents_questions_and_answers_go_to_the_tenants_models(tenant: Api, stub: StubProvider) -> None:
    for kind, name in (("embedding", "emb"), ("chat", "talker"), ("rerank", "rank")):
        assert add(tenant, stub, kind, name) == OK
    dataset_id = tenant.make_dataset(embedding_model="emb@Xinference")
    text = b"The museum opens at nine.\n\nThe library closes at six."
    document = tenant.add_document(dataset_id, "hours.txt", text)  # embedded in a worker process
    assert document["chunk_count"] >= 1
    found = tenant.retrieve([dataset_id], "When does the museum open?", similarity_threshold=0)
    assert found["total"] >= 1
    chat = tenant.post(
        "/chats", json={"name": "c", "dataset_ids": [dataset_id], "llm": {"model_name": "talker@Xinference"}}
    )["data"]
    session = tenant.post(f"/chats/{chat['id']}/sessions", json={})["data"]
    reply = tenant.post(
        f"/chats/{chat['id']}/completions",
        json={"question": "When does the museum open?", "session_id": session["id"], "stream": False},
    )
    assert "opens at nine" in reply["data"]["answer"]
    path = f"/datasets/{dataset_id}/documents/{document['id']}/chunks"
    assert tenant.post(path, json={"content": "A chunk by hand."})["code"] == 0
    used = _wait_for_tokens(tenant, "emb", "talker")
    assert used["talker"] == 18
    assert used["emb"] >= 10


def test_a_parse_again_embeds_only_what_changed(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "embedding", "emb")
    dataset_id = tenant.make_dataset(embedding_model="emb@Xinference")
    lines = [f"Line {number} says that pump {number} is blue." for number in range(60)]
    config = {"chunk_token_num": 16, "delimiter": "\n"}
    tenant.put(f"/datasets/{dataset_id}", json={"parser_config": config})
    document = tenant.add_document(dataset_id, "a.txt", "\n".join(lines).encode())
    asked = len(stub.requests)
    again = tenant.parse(dataset_id, document["id"])
    assert (again["run"], again["chunk_count"]) == ("DONE", document["chunk_count"])
    assert len(stub.requests) == asked
    lines[7] = "Line 7 says that the pump is green now."
    changed = tenant.add_document(dataset_id, "a.txt", "\n".join(lines).encode())
    assert changed["chunk_count"] > 10
    sent = [text for body in stub.requests[asked:] for text in body["input"]]
    assert 1 <= len(sent) <= 3  # the chunk that changed, perhaps its neighbour, and the new name
    found = tenant.retrieve([dataset_id], "Which pump is green?", similarity_threshold=0)
    assert "green" in found["chunks"][0]["content"]


def _wait_for_tokens(api: Api, *names: str) -> dict[str, int]:
    import time

    end_s = time.monotonic() + 10
    while True:
        models = llm(api, "/llm/my_llms")["data"]["Xinference"]["llm"]
        used = {one["name"]: one["used_token"] for one in models}
        if all(used[name] for name in names) or time.monotonic() > end_s:
            return used
        time.sleep(0.1)


def test_an_expired_key_stops_a_document_with_a_reason(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "embedding", "emb")
    dataset_id = tenant.make_dataset(embedding_model="emb@Xinference")
    stub.faults.append(Fault(status=401))
    document = tenant.upload(dataset_id, ("a.txt", b"Some text."))[0]
    failed = tenant.parse(dataset_id, document["id"])
    assert failed["run"] == "FAIL"
    assert "emb@Xinference refused the API key" in failed["progress_msg"]


def test_a_forgotten_model_is_told_at_ask_time(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "embedding", "emb")
    dataset_id = tenant.make_dataset(embedding_model="emb@Xinference")
    tenant.add_document(dataset_id, "a.txt", b"Some text.")
    llm(tenant, "/llm/delete_factory", {"llm_factory": "Xinference"})
    reply = tenant.post("/retrieval", json={"dataset_ids": [dataset_id], "question": "text?"})
    assert reply["code"] == 102
    assert reply["message"] == "No embedding model emb@Xinference is configured"


def test_datasets_of_different_lengths_of_vectors_live_side_by_side(tenant: Api) -> None:
    with running(TEI) as tei:
        body = {
            "llm_factory": "HuggingFace", "llm_name": "bge", "model_type": "embedding",
            "api_base": tei.root, "api_key": API_KEY,
        }  # fmt: skip
        assert llm(tenant, "/llm/add_llm", body) == OK
        remote = tenant.make_dataset(name="remote", embedding_model="bge@HuggingFace")
        local = tenant.make_dataset(name="local")
        for dataset_id in (remote, local):
            tenant.add_document(dataset_id, "a.txt", b"The museum opens at nine.")
            found = tenant.retrieve([dataset_id], "museum", similarity_threshold=0)
            assert found["total"] == 1
        assert DIMENSION != 256
        changed = tenant.put(f"/datasets/{local}", json={"embedding_model": "bge@HuggingFace"})
        assert changed["message"].startswith("When chunk_num (1) > 0, embedding_model must remain")


def test_rerank_changes_the_order_of_retrieval(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "rerank", "rank")
    dataset_id = tenant.make_dataset()
    for name in ("one", "two", "three"):
        tenant.add_document(dataset_id, f"{name}.txt", f"The pump number {name} is blue.".encode())
    stub.scores = lambda text: 0.9 if "three" in text else 0.1
    question = "Which pump is number one?"
    plain = tenant.retrieve([dataset_id], question, similarity_threshold=0)["chunks"]
    assert "one" in plain[0]["content"]
    options = {"similarity_threshold": 0, "vector_similarity_weight": 1}
    ranked = tenant.retrieve([dataset_id], question, rerank_id="rank@Xinference", **options)["chunks"]
    assert "three" in ranked[0]["content"]
    assert ranked[0]["vector_similarity"] == pytest.approx(0.9)
    body = {"dataset_ids": [dataset_id], "question": question, "rerank_id": "nope@Xinference"}
    assert tenant.post("/retrieval", json=body)["message"] == "Model(nope@Xinference) not authorized"
    stub.faults.append(Fault(status=401))
    reply = tenant.post("/retrieval", json=body | {"rerank_id": "rank@Xinference"})
    assert (reply["code"], "refused the API key" in reply["message"]) == (102, True)


def test_rerank_changes_what_a_chat_reads(tenant: Api, stub: StubProvider) -> None:
    add(tenant, stub, "rerank", "rank")
    add(tenant, stub, "chat", "talker")
    dataset_id = tenant.make_dataset()
    for name in ("one", "two", "three"):
        tenant.add_document(dataset_id, f"{name}.txt", f"The pump number {name} is blue.".encode())
    stub.scores = lambda text: 0.9 if "three" in text else 0.1
    prompt = {"top_n": 1, "keywords_similarity_weight": 1, "rerank_model": "rank@Xinference"}
    body = {
        "name": "c",
        "dataset_ids": [dataset_id],
        "prompt": prompt,
        "llm": {"model_name": "talker@Xinference"},
    }
    chat = tenant.post("/chats", json=body)["data"]
    assert chat["prompt"]["rerank_model"] == "rank@Xinference"
    session = tenant.post(f"/chats/{chat['id']}/sessions", json={})["data"]
    tenant.post(
        f"/chats/{chat['id']}/completions",
        json={"question": "Which pump is number one?", "session_id": session["id"], "stream": False},
    )
    system = stub.requests[-1]["messages"][0]["content"]
    assert "number three" in system, system
    assert "number one is blue" not in system


def test_private_addresses_need_the_setting(start_server: StartServer, stub: StubProvider) -> None:
    server = start_server(executor__workers=0)
    api = Api(server.url, server.key, "")
    reply = add(api, stub, "chat", "talker")
    assert reply["code"] == 102
    assert "127.0.0.1 is not a public address" in reply["message"]
    assert "models.allow_private_hosts" in reply["message"]
    assert stub.requests == []
    api.close()


def test_keys_are_stored_encrypted(tenant: Api, stub: StubProvider, server: LiveServer) -> None:
    add(tenant, stub, "chat", "talker")
    for file in server.data_dir.rglob("*"):
        if file.is_file():
            assert API_KEY.encode() not in file.read_bytes(), file
    assert API_KEY not in server.log
