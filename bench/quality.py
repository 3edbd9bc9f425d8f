"""Retrieval quality on questions that people wrote from one passage each: recall@1/5/10 and MRR.

    python -m bench.quality DATA_FILE [--limit N] [--chunks passages,naive] [--weight 0.3]

Every language is one dataset, every passage one document. With `--http` the passages are uploaded to a server
as text files, parsed by its workers (whole, and as naive chunks), and asked for over HTTP; without, the engine
in this process is asked. Measuring is apart from transport: `measure` takes any `Ask`.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import figures
from rag.chunks import Chunk, FloatArray
from rag.retrieval.result import RetrievalOptions
from rag.retrieval.search import retrieve
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore
from rag.text.sentences import split_sentences
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

DEPTH = 10
TARGETS = {("en", "passages"): 0.77, ("zh", "passages"): 0.95}

Ask = Callable[[str], Awaitable[Sequence[str]]]
"""A question to the ids of the documents of its hits, best first."""


@dataclass(frozen=True)
class Case:
    """A question, and the document that answers it."""

    question: str
    document: str


@dataclass(frozen=True)
class Quality:
    """Shares of the questions, 0..1."""

    recall_1: float
    recall_5: float
    recall_10: float
    mrr: float


async def measure(ask: Ask, cases: Sequence[Case], *, at_once: int = 8) -> Quality:
    """Ask all questions; a document counts by its first hit."""
    ranks: list[int] = []
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            documents = list(dict.fromkeys(await ask(case.question)))[:DEPTH]
            ranks.append(documents.index(case.document) if case.document in documents else DEPTH)

    await asyncio.gather(*(work() for _ in range(at_once)))
    found = np.array(ranks)
    return Quality(
        float(np.mean(found < 1)),
        float(np.mean(found < 5)),
        float(np.mean(found < DEPTH)),
        float(np.mean(np.where(found < DEPTH, 1 / (found + 1), 0))),
    )


def show(quality: Quality, language: str, chunks: str, **conditions: Any) -> None:
    """Print the figures."""
    target = TARGETS.get((language, chunks)) if conditions.get("weight") == 0.3 else None
    for name in ("recall_1", "recall_5", "recall_10", "mrr"):
        figures.show(
            "quality", name, [getattr(quality, name)], "share", language=language, chunks=chunks,
            at_least=target if name == "recall_1" else None, **conditions,
        )  # fmt: skip


def naive_chunks(text: str, token_limit: int = 128) -> list[str]:
    """Whole sentences up to so many tokens, as the naive chunk method cuts."""
    chunks: list[str] = []
    sentences: list[str] = []
    token_count = 0
    for sentence in split_sentences(text):
        tokens = count_tokens(sentence)
        if sentences and token_count + tokens > token_limit:
            chunks.append(" ".join(sentences))
            sentences, token_count = [], 0
        sentences.append(sentence)
        token_count += tokens
    return [*chunks, " ".join(sentences)] if sentences else chunks


class Embedder:
    """wordllama, as it is built in."""

    def __init__(self) -> None:
        import wordllama

        self._model = wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, disable_download=True, dim=256
        )

    def embed(self, texts: Sequence[str]) -> FloatArray:
        vectors = np.asarray(self._model.embed(list(texts)), np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


async def fill(store: ChunkStore, embedder: Embedder, language: str, passages: Any, chunks: str) -> None:
    """One document per passage; its name is its number, so that titles do not help."""
    made: list[Chunk] = []
    for number, passage in enumerate(passages):
        texts = [passage["text"]] if chunks == "passages" else naive_chunks(passage["text"])
        vectors = embedder.embed(texts)
        made += [
            Chunk(f"{number}-{place}", language, str(number), f"{number}.txt", text, words(text), words(str(number)),
                  vectors[place], place, 0.0, 1)
            for place, text in enumerate(texts)
        ]  # fmt: skip
    for start in range(0, len(made), 1000):
        await store.upsert(made[start : start + 1000])


async def run(data: dict[str, Any], arguments: argparse.Namespace) -> None:
    embedder = Embedder()
    for chunks in arguments.chunks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            async with open_embedded_store(Path(folder), role="owner") as store:
                for language, part in data.items():
                    await fill(store, embedder, language, part["passages"], chunks)
                for language, part in data.items():
                    questions = part["questions"][:: max(1, len(part["questions"]) // arguments.limit)]
                    cases = [Case(each["question"], str(each["passage"])) for each in questions]

                    async def ask(
                        question: str, language: str = language, store: ChunkStore = store
                    ) -> list[str]:
                        vector = embedder.embed([question])[0] if arguments.weight > 0 else None
                        options = RetrievalOptions([language], vector_similarity_weight=arguments.weight)
                        result = await retrieve(store, question, vector, options)
                        return [hit.chunk.document_id for hit in result.hits]

                    started = time.perf_counter()
                    quality = await measure(ask, cases)
                    rate = len(cases) / (time.perf_counter() - started)
                    show(quality, language, chunks, weight=arguments.weight, questions=len(cases))
                    figures.show("quality", "rate", [rate], "questions/s", language=language, chunks=chunks)


def run_http(data: dict[str, Any], arguments: argparse.Namespace) -> None:
    from bench.quality_http import ask_over_http, fill_over_http
    from bench.servers import server

    with server() as running:
        for chunks in arguments.chunks.split(","):
            for language, part in data.items():
                dataset_id, ids = fill_over_http(running, f"{language} {chunks}", part["passages"], chunks)
                questions = part["questions"][:: max(1, len(part["questions"]) // arguments.limit)]
                cases = [Case(each["question"], ids[each["passage"]]) for each in questions]
                quality, rate = ask_over_http(running, dataset_id, cases, arguments.weight)
                about = {"weight": arguments.weight, "questions": len(cases), "transport": "http"}
                show(quality, language, chunks, **about)
                figures.show(
                    "quality", "rate", [rate], "questions/s", language=language, chunks=chunks, **about
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=100_000, help="questions per language")
    parser.add_argument("--chunks", default="passages,naive")
    parser.add_argument("--weight", type=float, default=0.3, help="vector_similarity_weight")
    parser.add_argument("--http", action="store_true", help="through a server")
    arguments = parser.parse_args()
    if arguments.http:
        run_http(json.loads(arguments.data.read_text("utf-8")), arguments)
        return
    asyncio.run(run(json.loads(arguments.data.read_text("utf-8")), arguments))


if __name__ == "__main__":
    main()
