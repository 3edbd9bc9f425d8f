"""Parsing as a client sees it."""

import time

import pytest

from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"
TEXT = b"The harbour pilot reads the tide tables every morning.\n"


@pytest.fixture
def dataset_id(api: Api) -> str:
    return api.make_dataset()


def test_a_document_becomes_done_and_is_found(api: Api, dataset_id: str) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    done = api.parse(dataset_id, document["id"])
    assert (done["run"], done["progress"]) == ("DONE", 1.0)
    assert done["chunk_count"] == api.chunks(dataset_id, document["id"])["total"] == 1
    assert done["token_count"] > 0
    assert done["process_begin_at"].endswith("GMT")
    lines = done["progress_msg"].split("\n")
    assert any("Task has been received." in line for line in lines)
    assert any("Generate 1 chunks" in line for line in lines)
    assert any("Task done" in line for line in lines)
    found = api.retrieve([dataset_id], "Who reads the tide tables?")
    assert found["chunks"][0]["document_id"] == document["id"]
    dataset = api.get("/datasets", params={"id": dataset_id})["data"][0]
    assert (dataset["chunk_count"], dataset["token_num"]) == (done["chunk_count"], done["token_count"])


def test_run_one_document(api: Api, dataset_id: str) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    assert api.post(f"/datasets/{dataset_id}/documents/{document['id']}/run") == {"code": 0}
    assert api.wait(dataset_id, document["id"])["run"] == "DONE"


def test_parsing_twice_leaves_the_same_counts(api: Api, dataset_id: str) -> None:
    done = api.add_document(dataset_id, "a.txt", TEXT)
    again = api.parse(dataset_id, done["id"])
    assert (again["chunk_count"], again["token_count"]) == (done["chunk_count"], done["token_count"])
    dataset = api.get("/datasets", params={"id": dataset_id})["data"][0]
    assert (dataset["chunk_count"], dataset["token_num"]) == (done["chunk_count"], done["token_count"])


def test_refusals(api: Api, dataset_id: str) -> None:
    path = f"/datasets/{dataset_id}/chunks"
    for call in (api.post, api.delete):
        assert call(path, json={}) == {"code": 102, "message": "`document_ids` is required"}
        assert call(f"/datasets/{UNKNOWN}/chunks", json={"document_ids": ["x"]}) == {
            "code": 102, "message": f"You don't own the dataset {UNKNOWN}.",
        }  # fmt: skip
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    assert api.delete(path, json={"document_ids": [document["id"]]}) == {
        "code": 102, "message": "Can't stop parsing document with progress at 0 or 1",
    }  # fmt: skip
    assert (
        api.delete(path, json={"document_ids": [UNKNOWN]})["message"]
        == f"You don't own the document {UNKNOWN}."
    )
    reply = api.post(path, json={"document_ids": [document["id"], UNKNOWN]})
    assert reply == {"code": 102, "message": f"Documents not found: ['{UNKNOWN}']"}
    assert api.wait(dataset_id, document["id"])["run"] == "DONE"


def test_duplicates_are_told(api: Api, dataset_id: str) -> None:
    document_id = api.upload(dataset_id, ("a.txt", TEXT))[0]["id"]
    reply = api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": [document_id, document_id]})
    assert reply["data"] == {"success_count": 1, "errors": [f"Duplicate document ids: {document_id}"]}
    assert api.wait(dataset_id, document_id)["run"] == "DONE"


def big_text() -> bytes:
    return b"".join(b"Sentence %d of a long and tiresome chronicle of harbours.\n" % n for n in range(60_000))


def test_parse_during_parse_and_stop(api: Api, dataset_id: str) -> None:
    document_id = api.upload(dataset_id, ("big.txt", big_text()))[0]["id"]
    path = f"/datasets/{dataset_id}/chunks"
    assert api.post(path, json={"document_ids": [document_id]}) == {"code": 0}
    assert api.post(path, json={"document_ids": [document_id]}) == {
        "code": 102, "message": "Can't parse document that is currently being processed",
    }  # fmt: skip
    assert api.delete(path, json={"document_ids": [document_id]}) == {"code": 0}
    stopped = api.document(dataset_id, document_id)
    assert (stopped["run"], stopped["progress"], stopped["chunk_count"]) == ("CANCEL", 0.0, 0)
    time.sleep(1.5)
    assert api.document(dataset_id, document_id)["run"] == "CANCEL"
    assert api.chunks(dataset_id, document_id)["total"] == 0
    assert api.retrieve([dataset_id], "tiresome chronicle of harbours")["total"] == 0


def test_delete_during_parse_leaves_nothing(api: Api, dataset_id: str) -> None:
    document_id = api.upload(dataset_id, ("big.txt", big_text()))[0]["id"]
    api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": [document_id]})
    assert api.delete(f"/datasets/{dataset_id}/documents", json={"ids": [document_id]}) == {"code": 0}
    time.sleep(1.5)
    assert api.retrieve([dataset_id], "tiresome chronicle of harbours")["total"] == 0
    dataset = api.get("/datasets", params={"id": dataset_id})["data"][0]
    assert (dataset["document_count"], dataset["chunk_count"], dataset["token_num"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("empty.txt", b"", "empty.txt is empty (0 bytes)"),
        ("scan.pdf", b"not a pdf at all", "scan.pdf"),
        ("old.xls", b"\xd0\xcf\x11\xe0", "xls"),
        ("pic.png", b"\x89PNG\r\n\x1a\n", "picture"),
    ],
)
def test_a_failure_says_why(api: Api, dataset_id: str, name: str, content: bytes, part: str) -> None:
    document = api.upload(dataset_id, (name, content))[0]
    failed = api.parse(dataset_id, document["id"])
    assert (failed["run"], failed["progress"], failed["chunk_count"]) == ("FAIL", -1.0, 0)
    assert "[ERROR]" in failed["progress_msg"]
    assert part in failed["progress_msg"]


def test_a_disabled_document_is_not_found_until_enabled(api: Api, dataset_id: str) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    path = f"/datasets/{dataset_id}/documents/{document['id']}"
    api.put(path, json={"enabled": False})
    assert api.parse(dataset_id, document["id"])["chunk_count"] == 1
    assert api.retrieve([dataset_id], "tide tables")["total"] == 0
    api.put(path, json={"enabled": 1})
    assert api.retrieve([dataset_id], "tide tables")["total"] == 1
    api.put(path, json={"enabled": "0"})
    assert api.retrieve([dataset_id], "tide tables")["total"] == 0


def test_a_new_name_reaches_the_chunks(api: Api, dataset_id: str) -> None:
    done = api.add_document(dataset_id, "a.txt", TEXT)
    api.put(f"/datasets/{dataset_id}/documents/{done['id']}", json={"name": "almanac.txt"})
    assert api.retrieve([dataset_id], "tide tables")["chunks"][0]["document_keyword"] == "almanac.txt"
    assert api.retrieve([dataset_id], "almanac", similarity_threshold=0.01)["total"] == 1


def test_a_new_method_resets_the_document(api: Api, dataset_id: str) -> None:
    done = api.add_document(dataset_id, "a.txt", TEXT)
    path = f"/datasets/{dataset_id}/documents/{done['id']}"
    same = api.put(path, json={"chunk_method": "naive"})["data"]
    assert (same["run"], same["chunk_count"]) == ("DONE", 1)
    reset = api.put(path, json={"chunk_method": "one"})["data"]
    assert (reset["run"], reset["chunk_count"], reset["token_count"], reset["progress"]) == (
        "UNSTART",
        0,
        0,
        0.0,
    )
    assert api.retrieve([dataset_id], "tide tables")["total"] == 0
    assert api.get("/datasets", params={"id": dataset_id})["data"][0]["chunk_count"] == 0
    assert api.parse(dataset_id, done["id"])["run"] == "DONE"
