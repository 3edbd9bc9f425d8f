"""What a client was told, held against what a server has after it was killed."""

import signal
import threading
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import httpx

from tests.api.client import Api
from tests.api.server.wire import wait_for
from tests.live import LiveServer


def client(server: LiveServer) -> Api:
    return Api(server.url, server.key, "")


def documents_of(api: Api, dataset_id: str) -> dict[str, dict[str, Any]]:
    """Every document of the dataset, by id."""
    found: dict[str, dict[str, Any]] = {}
    page = 1
    while True:
        data = api.get(f"/datasets/{dataset_id}/documents", params={"page": page, "page_size": 500})["data"]
        found |= {one["id"]: one for one in data["docs"]}
        if len(data["docs"]) < 500:
            return found
        page += 1


def chunks_of(api: Api, dataset_id: str, document_id: str) -> dict[str, str]:
    """Every chunk of the document: content by id."""
    data = api.chunks(dataset_id, document_id, page_size=1024)
    assert data["total"] == len(data["chunks"])
    return {one["id"]: one["content"] for one in data["chunks"]}


def check_counters(api: Api, dataset_id: str) -> None:
    """Dataset, documents and index say the same."""
    (dataset,) = api.get("/datasets", params={"id": dataset_id})["data"]
    documents = documents_of(api, dataset_id)
    for document_id, document in documents.items():
        assert document["chunk_count"] == len(chunks_of(api, dataset_id, document_id)), document
    assert dataset["document_count"] == len(documents)
    assert dataset["chunk_count"] == sum(one["chunk_count"] for one in documents.values())
    assert dataset["token_num"] == sum(one["token_count"] for one in documents.values())


def stored_ids(server: LiveServer, dataset_id: str) -> set[str]:
    """Ids of the documents whose files are on the disk."""
    return {path.name for path in (server.data_dir / "files" / dataset_id).glob("*")}


def wait_for_files(
    server: LiveServer, dataset_id: str, document_ids: set[str], timeout_s: float = 20
) -> None:
    """Wait until the disk holds the files of these documents, and nothing else."""
    incoming: Path = server.data_dir / "files" / ".incoming"
    wait_for(
        lambda: stored_ids(server, dataset_id) == document_ids and not list(incoming.glob("*")), timeout_s
    )


class Busy:
    """Threads that call a server until it is gone.

    work: one step, given a client and the thread's number; it ends quietly when the server dies in it.
    """

    def __init__(self, server: LiveServer, work: Any, count: int = 4) -> None:
        self._server = server
        self._work = work
        self._is_over = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        api = client(self._server)
        try:
            while not self._is_over.is_set():
                self._work(api, number)
        except (httpx.TransportError, StopIteration):
            pass  # the server was killed, or there is nothing left to do
        except BaseException as error:  # noqa: BLE001 - told to the test's thread
            self._failures.append(error)
        finally:
            api.close()

    def kill_after(self, ledger: Sized, more: int) -> None:
        """Kill the server in the middle of it, once the ledger has so many more entries."""
        enough = len(ledger) + more
        self.kill(lambda: len(ledger) > enough)

    def kill(self, when: Callable[[], bool]) -> None:
        """Kill the server as soon as the condition holds."""
        wait_for(lambda: self._failures or when(), 60)
        self._server.stop(number=signal.SIGKILL)
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)
        if self._failures:
            raise self._failures[0]
