"""Several clients that write the same things at once: nothing is lost, and all figures agree in the end."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.api.client import Api
from tests.api.server.wire import connect, wait_for
from tests.crash.ledger import check_counters, chunks_of, documents_of, wait_for_files
from tests.hostile.replies import check
from tests.live import LiveServer

TEXT = b"Tides rise twice a day. " * 40


def at_once(*works: Callable[[], Any]) -> None:
    """Run all of them in threads of their own; raises what the first failing one raises."""
    failures: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def settled(api: Api, dataset_id: str) -> None:
    """Wait for the last parse, then hold everything against everything."""
    wait_for(lambda: all(one["run"] != "RUNNING" for one in documents_of(api, dataset_id).values()), 60)
    check_counters(api, dataset_id)


def test_everything_at_once(live_server: LiveServer, api: Api) -> None:
    """Six clients upload, rename, switch, parse, stop, add and delete chunks and documents for a while."""
    dataset_id = api.make_dataset()
    path = f"/datasets/{dataset_id}/documents"
    api.upload(dataset_id, *((f"{n}.txt", TEXT) for n in range(6)))
    end_s = time.monotonic() + 5
    replies: list[int] = []

    def client(seed: int) -> None:
        choice = random.Random(seed)
        own = Api(api.url, api.key, api.tenant_id)
        while time.monotonic() < end_s:
            ids = [one["id"] for one in own.get(path, params={"page_size": 20})["data"]["docs"]] or ["none"]
            one, url = choice.choice(ids), f"{path}/{choice.choice(ids)}"
            chunk_ids = [c["id"] for c in (own.get(f"{url}/chunks").get("data") or {"chunks": []})["chunks"]]
            action, rest = choice.choice(
                [
                    (("POST", path), {"files": [("file", ("a.txt", TEXT))]}),
                    (("POST", path), {"files": [("file", ("b.txt", TEXT)), ("file", ("b.txt", b"Ebb."))]}),
                    (("DELETE", path), {"json": {"ids": [one]}}),
                    (("PUT", url), {"json": {"name": f"r{choice.random()}.txt"}}),
                    (("PUT", url), {"json": {"enabled": choice.choice([True, False])}}),
                    (("PUT", url), {"json": {"chunk_method": choice.choice(["naive", "one"])}}),
                    (("POST", f"/datasets/{dataset_id}/chunks"), {"json": {"document_ids": [one]}}),
                    (("POST", f"/datasets/{dataset_id}/chunks"), {"json": {"document_ids": ids}}),
                    (("DELETE", f"/datasets/{dataset_id}/chunks"), {"json": {"document_ids": [one]}}),
                    (("POST", f"{url}/chunks"), {"json": {"content": f"Chunk {choice.random()}."}}),
                    (("POST", f"{url}/chunks"), {"json": {"content": "The same chunk from many."}}),
                    (("DELETE", f"{url}/chunks"), {"json": {"chunk_ids": chunk_ids[:2] or ["none"]}}),
                    (("PUT", f"{url}/chunks/{(chunk_ids or ['none'])[0]}"), {"json": {"content": "Changed."}}),
                ]
            )  # fmt: skip
            replies.append(check(own.call(*action, **rest), f"{action} {rest}")["code"])
        own.close()

    at_once(*(partial(client, seed) for seed in range(6)))
    assert replies.count(0) > len(replies) / 4
    settled(api, dataset_id)
    wait_for_files(live_server, dataset_id, set(documents_of(api, dataset_id)))
    found = api.retrieve([dataset_id], "tides chunk changed", page_size=1000, similarity_threshold=0.0)[
        "chunks"
    ]
    documents = documents_of(api, dataset_id)
    for one in found:
        document = documents[one["document_id"]]
        assert (one["document_name"], document["status"]) == (document["name"], "1")


def test_two_changes_of_one_chunk_both_count(api: Api) -> None:
    dataset_id = api.make_dataset()
    (document,) = api.upload(dataset_id, ("a.txt", TEXT))
    path = f"/datasets/{dataset_id}/documents/{document['id']}/chunks"
    for round_ in range(10):
        chunk_id = api.post(path, json={"content": f"Chunk {round_}."})["data"]["chunk"]["id"]
        url = f"{path}/{chunk_id}"
        at_once(
            partial(api.put, url, json={"content": "Changed."}),
            partial(api.put, url, json={"important_keywords": ["ebb"]}),
            partial(api.put, url, json={"questions": ["When?"]}),
        )
        (chunk,) = api.chunks(dataset_id, document["id"], id=chunk_id)["chunks"]
        assert (chunk["content"], chunk["important_keywords"], chunk["questions"]) == (
            "Changed.",
            ["ebb"],
            ["When?"],
        )


def test_a_chunk_that_is_changed_while_it_is_deleted_stays_deleted(api: Api) -> None:
    dataset_id = api.make_dataset()
    (document,) = api.upload(dataset_id, ("a.txt", TEXT))
    path = f"/datasets/{dataset_id}/documents/{document['id']}/chunks"
    for round_ in range(15):
        chunk_id = api.post(path, json={"content": f"Chunk {round_}."})["data"]["chunk"]["id"]
        at_once(
            partial(api.put, f"{path}/{chunk_id}", json={"content": "Changed."}),
            partial(api.delete, path, json={"chunk_ids": [chunk_id]}),
        )
        assert chunks_of(api, dataset_id, document["id"]) == {}
    check_counters(api, dataset_id)


def test_chunks_added_while_their_document_is_deleted(api: Api) -> None:
    dataset_id = api.make_dataset()
    for round_ in range(10):
        (document,) = api.upload(dataset_id, (f"{round_}.txt", TEXT))
        path = f"/datasets/{dataset_id}/documents/{document['id']}/chunks"
        at_once(
            *(partial(api.post, path, json={"content": f"Orphan {n}."}) for n in range(4)),
            partial(api.delete, f"/datasets/{dataset_id}/documents", json={"ids": [document["id"]]}),
        )
    assert api.retrieve([dataset_id], "orphan", similarity_threshold=0.0)["chunks"] == []
    check_counters(api, dataset_id)


def test_clients_that_leave_while_chunks_change(live_server: LiveServer, api: Api) -> None:
    """Nobody waits for the reply; what was done is counted."""
    dataset_id = api.make_dataset()
    (document,) = api.upload(dataset_id, ("a.txt", TEXT))
    for n in range(40):
        body = json.dumps({"content": f"Chunk {n}."}).encode()
        request = (
            f"POST /api/v1/datasets/{dataset_id}/documents/{document['id']}/chunks HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {api.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with connect(live_server) as sock:
            sock.sendall(request + body)
            time.sleep(random.uniform(0, 0.02))

    def agree() -> bool:
        with contextlib.suppress(AssertionError):
            check_counters(api, dataset_id)
            return True
        return False

    wait_for(agree, 10)
    assert 0 < len(chunks_of(api, dataset_id, document["id"])) <= 40


def test_delete_during_parse(live_server: LiveServer, api: Api) -> None:
    dataset_id = api.make_dataset()
    for pause_s in (0, 0.05, 0.1, 0.2, 0.3):
        ids = [one["id"] for one in api.upload(dataset_id, *((f"{n}.txt", TEXT * 50) for n in range(3)))]
        assert api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": ids}) == {"code": 0}
        time.sleep(pause_s)
        assert api.delete(f"/datasets/{dataset_id}/documents", json={"ids": ids[:2]}) == {"code": 0}
        assert api.wait(dataset_id, ids[2])["run"] == "DONE"
        assert set(documents_of(api, dataset_id)) == {ids[2]}
        settled(api, dataset_id)
        found = api.retrieve([dataset_id], "tides", page_size=1000)["chunks"]
        assert {one["document_id"] for one in found} == {ids[2]}
        api.delete(f"/datasets/{dataset_id}/documents", json={"ids": [ids[2]]})
        wait_for_files(live_server, dataset_id, set())
    assert api.retrieve([dataset_id], "tides", similarity_threshold=0.0)["chunks"] == []


def test_the_dataset_is_deleted_during_parse(live_server: LiveServer, api: Api) -> None:
    dataset_id = api.make_dataset()
    ids = [one["id"] for one in api.upload(dataset_id, *((f"{n}.txt", TEXT * 50) for n in range(5)))]
    api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": ids})
    time.sleep(0.1)
    assert api.delete("/datasets", json={"ids": [dataset_id]}) == {"code": 0}
    wait_for_files(live_server, dataset_id, set())
    other_id = api.make_dataset()
    done = api.add_document(other_id, "other.txt", TEXT)
    found = api.retrieve([other_id], "tides")["chunks"]
    assert {one["document_id"] for one in found} == {done["id"]}


def test_parse_during_parse(api: Api) -> None:
    """The second is refused; stopped and started again and again, it ends once, with one document's chunks."""
    dataset_id = api.make_dataset()
    (document,) = api.upload(dataset_id, ("a.txt", TEXT * 100))
    path, ids = f"/datasets/{dataset_id}/chunks", {"document_ids": [document["id"]]}
    assert api.post(path, json=ids) == {"code": 0}
    refusal = api.post(path, json=ids)
    assert refusal == {"code": 102, "message": "Can't parse document that is currently being processed"}
    assert api.post(f"/datasets/{dataset_id}/documents/{document['id']}/run") == refusal
    for _ in range(6):
        time.sleep(random.uniform(0, 0.15))
        api.delete(path, json=ids)
        api.post(path, json=ids)
    done = api.wait(dataset_id, document["id"])
    assert done["run"] == "DONE"
    settled(api, dataset_id)
    calm_id = api.make_dataset()
    assert api.add_document(calm_id, "a.txt", TEXT * 100)["chunk_count"] == done["chunk_count"]


def test_things_deleted_a_moment_ago(api: Api) -> None:
    """Every route says that they are not there."""
    from tests.hostile.routes import ROUTES, good_body, make_ids

    for route in ROUTES.values():
        if "{" not in route.path:
            continue
        ids = make_ids(api)
        if "{session_id}" in route.path:
            api.delete(f"/chats/{ids['chat_id']}/sessions", json={"ids": [ids["session_id"]]})
        elif "{chat_id}" in route.path:
            api.delete("/chats", json={"ids": [ids["chat_id"]]})
        elif "{chunk_id}" in route.path:
            path = f"/datasets/{ids['dataset_id']}/documents/{ids['document_id']}/chunks"
            api.delete(path, json={"chunk_ids": [ids["chunk_id"]]})
        elif "{document_id}" in route.path:
            api.delete(f"/datasets/{ids['dataset_id']}/documents", json={"ids": [ids["document_id"]]})
        else:
            api.delete("/datasets", json={"ids": [ids["dataset_id"]]})
        rest: dict[str, Any] = {"json": good_body(route, ids)} if route.is_json else {}
        if route.name.startswith("POST") and route.path.endswith("/documents"):
            rest = {"files": [("file", ("a.txt", b"x"))]}
        reply = check(api.http.request(route.method, route.url(ids), **rest), route.name)
        assert reply["code"] in (102, 108, 404), (route.name, reply)
