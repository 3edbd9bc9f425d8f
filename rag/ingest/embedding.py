"""What is embedded for a chunk: its questions or its content, mixed with its document's name."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rag.chunks import FloatArray
from rag.models.protocol import EmbeddingModel
from rag.text.tokens import truncate

DEFAULT_WEIGHT = 0.1
MAX_TOKENS = 8181
"""Embedding models of today take 8,192 tokens; ten are left to what they add."""

_TABLE_TAGS = re.compile(r"</?(?:table|td|caption|tr|th)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)


def filename_weight(config: Mapping[str, Any]) -> float:
    """`filename_embd_weight`: share of the document's name in every vector; 0, null and nonsense mean 0.1."""
    value = config.get("filename_embd_weight")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return DEFAULT_WEIGHT
    return min(1.0, float(value)) if value > 0 else DEFAULT_WEIGHT


def plain_text(text: str) -> str:
    """The text without the tags of HTML tables."""
    return _TABLE_TAGS.sub(" ", text) if "<" in text else text


def text_to_embed(content: str, questions: Sequence[str]) -> str:
    """The questions if there are any, else the content without table tags; never blank, never too long."""
    text = "\n".join(questions) if questions else plain_text(content)
    text = text if text.strip() else "None"
    # A token has at least one byte: a short text needs no count.
    return text if len(text.encode("utf-8", "replace")) <= MAX_TOKENS else truncate(text, MAX_TOKENS)


def mix(name_vector: FloatArray, vectors: FloatArray, weight: float) -> FloatArray:
    """weight * name + (1 - weight) * each vector, brought back to length 1."""
    mixed = weight * name_vector + (1 - weight) * vectors
    lengths = np.linalg.norm(mixed, axis=-1, keepdims=True)
    # Name and text that cancel each other out leave the text alone.
    unit: FloatArray = np.where(lengths > 1e-6, mixed / np.maximum(lengths, 1e-6), vectors)
    return unit.astype(np.float32, copy=False)


async def embed_one(
    model: EmbeddingModel,
    document_name: str,
    content: str,
    questions: Sequence[str] = (),
    *,
    weight: float = DEFAULT_WEIGHT,
) -> FloatArray:
    """(d,) of a single chunk, as `ingest` makes it. Raises ModelError."""
    embeddings = await model.embed([document_name or "None", text_to_embed(content, questions)])
    return mix(embeddings.vectors[0], embeddings.vectors[1], weight)
