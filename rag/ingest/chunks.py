"""A draft and its document become a chunk, all but its vector."""

import re
from dataclasses import dataclass, field

import numpy as np

from rag.chunking.drafts import ChunkDraft
from rag.chunks import Chunk, FloatArray, chunk_id
from rag.ingest.embedding import DEFAULT_WEIGHT, plain_text
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

_EXTENSION = re.compile(r"\.[a-zA-Z0-9]{1,10}$")


def title_words(name: str) -> str:
    """The words of a document's name, without its extension."""
    return words(_EXTENSION.sub("", name))


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """What every chunk of a document says about it.

    filename_weight: share of the name in every vector. created_at: seconds since the epoch.
    """

    id: str
    dataset_id: str
    name: str
    created_at: float
    is_available: bool = True
    filename_weight: float = DEFAULT_WEIGHT
    title_words: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title_words", title_words(self.name))


def no_vector() -> FloatArray:
    """What stands in a chunk that has no vector (a parent), or none yet."""
    return np.zeros(0, dtype=np.float32)


def build_chunk(draft: ChunkDraft, document: SourceDocument, order: int) -> Chunk:
    """The draft as a chunk without a vector."""
    return Chunk(
        id=chunk_id(draft.content, document.id),
        dataset_id=document.dataset_id,
        document_id=document.id,
        document_name=document.name,
        content=draft.content,
        words=words(plain_text(draft.content)),
        title_words=document.title_words,
        vector=no_vector(),
        order=order,
        created_at=document.created_at,
        token_count=count_tokens(draft.content),
        positions=list(draft.positions),
        kind=draft.kind,
        parent_id="" if draft.parent is None else chunk_id(draft.parent, document.id),
        is_available=document.is_available,
    )


def build_parent(draft: ChunkDraft, document: SourceDocument, order: int) -> Chunk:
    """The parent of a child's draft: only fetched, so without words and vector."""
    content = draft.parent or ""
    return Chunk(
        id=chunk_id(content, document.id),
        dataset_id=document.dataset_id,
        document_id=document.id,
        document_name=document.name,
        content=content,
        words="",
        title_words="",
        vector=no_vector(),
        order=order,
        created_at=document.created_at,
        token_count=0,
        positions=list(draft.positions),
        kind=draft.kind,
        is_available=False,
        is_parent=True,
    )
