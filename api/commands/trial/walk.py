"""The walk of `ragd try` through the HTTP API, as any client would go it."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

from api.commands.failures import CommandFailed

PAGE_SIZE = 100
TIMEOUT = httpx.Timeout(60.0, read=300.0)


class Refused(Exception):
    """The server refused a request; the text is its message."""


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document as the list shows it. run: UNSTART, RUNNING, CANCEL, DONE or FAIL; progress: 0..1, -1 after a failure."""

    id: str
    run: str
    progress: float
    message: str
    chunk_count: int


@dataclass(slots=True)
class Answer:
    """What a stream has brought so far. cited_text: the whole answer with its citations; chunks: what it is based on."""

    text: str = ""
    cited_text: str = ""
    chunks: list[dict[str, Any]] = field(default_factory=list)


class Walk:
    """A client with one dataset. Its methods raise Refused; httpx.HTTPError when the server is gone."""

    def __init__(self, address: str, key: str) -> None:
        # trust_env: a proxy in the environment has no way to a server on this machine.
        self._client = httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT, trust_env=False
        )
        self._dataset_id = ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create_dataset(self) -> None:
        """The dataset that everything goes into."""
        self._dataset_id = self._call("POST", "/api/v1/datasets", json={"name": "try"})["id"]

    def upload(self, file: Path, on_sent: Callable[[int], None]) -> str:
        """Upload a file; on_sent gets the number of bytes with each piece. Returns the document's id. Raises OSError."""
        with file.open("rb") as opened:
            [document] = self._call(
                "POST",
                f"/api/v1/datasets/{self._dataset_id}/documents",
                files={"file": (file.name, _Watched(opened, on_sent))},
            )
        return str(document["id"])

    def parse(self, document_id: str) -> None:
        """Queue a document for parsing."""
        self._call(
            "POST", f"/api/v1/datasets/{self._dataset_id}/chunks", json={"document_ids": [document_id]}
        )

    def states(self) -> dict[str, DocumentState]:
        """The dataset's documents by id."""
        found: dict[str, DocumentState] = {}
        for page in range(1, 1_000_000):
            documents = self._call(
                "GET",
                f"/api/v1/datasets/{self._dataset_id}/documents",
                params={"page": page, "page_size": PAGE_SIZE},
            )["docs"]
            for d in documents:
                found[d["id"]] = DocumentState(
                    d["id"], d["run"], float(d["progress"]), d["progress_msg"] or "", int(d["chunk_count"])
                )
            if len(documents) < PAGE_SIZE:
                break
        return found

    def ask(self, question: str, answer: Answer) -> Iterator[str]:
        """Yield the answer's text piece by piece, filling `answer`."""
        chat_id = self._call(
            "POST", "/api/v1/chats", json={"name": "try", "dataset_ids": [self._dataset_id]}
        )["id"]
        session_id = self._call("POST", f"/api/v1/chats/{chat_id}/sessions", json={"name": "try"})["id"]
        body = {"question": question, "session_id": session_id, "stream": True}
        with self._client.stream("POST", f"/api/v1/chats/{chat_id}/completions", json=body) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                response.read()
                _data_of(response)
                raise Refused("the answer was not streamed")
            for line in response.iter_lines():
                if not line.startswith("data:"):
                    continue
                frame = json.loads(line[5:])
                if frame["code"] != 0:
                    raise Refused(str(frame["message"]))
                data = frame["data"]
                if data is True:
                    return
                if data["answer"]:
                    answer.text += data["answer"]
                    yield data["answer"]
                answer.chunks = (data.get("reference") or {}).get("chunks") or answer.chunks
                answer.cited_text = data.get("cited_answer") or answer.text
        raise Refused("the answer broke off")

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        return _data_of(self._client.request(method, path, **rest))


class _Watched:
    """A file that tells how much of it was read. `fileno` lets httpx find out its size beforehand."""

    def __init__(self, file: IO[bytes], on_read: Callable[[int], None]) -> None:
        self._file = file
        self._on_read = on_read
        self.fileno = file.fileno

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._on_read(len(piece))
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(65_536):
            yield piece


def _data_of(response: httpx.Response) -> Any:
    try:
        content = response.json()
    except ValueError:
        raise CommandFailed(f"The server sent HTTP {response.status_code} and no JSON") from None
    if content.get("code") != 0:
        raise Refused(str(content.get("message") or f"HTTP {response.status_code}"))
    return content.get("data")
