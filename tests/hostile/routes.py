"""Every route of the API description that reads a body, filled with the ids of real things."""

from dataclasses import dataclass
from typing import Any

from tests.api.client import Api

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Route:
    """path: with the names of ids in braces. properties: the schemas of the body's fields."""

    method: str
    path: str
    properties: dict[str, Any]
    is_json: bool
    query: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def url(self, ids: dict[str, str]) -> str:
        path = self.path
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"{path} has an id that the tests do not know: give it one"
        return path


def routes() -> list[Route]:
    """All of `/api/v1`."""
    from api.app import create_app
    from api.openapi import describe_api
    from api.settings import load_settings

    description = describe_api(create_app(load_settings(environment={})), "0")
    found = []
    for path, operations in description["paths"].items():
        for method in METHODS:
            if method not in operations or not path.startswith("/api/v1"):
                continue
            operation = operations[method]
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            if "$ref" in schema:
                schema = description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            query = tuple(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query")
            is_json = "application/json" in content
            found.append(Route(method.upper(), path, schema.get("properties", {}), is_json, query))
    return found


ROUTES = {route.name: route for route in routes()}
BODY_ROUTES = {name: route for name, route in ROUTES.items() if route.is_json}


def make_ids(api: Api) -> dict[str, str]:
    """One of everything, by the names that paths have for it."""
    dataset_id = api.make_dataset(name="things")
    document_id = api.upload(dataset_id, ("things.txt", b"Things are found in the drawer."))[0]["id"]
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
    chunk_id = api.post(path, json={"content": "Things are found in the drawer."})["data"]["chunk"]["id"]
    chat_id = api.post("/chats", json={"name": f"c{dataset_id}", "dataset_ids": [dataset_id]})["data"]["id"]
    session_id = api.post(f"/chats/{chat_id}/sessions", json={"name": "s"})["data"]["id"]
    return {
        "dataset_id": dataset_id,
        "document_id": document_id,
        "chunk_id": chunk_id,
        "chat_id": chat_id,
        "session_id": session_id,
    }


def good_body(route: Route, ids: dict[str, str]) -> dict[str, Any]:
    """Fields with which the route gets as far as reading the others."""
    known = {
        "name": "things",
        "dataset_ids": [ids["dataset_id"]],
        "document_ids": [ids["document_id"]],
        "chunk_ids": [ids["chunk_id"]],
        "session_id": ids["session_id"],
        "content": "Keys are found in the drawer.",
        "question": "Where are things found?",
        "model": "m",
        "messages": [{"role": "user", "content": "Where are things found?"}],
        "updates": [{"key": "a", "value": "b"}],
        "stream": False,
    }
    return {name: known[name] for name in route.properties if name in known}
