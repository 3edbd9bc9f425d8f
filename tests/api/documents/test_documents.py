"""Documents as a client sees them: upload, list, update, download, delete."""

from typing import Any

import pytest

from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"
TEXT = b"Plain text about tides.\n"


@pytest.fixture
def dataset_id(api: Api) -> str:
    return api.make_dataset()


def test_upload_returns_the_documents_in_order(api: Api, dataset_id: str) -> None:
    documents = api.upload(dataset_id, ("b.txt", TEXT), ("a.PDF", b"%PDF-1.4"), parent_path="/x\\..\\y z/")
    assert [d["name"] for d in documents] == ["b.txt", "a.PDF"]
    first = documents[0]
    assert set(first) == {
        "id", "dataset_id", "chunk_method", "pipeline_id", "parser_config", "created_by", "type", "name",
        "source_type", "suffix", "location", "size", "thumbnail", "run",
    }  # fmt: skip
    assert (first["type"], first["suffix"], first["size"], first["run"]) == (
        "doc",
        "txt",
        len(TEXT),
        "UNSTART",
    )
    assert first["location"] == "x/yz/b.txt"
    assert first["dataset_id"] == dataset_id
    assert documents[1]["type"] == "pdf"
    assert api.get("/datasets", params={"id": dataset_id})["data"][0]["document_count"] == 2


def test_taken_names_get_a_number(api: Api, dataset_id: str) -> None:
    files = [
        ("a.txt", b"1"),
        ("A.txt", b"2"),
        ("a(1).txt", b"3"),
        ("foo (1).txt", b"4"),
        ("foo (1).txt", b"5"),
    ]
    names = [d["name"] for d in api.upload(dataset_id, *files)]
    assert names == ["a.txt", "A(1).txt", "a(2).txt", "foo (1).txt", "foo(2).txt"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../x.txt", "x.txt"),
        ("..\\..\\x.txt", "x.txt"),
        ("/etc/passwd.txt", "passwd.txt"),
        ("报告 🎉.txt", "报告 🎉.txt"),
        ("\u202egnp.txt", "\u202egnp.txt"),
        ("é" * 120 + ".txt", "é" * 120 + ".txt"),
    ],
)
def test_names_are_made_harmless(api: Api, dataset_id: str, sent: str, stored: str) -> None:
    document = api.upload(dataset_id, (sent, TEXT))[0]
    assert document["name"] == stored
    path = f"/datasets/{dataset_id}/documents/{document['id']}"
    assert api.call("GET", path).content == TEXT


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 252 + ".txt", "File name must be 255 bytes or less."), ("../..", "No file selected!")],
)
def test_a_bad_name_stores_nothing(api: Api, dataset_id: str, name: str, message: str) -> None:
    parts = [("file", ("good.txt", TEXT)), ("file", (name, TEXT))]
    assert api.post(f"/datasets/{dataset_id}/documents", files=parts) == {"code": 101, "message": message}
    assert api.get(f"/datasets/{dataset_id}/documents")["data"] == {"total": 0, "docs": []}


def test_an_unsupported_type_is_named_and_the_others_stay(api: Api, dataset_id: str) -> None:
    parts = [("file", ("good.txt", TEXT)), ("file", ("bad.bmp", TEXT)), ("file", ("none", TEXT))]
    reply = api.post(f"/datasets/{dataset_id}/documents", files=parts)
    reason = "This type of file has not been supported yet!"
    assert reply == {"code": 500, "message": f"bad.bmp: {reason}\nnone: {reason}"}
    assert [d["name"] for d in api.get(f"/datasets/{dataset_id}/documents")["data"]["docs"]] == ["good.txt"]


def test_upload_without_a_file(api: Api, dataset_id: str) -> None:
    path = f"/datasets/{dataset_id}/documents"
    for rest in ({"data": {"a": "b"}}, {"json": {}}, {"files": [("other", ("a.txt", TEXT))]}):
        assert api.post(path, **rest) == {"code": 101, "message": "No file part!"}


def test_upload_to_an_unknown_dataset(api: Api) -> None:
    reply = api.post(f"/datasets/{UNKNOWN}/documents", files=[("file", ("a.txt", TEXT))])
    assert reply == {"code": 102, "message": f"Can't find the dataset with ID {UNKNOWN}!"}


def test_methods_by_type(api: Api, dataset_id: str) -> None:
    names = ("a.png", "a.mp3", "a.PPTX", "a.eml", "a.md")
    methods = [d["chunk_method"] for d in api.upload(dataset_id, *((name, b"x") for name in names))]
    assert methods == ["picture", "audio", "presentation", "email", "naive"]


def test_list_filters_and_pages(api: Api, dataset_id: str) -> None:
    for name in ("b_1.txt", "B%2.md", "c.txt"):
        api.upload(dataset_id, (name, TEXT * len(name)))

    def names(**params: Any) -> list[str]:
        data = api.get(f"/datasets/{dataset_id}/documents", params=params)["data"]
        assert data["total"] >= len(data["docs"])
        return [d["name"] for d in data["docs"]]

    assert names() == ["c.txt", "B%2.md", "b_1.txt"]
    assert names(desc="false", page_size=2) == ["b_1.txt", "B%2.md"]
    assert names(desc="FALSE", page_size=2, page=2) == ["c.txt"]
    assert names(page=0) == names(page=1)
    assert names(page_size=0) == []
    assert names(page_size=10**9) == names()
    assert names(keywords="b", orderby="name", desc="false") == ["B%2.md", "b_1.txt"]
    assert names(keywords="_") == ["b_1.txt"]
    assert names(keywords="%") == ["B%2.md"]
    assert names(suffix="txt") == ["c.txt", "b_1.txt"]
    assert names(suffix=["txt", "md"], run="UNSTART") == names()
    assert names(run=["DONE", "2"]) == []
    assert names(run="nonsense") == []
    assert names(name="C.TXT", keywords="", id="") == ["c.txt"]
    created = api.get(f"/datasets/{dataset_id}/documents", params={"name": "c.txt"})["data"]["docs"][0][
        "create_time"
    ]
    assert names(create_time_from=created) == ["c.txt"]
    assert names(create_time_to=created - 1) == ["B%2.md", "b_1.txt"]


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"page": "-1"}, 101, "Field: <page> - Message: <Input should be greater than or equal to 0> - Value: <-1>"),
        (
            {"page_size": "a"}, 101,
            "Field: <page_size> - Message: <Input should be a valid integer, unable to parse string as an integer> - Value: <a>",
        ),
        ({"id": UNKNOWN}, 102, f"You don't own the document {UNKNOWN}."),
        ({"name": "x.txt"}, 102, "You don't own the document x.txt."),
        ({"metadata_condition": "{"}, 102, "metadata_condition must be valid JSON."),
        ({"metadata_condition": "[1]"}, 102, "metadata_condition must be an object."),
    ],
)  # fmt: skip
def test_a_bad_list_parameter(
    api: Api, dataset_id: str, params: dict[str, str], code: int, message: str
) -> None:
    assert api.get(f"/datasets/{dataset_id}/documents", params=params) == {"code": code, "message": message}


def test_an_unknown_order_is_refused(api: Api, dataset_id: str) -> None:
    reply = api.get(f"/datasets/{dataset_id}/documents", params={"orderby": "id; DROP TABLE"})
    assert reply["code"] == 101
    assert reply["message"].startswith("`orderby` must be one of create_time,")


def test_list_of_an_unknown_dataset(api: Api) -> None:
    reply = api.get(f"/datasets/{UNKNOWN}/documents")
    assert reply == {"code": 102, "message": f"You don't own the dataset {UNKNOWN}. "}


def test_update(api: Api, dataset_id: str) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    path = f"/datasets/{dataset_id}/documents/{document['id']}"
    body = {
        "name": "b.TXT",
        "meta_fields": {"tags": ["x, y", "x"], "year": 2023},
        "enabled": False,
        "parser_config": {"chunk_token_num": 9, "own": 1},
        "chunk_count": 0,
    }
    new = api.put(path, json=body)["data"]
    assert (new["name"], new["status"]) == ("b.TXT", "0")
    assert new["parser_config"]["chunk_token_num"] == 9
    assert "raptor" not in new["parser_config"]
    assert "meta_fields" not in new
    listed = api.document(dataset_id, document["id"])
    assert listed["meta_fields"] == {"tags": ["x", "y"], "year": 2023}
    assert api.put(path, json={"meta_fields": {"a": 1}})["code"] == 0
    assert api.document(dataset_id, document["id"])["meta_fields"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"chunk_count": 3}, 102, "Can't change `chunk_count`."),
        ({"token_count": 3}, 102, "Can't change `token_count`."),
        ({"progress": 0.5}, 102, "Can't change `progress`."),
        ({"meta_fields": [1]}, 102, "meta_fields must be a dictionary"),
        ({"name": "é" * 126 + ".txt"}, 101, "File name must be 255 bytes or less."),
        ({"name": "a.md"}, 101, "The extension of file can't be changed"),
        ({"name": "OTHER.txt"}, 102, "Duplicated document name in the same dataset."),
        ({"chunk_method": "magic"}, 102, "`chunk_method` magic doesn't exist"),
    ],
)
def test_a_bad_update_changes_nothing(
    api: Api, dataset_id: str, body: dict[str, Any], code: int, message: str
) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT), ("other.txt", TEXT))[0]
    before = api.document(dataset_id, document["id"])
    path = f"/datasets/{dataset_id}/documents/{document['id']}"
    reply = api.put(path, json={"enabled": False, "parser_config": {"x": 1}, **body})
    assert reply == {"code": code, "message": message}
    assert api.document(dataset_id, document["id"]) == before


@pytest.mark.parametrize(
    "field", [{"enabled": "maybe"}, {"parser_config": "x"}, {"name": 5}, {"chunk_method": []}]
)
def test_a_wrong_type_is_named(api: Api, dataset_id: str, field: dict[str, Any]) -> None:
    document = api.upload(dataset_id, ("a.txt", TEXT))[0]
    reply = api.put(f"/datasets/{dataset_id}/documents/{document['id']}", json=field)
    assert reply["code"] == 101
    assert next(iter(field)) in reply["message"]


def test_download(api: Api, dataset_id: str) -> None:
    document = api.upload(dataset_id, ("ü 'x'.txt", TEXT))[0]
    response = api.call("GET", f"/datasets/{dataset_id}/documents/{document['id']}")
    assert response.content == TEXT
    assert response.headers["Content-Length"] == str(len(TEXT))
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "filename*=UTF-8''%C3%BC%20%27x%27.txt" in response.headers["Content-Disposition"]


def test_download_refusals_have_two_keys(api: Api, dataset_id: str) -> None:
    empty = api.upload(dataset_id, ("empty.txt", b""))[0]
    path = f"/datasets/{dataset_id}/documents"
    assert api.get(f"{path}/{empty['id']}") == {"code": 102, "message": "This file is empty."}
    assert api.get(f"{path}/{UNKNOWN}") == {
        "code": 102,
        "message": f"The dataset not own the document {UNKNOWN}.",
    }
    assert api.get(f"/datasets/{UNKNOWN}/documents/{UNKNOWN}") == {
        "code": 102, "message": f"You do not own the dataset {UNKNOWN}.",
    }  # fmt: skip


def test_delete(api: Api, dataset_id: str) -> None:
    ids = [d["id"] for d in api.upload(dataset_id, *((f"{n}.txt", TEXT) for n in range(5)))]
    path = f"/datasets/{dataset_id}/documents"
    assert api.delete(path, json={"ids": [ids[0]]}) == {"code": 0}
    assert api.delete(path, json={"ids": [ids[1], ids[1]]}) == {
        "code": 0, "data": {"success_count": 1, "errors": [f"Duplicate document ids: {ids[1]}"]},
    }  # fmt: skip
    assert api.delete(path, json={"ids": [ids[2], UNKNOWN]}) == {
        "code": 102, "message": f"Documents not found: ['{UNKNOWN}']",
    }  # fmt: skip
    assert api.get(path)["data"]["total"] == 2
    assert api.delete(path, json={"ids": None}) == {"code": 0}
    assert api.delete(path) == {"code": 0}
    assert api.get("/datasets", params={"id": dataset_id})["data"][0]["document_count"] == 0
    assert api.get(f"{path}/{ids[0]}")["code"] == 102


def test_metadata_summary_update_and_filter(api: Api, dataset_id: str) -> None:
    ids = [d["id"] for d in api.upload(dataset_id, *((f"{n}.txt", TEXT) for n in range(3)))]
    for document_id, meta in zip(ids, ({"author": "Ada", "year": 2023}, {"author": "Bob"}, {}), strict=True):
        api.put(f"/datasets/{dataset_id}/documents/{document_id}", json={"meta_fields": meta})
    path = f"/datasets/{dataset_id}/metadata"
    assert api.get(f"{path}/summary")["data"]["summary"] == {
        "author": {"type": "string", "values": [["Ada", 1], ["Bob", 1]]},
        "year": {"type": "number", "values": [["2023", 1]]},
    }
    assert list(api.get(f"{path}/summary", params={"doc_ids": ids[1]})["data"]["summary"]) == ["author"]
    condition = '{"conditions":[{"name":"year","comparison_operator":">=","value":"2000"}]}'
    listed = api.get(f"/datasets/{dataset_id}/documents", params={"metadata_condition": condition})["data"]
    assert [d["id"] for d in listed["docs"]] == [ids[0]]
    none = condition.replace("2000", "2030")
    assert api.get(f"/datasets/{dataset_id}/documents", params={"metadata_condition": none})["data"] == {
        "total": 0, "docs": [],
    }  # fmt: skip
    reply = api.post(f"{path}/update", json={"updates": [{"key": "author", "value": "Eve", "match": "Bob"}]})
    assert reply["data"] == {"updated": 1, "matched_docs": 3}
    selector = {"document_ids": ids[:2], "metadata_condition": {"conditions": [
        {"name": "author", "comparison_operator": "is", "value": "eve"}]}}  # fmt: skip
    reply = api.post(f"{path}/update", json={"selector": selector, "deletes": [{"key": "author"}]})
    assert reply["data"] == {"updated": 1, "matched_docs": 1}
    assert api.document(dataset_id, ids[1])["meta_fields"] == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"selector": [1]}, "selector must be an object."),
        ({"updates": {"a": 1}}, "updates and deletes must be lists."),
        ({"selector": {"metadata_condition": [1]}}, "metadata_condition must be an object."),
        ({"selector": {"document_ids": "x"}}, "document_ids must be a list."),
        ({"updates": [{"key": "a"}]}, "Each update requires key and value."),
        ({"deletes": [{"key": ""}]}, "Each delete requires key."),
    ],
)
def test_a_bad_metadata_update(api: Api, dataset_id: str, body: dict[str, Any], message: str) -> None:
    assert api.post(f"/datasets/{dataset_id}/metadata/update", json=body) == {"code": 102, "message": message}


def test_metadata_of_foreign_documents(api: Api, dataset_id: str) -> None:
    reply = api.post(
        f"/datasets/{dataset_id}/metadata/update", json={"selector": {"document_ids": [UNKNOWN]}}
    )
    assert reply["message"] == f"These documents do not belong to dataset {dataset_id}: {UNKNOWN}"
