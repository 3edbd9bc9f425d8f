"""How good the built-in answerer's replies are: `python -m bench.answers retrieval_quality.json`.

A fifth of the titles is left out; questions about them cannot be answered and should be refused. The rest
is searched in memory as `rag.retrieval` does with a chat's default settings, so that the figures are the
answerer's and do not move with a store. One JSON object per figure.
"""

import argparse
import asyncio
import json
import math
import random
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from rag.answering.citations import find_citations
from rag.models.builtin_answerer import BuiltinAnswerer
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.protocol import ChatPassage, ChatRequest, Message
from rag.retrieval.fusion import blend
from rag.retrieval.query import parse_question, term_similarity, weigh_words
from rag.text.tokenizer import words

CANDIDATES = 128
THRESHOLD = 0.2


class Search:
    """BM25 and cosine over a list of passages."""

    def __init__(self, passages: list[dict[str, str]], embedding: BuiltinEmbedding) -> None:
        self.passages = passages
        self.embedding = embedding
        self.vectors = embedding.embed_now([passage["text"] for passage in passages]).vectors
        counts = [Counter(self.terms(passage["text"])) for passage in passages]
        self.held = [
            {*count, *self.terms(passage["title"])} for count, passage in zip(counts, passages, strict=True)
        ]
        lengths = [sum(count.values()) for count in counts]
        mean = statistics.mean(lengths)
        self.postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, count in enumerate(counts):
            for term, n in count.items():
                weight = n * 2.2 / (n + 1.2 * (0.25 + 0.75 * lengths[index] / mean))
                self.postings[term].append((index, weight))

    def terms(self, text: str) -> list[str]:
        return words(text).split()

    def best(self, question: str, limit: int) -> list[ChatPassage]:
        """As `rag.retrieval.search.retrieve` with a chat's default settings, over every passage."""
        parsed = parse_question(question)
        total = len(self.passages)
        asked = {term for word in parsed.words for term in word.terms}
        df = {term: len(self.postings.get(term, ())) for term in asked}
        scores = np.zeros(total)
        for term in asked:
            idf = math.log(1 + (total - df[term] + 0.5) / (df[term] + 0.5))
            for index, weight in self.postings.get(term, ()):
                scores[index] += idf * weight
        cosines = self.vectors @ self.embedding.embed_now([question]).vectors[0]
        candidates = sorted(
            {*np.argsort(-scores)[:CANDIDATES].tolist(), *np.argsort(-cosines)[:CANDIDATES].tolist()}
        )
        weighed = weigh_words(parsed, total, df)
        terms = np.array([term_similarity(weighed, self.held[index]) for index in candidates], np.float32)
        similarities = blend(cosines[candidates], terms, np.zeros(len(candidates), np.float32))
        found = []
        for place in np.argsort(-similarities)[:limit].tolist():
            passage, similarity = self.passages[candidates[place]], float(similarities[place])
            if similarity >= THRESHOLD:
                found.append(ChatPassage(passage["text"], passage["title"], similarity))
        return found


async def ask(answerer: BuiltinAnswerer, question: str, passages: list[ChatPassage]) -> tuple[str, float]:
    """The reply, and milliseconds to its first piece."""
    started = time.perf_counter()
    first_ms = 0.0
    reply = ""
    async for delta in answerer.stream(ChatRequest([Message("user", question)], {}, passages)):
        first_ms = first_ms or (time.perf_counter() - started) * 1000
        reply += delta.text
    return reply, first_ms


async def measure(language: str, data: dict[str, Any], limit: int, top_n: int) -> None:
    embedding = BuiltinEmbedding()
    answerer = BuiltinAnswerer(embedding)
    titles = sorted({passage["title"] for passage in data["passages"]})
    rng = random.Random(7)
    rng.shuffle(titles)
    left_out = set(titles[: len(titles) // 5])
    kept = [passage for passage in data["passages"] if passage["title"] not in left_out]
    search = Search(kept, embedding)
    questions = list(data["questions"])
    rng.shuffle(questions)

    def is_answerable(question: dict[str, Any]) -> bool:
        return data["passages"][question["passage"]]["title"] not in left_out

    answerable = [question for question in questions if is_answerable(question)][:limit]
    unanswerable = [question for question in questions if not is_answerable(question)][:limit]
    held = cited = refused = wrongly_refused = 0
    lengths: list[int] = []
    firsts: list[float] = []
    for question in answerable:
        passages = search.best(question["question"], top_n)
        reply, first_ms = await ask(answerer, question["question"], passages)
        firsts.append(first_ms)
        numbers = find_citations(reply, len(passages))
        if not numbers:
            wrongly_refused += 1
            continue
        lengths.append(len(reply))
        held += any(text in reply for text in question["answers"])
        cited += any(text in passages[n].content for n in numbers for text in question["answers"])
    for question in unanswerable:
        passages = search.best(question["question"], top_n)
        reply, _ = await ask(answerer, question["question"], passages)
        refused += not find_citations(reply, len(passages))

    def show(figure: str, value: float, count: int) -> None:
        line = {
            "bench": "answers",
            "language": language,
            "figure": figure,
            "value": round(value, 3),
            "n": count,
        }
        print(json.dumps(line))

    show("reply_holds_answer", held / len(answerable), len(answerable))
    show("cited_passage_holds_answer", cited / len(answerable), len(answerable))
    show("answerable_refused", wrongly_refused / len(answerable), len(answerable))
    show("unanswerable_refused", refused / len(unanswerable), len(unanswerable))
    show("reply_characters_mean", statistics.mean(lengths), len(lengths))
    show("first_piece_ms_p50", statistics.median(firsts), len(firsts))
    show("first_piece_ms_p99", float(np.quantile(firsts, 0.99)), len(firsts))
    await answerer.close()
    await embedding.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="retrieval_quality.json")
    parser.add_argument("--limit", type=int, default=600, help="questions of each kind and language")
    parser.add_argument("--top-n", type=int, default=6, help="passages per question")
    arguments = parser.parse_args()
    data = json.loads(arguments.data.read_text("utf-8"))
    for language in ("en", "zh"):
        asyncio.run(measure(language, data[language], arguments.limit, arguments.top_n))


if __name__ == "__main__":
    main()
