"""Chunks as a client sees them."""

from typing import Any

import pytest
import xxhash

from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"
TEXT = b"The harbour pilot reads the tide tables every morning.\n"


@pytest.fixture
def dataset_id(api: Api) -> str:
    return api.make_dataset()


@pytest.fixture
def document_id(api: Api, dataset_id: str) -> str:
    document_id: str = api.upload(dataset_id, ("notes.txt", TEXT))[0]["id"]
    return document_id


def add(api: Api, dataset_id: str, document_id: str, content: str, **more: Any) -> str:
    reply = api.post(
        f"/datasets/{dataset_id}/documents/{document_id}/chunks", json={"content": content, **more}
    )
    assert reply["code"] == 0, reply
    chunk_id: str = reply["data"]["chunk"]["id"]
    return chunk_id


def test_add(api: Api, dataset_id: str, document_id: str) -> None:
    reply = api.post(
        f"/datasets/{dataset_id}/documents/{document_id}/chunks",
        json={"content": "Low water at noon.", "important_keywords": ["ebb"], "questions": [" When? ", " "]},
    )
    chunk = reply["data"]["chunk"]
    assert set(chunk) == {
        "id", "content", "document_id", "important_keywords", "questions", "dataset_id", "create_timestamp",
        "create_time",
    }  # fmt: skip
    assert chunk["id"] == xxhash.xxh64(f"Low water at noon.{document_id}".encode()).hexdigest()
    assert chunk["questions"] == ["When?"]
    listed = api.chunks(dataset_id, document_id)
    assert listed["total"] == 1
    assert listed["chunks"][0] == {
        "id": chunk["id"], "content": "Low water at noon.", "document_id": document_id, "docnm_kwd": "notes.txt",
        "important_keywords": ["ebb"], "questions": ["When?"], "dataset_id": dataset_id, "image_id": "",
        "available": True, "positions": [],
    }  # fmt: skip
    assert listed["doc"]["chunk_count"] == 1
    assert listed["doc"]["run"] == "UNSTART"
    assert api.retrieve([dataset_id], "ebb", similarity_threshold=0.01)["chunks"][0]["id"] == chunk["id"]


def test_the_same_content_is_one_chunk(api: Api, dataset_id: str, document_id: str) -> None:
    assert add(api, dataset_id, document_id, "Same.") == add(api, dataset_id, document_id, "Same.")
    assert api.document(dataset_id, document_id)["chunk_count"] == 1
    assert api.get("/datasets", params={"id": dataset_id})["data"][0]["chunk_count"] == 1


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({}, 102, "`content` is required"),
        ({"content": " \n"}, 102, "`content` is required"),
        ({"content": "a", "important_keywords": None}, 102, "`important_keywords` is required to be a list"),
        ({"content": "a", "questions": "x"}, 102, "`questions` is required to be a list"),
        ({"content": 5}, 101, "Field: <content> - Message: <Input should be a valid string> - Value: <5>"),
        ({"content": "a", "important_keywords": [5]}, 101, "`important_keywords` must hold strings, got 5"),
    ],
)
def test_a_bad_chunk(api: Api, dataset_id: str, document_id: str, body: Any, code: int, message: str) -> None:
    reply = api.post(f"/datasets/{dataset_id}/documents/{document_id}/chunks", json=body)
    assert reply == {"code": code, "message": message}
    assert api.chunks(dataset_id, document_id)["total"] == 0


def test_list_pages_in_order_and_by_keyword(api: Api, dataset_id: str, document_id: str) -> None:
    contents = [f"Entry {word} of the log." for word in ("alpha", "beta", "gamma", "delta")]
    ids = [add(api, dataset_id, document_id, content) for content in contents]
    page = api.chunks(dataset_id, document_id, page=2, page_size=3)
    assert (page["total"], [c["id"] for c in page["chunks"]]) == (4, ids[3:])
    assert [c["id"] for c in api.chunks(dataset_id, document_id, id=ids[1])["chunks"]] == [ids[1]]
    hits = api.chunks(dataset_id, document_id, keywords="gamma")
    assert (hits["total"], [c["id"] for c in hits["chunks"]]) == (1, [ids[2]])
    assert hits["chunks"][0]["content"] == "Entry <em>gamma</em> of the log."
    assert api.chunks(dataset_id, document_id, keywords="???")["total"] == 0
    assert api.chunks(dataset_id, document_id, keywords="", id="", page=0)["total"] == 4


def test_list_refusals(api: Api, dataset_id: str, document_id: str) -> None:
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
    assert api.get(path, params={"id": "0" * 16}) == {
        "code": 404, "message": f"Chunk not found: {dataset_id}/{'0' * 16}",
    }  # fmt: skip
    assert api.get(path, params={"page_size": 0})["code"] == 101
    assert api.get(path, params={"page": -1})["code"] == 101
    assert api.get(f"/datasets/{dataset_id}/documents/{UNKNOWN}/chunks")["message"] == (
        f"You don't own the document {UNKNOWN}."
    )
    assert api.get(f"/datasets/{UNKNOWN}/documents/{document_id}/chunks")["message"] == (
        f"You don't own the dataset {UNKNOWN}."
    )


def test_update(api: Api, dataset_id: str, document_id: str) -> None:
    chunk_id = add(api, dataset_id, document_id, "The lighthouse is white.")
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks/{chunk_id}"
    body = {
        "content": "The lighthouse is red.",
        "important_keywords": ["beacon"],
        "positions": [[1, 2, 3, 4, 5]],
    }
    assert api.put(path, json=body) == {"code": 0}
    chunk = api.chunks(dataset_id, document_id, id=chunk_id)["chunks"][0]
    assert (chunk["content"], chunk["positions"]) == ("The lighthouse is red.", [[1, 2, 3, 4, 5]])
    assert api.retrieve([dataset_id], "beacon", similarity_threshold=0.01)["total"] == 1
    for value in (False, 0, "false"):
        assert api.put(path, json={"available": value}) == {"code": 0}
        assert api.retrieve([dataset_id], "lighthouse")["total"] == 0
        assert api.chunks(dataset_id, document_id, id=chunk_id)["chunks"][0]["available"] is False
        assert api.put(path, json={"available": True}) == {"code": 0}
    assert api.retrieve([dataset_id], "lighthouse")["total"] == 1


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"important_keywords": "x"}, 102, "`important_keywords` should be a list"),
        ({"questions": {}}, 102, "`questions` should be a list"),
        ({"positions": 1}, 102, "`positions` should be a list"),
        ({"positions": [[1, 2]]}, 101, "`positions` must hold lists of 5 integers, got [1, 2]"),
        ({"available": "maybe"}, 101, "`available` must be true or false, got 'maybe'"),
        ({"available": 2}, 101, "`available` must be true or false, got 2"),
    ],
)
def test_a_bad_update(
    api: Api, dataset_id: str, document_id: str, body: Any, code: int, message: str
) -> None:
    chunk_id = add(api, dataset_id, document_id, "Text.")
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks/{chunk_id}"
    assert api.put(path, json=body) == {"code": code, "message": message}


def test_a_chunk_of_another_document_is_unknown(api: Api, dataset_id: str, document_id: str) -> None:
    chunk_id = add(api, dataset_id, document_id, "Text.")
    other = api.upload(dataset_id, ("other.txt", TEXT))[0]["id"]
    reply = api.put(f"/datasets/{dataset_id}/documents/{other}/chunks/{chunk_id}", json={"content": "x"})
    assert reply == {"code": 102, "message": f"Can't find this chunk {chunk_id}"}
    assert api.get(f"/datasets/{dataset_id}/documents/{other}/chunks", params={"id": chunk_id})["code"] == 404


def test_delete(api: Api, dataset_id: str, document_id: str) -> None:
    ids = [add(api, dataset_id, document_id, f"Chunk {n}.") for n in range(5)]
    path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
    assert api.delete(path, json={"chunk_ids": [ids[0]]}) == {"code": 0}
    assert api.delete(path, json={"chunk_ids": [ids[1], ids[1]]}) == {
        "code": 0, "data": {"success_count": 1, "errors": [f"Duplicate chunk ids: {ids[1]}"]},
    }  # fmt: skip
    assert api.delete(path, json={"chunk_ids": [ids[2], "0" * 16]}) == {
        "code": 102, "message": "rm_chunk deleted chunks 1, expect 2",
    }  # fmt: skip
    document = api.document(dataset_id, document_id)
    assert document["chunk_count"] == 2
    assert (
        document["token_count"] == api.get("/datasets", params={"id": dataset_id})["data"][0]["token_num"] > 0
    )
    assert api.delete(path, json={"chunk_ids": None}) == {"code": 0}
    assert api.delete(path) == {"code": 0}
    document = api.document(dataset_id, document_id)
    assert (document["chunk_count"], document["token_count"]) == (0, 0)
    assert api.retrieve([dataset_id], "Chunk")["total"] == 0
    reply = api.delete(f"/datasets/{dataset_id}/documents/{UNKNOWN}/chunks", json={})
    assert reply == {"code": 102, "message": f"Can't find the document with ID {UNKNOWN}!"}
