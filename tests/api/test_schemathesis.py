"""The whole API description against the live server: no 5xx, and replies match their schemas."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from api.openapi import describe_api
from api.settings import load_settings
from tests.api.client import Api

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
STREAMS = "text/event-stream"

SCHEMA = schemathesis.openapi.from_dict(describe_api(create_app(load_settings(environment={})), "0"))
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
}
BOUNDS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))

every_operation = pytest.mark.parametrize("name", sorted(OPERATIONS))


@pytest.fixture
def ids(api: Api) -> dict[str, str]:
    """One of everything, of the tenant that calls."""
    dataset_id = api.make_dataset(name="things")
    document = api.add_document(dataset_id, "things.txt", b"Things are found in the drawer.")
    chat = api.post("/chats", json={"name": "c", "dataset_ids": [dataset_id]})["data"]
    return {
        "asset": "start.js",
        "dataset_id": dataset_id,
        "document_id": document["id"],
        "chunk_id": api.chunks(dataset_id, document["id"])["chunks"][0]["id"],
        "chat_id": chat["id"],
        "session_id": api.post(f"/chats/{chat['id']}/sessions", json={})["data"]["id"],
    }


def call(case: Any, api: Api) -> None:
    response = case.call(base_url=api.url, headers={"Authorization": f"Bearer {api.key}"}, timeout=30)
    is_stream = STREAMS in str(response.headers.get("content-type"))
    case.validate_response(response, checks=CHECKS[:1] if is_stream else CHECKS)


@every_operation
def test_any_ids(name: str, api: Api) -> None:
    @BOUNDS
    @given(st.data())
    def run(data: Any) -> None:
        call(data.draw(OPERATIONS[name].as_strategy()), api)

    run()


@pytest.mark.parametrize("name", sorted(name for name in OPERATIONS if "{" in name))
def test_known_ids(name: str, api: Api, ids: dict[str, str]) -> None:
    @BOUNDS
    @given(st.data())
    def run(data: Any) -> None:
        case = data.draw(OPERATIONS[name].as_strategy())
        case.path_parameters = {key: ids[key] for key in case.path_parameters}
        call(case, api)

    run()
