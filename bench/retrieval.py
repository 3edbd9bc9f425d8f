"""Questions over HTTP against the engine called directly: `python -m bench.retrieval [DATA_FILE]`.

A folder of chunks (recombined from the sentences of the data file, else made up) is built straight into the
store; half of them in one dataset, the rest in ten. Each run then takes
- the floor: the engine called from threads in one process of its own, with the same questions, candidates
  (64 a side) and number of chunks fetched (30), without scoring them;
- the server on the same folder: from its start to the first good answer, one connection, 16 connections,
  16 connections while documents are being parsed, and the first piece of a built-in answer.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench.corpus import Corpus, Folder, build_folder, make_text, read_corpus
from bench.figures import show
from bench.load import load, request_bytes
from bench.servers import ROOT, Server, start

BENCH = "retrieval"
CANDIDATES, FETCHED = 64, 30
THREADS = 8
START_LIMITS_S = {10_000: 2.0, 200_000: 5.0}


def measure_engine(
    folder: Path, dataset_ids: list[str], questions: list[str], seconds: float
) -> dict[str, float]:
    """In this process: questions/s from threads, and the median of one at a time, in ms."""
    from rag.models.builtin_embedding import BuiltinEmbedding
    from rag.retrieval.query import parse_question
    from rag.retrieval.result import RetrievalOptions
    from rag.retrieval.search import retrieve
    from rag.stores.embedded import open_embedded_store
    from rag.stores.protocol import SearchRequest

    vectors = BuiltinEmbedding().embed_now(questions).vectors

    async def run() -> dict[str, float]:
        async with open_embedded_store(folder / "chunks", role="owner", thread_count=THREADS) as store:
            engine: Any = store

            def ask(which: int) -> None:
                question = questions[which]
                terms = parse_question(question).query_terms()
                request = SearchRequest(dataset_ids, terms, vectors[which], None, CANDIDATES, CANDIDATES)
                engine.search_and_fetch_blocking(request, FETCHED)

            def work(thread: int, done: list[int], stop_at: float) -> None:
                place = thread
                while time.perf_counter() < stop_at:
                    ask(place % len(questions))
                    done[thread] += 1
                    place += THREADS

            for which in range(20):
                ask(which)
            times = []
            for which in range(min(300, len(questions))):
                at = time.perf_counter()
                ask(which)
                times.append((time.perf_counter() - at) * 1000)
            whole = []
            for which in range(min(200, len(questions))):
                at = time.perf_counter()
                await retrieve(store, questions[which], vectors[which], RetrievalOptions(dataset_ids))
                whole.append((time.perf_counter() - at) * 1000)
            done = [0] * THREADS
            cpu_before = time.process_time()
            started = time.perf_counter()
            threads = [
                threading.Thread(target=work, args=(number, done, started + seconds))
                for number in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = sum(done) / (time.perf_counter() - started)
            return {
                "questions_per_s": rate,
                "cpu_ms": (time.process_time() - cpu_before) * 1000 / sum(done),
                "p50_ms": statistics.median(times),
                "whole_p50_ms": statistics.median(whole),
            }

    return asyncio.run(run())


def engine_floor(
    folder: Folder, dataset_ids: list[str], questions: list[str], seconds: float
) -> dict[str, float]:
    """`measure_engine` in a process of its own."""
    job = {
        "folder": str(folder.path), "dataset_ids": dataset_ids, "questions": questions, "seconds": seconds
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench.retrieval", "--job", "-"],
        input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    floor: dict[str, float] = json.loads(done.stdout)
    return floor


def first_answer_s(running: Server, folder: Folder, question: str) -> float:
    """Seconds from the start of the process to the first answer with a passage."""
    body = {"dataset_ids": folder.dataset_ids[:1], "question": question, "similarity_threshold": 0.0}
    while True:
        data = running.call("POST", "/api/v1/retrieval", body)
        if data["chunks"]:
            return time.perf_counter() - running.started_at
        if time.perf_counter() - running.started_at > 60:
            raise RuntimeError("no good answer within 60 s")


class Parsing:
    """Documents that are uploaded and parsed in the background for as long as this is open."""

    def __init__(self, running: Server, corpus: Corpus) -> None:
        self._running = running
        self._corpus = corpus
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._dataset_id = running.create_dataset("being parsed")
        self.parsed_count = 0

    def _work(self) -> None:
        chooser = random.Random(11)
        path = f"/api/v1/datasets/{self._dataset_id}"
        while not self._stop.is_set():
            files = [(f"{n}.txt", make_text(self._corpus, chooser, 200_000).encode()) for n in range(8)]
            ids = self._running.upload(self._dataset_id, files)
            self._running.call("POST", f"{path}/chunks", {"document_ids": ids})
            while not self._stop.wait(0.2):
                counts = self._running.call("GET", f"{path}/documents?page_size=1&run=RUNNING")["total"]
                if counts < 4:
                    break
        self.parsed_count = self._running.call("GET", f"{path}/documents?page_size=1&run=DONE")["total"]

    def __enter__(self) -> Self:
        self._thread.start()
        time.sleep(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._running.call("DELETE", "/api/v1/datasets", {"ids": [self._dataset_id]})


def first_piece_ms(running: Server, folder: Folder, questions: list[str]) -> tuple[list[float], list[float]]:
    """Built-in answers: ms from question to first piece, and what retrieval alone takes for the same questions."""
    chat = running.call(
        "POST", "/api/v1/chats", {"name": f"chat {time.time()}", "dataset_ids": folder.dataset_ids[:1]}
    )
    first, alone = [], []
    for question in questions:
        body = {"dataset_ids": folder.dataset_ids[:1], "question": question, "page_size": 6}
        at = time.perf_counter()
        running.call("POST", "/api/v1/retrieval", body)
        alone.append((time.perf_counter() - at) * 1000)
        first.append(_first_piece(running, chat["id"], question))
    running.call("DELETE", "/api/v1/chats", {"ids": [chat["id"]]})
    return first, alone


def _first_piece(running: Server, chat_id: str, question: str) -> float:
    body = {"model": "model", "stream": True, "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/api/v1/chats_openai/{chat_id}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {running.key}", "Content-Type": "application/json"},
    )
    at = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as reply:
        for line in reply:
            if (
                line.startswith(b"data:")
                and b'"content":"' in line.replace(b'": "', b'":"')
                and b'"content":""' not in line
            ):
                elapsed_ms = (time.perf_counter() - at) * 1000
                reply.read()
                return elapsed_ms
    raise RuntimeError(f"an answer without a piece: {question}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="retrieval_quality.json; else text is made up")
    parser.add_argument("--chunks", type=int, default=10_000, help="10000 and 200000 have targets")
    parser.add_argument("--share", type=float, default=0.5, help="of the chunks in the large dataset")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--folder", type=Path, help="keep the folder here, and use it again")
    parser.add_argument(
        "--only", nargs="*", choices=["start", "load", "parsing", "answer"], help="parts to run"
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job = json.load(sys.stdin)
        print(
            json.dumps(
                measure_engine(Path(job["folder"]), job["dataset_ids"], job["questions"], job["seconds"])
            )
        )
        return 0
    with tempfile.TemporaryDirectory(prefix="ragd-bench-") as temporary:
        return 0 if _measure(arguments, arguments.folder or Path(temporary) / "data") else 1


def _measure(arguments: argparse.Namespace, path: Path) -> bool:
    corpus = read_corpus(arguments.data)
    folder = build_folder(path, corpus, arguments.chunks, share=arguments.share)
    parts = set(arguments.only or ("start", "load", "parsing", "answer"))
    scopes = {"one": folder.dataset_ids[:1]}
    if len(folder.dataset_ids) > 1:
        scopes["several"] = folder.dataset_ids
    questions = corpus.questions
    seen: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        seen.setdefault(name, []).append(value)

    requests = {
        scope: [
            request_bytes(
                "POST", "/api/v1/retrieval", key=folder.key, body={"dataset_ids": ids, "question": question}
            )
            for question in questions
        ]
        for scope, ids in scopes.items()
    }
    errors: dict[str, int] = {}

    def measure(name: str, running: Server, scope: str, connections: int, seconds: float) -> None:
        cpu_before = running.cpu_s()
        found = load(
            running.port, requests[scope], connections=connections, seconds=seconds, expect=b'"code":0'
        )
        note(f"{name}_cpu", (running.cpu_s() - cpu_before) * 1000 / max(1, found.request_count))
        note(f"{name}_rate", found.requests_per_s)
        note(f"{name}_p50", found.p50_ms)
        note(f"{name}_p99", found.p99_ms)
        for reason, count in found.errors.items():
            errors[reason] = errors.get(reason, 0) + count

    for _ in range(arguments.runs):
        if "load" in parts:
            for scope, ids in scopes.items():
                floor = engine_floor(folder, ids, questions, arguments.seconds)
                for name, value in floor.items():
                    note(f"{scope}_engine_{name}", value)
        running = start(folder.path)
        try:
            note("start", first_answer_s(running, folder, questions[0]))
            measure("warm", running, "one", 4, 1.0)
            if "load" in parts:
                for scope in scopes:
                    measure(f"{scope}_single", running, scope, 1, min(3.0, arguments.seconds))
                    measure(f"{scope}_many", running, scope, 16, arguments.seconds)
            if "answer" in parts:
                first, alone = first_piece_ms(running, folder, questions[:40])
                note("first_piece", statistics.median(first))
                note("first_piece_p95", float(np.quantile(first, 0.95)))
                note("retrieval_alone", statistics.median(alone))
            if "parsing" in parts:
                measure("quiet", running, "one", 4, arguments.seconds)
                with Parsing(running, corpus) as parsing:
                    measure("parsing", running, "one", 4, arguments.seconds)
                note("parsed_documents", parsing.parsed_count)
        finally:
            running.stop()
    return _show(arguments, seen, list(scopes), parts, errors)


def _show(
    arguments: argparse.Namespace,
    seen: dict[str, list[float]],
    scopes: list[str],
    parts: set[str],
    errors: dict[str, int],
) -> bool:
    about = {
        "chunks": arguments.chunks,
        "share": arguments.share,
        "data": "file" if arguments.data else "made up",
    }
    met = [
        show(
            BENCH,
            "start_to_first_answer",
            seen["start"],
            "s",
            at_most=START_LIMITS_S.get(arguments.chunks),
            **about,
        )
    ]
    for scope in scopes if "load" in parts else ():
        met += [
            show(BENCH, "rate", seen[f"{scope}_many_rate"], "questions/s", floors=seen[f"{scope}_engine_questions_per_s"],
                 at_least=0.5, datasets=scope, connections=16, **about),
            show(BENCH, "p50", seen[f"{scope}_single_p50"], "ms", floors=seen[f"{scope}_engine_p50_ms"], at_most=2.0,
                 datasets=scope, connections=1, **about),
        ]  # fmt: skip
        show(BENCH, "cpu", seen[f"{scope}_many_cpu"], "ms/question", floors=seen[f"{scope}_engine_cpu_ms"],
             datasets=scope, connections=16, **about)  # fmt: skip
        show(BENCH, "p99", seen[f"{scope}_many_p99"], "ms", datasets=scope, connections=16, **about)
        show(
            BENCH,
            "engine_with_scoring_p50",
            seen[f"{scope}_engine_whole_p50_ms"],
            "ms",
            datasets=scope,
            **about,
        )
    if "answer" in parts:
        met.append(
            show(BENCH, "first_piece_of_an_answer", [f - r for f, r in zip(seen["first_piece"], seen["retrieval_alone"], strict=True)],
                 "ms after retrieval", at_most=100, **about)
        )  # fmt: skip
        show(BENCH, "first_piece_since_the_question", seen["first_piece"], "ms", **about)
        show(BENCH, "first_piece_since_the_question_p95", seen["first_piece_p95"], "ms", **about)
    if "parsing" in parts:
        met.append(
            show(BENCH, "p99_while_parsing", seen["parsing_p99"], "ms", floors=seen["quiet_p99"], at_most=3.0,
                 connections=4, parsed=sum(seen["parsed_documents"]), **about)
        )  # fmt: skip
        show(
            BENCH,
            "rate_while_parsing",
            seen["parsing_rate"],
            "questions/s",
            floors=seen["quiet_rate"],
            connections=4,
            **about,
        )
    met.append(
        show(BENCH, "errors", [float(sum(errors.values()))], "errors", at_most=0, seen=errors, **about)
    )
    return all(met)


if __name__ == "__main__":
    sys.exit(main())
