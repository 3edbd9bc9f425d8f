"""From a question to a page of hits."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rag.chunks import Chunk, FloatArray
from rag.retrieval.fusion import blend
from rag.retrieval.highlight import highlight
from rag.retrieval.query import Question, TermScorer, parse_question, weigh_words
from rag.retrieval.result import DocumentCount, Hit, RetrievalOptions, RetrievalResult
from rag.stores.protocol import Candidate, ChunkStore, SearchRequest, SearchResult

# Candidates from each side. Enough that what fusion would put on the first pages is among them
# (docs/decisions/0013-candidates.md); the same for every page of a size, so that `total` is stable.
_MIN_CANDIDATES = 64
_MAX_CANDIDATES = 1024
# A longer question is not read on the event loop: about 2 ms of work.
_INLINE_CHARACTERS = 1000
# A rerank model is slow: it sees the best of the first ranking.
_RERANKED = 64


@dataclass(slots=True)
class _Ranked:
    """A candidate with its scores."""

    candidate: Candidate
    similarity: float
    vector: float
    term: float


async def retrieve(
    store: ChunkStore, question: str, vector: FloatArray | None, options: RetrievalOptions
) -> RetrievalResult:
    """The page of chunks that answer the question best.

    vector: the question's embedding, None where the words have to do. Raises StoreError, Overloaded, and
    what the rerank callback raises.
    """
    if not question.strip() or not options.dataset_ids:
        return RetrievalResult(0, [], [])
    if len(question) > _INLINE_CHARACTERS:
        parsed = await asyncio.to_thread(parse_question, question)
    else:
        parsed = parse_question(question)
    depth = min(max(_MIN_CANDIDATES, 2 * options.page_size), _MAX_CANDIDATES)
    request = SearchRequest(
        dataset_ids=options.dataset_ids,
        terms=parsed.query_terms(),
        vector=vector,
        document_ids=options.document_ids,
        text_limit=depth,
        vector_limit=max(1, min(depth, options.top_k)),
    )
    ranked: list[_Ranked] = []

    def choose(found: SearchResult) -> list[int | str]:
        ranked.extend(_rank(parsed, found, options))
        wanted = ranked[: _rerank_count(options)] if options.rerank is not None else _on_page(ranked, options)
        return [hit.candidate.key for hit in wanted]

    chunks = await store.search_and_fetch(request, choose)
    if options.rerank is not None:
        ranked = await _rerank(chunks, question, ranked, options)
    kept = _above_threshold(ranked, options)
    hits = await _page(store, chunks, parsed, _on_page(ranked, options), options)
    return RetrievalResult(len(kept), hits, _count_documents(kept))


def _rank(question: Question, found: SearchResult, options: RetrievalOptions) -> list[_Ranked]:
    weighed = weigh_words(question, found.chunk_count, found.document_frequencies)
    candidates = found.candidates
    scorer = TermScorer(weighed, question.term_count)
    terms = np.array(
        [scorer.similarity(candidate.words, _other_words(candidate)) for candidate in candidates], np.float32
    )
    cosines = np.array([candidate.cosine for candidate in candidates], np.float32)
    return _ordered(candidates, cosines, terms, options)


def _ordered(
    candidates: list[Candidate], vector: FloatArray, terms: FloatArray, options: RetrievalOptions
) -> list[_Ranked]:
    if not candidates:
        return []
    pagerank = np.zeros(len(candidates), np.float32)
    if options.pagerank:
        pagerank[:] = [options.pagerank.get(candidate.dataset_id, 0.0) for candidate in candidates]
    similarity = blend(vector, terms, pagerank, options.vector_similarity_weight)
    ranked = [
        _Ranked(candidate, total, cosine, term)
        for candidate, total, cosine, term in zip(
            candidates, similarity.tolist(), vector.tolist(), terms.tolist(), strict=True
        )
    ]
    # Equal scores keep an order that does not depend on the engine: pages must not overlap.
    ranked.sort(key=lambda hit: (-hit.similarity, -hit.candidate.text_score, hit.candidate.id))
    return ranked


def _other_words(candidate: Candidate) -> str:
    return f"{candidate.title_words} {candidate.keyword_words} {candidate.question_words}"


def _rerank_count(options: RetrievalOptions) -> int:
    return max(_RERANKED, options.page_size)


async def _rerank(
    chunks: Mapping[int | str, Chunk], question: str, ranked: list[_Ranked], options: RetrievalOptions
) -> list[_Ranked]:
    """The best again, with the rerank model's score in place of the cosine; the others are left out."""
    assert options.rerank is not None
    best = [hit for hit in ranked[: _rerank_count(options)] if hit.candidate.key in chunks]
    if not best:
        return []
    scores = await options.rerank(question, [chunks[hit.candidate.key].content for hit in best])
    return _ordered(
        [hit.candidate for hit in best],
        np.asarray(scores, np.float32),
        np.array([hit.term for hit in best], np.float32),
        options,
    )


def _above_threshold(ranked: list[_Ranked], options: RetrievalOptions) -> list[_Ranked]:
    if options.vector_similarity_weight <= 0:
        return ranked
    return [hit for hit in ranked if hit.similarity >= options.similarity_threshold]


def _on_page(ranked: list[_Ranked], options: RetrievalOptions) -> list[_Ranked]:
    start = (options.page - 1) * options.page_size
    return _above_threshold(ranked, options)[start : start + options.page_size]


async def _page(
    store: ChunkStore,
    chunks: Mapping[int | str, Chunk],
    question: Question,
    ranked: list[_Ranked],
    options: RetrievalOptions,
) -> list[Hit]:
    hits = [
        Hit(chunk, hit.similarity, hit.vector, hit.term)
        for hit in ranked
        if (chunk := chunks.get(hit.candidate.key)) is not None
    ]
    if any(hit.chunk.parent_id for hit in hits):
        hits = await _with_parents(store, hits)
    if options.highlight:
        await asyncio.to_thread(_highlight, question, hits)
    return hits


def _highlight(question: Question, hits: list[Hit]) -> None:
    for hit in hits:
        if not hit.child_ids:
            hit.highlight = highlight(hit.chunk.content, question)


async def _with_parents(store: ChunkStore, hits: list[Hit]) -> list[Hit]:
    """Children replaced by their parent, once each, with the mean of their similarities.

    A child whose parent is missing stays.
    """
    by_dataset: dict[str, set[str]] = {}
    for hit in hits:
        if hit.chunk.parent_id:
            by_dataset.setdefault(hit.chunk.dataset_id, set()).add(hit.chunk.parent_id)
    parents: dict[tuple[str, str, str], Chunk] = {}
    for dataset_id, ids in by_dataset.items():
        for parent in (await store.fetch_parents(dataset_id, sorted(ids))).values():
            parents[dataset_id, parent.document_id, parent.id] = parent
    families: dict[tuple[str, str, str], list[Hit]] = {}
    result: list[Hit] = []
    for hit in hits:
        key = (hit.chunk.dataset_id, hit.chunk.document_id, hit.chunk.parent_id)
        if hit.chunk.parent_id and key in parents:
            families.setdefault(key, []).append(hit)
        else:
            result.append(hit)
    for key, children in families.items():
        mean = sum(child.similarity for child in children) / len(children)
        chunk = replace(
            parents[key],
            words=" ".join(child.chunk.words for child in children),
            keywords=list(dict.fromkeys(word for child in children for word in child.chunk.keywords)),
            parent_id="",
        )
        result.append(Hit(chunk, mean, mean, mean, child_ids=[child.chunk.id for child in children]))
    result.sort(key=lambda hit: -hit.similarity)
    return result


def _count_documents(kept: list[_Ranked]) -> list[DocumentCount]:
    counts = Counter(hit.candidate.document_id for hit in kept)
    names = {hit.candidate.document_id: hit.candidate.document_name for hit in reversed(kept)}
    return [
        DocumentCount(document_id, names[document_id], count) for document_id, count in counts.most_common()
    ]
