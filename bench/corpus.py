"""Chunks and questions in any number, recombined from the sentences of a data file, or made up."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from api.auth import Caller, Credential
from api.clock import now_ms
from api.commands.accounts import ensure_first_user, open_accounts
from api.datasets.schemas import DatasetCreate
from api.db.datasets import add_to_counters
from api.db.models import Document, fold_name
from api.settings import Settings, load_settings
from api.wiring import open_services
from bench.servers import create_key
from rag.chunks import Chunk, FloatArray, chunk_id
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.text.sentences import split_sentences
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

SENTENCES_PER_CHUNK = 4
CHUNKS_PER_DOCUMENT = 50
BATCH = 2000
QUESTIONS = 2000


@dataclass(frozen=True, slots=True)
class Corpus:
    """Sentences by language, and questions to them."""

    sentences: dict[str, list[str]]
    questions: list[str]


def read_corpus(data_file: Path | None) -> Corpus:
    """From a data file (`retrieval_quality.json`), else made up."""
    if data_file is None:
        return _made_up()
    data: dict[str, Any] = json.loads(data_file.read_text("utf-8"))
    sentences = {
        language: [s for passage in part["passages"] for s in split_sentences(passage["text"])]
        for language, part in data.items()
    }
    questions = [each["question"] for part in data.values() for each in part["questions"]]
    random.Random(3).shuffle(questions)
    return Corpus(sentences, questions[:QUESTIONS])


def _made_up() -> Corpus:
    """Words by Zipf's law, as languages have them."""
    chooser = random.Random(5)
    letters = "bcdfghklmnprstvw"
    vocabulary = [
        "".join(chooser.choice(letters) + chooser.choice("aeiou") for _ in range(chooser.randint(2, 4)))
        for _ in range(20_000)
    ]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))

    def sentence(length: int) -> str:
        return " ".join(chooser.choices(vocabulary, cum_weights=weights, k=length)).capitalize()

    sentences = [sentence(chooser.randint(8, 30)) + "." for _ in range(12_000)]
    return Corpus({"en": sentences}, [sentence(chooser.randint(5, 14)) + "?" for _ in range(QUESTIONS)])


def make_text(corpus: Corpus, chooser: random.Random, byte_count: int) -> str:
    """A text of about so many bytes, in paragraphs."""
    sentences = corpus.sentences["en"]
    pieces: list[str] = []
    length = 0
    while length < byte_count:
        paragraph = " ".join(chooser.choices(sentences, k=6))
        pieces.append(paragraph)
        length += len(paragraph.encode()) + 2
    return "\n\n".join(pieces)


@dataclass(frozen=True, slots=True)
class Folder:
    """A data folder with chunks. dataset_ids: the first holds `share` of them, the others the rest."""

    path: Path
    key: str
    dataset_ids: list[str]
    chunk_count: int


def build_folder(path: Path, corpus: Corpus, chunk_count: int, *, share: float, others: int = 10) -> Folder:
    """A data folder of a server with so many chunks, or the one that is there from an earlier run."""
    note = path / "bench.json"
    if not note.exists():
        ids = asyncio.run(_build(path, corpus, chunk_count, share, others))
        note.write_text(json.dumps({"dataset_ids": ids, "chunk_count": chunk_count}))
    kept = json.loads(note.read_text())
    if kept["chunk_count"] != chunk_count:
        raise SystemExit(f"{path} holds {kept['chunk_count']} chunks, not {chunk_count}: name another folder")
    return Folder(path, create_key(path), kept["dataset_ids"], chunk_count)


async def _build(path: Path, corpus: Corpus, chunk_count: int, share: float, others: int) -> list[str]:
    settings = load_settings(flags={"data_dir": path, "executor.workers": 0}, environment={})
    with open_accounts(settings) as opened:
        user_id, _ = opened.transaction(ensure_first_user)
    caller = Caller(user_id, user_id, frozenset(), Credential.API_KEY, "")
    return await _fill(settings, caller, corpus, chunk_count, share, others)


async def _fill(
    settings: Settings, caller: Caller, corpus: Corpus, chunk_count: int, share: float, others: int
) -> list[str]:
    async with open_services(settings) as services:
        names = ["large", *(f"small {number}" for number in range(others if share < 1 else 0))]
        ids = [
            str((await services.datasets.create(caller, DatasetCreate(name=name)))["id"]) for name in names
        ]
        batch: list[Chunk] = []
        counts: dict[tuple[str, str, str], list[int]] = {}
        for chunk in make_chunks(corpus, ids, chunk_count, share):
            batch.append(chunk)
            tokens = counts.setdefault((chunk.dataset_id, chunk.document_id, chunk.document_name), [])
            tokens.append(chunk.token_count)
            if len(batch) == BATCH:
                await services.parts.chunks.upsert(batch)
                batch = []
        await services.parts.chunks.upsert(batch)
        await services.db.transaction(_insert_documents, caller.user_id, counts)
    return ids


def _insert_documents(user_id: str, token_counts: Mapping[tuple[str, str, str], Sequence[int]]) -> None:
    """The rows that parsing would have left behind: (dataset id, document id, name) to the chunks' tokens."""
    rows = [
        {
            "id": document_id, "dataset_id": dataset_id, "created_by": user_id, "name": name,
            "name_key": fold_name(name), "type": "doc", "suffix": "txt", "size": 1, "location": name,
            "storage_key": document_id, "chunk_method": "naive", "run": "3", "progress": 1.0,
            "chunk_count": len(tokens), "token_count": sum(tokens), "create_time": now_ms(), "update_time": now_ms(),
        }
        for (dataset_id, document_id, name), tokens in token_counts.items()
    ]  # fmt: skip
    for row in rows:
        Document.insert(**row).execute()
        add_to_counters(row["dataset_id"], documents=1, chunks=row["chunk_count"], tokens=row["token_count"])


def make_chunks(corpus: Corpus, dataset_ids: Sequence[str], count: int, share: float) -> Iterator[Chunk]:
    """Chunks of random sentences; their words and vectors are put together from those of the sentences."""
    embedding = BuiltinEmbedding()
    chooser = random.Random(7)
    languages = list(corpus.sentences)
    vectors: dict[str, FloatArray] = {}
    parts: dict[str, list[tuple[str, str, int]]] = {}
    for language, sentences in corpus.sentences.items():
        vectors[language] = embedding.embed_now(sentences).vectors
        parts[language] = [(text, words(text), count_tokens(text)) for text in sentences]
    for number in range(count):
        language = languages[number % len(languages)]
        chosen = [chooser.randrange(len(parts[language])) for _ in range(SENTENCES_PER_CHUNK)]
        some = [parts[language][index] for index in chosen]
        content = " ".join(text for text, _, _ in some)
        place = number // CHUNKS_PER_DOCUMENT
        in_large = place * CHUNKS_PER_DOCUMENT < count * share
        dataset_id = dataset_ids[0] if in_large else dataset_ids[1 + place % (len(dataset_ids) - 1)]
        document = f"{place:032x}"
        vector = vectors[language][chosen].mean(axis=0)
        yield Chunk(
            id=chunk_id(content, document), dataset_id=dataset_id, document_id=document,
            document_name=f"document {document[-6:]}.txt", content=content,
            words=" ".join(piece for _, piece, _ in some), title_words=words(f"document {document[-6:]}"),
            vector=vector / max(float(np.linalg.norm(vector)), 1e-9), order=number % CHUNKS_PER_DOCUMENT,
            created_at=1_700_000_000.0, token_count=sum(tokens for _, _, tokens in some),
        )  # fmt: skip
