"""Lists over HTTP against the same server's ping: `python -m bench.http`.

Figures: requests/s of `GET /api/v1/datasets?page_size=30` with 30 datasets, and of a page of 100 documents
of a dataset with 100, at 1, 16 and 64 connections, each next to a ping with as many connections; and at 256
connections whether anything fails.
"""

import argparse
import sys

from bench.figures import show
from bench.load import LoadResult, load, request_bytes
from bench.servers import Server, server

BENCH = "http"
RATIO = 0.15


def fill(running: Server) -> str:
    """30 datasets, 100 documents in one of them, whose id is returned."""
    ids = [running.create_dataset(f"dataset {number:02}") for number in range(30)]
    files = [(f"document {number:03}.txt", f"Text {number} of a hundred.".encode()) for number in range(100)]
    running.upload(ids[0], files)
    return ids[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 16, 64])
    arguments = parser.parse_args()
    is_met = True
    with server({"executor.workers": 0}) as running:
        dataset_id = fill(running)
        ping = request_bytes("GET", "/v1/system/ping")
        lists = {
            "datasets_30": request_bytes("GET", "/api/v1/datasets?page_size=30", key=running.key),
            "documents_100": request_bytes(
                "GET", f"/api/v1/datasets/{dataset_id}/documents?page_size=100", key=running.key
            ),
        }

        def measure(request: bytes, connections: int, expect: bytes) -> LoadResult:
            return load(
                running.port, [request], connections=connections, seconds=arguments.seconds, expect=expect
            )

        measure(ping, 16, b"pong")  # warm
        for name, request in lists.items():
            measure(request, 16, b'"code":0')
            for connections in arguments.connections:
                pings, pages = [], []
                for _ in range(arguments.runs):
                    pings.append(measure(ping, connections, b"pong"))
                    pages.append(measure(request, connections, b'"code":0'))
                is_met &= show(
                    BENCH, name, [page.requests_per_s for page in pages], "requests/s",
                    floors=[one.requests_per_s for one in pings], at_least=RATIO, connections=connections,
                    p50_ms=round(sorted(page.p50_ms for page in pages)[len(pages) // 2], 2),
                    p99_ms=round(sorted(page.p99_ms for page in pages)[len(pages) // 2], 2),
                    errors=sum(page.error_count for page in pages),
                )  # fmt: skip
        for name, request in {"ping": ping, **lists}.items():
            crowd = measure(request, 256, b"")
            is_met &= show(
                BENCH, f"{name}_errors", [float(crowd.error_count)], "errors", at_most=0, connections=256,
                requests_per_s=round(crowd.requests_per_s), p99_ms=round(crowd.p99_ms, 1), seen=crowd.errors,
            )  # fmt: skip
        is_met &= show(
            BENCH,
            "answers_afterwards",
            [float(not running.call("GET", "/api/v1/datasets"))],
            "failures",
            at_most=0,
        )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
