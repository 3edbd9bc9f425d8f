"""A full disk: a clear answer, and nothing that was acknowledged is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import Api
from tests.conftest import StartServer
from tests.live import LiveServer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs rights that this user does not have")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def client(server: LiveServer) -> Api:
    return Api(server.url, server.key, "")


def test_a_full_disk_loses_nothing(small_disk: Path, start_server: StartServer) -> None:
    api = client(start_server(small_disk / "data", storage__reserve_mb=8))
    dataset_id = api.make_dataset()
    kept: dict[str, bytes] = {}
    done = api.add_document(dataset_id, "first.txt", b"The first document speaks of lighthouses.")
    refusal = None
    for number in range(40):
        content = bytes([number]) * 2_000_000
        response = api.call(
            "POST", f"/datasets/{dataset_id}/documents", files=[("file", (f"{number}.txt", content))]
        )
        if response.status_code == 507:
            refusal = response.json()
            break
        reply = response.json()
        assert reply["code"] == 0, reply
        kept[reply["data"][0]["id"]] = content
    assert refusal is not None
    assert refusal["code"] == 507
    assert "disk is full" in refusal["message"]
    files = [path for path in (small_disk / "data" / "files").rglob("*") if path.is_file()]
    assert len(files) == len(kept) + 1

    for document_id, content in kept.items():
        assert api.call("GET", f"/datasets/{dataset_id}/documents/{document_id}").content == content
    assert api.retrieve([dataset_id], "lighthouses")["chunks"][0]["document_id"] == done["id"]

    first = next(iter(kept))
    reply = api.delete(f"/datasets/{dataset_id}/documents", json={"ids": [first]})
    assert reply == {"code": 0}
    assert api.upload(dataset_id, ("again.txt", b"x" * 1_000_000))[0]["name"] == "again.txt"
    api.close()
