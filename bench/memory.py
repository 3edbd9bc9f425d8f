"""Memory of a server with its workers (PSS of all processes): `python -m bench.memory [DATA_FILE]`.

Idle; with 200,000 chunks after some questions; the peak while a file of 1 GB is uploaded; what 20,000 mixed
requests leave behind.
"""

import argparse
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.corpus import build_folder, read_corpus
from bench.figures import show
from bench.load import load, request_bytes
from bench.quality_http import wait_until_parsed
from bench.servers import Server, start

BENCH = "memory"
PIECE = b"A line of a long text that nobody is going to read, sixty-four.\n" * 4096
UPLOAD_TIMEOUT_S = 120


def settled_mb(running: Server, kind: str = "Pss") -> float:
    """The smallest of some readings: what is left when nothing happens."""
    readings = []
    for _ in range(4):
        time.sleep(0.7)
        readings.append(running.pss_mb(kind))
    return min(readings)


def upload_peak_mb(running: Server, dataset_id: str, size: int) -> tuple[float, float]:
    """(most memory seen while a file of so many bytes is uploaded, bytes/s in MB)."""
    peak_mb = running.pss_mb()
    is_done = threading.Event()

    def watch() -> None:
        nonlocal peak_mb
        while not is_done.wait(0.05):
            peak_mb = max(peak_mb, running.pss_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        _upload(running, dataset_id, size)
    finally:
        is_done.set()
        watcher.join()
    return peak_mb, size / 1e6 / (time.perf_counter() - started)


def _upload(running: Server, dataset_id: str, size: int) -> None:
    edge = b"ragd-bench-boundary"
    head = (
        b"--" + edge + b'\r\nContent-Disposition: form-data; name="file"; filename="large.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n"
    )
    tail = b"\r\n--" + edge + b"--\r\n"
    lines = [
        f"POST /api/v1/datasets/{dataset_id}/documents HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {running.key}",
        f"Content-Type: multipart/form-data; boundary={edge.decode()}",
        f"Content-Length: {len(head) + size + len(tail)}",
        "Connection: close",
    ]
    with socket.create_connection(("127.0.0.1", running.port), timeout=UPLOAD_TIMEOUT_S) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + head)
        left = size
        while left > 0:
            connection.sendall(PIECE[:left])
            left -= len(PIECE)
        connection.sendall(tail)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    if b'"code":0' not in reply:
        raise RuntimeError(f"the upload failed: {reply[-300:]!r}")


def mixed_requests(running: Server, dataset_id: str, questions: list[str]) -> list[bytes]:
    """Lists, questions, answers and refusals, in turn."""
    chat = running.call(
        "POST", "/api/v1/chats", {"name": f"memory {time.time()}", "dataset_ids": [dataset_id]}
    )
    requests: list[bytes] = []
    for number, question in enumerate(questions):
        ask = {"dataset_ids": [dataset_id], "question": question, "highlight": number % 3 == 0}
        requests += [
            request_bytes("POST", "/api/v1/retrieval", key=running.key, body=ask),
            request_bytes("GET", f"/api/v1/datasets?page_size={number % 40}", key=running.key),
            request_bytes(
                "GET", f"/api/v1/datasets/{dataset_id}/documents?page={number % 9}", key=running.key
            ),
            request_bytes("GET", "/v1/system/ping"),
            request_bytes("GET", f"/api/v1/datasets/{number:032x}/documents", key=running.key),  # not there
        ]
        if number % 5 == 0:
            body = {"model": "model", "stream": False, "messages": [{"role": "user", "content": question}]}
            path = f"/api/v1/chats_openai/{chat['id']}/chat/completions"
            requests.append(request_bytes("POST", path, key=running.key, body=body))
    return requests


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="retrieval_quality.json; else text is made up")
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="keep the folder with the chunks here, and use it again")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--upload-bytes", type=int, default=1_000_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ragd-bench-") as temporary:
        met = _small(Path(temporary), arguments)
        met += _large(arguments.folder or Path(temporary) / "large", arguments)
    return 0 if all(met) else 1


def _small(temporary: Path, arguments: argparse.Namespace) -> list[bool]:
    running = start(temporary / "idle")
    try:
        idle_mb = settled_mb(running)
        met = [show(BENCH, "idle", [idle_mb], "MB", at_most=300, processes=running.process_count())]
        dataset_id = running.create_dataset("uploads")
        files = [(f"{number}.txt", f"Text {number}. ".encode() * 200) for number in range(40)]
        ids = running.upload(dataset_id, files)
        running.call("POST", f"/api/v1/datasets/{dataset_id}/chunks", {"document_ids": ids})
        wait_until_parsed(running, dataset_id, len(ids))
        met.append(
            show(BENCH, "idle_after_parsing", [settled_mb(running)], "MB", at_most=300, documents=len(ids))
        )
        before_mb = settled_mb(running)
        peak_mb, rate = upload_peak_mb(running, dataset_id, arguments.upload_bytes)
        met.append(
            show(BENCH, "upload_peak_above_idle", [peak_mb - before_mb], "MB", at_most=60,
                 upload_bytes=arguments.upload_bytes, mb_per_s=round(rate))
        )  # fmt: skip
    finally:
        running.stop()
    return met


def _large(path: Path, arguments: argparse.Namespace) -> list[bool]:
    corpus = read_corpus(arguments.data)
    folder = build_folder(path, corpus, arguments.chunks, share=0.5)
    running = start(folder.path)
    try:
        requests = mixed_requests(running, folder.dataset_ids[0], corpus.questions[:500])
        load(running.port, requests, connections=8, seconds=60, max_count=arguments.requests // 5)
        before_mb = settled_mb(running)
        met = [show(BENCH, "with_chunks", [before_mb], "MB", at_most=900, chunks=arguments.chunks)]
        # Pages of mapped files come and go with the page cache: not what a leak would be made of.
        anonymous_mb = settled_mb(running, "Pss_Anon")
        found = load(running.port, requests, connections=8, seconds=600, max_count=arguments.requests)
        grown_mb = settled_mb(running, "Pss_Anon") - anonymous_mb
        with_files_mb = round(settled_mb(running) - before_mb, 1)
        # Heaps breathe: a leak of half a kilobyte a request would be twice this.
        met.append(
            show(BENCH, "growth_over_requests", [grown_mb], "MB", at_most=5, requests=found.request_count,
                 with_file_pages=with_files_mb, errors=found.error_count, seen=found.errors)
        )  # fmt: skip
    finally:
        running.stop()
    return met


if __name__ == "__main__":
    sys.exit(main())
