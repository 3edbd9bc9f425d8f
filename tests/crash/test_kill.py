"""kill -9 in the middle of everything: what was acknowledged is there, what was deleted is not, figures agree."""

import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Api
from tests.api.server.wire import wait_for
from tests.conftest import StartServer
from tests.crash.ledger import (
    Busy,
    check_counters,
    chunks_of,
    client,
    documents_of,
    stored_ids,
    wait_for_files,
)

WORDS = ("lighthouse", "keeper", "stairs", "lamp", "petroleum", "ships", "cape", "tower", "museum", "brick")


def word(number: int) -> str:
    """A word of letters that stands for the number."""
    return "zq" + "".join("abcdefghij"[int(digit)] for digit in str(number)) + "x"


def text(number: int, sentence_count: int = 30) -> bytes:
    """Different for each number; `word(number)` is in no other."""
    choice = random.Random(number)
    sentences = [f"Document {word(number)} begins."]
    sentences += [
        " ".join(choice.choices(WORDS, k=12)).capitalize() + f" {n}." for n in range(sentence_count)
    ]
    return " ".join(sentences).encode()


def restarted(start_server: StartServer, data_dir: Path, **flags: Any) -> tuple[Any, Api]:
    server = start_server(data_dir, executor__workers=1, **flags)
    return server, client(server)


def test_during_uploads(start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    kept: dict[str, tuple[str, bytes]] = {}
    numbers = itertools.count()
    dataset_id = ""
    for _ in range(2):
        server, api = restarted(start_server, data_dir)
        dataset_id = dataset_id or api.make_dataset()

        def upload(api: Api, thread: int, dataset_id: str = dataset_id) -> None:
            content = text(next(numbers), 3) * (1 if thread else 3_000)  # one of them sends 1 MB
            files = [(f"{thread}.txt", content), ("same.txt", content)]
            for document in api.upload(dataset_id, *files):
                kept[document["id"]] = (document["name"], content)

        Busy(server, upload).kill_after(kept, 30)
        api.close()
    server, api = restarted(start_server, data_dir)
    documents = documents_of(api, dataset_id)
    assert len(kept) > 40
    assert kept.keys() <= documents.keys()
    assert len({one["name"] for one in documents.values()}) == len(documents)
    for document_id, (name, content) in kept.items():
        assert documents[document_id]["name"] == name
        assert documents[document_id]["size"] == len(content)
    for document_id, document in documents.items():
        content = api.call("GET", f"/datasets/{dataset_id}/documents/{document_id}").content
        assert len(content) == document["size"]
        if document_id in kept:
            assert content == kept[document_id][1]
    check_counters(api, dataset_id)
    assert documents.keys() <= stored_ids(server, dataset_id)
    api.close()


def test_files_whose_rows_were_never_written_are_swept(start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server, api = restarted(start_server, data_dir)
    dataset_id = api.make_dataset()
    (document,) = api.upload(dataset_id, ("a.txt", b"Kept."))
    api.close()
    server.stop()
    files = data_dir / "files"
    orphans = [
        files / dataset_id / "f00df00de54811f1955e02fc00000001",
        files / "f00df00de54811f1955e02fc00000002" / "x",
    ]
    young = files / dataset_id / "f00df00de54811f1955e02fc00000003"
    for path in (*orphans, young):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"An upload whose server was killed before it wrote the row.")
    two_hours_ago = time.time() - 7_200
    for path in (*orphans, files / dataset_id / document["id"]):
        os.utime(path, (two_hours_ago, two_hours_ago))
    server, api = restarted(start_server, data_dir)
    wait_for(lambda: not any(path.exists() for path in orphans), 20)
    assert stored_ids(server, dataset_id) == {document["id"], young.name}  # the young one may be under way
    assert api.call("GET", f"/datasets/{dataset_id}/documents/{document['id']}").content == b"Kept."
    api.close()


def test_during_parses(start_server: StartServer, tmp_path: Path) -> None:
    """Two kills; then each of 30 documents is DONE with the chunks that an undisturbed parse gives."""
    data_dir = tmp_path / "data"
    server, api = restarted(start_server, data_dir)
    dataset_id, calm_id = api.make_dataset(name="killed"), api.make_dataset(name="calm")
    for one in (dataset_id, calm_id):
        api.put(f"/datasets/{one}", json={"parser_config": {"chunk_token_num": 64}})
    contents = {f"{n}.txt": text(n, 40 + 120 * (n % 5)) for n in range(30)}
    ids = {name: api.upload(dataset_id, (name, content))[0]["id"] for name, content in contents.items()}
    calm = {
        name: api.add_document(calm_id, name, contents[name])["chunk_count"] for name in list(contents)[:5]
    }
    assert api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": list(ids.values())}) == {
        "code": 0
    }
    done: set[str] = set()
    for after_s in (0.2, 0.4):
        time.sleep(after_s)
        states = documents_of(api, dataset_id)
        assert done <= {one for one, state in states.items() if state["run"] == "DONE"}
        done = {one for one, state in states.items() if state["run"] == "DONE"}
        server.stop(number=signal.SIGKILL)
        api.close()
        server, api = restarted(start_server, data_dir)
    for name, document_id in ids.items():
        ended = api.wait(dataset_id, document_id, 60)
        assert ended["run"] == "DONE", ended["progress_msg"]
        assert ended["progress_msg"].count("Task done") == 1
        if name in calm:
            assert ended["chunk_count"] == calm[name]
    check_counters(api, dataset_id)
    for n in (0, 11, 29):
        found = api.retrieve([dataset_id], word(n), vector_similarity_weight=0.01)["chunks"]
        assert {one["document_id"] for one in found} == {ids[f"{n}.txt"]}
    api.close()


def test_during_chunk_changes(start_server: StartServer, tmp_path: Path) -> None:
    """Acknowledged chunks are there with their last content, deleted ones are not, counters agree."""
    data_dir = tmp_path / "data"
    server, api = restarted(start_server, data_dir)
    dataset_id = api.make_dataset()
    ids = [one["id"] for one in api.upload(dataset_id, *((f"{n}.txt", b"x") for n in range(3)))]
    kept: dict[str, tuple[str, str]] = {}
    deleted: set[str] = set()
    unsure: set[str] = set()
    lock = threading.Lock()
    numbers = itertools.count()

    def change(api: Api, thread: int) -> None:
        document_id = ids[thread % 3]
        path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
        content = f"Chunk {word(next(numbers))} of thread {thread}."
        reply = api.post(path, json={"content": content})
        assert reply["code"] == 0, reply
        chunk_id = reply["data"]["chunk"]["id"]
        with lock:
            kept[chunk_id] = (document_id, content)
            unsure.add(chunk_id)
        if next(numbers) % 3 == 0:
            assert api.put(f"{path}/{chunk_id}", json={"content": content + " Changed."}) == {"code": 0}
            kept[chunk_id] = (document_id, content + " Changed.")
        elif next(numbers) % 2 == 0:
            assert api.delete(path, json={"chunk_ids": [chunk_id]}) == {"code": 0}
            with lock:
                del kept[chunk_id]
                deleted.add(chunk_id)
        unsure.discard(chunk_id)

    for _ in range(2):
        Busy(server, change, 6).kill_after(kept, 30)
        api.close()
        server, api = restarted(start_server, data_dir)
    found = {chunk: content for one in ids for chunk, content in chunks_of(api, dataset_id, one).items()}
    assert len(kept) > 40
    for chunk_id, (_, content) in kept.items():
        if chunk_id not in unsure:
            assert found.get(chunk_id) == content
    assert not deleted & found.keys()
    check_counters(api, dataset_id)
    name = next(content.split()[1] for chunk_id, (_, content) in kept.items() if chunk_id not in unsure)
    assert name in api.retrieve([dataset_id], name)["chunks"][0]["content"]
    api.close()


def test_during_deletes(start_server: StartServer, tmp_path: Path) -> None:
    """What was acknowledged as deleted stays so; a deletion that was cut short is finished after the start."""
    data_dir = tmp_path / "data"
    server, api = restarted(start_server, data_dir)
    dataset_id = api.make_dataset()
    contents = [(f"{n}.txt", text(n, 4)) for n in range(150)]
    ids = [one["id"] for one in api.upload(dataset_id, *contents)]
    for document_id in ids:
        path = f"/datasets/{dataset_id}/documents/{document_id}/chunks"
        assert api.post(path, json={"content": f"Chunk of {word(ids.index(document_id))}."})["code"] == 0
    deleted: set[str] = set()
    for _ in range(2):
        left = iter([one for one in ids if one in documents_of(api, dataset_id)])
        lock = threading.Lock()

        def delete(api: Api, thread: int, left: Any = left, lock: Any = lock) -> None:
            with lock:
                document_id = next(left)
            assert api.delete(f"/datasets/{dataset_id}/documents", json={"ids": [document_id]}) == {"code": 0}
            deleted.add(document_id)

        Busy(server, delete).kill_after(deleted, 5)
        api.close()
        server, api = restarted(start_server, data_dir)
    documents = documents_of(api, dataset_id)
    assert deleted
    assert not deleted & documents.keys()
    assert len(documents) >= len(ids) - len(deleted) - 2 * 4
    wait_for_files(server, dataset_id, set(documents))
    check_counters(api, dataset_id)
    gone = [n for n, one in enumerate(ids) if one not in documents]
    for n in gone:
        found = api.retrieve([dataset_id], word(n), similarity_threshold=0.0)["chunks"]
        assert {one["document_id"] for one in found} <= documents.keys()
    api.close()


@pytest.mark.parametrize("what", ["dataset", "all documents"])
def test_a_large_deletion_cut_short(start_server: StartServer, tmp_path: Path, what: str) -> None:
    """Either nothing of it happened or, after the next start, all of it."""
    data_dir = tmp_path / "data"
    server, api = restarted(start_server, data_dir)
    dataset_id, other_id = api.make_dataset(name="a"), api.make_dataset(name="b")
    for start in range(0, 300, 100):
        api.upload(dataset_id, *((f"{n}.txt", text(n, 2)) for n in range(start, start + 100)))
    (other,) = api.upload(other_id, ("other.txt", b"Other."))

    def delete(api: Api, thread: int) -> None:
        if what == "dataset":
            api.delete("/datasets", json={"ids": [dataset_id]})
        else:
            api.delete(f"/datasets/{dataset_id}/documents")
        raise StopIteration

    end_s = time.monotonic() + random.uniform(0.01, 0.05)
    Busy(server, delete, 1).kill(lambda: time.monotonic() > end_s)
    api.close()
    server, api = restarted(start_server, data_dir)
    is_there = bool(api.get("/datasets", params={"name": "a"}).get("data"))
    left = set(documents_of(api, dataset_id)) if is_there else set()
    assert len(left) in (0, 300)
    wait_for_files(server, dataset_id, left)
    wait_for_files(server, other_id, {other["id"]})
    api.close()
