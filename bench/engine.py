"""The embedded engine called directly from threads: the floor of the HTTP retrieval benchmark.

    python -m bench.engine DATA_FILE [--chunks 200000] [--dataset-share 0.5] [--threads 8] [--seconds 10]

Prints one JSON object per figure. The chunks are sentences of the data file, recombined.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench import figures
from rag.chunks import Chunk, FloatArray
from rag.retrieval.query import parse_question
from rag.retrieval.result import RetrievalOptions
from rag.retrieval.search import retrieve
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore, SearchRequest
from rag.text.sentences import split_sentences
from rag.text.tokenizer import words

DIMENSION = 256
BATCH = 512


def show(figure: str, value: float, unit: str, **conditions: Any) -> None:
    figures.show("engine", figure, [value], unit, **conditions)


def make_texts(data: dict[str, Any], count: int) -> list[str]:
    chooser = random.Random(7)
    pool = {
        language: [s for passage in part["passages"] for s in split_sentences(passage["text"])]
        for language, part in data.items()
    }
    languages = list(pool)
    texts = []
    for place in range(count):
        sentences = pool[languages[place % len(languages)]]
        texts.append(" ".join(chooser.choice(sentences) for _ in range(4)))
    return texts


def load_embedder() -> Any:
    import wordllama

    return wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True, dim=DIMENSION
    )


def embed(model: Any, texts: list[str]) -> FloatArray:
    vectors = np.asarray(model.embed(texts), np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


async def ingest(folder: Path, texts: list[str], vectors: FloatArray, share: float) -> None:
    prepared = [words(text) for text in texts]
    chunks = [
        Chunk(
            f"{place:016x}", "large" if place < len(texts) * share else f"small{place % 10}", f"doc{place // 50}",
            f"doc{place // 50}.txt", text, prepared[place], f"doc{place // 50}", vectors[place], place % 50, 0.0, 100,
        )
        for place, text in enumerate(texts)
    ]  # fmt: skip
    async with open_embedded_store(folder, role="owner") as store:
        started = time.perf_counter()
        await asyncio.gather(*(_publish_batches(store, chunks[start::4]) for start in range(4)))
        show("ingest", len(chunks) / (time.perf_counter() - started), "chunks/s", batch=BATCH)
        latencies = []
        for number in range(20):
            chunk = chunks[number]
            chunk.id, chunk.document_id = f"single{number}", "single"
            at = time.perf_counter()
            await store.upsert([chunk])
            latencies.append((time.perf_counter() - at) * 1000)
        show("insert one, then searchable", statistics.median(latencies), "ms")


async def _publish_batches(store: ChunkStore, chunks: list[Chunk]) -> None:
    for start in range(0, len(chunks), BATCH):
        await store.upsert(chunks[start : start + BATCH])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--dataset-share", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--folder", type=Path, help="keep the store here, and use it again")
    arguments = parser.parse_args()
    data = json.loads(arguments.data.read_text("utf-8"))
    folder = arguments.folder or Path(tempfile.mkdtemp())
    model = load_embedder()
    if not (folder / "chunks.sqlite").exists():
        texts = make_texts(data, arguments.chunks)
        asyncio.run(ingest(folder, texts, embed(model, texts), arguments.dataset_share))
        del texts
    questions = [each["question"] for part in data.values() for each in part["questions"]]
    random.Random(3).shuffle(questions)
    questions = questions[:2000]
    asyncio.run(measure(folder, questions, embed(model, questions), arguments))


async def measure(folder: Path, questions: list[str], vectors: FloatArray, arguments: Any) -> None:
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    async with open_embedded_store(folder, role="owner", thread_count=arguments.threads) as store:
        show("open", time.perf_counter() - started, "s")
        at = time.perf_counter()
        await retrieve(store, questions[0], vectors[0], RetrievalOptions(["large"]))
        show("first question", (time.perf_counter() - at) * 1000, "ms")
        await one_by_one(store, questions, vectors)
        for limit in (64, 128, 1024):
            from_threads(store, questions, vectors, limit, arguments)
        await at_once(store, questions, vectors, arguments)
        memory = psutil.Process().memory_info().rss
        show("memory of the process", memory / 1e6, "MB", grown=round((memory - before) / 1e6))


async def one_by_one(store: ChunkStore, questions: list[str], vectors: FloatArray) -> None:
    latencies = []
    for question, vector in zip(questions[:300], vectors, strict=False):
        at = time.perf_counter()
        await retrieve(store, question, vector, RetrievalOptions(["large"]))
        latencies.append((time.perf_counter() - at) * 1000)
    show("retrieve, one at a time, p50", statistics.median(latencies), "ms")
    show("retrieve, one at a time, p95", statistics.quantiles(latencies, n=20)[-1], "ms")


def from_threads(store: Any, questions: list[str], vectors: FloatArray, limit: int, arguments: Any) -> None:
    """Candidates of both sides and the text of the first 64, without scoring: what engines are compared by."""
    stop = time.perf_counter() + arguments.seconds
    done = [0] * arguments.threads

    def work(thread: int) -> None:
        place = thread
        while time.perf_counter() < stop:
            which = place % len(questions)
            request = SearchRequest(
                ["large"], parse_question(questions[which]).query_terms(), vectors[which], None, limit, limit
            )
            store.search_and_fetch_blocking(request, 64)
            done[thread] += 1
            place += arguments.threads

    threads = [threading.Thread(target=work, args=(number,)) for number in range(arguments.threads)]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(done) / (time.perf_counter() - started)
    show("search + fetch from threads", rate, "questions/s", threads=arguments.threads, candidates=limit)
    show(
        "search + fetch, processor time",
        (time.process_time() - cpu) * 1000 / sum(done),
        "ms",
        candidates=limit,
    )


async def at_once(store: ChunkStore, questions: list[str], vectors: FloatArray, arguments: Any) -> None:
    stop = time.perf_counter() + arguments.seconds
    latencies: list[float] = []

    async def work(place: int) -> None:
        while time.perf_counter() < stop:
            which = place % len(questions)
            at = time.perf_counter()
            await retrieve(store, questions[which], vectors[which], RetrievalOptions(["large"]))
            latencies.append((time.perf_counter() - at) * 1000)
            place += 16

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(number) for number in range(16)))
    rate = len(latencies) / (time.perf_counter() - started)
    show("retrieve, 16 at once", rate, "questions/s")
    show("retrieve, processor time", (time.process_time() - cpu) * 1000 / len(latencies), "ms")
    show("retrieve, 16 at once, p50", statistics.median(latencies), "ms")
    show("retrieve, 16 at once, p99", statistics.quantiles(latencies, n=100)[-1], "ms")


if __name__ == "__main__":
    main()
