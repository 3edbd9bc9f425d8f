"""Nobody reaches another tenant's things: every route of the API description is called with a stranger's key."""

from typing import Any

import httpx
import pytest

from tests.api.client import Api
from tests.api.conftest import MakeApi

SECRET = "zanzibar-quartz"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def owner(make_api: MakeApi) -> Api:
    return make_api()


@pytest.fixture
def ids(owner: Api) -> dict[str, str]:
    """One of everything, with a word in it that no reply to a stranger may hold."""
    dataset_id = owner.make_dataset(name=SECRET)
    text = f"The {SECRET} contract ends in May.".encode()
    document = owner.add_document(dataset_id, f"{SECRET}.txt", text)
    owner.put(f"/datasets/{dataset_id}/documents/{document['id']}", json={"meta_fields": {"secret": SECRET}})
    chunk_id = owner.chunks(dataset_id, document["id"])["chunks"][0]["id"]
    chat = owner.post("/chats", json={"name": SECRET, "dataset_ids": [dataset_id]})["data"]
    session = owner.post(f"/chats/{chat['id']}/sessions", json={"name": SECRET})["data"]
    return {
        "dataset_id": dataset_id,
        "document_id": document["id"],
        "chunk_id": chunk_id,
        "chat_id": chat["id"],
        "session_id": session["id"],
    }


def snapshot(owner: Api, ids: dict[str, str]) -> Any:
    dataset, document, chat = ids["dataset_id"], ids["document_id"], ids["chat_id"]
    return [
        owner.get("/datasets"),
        owner.get(f"/datasets/{dataset}/documents"),
        owner.chunks(dataset, document),
        owner.call("GET", f"/datasets/{dataset}/documents/{document}").content,
        owner.get("/chats"),
        owner.get(f"/chats/{chat}/sessions"),
        owner.get(f"/datasets/{dataset}/metadata/summary"),
    ]


def values(ids: dict[str, str]) -> dict[str, Any]:
    """What a body or query may say, by the name of its field."""
    return {
        "dataset_ids": [ids["dataset_id"]],
        "document_ids": [ids["document_id"]],
        "doc_ids": [ids["document_id"]],
        "chunk_ids": [ids["chunk_id"]],
        "session_id": ids["session_id"],
        "name": "stolen",
        "content": "stolen",
        "question": "When does the contract end?",
        "model": "model",
        "messages": [{"role": "user", "content": "When does the contract end?"}],
        "updates": [{"key": "secret", "value": "stolen"}],
        "stream": False,
    }


def own_id(path: str, ids: dict[str, str]) -> str:
    """The id that `id` and `ids` mean at this path: of the last kind of thing that it names."""
    kind = ["", *(part for part in path.split("/") if part and not part.startswith("{"))][-1]
    return ids.get({"datasets": "dataset_id", "documents": "document_id", "chats": "chat_id",
                    "sessions": "session_id", "chunks": "chunk_id"}.get(kind, ""), "")  # fmt: skip


def properties(description: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return list(schema.get("properties", {}))


def requests(description: dict[str, Any], ids: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, arguments) for every operation, filled with the ids wherever one fits."""
    calls = []
    for path, operations in description["paths"].items():
        for method in METHODS:
            operation = operations.get(method)
            if operation is None:
                continue
            known = values(ids)
            one = own_id(path, ids)
            if one:
                known |= {"ids": [one], "id": one}
            url = path
            for name, value in ids.items():
                url = url.replace(f"{{{name}}}", value)
            url = url.replace("{asset}", "swagger-ui.css")
            assert "{" not in url, f"{path} has an id that this test does not know: give it one"
            rest: dict[str, Any] = {}
            wanted = properties(description, operation)
            if wanted:
                rest["json"] = {name: known[name] for name in wanted if name in known}
            elif "requestBody" in operation:
                rest["files"] = [("file", ("stolen.txt", b"stolen"))]
            names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
            rest["params"] = {"id": one} if "id" in names and one else {}
            calls.append((method, url, rest))
    return calls


def names_an_id(url: str, rest: dict[str, Any], ids: dict[str, str]) -> bool:
    said = f"{url} {rest.get('json')} {rest.get('params')}"
    return any(value in said for value in ids.values())


def is_refused(response: httpx.Response) -> bool:
    if response.status_code >= 400:
        return True
    if "event-stream" in response.headers["Content-Type"]:
        return False
    reply = response.json() if "json" in response.headers["Content-Type"] else {}
    return reply.get("code", 0) != 0


def test_a_stranger_gets_nothing_and_changes_nothing(
    owner: Api, ids: dict[str, str], make_api: MakeApi
) -> None:
    stranger = make_api()
    description = stranger.http.get("/openapi.json").json()
    before = snapshot(owner, ids)
    calls = requests(description, ids)
    assert len(calls) > 25
    for method, url, rest in calls:
        response = stranger.http.request(method.upper(), url, **rest)
        shown = f"{method.upper()} {url} {rest}: {response.status_code} {response.text[:300]}"
        assert response.status_code < 500, shown
        assert SECRET not in response.text, shown
        if names_an_id(url, rest, ids):
            assert is_refused(response), shown
    assert snapshot(owner, ids) == before


def test_nothing_is_told_without_a_key(owner: Api, ids: dict[str, str]) -> None:
    description = owner.http.get("/openapi.json").json()
    with httpx.Client(base_url=owner.url) as nobody:
        for method, url, rest in requests(description, ids):
            if not url.startswith("/api/v1"):
                continue
            for headers in ({}, {"Authorization": owner.key}, {"Authorization": "Bearer ragflow-guess"}):
                response = nobody.request(method.upper(), url, headers=headers, **rest)
                if "/dify/" in url:  # as Dify expects it
                    assert (response.status_code, response.json()["code"]) == (403, 403)
                    continue
                assert response.status_code == 401, (
                    f"{method} {url}: {response.status_code} {response.text[:200]}"
                )
                reply = response.json()
                if url.endswith(ids["document_id"]):
                    assert reply.keys() == {"code", "message"}  # else the SDK takes it for the file
                elif "chats_openai" not in url:
                    assert (reply["code"], reply["data"]) == (109, False)


def test_unknown_and_foreign_look_the_same(owner: Api, ids: dict[str, str], make_api: MakeApi) -> None:
    stranger = make_api()
    description = stranger.http.get("/openapi.json").json()
    unknown = {name: "f00df00de54811f1955e02fc00000001"[: len(value)] for name, value in ids.items()}
    for (method, url, rest), (_, other_url, other_rest) in zip(
        requests(description, ids), requests(description, unknown), strict=True
    ):
        if not url.startswith("/api/v1") or not names_an_id(url, rest, ids):
            continue
        foreign = stranger.http.request(method.upper(), url, **rest)
        missing = stranger.http.request(method.upper(), other_url, **other_rest)
        text = foreign.text
        for name, value in ids.items():
            text = text.replace(value, unknown[name])
        assert (foreign.status_code, text) == (missing.status_code, missing.text), f"{method} {url}"
