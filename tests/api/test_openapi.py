"""The API description: complete, valid, and what the server really does."""

from typing import Any

import pytest
from quart import Quart

from api.app import create_app
from api.openapi import describe_api, described_routes
from api.settings import load_settings
from tests.api.client import Api


@pytest.fixture(scope="module")
def app() -> Quart:
    return create_app(load_settings(environment={}))


@pytest.fixture(scope="module")
def description(app: Quart) -> dict[str, Any]:
    return describe_api(app, "1.2.3")


def test_every_route_is_described(app: Quart, description: dict[str, Any]) -> None:
    for path, method, operation, doc in described_routes(app):
        assert operation is not None, f"{method} {path} has no @operation"
        assert doc.strip(), f"{method} {path} has no docstring"
        assert method.lower() in description["paths"][path]


def test_every_body_has_an_example(description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                assert "example" in body, f"{method} {path}"


def test_operation_ids_are_unique(description: dict[str, Any]) -> None:
    ids = [
        operation["operationId"]
        for operations in description["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


def test_every_reference_exists(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].rsplit("/", 1)[1] in schemas, node
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(description)


def test_the_server_serves_it(api: Api) -> None:
    served = api.http.get("/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    assert "/api/v1/datasets/{dataset_id}/documents/{document_id}/chunks/{chunk_id}" in served["paths"]
