"""How fast uploaded documents become searchable: `python -m bench.ingest_http [DATA_FILE]`.

Small texts, texts of 1 MB and PDFs of several pages: from the first byte of the first upload to the last
document DONE, next to the stages called directly in one process a core (`bench.ingest`). And one small
document at a time on an idle server: from the upload's reply, through the request to parse it, until it is
DONE and a question finds it.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.corpus import Corpus, make_text, read_corpus
from bench.figures import show
from bench.ingest import measure_floor
from bench.quality_http import wait_until_parsed
from bench.servers import Server, server

BENCH = "ingest_http"
FILES_PER_UPLOAD = 50
BYTES_PER_UPLOAD = 4_000_000
IDLE_DOCUMENTS = 30


def make_pdf(corpus: Corpus, chooser: random.Random, page_count: int) -> bytes:
    """A PDF of running text."""
    from tests.files import text_pdf

    pages = []
    for _ in range(page_count):
        words = (
            make_text(corpus, chooser, 3000)
            .replace("\n\n", " ")
            .encode("latin-1", "ignore")
            .decode("latin-1")
            .split()
        )
        lines: list[str] = []
        line = ""
        for word in words:
            if len(line) + len(word) > 88:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        pages.append([*lines, line][:46])
    return text_pdf(pages)


def cpu_of_this_s() -> float:
    """Processor time of this process and its ended children."""
    return sum(os.times()[:4])


def ingest(running: Server, name: str, files: Sequence[tuple[str, bytes]]) -> tuple[float, int]:
    """(seconds, chunks): upload, parse and wait."""
    dataset_id = running.create_dataset(name)
    started = time.perf_counter()
    batch: list[tuple[str, bytes]] = []
    for number, file in enumerate(files, 1):
        batch.append(file)
        is_full = (
            len(batch) == FILES_PER_UPLOAD or sum(len(content) for _, content in batch) >= BYTES_PER_UPLOAD
        )
        if is_full or number == len(files):
            ids = running.upload(dataset_id, batch)
            running.call("POST", f"/api/v1/datasets/{dataset_id}/chunks", {"document_ids": ids})
            batch = []
    wait_until_parsed(running, dataset_id, len(files), pause_s=0.03)
    elapsed_s = time.perf_counter() - started
    dataset = running.call("GET", f"/api/v1/datasets?id={dataset_id}")[0]
    running.call("DELETE", "/api/v1/datasets", {"ids": [dataset_id]})
    return elapsed_s, int(dataset["chunk_count"])


def idle_ms(running: Server, dataset_id: str, number: int) -> float:
    """From the upload's reply until DONE and found."""
    word = f"xq{number:05}"
    (document_id,) = running.upload(dataset_id, [(f"{word}.txt", f"The keeper wrote {word} down.".encode())])
    started = time.perf_counter()
    path = f"/api/v1/datasets/{dataset_id}"
    running.call("POST", f"{path}/chunks", {"document_ids": [document_id]})
    while True:
        (document,) = running.call("GET", f"{path}/documents?id={document_id}")["docs"]
        if document["run"] == "DONE":
            break
        if document["run"] == "FAIL" or time.perf_counter() - started > 30:
            raise RuntimeError(f"not parsed: {document['run']} {document['progress_msg']}")
        time.sleep(0.004)
    found = running.call("POST", "/api/v1/retrieval", {"dataset_ids": [dataset_id], "question": word})
    elapsed_ms = (time.perf_counter() - started) * 1000
    if not any(chunk["document_id"] == document_id for chunk in found["chunks"]):
        raise RuntimeError(f"document {document_id} is DONE and not found")
    return elapsed_ms


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="retrieval_quality.json; else text is made up")
    parser.add_argument("--small", type=int, default=1000, help="texts of 2 kB")
    parser.add_argument("--large", type=int, default=20, help="texts of 1 MB")
    parser.add_argument("--pdfs", type=int, default=50, help="PDFs of 3 to 25 pages")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.data)
    chooser = random.Random(13)
    kinds = {
        "small": (".txt", [make_text(corpus, chooser, 2000).encode() for _ in range(arguments.small)]),
        "large": (".txt", [make_text(corpus, chooser, 1_000_000).encode() for _ in range(arguments.large)]),
        "pdf": (".pdf", [make_pdf(corpus, chooser, chooser.randint(3, 25)) for _ in range(arguments.pdfs)]),
    }
    met: list[bool] = []
    with server() as running:
        dataset_id = running.create_dataset("idle")
        for number in range(5):
            idle_ms(running, dataset_id, number)  # the workers are up
        times = []
        for number in range(5, 5 + IDLE_DOCUMENTS):
            time.sleep(0.1)
            times.append(idle_ms(running, dataset_id, number))
        met.append(show(BENCH, "one_small_document", times, "ms", at_most=300))
        for kind, (suffix, contents) in kinds.items():
            if not contents:
                continue
            floors, rates, chunk_rates = [], [], []
            floor_cpus, cpus = [], []
            for run in range(arguments.runs):
                cpu_before = cpu_of_this_s()
                floor_s, floor_chunks = measure_floor(contents, suffix)
                floor_cpus.append((cpu_of_this_s() - cpu_before) * 1000 / len(contents))
                cpu_before = running.tree_cpu_s()
                taken_s, chunks = ingest(
                    running,
                    f"{kind} {run}",
                    [(f"{n}{suffix}", content) for n, content in enumerate(contents)],
                )
                cpus.append((running.tree_cpu_s() - cpu_before) * 1000 / len(contents))
                floors.append(len(contents) / floor_s)
                rates.append(len(contents) / taken_s)
                chunk_rates.append(chunks / taken_s)
            about = {
                "kind": kind,
                "documents": len(contents),
                "bytes": sum(map(len, contents)),
                "chunks": chunks,
                "floor_chunks": floor_chunks,
            }
            met.append(show(BENCH, "documents", rates, "documents/s", floors=floors, at_least=0.5, **about))
            show(BENCH, "cpu", cpus, "ms/document", floors=floor_cpus, **about)
            show(BENCH, "chunks", chunk_rates, "chunks/s", **about)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
