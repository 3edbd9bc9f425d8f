"""The passages behind an answer, from the datasets and from the web."""

from collections import Counter
from collections.abc import Sequence

import xxhash

from rag.answering.reference import Reference, ReferenceChunk, build_reference
from rag.answering.request import PassageQuery
from rag.answering.state import AnswerState
from rag.answering.together import together
from rag.answering.web_search import WebPage
from rag.retrieval.merging import merge_results
from rag.retrieval.result import DocumentCount, RetrievalResult


async def find_passages(state: AnswerState) -> None:
    """Search, if the chat has datasets (or the web) and its prompt wants knowledge."""
    if not state.wants_passages:
        return
    settings = state.request.settings
    found = await search(
        state,
        state.search_texts,
        similarity_threshold=settings.similarity_threshold,
        vector_similarity_weight=settings.vector_similarity_weight,
    )
    if found.chunks:
        state.reference = found


async def search(
    state: AnswerState,
    texts: Sequence[str],
    *,
    similarity_threshold: float,
    vector_similarity_weight: float,
    is_reranked: bool = True,
) -> Reference:
    """Passages of the datasets, then pages of the web, all asked at once. Raises RagError of the datasets.

    texts: one question in several languages. Each is searched on its own, since words of the others would
    lower what a passage has of the question; the web gets the first.
    """
    queries = [
        PassageQuery(
            question=text,
            top_n=state.request.settings.top_n,
            top_k=state.request.settings.top_k,
            similarity_threshold=similarity_threshold,
            vector_similarity_weight=vector_similarity_weight,
            document_ids=state.document_ids,
            is_reranked=is_reranked,
        )
        for text in texts
    ]
    results: list[RetrievalResult] = []
    pages: list[WebPage] = []

    async def ask_datasets() -> None:
        results.extend(await together([state.retrieve(query) for query in queries]))

    async def ask_web() -> None:
        if state.helpers.search_web is not None:
            pages.extend(await state.helpers.search_web(texts[0]))

    if state.helpers.search_web is None:
        await ask_datasets()
    else:
        await together([ask_datasets(), ask_web()])
    own, web = build_reference(merge_results(results, state.request.settings.top_n)), web_reference(pages)
    return Reference(own.total + web.total, [*own.chunks, *web.chunks], [*own.documents, *web.documents])


def web_reference(pages: Sequence[WebPage]) -> Reference:
    """Pages of the web as passages; each is a document of its own."""
    chunks = [
        ReferenceChunk(
            id=(id := xxhash.xxh64(page.url.encode()).hexdigest()),
            content=page.content,
            document_id=id,
            document_name=page.title,
            dataset_id=[],
            similarity=page.score,
            vector_similarity=page.score,
            term_similarity=0.0,
            url=page.url,
        )
        for page in {page.url: page for page in pages}.values()
    ]
    return Reference(len(chunks), chunks, count_documents(chunks))


def count_documents(chunks: Sequence[ReferenceChunk]) -> list[DocumentCount]:
    """Documents of passages, those with most first."""
    counts = Counter(chunk.document_id for chunk in chunks)
    names = {chunk.document_id: chunk.document_name for chunk in reversed(chunks)}
    return [DocumentCount(id, names[id], count) for id, count in counts.most_common()]
