"""A client of the tests: one tenant's key, replies as parsed JSON."""

import time
from typing import Any

import httpx


class Api:
    """Calls `/api/v1` with a key of its own tenant."""

    def __init__(self, url: str, key: str, tenant_id: str) -> None:
        self.url = url
        self.key = key
        self.tenant_id = tenant_id
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def close(self) -> None:
        self.http.close()

    def call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """A request to `/api/v1` and `path`."""
        return self.http.request(method, f"/api/v1{path}", **rest)

    def get(self, path: str, **rest: Any) -> Any:
        return self.call("GET", path, **rest).json()

    def post(self, path: str, **rest: Any) -> Any:
        return self.call("POST", path, **rest).json()

    def put(self, path: str, **rest: Any) -> Any:
        return self.call("PUT", path, **rest).json()

    def delete(self, path: str, **rest: Any) -> Any:
        return self.call("DELETE", path, **rest).json()

    def make_dataset(self, **fields: Any) -> str:
        """A new dataset; returns its id."""
        dataset_id: str = self.post("/datasets", json={"name": "d", **fields})["data"]["id"]
        return dataset_id

    def upload(self, dataset_id: str, *files: tuple[str, bytes], **fields: str) -> list[dict[str, Any]]:
        """Upload files; returns the documents."""
        parts = [("file", file) for file in files]
        reply = self.post(f"/datasets/{dataset_id}/documents", files=parts, data=fields)
        assert reply["code"] == 0, reply
        documents: list[dict[str, Any]] = reply["data"]
        return documents

    def document(self, dataset_id: str, document_id: str) -> dict[str, Any]:
        """A document as the list shows it."""
        row: dict[str, Any] = self.get(f"/datasets/{dataset_id}/documents", params={"id": document_id})[
            "data"
        ]["docs"][0]
        return row

    def wait(self, dataset_id: str, document_id: str, timeout_s: float = 30) -> dict[str, Any]:
        """Poll a document until it is DONE, FAIL or CANCEL."""
        end_s = time.monotonic() + timeout_s
        while True:
            document = self.document(dataset_id, document_id)
            if document["run"] in ("DONE", "FAIL", "CANCEL"):
                return document
            assert time.monotonic() < end_s, document
            time.sleep(0.02)

    def parse(self, dataset_id: str, document_id: str, timeout_s: float = 30) -> dict[str, Any]:
        """Parse one document and wait for the end."""
        reply = self.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": [document_id]})
        assert reply == {"code": 0}, reply
        return self.wait(dataset_id, document_id, timeout_s)

    def add_document(self, dataset_id: str, name: str, content: bytes) -> dict[str, Any]:
        """Upload and parse one file; it must become DONE."""
        document = self.upload(dataset_id, (name, content))[0]
        done = self.parse(dataset_id, document["id"])
        assert done["run"] == "DONE", done["progress_msg"]
        return done

    def chunks(self, dataset_id: str, document_id: str, **params: Any) -> dict[str, Any]:
        """`data` of the chunk list."""
        data: dict[str, Any] = self.get(
            f"/datasets/{dataset_id}/documents/{document_id}/chunks", params=params
        )["data"]
        return data

    def retrieve(self, dataset_ids: list[str], question: str, **more: Any) -> dict[str, Any]:
        """`data` of a retrieval."""
        reply = self.post("/retrieval", json={"dataset_ids": dataset_ids, "question": question, **more})
        assert reply["code"] == 0, reply
        data: dict[str, Any] = reply["data"]
        return data
