"""Uploads as no client would send them: on a raw socket, cut short, too large, all at once."""

import contextlib
import hashlib
import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.client import Api
from tests.api.server.wire import connect, exchange, read_reply, split, wait_for
from tests.conftest import StartServer
from tests.hostile.replies import LEAK
from tests.live import LiveServer

MB = 1 << 20
END = b"\r\n--b--\r\n"


@pytest.fixture
def dataset_id(api: Api) -> str:
    return api.make_dataset()


def head(api: Api, dataset_id: str, *more: bytes) -> bytes:
    lines = [
        f"POST /api/v1/datasets/{dataset_id}/documents HTTP/1.1".encode(),
        b"Host: x",
        b"Connection: close",
        f"Authorization: Bearer {api.key}".encode(),
        *(more or (b"Content-Type: multipart/form-data; boundary=b",)),
    ]
    return b"\r\n".join(lines) + b"\r\n"


def upload_raw(server: LiveServer, api: Api, dataset_id: str, body: bytes, *headers: bytes) -> dict[str, Any]:
    """Send a body as it stands; the envelope."""
    request = head(api, dataset_id, *headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body
    status, sent, content = exchange(server, request)
    assert status < 500, content
    assert sent["content-type"] == "application/json"
    assert LEAK.search(content.decode()) is None, content
    reply: dict[str, Any] = httpx.Response(200, content=content).json()
    if reply["code"]:
        assert reply["message"]
    return reply


def part(name: bytes, content: bytes = b"Tides.", *, boundary: bytes = b"b") -> bytes:
    return (
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="file"; filename=' + name + b"\r\n"
        b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n"
    )


def stored_files(server: LiveServer, dataset_id: str) -> list[Path]:
    """The dataset's files on the disk, and what is being received."""
    files = server.data_dir / "files"
    return [*(files / dataset_id).glob("*"), *(files / ".incoming").glob("*")]


def names(api: Api, dataset_id: str) -> list[str]:
    """Names of the documents; their number must be what dataset and disk say."""
    docs = api.get(f"/datasets/{dataset_id}/documents", params={"page_size": 1000})["data"]["docs"]
    (dataset,) = api.get("/datasets", params={"id": dataset_id})["data"]
    assert dataset["document_count"] == len(docs)
    return sorted(one["name"] for one in docs)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b'"a\x00b.txt"', "ab.txt"),
        (b'"\xff\xfe.txt"', "ÿþ.txt"),
        (b'"\xe6\x8a\xa5\xe5\x91\x8a.txt"', "报告.txt"),
        (b'"caf\xe9.txt"', "café.txt"),
        (b"\"x.txt\"; filename*=UTF-8''%E6%8A%A5.txt", "报.txt"),
        (b"\"x.txt\"; filename*=UTF-8''%FF.txt", "x.txt"),
        (b"\"x.txt\"; filename*=nonsense''y.txt", "x.txt"),
        (b"\"x.txt\"; filename*=UTF-8''..%2F..%2Fpasswd.txt", "passwd.txt"),
        (b"\"x.txt\"; filename*=UTF-8''a%00b.txt", "ab.txt"),
        (b'"C:\\Users\\me\\x.txt"', "x.txt"),
        (b'"../../../etc/cron.d/x.txt"', "x.txt"),
        (b'"..%2f..%2fx.txt"', "..%2f..%2fx.txt"),
        (b'"a\\"b.txt"', 'a"b.txt'),
        (b"bare.txt", "bare.txt"),
        (b'"\xe2\x80\xaetxt.exe.txt"', "\u202etxt.exe.txt"),
        (b'"\xf0\x9f\x8e\x89.txt"', "🎉.txt"),
        (b'"CON.txt"', "CON.txt"),
        (b'"-rf.txt"', "-rf.txt"),
        (b'"a\tb.txt"', "ab.txt"),
        (b'"a\xc2\x85b.txt"', "ab.txt"),
    ],
)
def test_file_names(live_server: LiveServer, api: Api, dataset_id: str, sent: bytes, stored: str) -> None:
    reply = upload_raw(live_server, api, dataset_id, part(sent) + b"--b--\r\n")
    assert reply["code"] == 0, reply
    assert [one["name"] for one in reply["data"]] == [stored]
    document = reply["data"][0]
    path = f"/datasets/{dataset_id}/documents/{document['id']}"
    response = api.call("GET", path)
    assert response.content == b"Tides."
    disposition = response.headers["content-disposition"]
    assert "\n" not in disposition
    assert "/" not in disposition.split("filename*=")[0]


@pytest.mark.parametrize(
    "sent",
    [b'"."', b'".."', b'"/"', b'""', b'"\x00"', b'"\x00\x01\x02"', b'"   "', b'"a/"', b"", b'"' + b"x" * 300 + b'.txt"',
     b"\"" + "é".encode() * 130 + b'.txt"'],
)  # fmt: skip
def test_names_that_are_refused(live_server: LiveServer, api: Api, dataset_id: str, sent: bytes) -> None:
    reply = upload_raw(live_server, api, dataset_id, part(sent) + b"--b--\r\n")
    assert reply["code"] == 101, reply
    assert names(api, dataset_id) == []
    assert stored_files(live_server, dataset_id) == []


GOOD = part(b'"good.txt"')
NO_DISPOSITION = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
TWO_DISPOSITIONS = (
    b'--b\r\nContent-Disposition: form-data; name="other"\r\nContent-Disposition: form-data; name="file"; '
    b'filename="b.txt"\r\n\r\nx\r\n'
)
TWICE_FILENAME = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"; filename="b.txt"\r\n\r\nx\r\n'
)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (NO_DISPOSITION + GOOD + b"--b--\r\n", ["good.txt"]),
        (TWO_DISPOSITIONS + GOOD + b"--b--\r\n", ["b.txt", "good.txt"]),
        (TWICE_FILENAME + b"--b--\r\n", ["b.txt"]),
        (GOOD + b"--b--\r\nan epilogue", ["good.txt"]),
        (b"a preamble\r\n" + GOOD + b"--b--\r\n", None),
        (GOOD + b"--b--", ["good.txt"]),
        (part(b'"dashes.txt"', b"--b is here\r\n--bc\r\n-- b") + b"--b--\r\n", ["dashes.txt"]),
        (b"--b--\r\n", None),
        (b"", None),
        (b"--b", None),
        (GOOD, None),
        (GOOD[:-20], None),
        (GOOD[:40], None),
        (GOOD + part(b'"cut.txt"', b"half a fi")[:-2], None),
        (part(b'"a.txt"', boundary=b"other") + b"--other--\r\n", None),
        (b"--b\r\nContent-Disposition form-data\r\n\r\nx\r\n--b--\r\n", None),
        (b"--b\r\n" + b"X-Header: 1\r\n" * 100 + b"\r\nx\r\n--b--\r\n", None),
        (b"--b\r\nX: " + b"x" * 20_000 + b"\r\n\r\nx\r\n--b--\r\n", None),
        (b"--b\r\n\r\n\r\n" * 5_000 + b"--b--\r\n", None),
        (GOOD * 1_001 + b"--b--\r\n", None),
        (b"\r\n" * 100_000, None),
        (b"-" * 1_000_000, None),
        (b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + b"y" * 2 * MB + END, None),
    ],
)  # fmt: skip
def test_broken_forms(
    live_server: LiveServer, api: Api, dataset_id: str, body: bytes, stored: list[str] | None
) -> None:
    reply = upload_raw(live_server, api, dataset_id, body)
    if stored is None:
        assert reply["code"] == 101, reply
    else:
        assert reply["code"] == 0, reply
    assert names(api, dataset_id) == (stored or [])
    assert len(stored_files(live_server, dataset_id)) == len(stored or [])


@pytest.mark.parametrize(
    "content_type",
    [b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary=""',
     b"multipart/form-data; boundary=" + b"b" * 10_000, b"multipart/form-data; boundary=\xff\xfe",
     b"multipart/mixed; boundary=b", b"application/json", b"text/plain", b"application/octet-stream"],
)  # fmt: skip
def test_content_types(live_server: LiveServer, api: Api, dataset_id: str, content_type: bytes) -> None:
    reply = upload_raw(live_server, api, dataset_id, GOOD + b"--b--\r\n", b"Content-Type: " + content_type)
    assert reply["code"] == 101, reply
    assert names(api, dataset_id) == []


def test_a_client_that_stops_half_way(live_server: LiveServer, api: Api, dataset_id: str) -> None:
    """Nothing of its files stays, not even of the one that had arrived whole."""
    body = part(b'"whole.txt"', b"x" * 3 * MB) + part(b'"half.txt"', b"y" * 8 * MB)
    for share in (0.2, 0.5, 0.9):
        request = head(api, dataset_id) + b"Content-Length: %d\r\n\r\n" % len(body)
        with connect(live_server) as sock:
            sock.sendall(request + body[: int(len(body) * share)])
            wait_for(lambda: stored_files(live_server, dataset_id))
        wait_for(lambda: not stored_files(live_server, dataset_id))
    assert names(api, dataset_id) == []


def test_many_clients_that_stop_half_way_and_one_that_does_not(
    live_server: LiveServer, api: Api, dataset_id: str
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(connect(live_server))
            sock.sendall(
                head(api, dataset_id) + b"Content-Length: 99999999\r\n\r\n" + part(b'"a.txt"', b"x" * MB)
            )
        assert api.upload(dataset_id, ("a.txt", b"mine"))[0]["name"] == "a.txt"
    wait_for(lambda: len(stored_files(live_server, dataset_id)) == 1)
    assert names(api, dataset_id) == ["a.txt"]


def test_the_dataset_is_deleted_while_a_file_arrives(
    live_server: LiveServer, api: Api, dataset_id: str
) -> None:
    body = part(b'"a.txt"', b"x" * 4 * MB) + b"--b--\r\n"
    request = head(api, dataset_id) + b"Content-Length: %d\r\n\r\n" % len(body)
    with connect(live_server) as sock:
        sock.sendall(request + body[: 2 * MB])
        wait_for(lambda: stored_files(live_server, dataset_id))
        assert api.delete("/datasets", json={"ids": [dataset_id]}) == {"code": 0}
        sock.sendall(body[2 * MB :])
        _, _, content = read_reply(sock)
    assert b'"code":102' in content
    wait_for(lambda: not stored_files(live_server, dataset_id))


@pytest.mark.parametrize("same_content", [True, False])
def test_the_same_name_from_eight_threads(api: Api, dataset_id: str, same_content: bool) -> None:
    """Each gets a name of its own, and its own bytes under it."""
    sent: dict[str, bytes] = {}
    lock = threading.Lock()

    def upload(thread: int) -> None:
        for round_ in range(5):
            content = b"same" if same_content else f"thread {thread}, round {round_}".encode()
            (document,) = api.upload(dataset_id, ("a.txt", content))
            with lock:
                assert document["id"] not in sent
                sent[document["id"]] = content

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 40
    expected = ["a.txt", *(f"a({n}).txt" for n in range(1, 40))]
    assert names(api, dataset_id) == sorted(expected)
    for document_id, content in list(sent.items())[::7]:
        assert api.call("GET", f"/datasets/{dataset_id}/documents/{document_id}").content == content


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that takes bodies of 20 MB."""
    from tests.live import start_server

    with start_server(
        tmp_path_factory.mktemp("small") / "data", http__max_body_bytes=20 * MB, executor__workers=0
    ) as server:
        yield server


def rss_bytes(server: LiveServer) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


def test_a_gigabyte_that_is_announced_is_refused_at_once(small: LiveServer) -> None:
    api = Api(small.url, small.key, "")
    dataset_id = api.make_dataset()
    for length in (20 * MB + 1, 1 << 30, 1 << 40):
        with connect(small) as sock:
            start = time.monotonic()
            sock.sendall(head(api, dataset_id) + b"Content-Length: %d\r\n\r\n" % length)
            status, headers, content = read_reply(sock)
            assert time.monotonic() - start < 2
        assert (status, headers["connection"]) == (413, "close")
        reply = httpx.Response(413, content=content).json()
        assert (reply["code"], reply["data"]) == (101, None)
        assert "too large" in reply["message"]
    assert names(api, dataset_id) == []
    api.close()


def test_a_gigabyte_without_a_length_is_cut_off_in_bounded_memory(small: LiveServer) -> None:
    api = Api(small.url, small.key, "")
    dataset_id = api.make_dataset()
    before = rss_bytes(small)
    piece = b"100000\r\n" + bytes(MB) + b"\r\n"
    received = bytearray()
    with connect(small) as sock:
        sock.sendall(head(api, dataset_id) + b"Transfer-Encoding: chunked\r\n\r\n")
        first = part(b'"a.txt"', b"")[:-2]
        sock.sendall(b"%x\r\n" % len(first) + first + b"\r\n")
        end_s = time.monotonic() + 15
        with contextlib.suppress(ConnectionError, TimeoutError):
            while time.monotonic() < end_s:  # as long as it is let
                sock.sendall(piece)
                if select.select([sock], [], [], 0)[0]:
                    received += sock.recv(65536)
        assert time.monotonic() < end_s
    status, headers, content = split(bytes(received))
    assert (status, headers["connection"]) == (413, "close")
    assert b"too large" in content
    wait_for(lambda: not stored_files(small, dataset_id))
    assert rss_bytes(small) - before < 60 * MB
    assert names(api, dataset_id) == []
    api.close()


def test_a_body_over_the_limit_has_its_familys_envelope(small: LiveServer) -> None:
    api = Api(small.url, small.key, "")
    for path, is_openai in (
        ("/datasets", False),
        ("/retrieval", False),
        ("/chats_openai/x/chat/completions", True),
    ):
        response = api.call(
            "POST", path, content=b'{"a":"' + b"x" * 17 * MB, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 413
        reply = response.json()
        message = reply["error"]["message"] if is_openai else reply["message"]
        assert "too large" in message
    api.close()


def test_a_large_file_passes_in_bounded_memory(live_server: LiveServer, api: Api, dataset_id: str) -> None:
    """200 MB, chunked; the bytes come back as they went."""
    before = rss_bytes(live_server)
    peak = [0]
    block = os.urandom(MB)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        yield part(b'"large.txt"', b"")[:-2]
        for number in range(200):
            digest.update(block)
            yield block
            if number % 20 == 0:
                peak[0] = max(peak[0], rss_bytes(live_server))
        yield END

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = api.call("POST", f"/datasets/{dataset_id}/documents", content=pieces(), headers=headers).json()
    (document,) = reply["data"]
    assert document["size"] == 200 * MB
    received = hashlib.sha256()
    with api.http.stream("GET", f"/api/v1/datasets/{dataset_id}/documents/{document['id']}") as response:
        for n, piece in enumerate(response.iter_bytes(MB)):
            received.update(piece)
            if n % 20 == 0:
                peak[0] = max(peak[0], rss_bytes(live_server))
    assert received.digest() == digest.digest()
    assert peak[0] - before < 60 * MB
    failed = api.parse(dataset_id, document["id"])
    assert failed["run"] == "FAIL"
    assert "File size exceeds( <= 128Mb )" in failed["progress_msg"]


def test_the_rate_limit(start_server: StartServer) -> None:
    server = start_server(http__rate_limit_per_minute=5, executor__workers=0)
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers) as client:
        replies = [client.get("/datasets") for _ in range(7)]
        assert [one.status_code for one in replies] == [200] * 5 + [429] * 2
        refusal = replies[-1]
        assert refusal.json()["code"] == 429
        assert refusal.json()["message"]
        assert 1 <= int(refusal.headers["retry-after"]) <= 60
        openai = client.post("/chats_openai/x/chat/completions", json={"model": "m", "messages": []})
        assert (openai.status_code, openai.json()["error"]["type"]) == (429, "rate_limit_error")
        assert int(openai.headers["retry-after"]) >= 1
    assert httpx.get(f"{server.url}/v1/system/ping").status_code == 200


def test_a_full_queue_of_parses_is_503(start_server: StartServer) -> None:
    server = start_server(executor__queue_limit=3, executor__workers=0)
    api = Api(server.url, server.key, "")
    dataset_id = api.make_dataset()
    ids = [one["id"] for one in api.upload(dataset_id, *((f"{n}.txt", b"x") for n in range(5)))]
    path = f"/datasets/{dataset_id}/chunks"
    assert api.post(path, json={"document_ids": ids[:3]}) == {"code": 0}
    response = api.call("POST", path, json={"document_ids": ids[3:]})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["code"] == 503
    assert api.document(dataset_id, ids[3])["run"] == "UNSTART"
    api.close()
