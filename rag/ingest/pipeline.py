"""Drafts to chunks with vectors, in batches: memory is bounded by the batch, not by the document."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from rag.chunking.drafts import ChunkDraft
from rag.chunks import Chunk, FloatArray
from rag.ingest.chunks import SourceDocument, build_chunk, build_parent
from rag.ingest.embedding import mix, text_to_embed
from rag.models.protocol import EmbeddingModel


@dataclass(slots=True)
class IngestTimes:
    """What an ingest did so far. chunk_count: distinct chunks, parents not counted; embedding_s: spent in the model.

    token_count: as the model counts them.
    """

    chunk_count: int = 0
    embedding_s: float = 0.0
    token_count: int = 0


async def ingest(
    drafts: Iterable[ChunkDraft],
    document: SourceDocument,
    model: EmbeddingModel,
    *,
    batch_size: int,
    times: IngestTimes | None = None,
) -> AsyncIterator[list[Chunk]]:
    """Yield the document's chunks, about `batch_size` at a time, each id once; a parent comes with its first child.

    Vectors are weight * E(name) + (1 - weight) * E(questions or content), of length 1. Raises what the
    drafts raise, and ModelError.
    """
    times = times if times is not None else IngestTimes()
    seen: set[str] = set()
    seen_parents: set[str] = set()
    name_vector: FloatArray | None = None
    batch: list[Chunk] = []
    parents: list[Chunk] = []
    order = 0
    for draft in drafts:
        chunk = build_chunk(draft, document, order)
        if chunk.id in seen:
            continue
        seen.add(chunk.id)
        if chunk.parent_id and chunk.parent_id not in seen_parents:
            seen_parents.add(chunk.parent_id)
            parents.append(build_parent(draft, document, order))
        batch.append(chunk)
        order += 1
        if len(batch) >= batch_size:
            name_vector = await _embed(batch, document, model, name_vector, times)
            yield parents + batch
            batch, parents = [], []
    if batch:
        await _embed(batch, document, model, name_vector, times)
        yield parents + batch


async def _embed(
    batch: Sequence[Chunk],
    document: SourceDocument,
    model: EmbeddingModel,
    name_vector: FloatArray | None,
    times: IngestTimes,
) -> FloatArray:
    """Give the chunks their vectors; returns the vector of the document's name, which is asked for only once."""
    start = time.perf_counter()
    texts = [text_to_embed(chunk.content, chunk.questions) for chunk in batch]
    if name_vector is None:
        texts.append(document.name.strip() or "None")
    embedded = await model.embed(texts)
    vectors = embedded.vectors
    times.token_count += embedded.token_count
    if name_vector is None:
        name_vector, vectors = vectors[-1], vectors[:-1]
    for chunk, vector in zip(batch, mix(name_vector, vectors, document.filename_weight), strict=True):
        chunk.vector = vector
    times.chunk_count += len(batch)
    times.embedding_s += time.perf_counter() - start
    return name_vector
