"""`ragd reindex` and `ragd worker`, beside and without a server."""

import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests import files
from tests.api.cli.shell import ragd, ragd_environment
from tests.api.cli.test_serve import serving

QUESTION = "When was the lighthouse built?"


class Client:
    """As much of a client as these tests need."""

    def __init__(self, address: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{address}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=60,
        )

    def call(self, method: str, path: str, **rest: object) -> object:
        content = self._http.request(method, path, **rest).json()  # type: ignore[arg-type]
        assert content["code"] == 0, content
        return content.get("data")

    def parse_lighthouse(self) -> str:
        """Upload and queue; returns the dataset's id."""
        dataset_id = self.call("POST", "/datasets", json={"name": "towers"})["id"]  # type: ignore[index]
        file = ("lighthouse.txt", "\n".join(files.LIGHTHOUSE).encode())
        [document] = self.call("POST", f"/datasets/{dataset_id}/documents", files={"file": file})  # type: ignore[misc]
        self.call("POST", f"/datasets/{dataset_id}/chunks", json={"document_ids": [document["id"]]})
        return str(dataset_id)

    def run_of(self, dataset_id: str) -> str:
        [document] = self.call("GET", f"/datasets/{dataset_id}/documents")["docs"]  # type: ignore[index]
        return str(document["run"])

    def wait_for(self, dataset_id: str, run: str) -> None:
        deadline_s = time.monotonic() + 60
        while self.run_of(dataset_id) != run:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def search(self, dataset_id: str) -> str:
        found = self.call("POST", "/retrieval", json={"dataset_ids": [dataset_id], "question": QUESTION})
        return str(found["chunks"][0]["content"])  # type: ignore[index]


def test_a_worker_beside_a_server_without_workers_and_an_index_made_anew(tmp_path: Path) -> None:
    key = ragd("key", "create", cwd=tmp_path).stdout.strip()
    with serving(tmp_path) as (_, address, _process):
        client = Client(address, key)
        dataset_id = client.parse_lighthouse()
        time.sleep(0.3)
        assert client.run_of(dataset_id) == "RUNNING"  # nobody is there to do it
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "api", "worker", "--workers", "1"],
                cwd=tmp_path, env=ragd_environment(), stdout=log, stderr=log,
            )  # fmt: skip
        try:
            client.wait_for(dataset_id, "DONE")
        finally:
            worker.terminate()
            assert worker.wait(20) == 0, (tmp_path / "worker.log").read_text()
        assert "1827" in client.search(dataset_id)
        busy = ragd("reindex", cwd=tmp_path)
        assert busy.returncode == 5
        assert "is in use by another server" in busy.stderr
    done = ragd("reindex", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 chunks indexed\n")
    with serving(tmp_path) as (_, address, _process):
        assert "1827" in Client(address, key).search(dataset_id)


def test_without_a_data_folder(tmp_path: Path) -> None:
    for command in ("reindex", "worker"):
        done = ragd(command, cwd=tmp_path)
        assert done.returncode == 5
        assert str(tmp_path / "ragd-data") in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_workers_to_run(tmp_path: Path) -> None:
    done = ragd("worker", "--workers", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "executor.workers is 0" in done.stderr
