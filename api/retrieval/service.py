"""Find passages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.answers import DefaultModel, StepOptions
from api.auth import Caller
from api.db.database import Database
from api.db.documents import find_foreign_documents
from api.db.metadata import documents_matching
from api.errors import BadArgument, NotFound, Refused
from api.retrieval.schemas import RetrievalBody, read_highlight
from api.search import Searcher, SearchScope, find_scope
from rag.answering.stages.keywords import keywords_of
from rag.answering.stages.translate import language_names, translations_of
from rag.answering.together import together
from rag.retrieval.merging import merge_results
from rag.retrieval.result import Hit, RetrievalOptions, RetrievalResult

MAX_PAGE_SIZE = 1000
NOTHING: dict[str, Any] = {"total": 0, "chunks": [], "doc_aggs": {}}


@dataclass(frozen=True, slots=True)
class _Plan:
    scope: SearchScope
    document_ids: list[str] | None


class RetrievalService:
    """Find passages."""

    def __init__(
        self, db: Database, searcher: Searcher, default_model: DefaultModel, options: StepOptions
    ) -> None:
        self._db = db
        self._searcher = searcher
        self._default_model = default_model
        self._options = options

    async def retrieve(self, caller: Caller, body: RetrievalBody) -> dict[str, Any]:
        """A page of passages, best first. Raises NotFound, Refused, BadArgument, RagError."""
        plan = await self._db.read(self._plan, caller, body)
        if plan is None:
            return NOTHING
        highlight = read_highlight(body.highlight)
        rerank = await self._searcher.reranker(caller.tenant_id, body.rerank_id) if body.rerank_id else None
        for name in ("use_kg", "toc_enhance"):
            if getattr(body, name):
                raise BadArgument(f"`{name}` is not available in this version; leave it out or send false")
        texts = await self._texts(caller, body)
        options = RetrievalOptions(
            dataset_ids=plan.scope.dataset_ids,
            document_ids=plan.document_ids,
            page=body.page,
            page_size=min(body.page_size, MAX_PAGE_SIZE),
            similarity_threshold=body.similarity_threshold,
            vector_similarity_weight=body.vector_similarity_weight,
            top_k=body.top_k,
            highlight=highlight,
            pagerank=plan.scope.pagerank,
            rerank=rerank,
        )
        result = await self._search(plan.scope, texts, options)
        return {
            "total": result.total,
            "chunks": [_chunk_reply(hit) for hit in result.hits],
            "doc_aggs": [
                {"doc_name": found.document_name, "doc_id": found.document_id, "count": found.count}
                for found in result.document_counts
            ],
        }

    async def _texts(self, caller: Caller, body: RetrievalBody) -> list[str]:
        """What to search for: the question with its keywords, and its translations. Raises BadArgument."""
        question: str = body.question.strip()
        languages = language_names(body.cross_languages or ())
        if not body.keyword and not languages:
            return [question]
        name = "`keyword`" if body.keyword else "`cross_languages`"
        model = await self._default_model.find_instructed(caller.tenant_id, name)
        options, keywords, translations = self._options, "", list[str]()

        async def add_keywords() -> None:
            nonlocal keywords
            keywords = await keywords_of(
                model, question, prompts=options.prompts, timeout_s=options.step_timeout_s
            )

        async def translate() -> None:
            translations.extend(
                await translations_of(
                    model, question, languages, prompts=options.prompts, timeout_s=options.step_timeout_s
                )
            )

        await together([*([add_keywords()] if body.keyword else []), *([translate()] if languages else [])])
        return [f"{question} {keywords}" if keywords else question, *translations]

    async def _search(
        self, scope: SearchScope, texts: Sequence[str], options: RetrievalOptions
    ) -> RetrievalResult:
        """Each text on its own; the page is cut from what all of them found."""
        if len(texts) == 1:
            return await self._searcher.search(scope, texts[0], options)
        whole = replace(options, page=1, page_size=MAX_PAGE_SIZE)
        results = await together([self._searcher.search(scope, text, whole) for text in texts])
        return merge_results(results, options.page_size, options.page)

    def _plan(self, caller: Caller, body: RetrievalBody) -> _Plan | None:
        """What to search; None when nothing can be found. The checks are in the order of the contract."""
        if not body.dataset_ids:
            raise Refused("`dataset_ids` is required.")
        if not isinstance(body.dataset_ids, list) or not all(
            isinstance(one, str) for one in body.dataset_ids
        ):
            raise Refused("`dataset_ids` should be a list")
        scope = find_scope(caller, body.dataset_ids)
        if "question" not in body.model_fields_set:
            raise Refused("`question` is required.")
        if body.question is not None and not isinstance(body.question, str):
            raise BadArgument(f"`question` should be a string, got {type(body.question).__name__}")
        if body.question is None or not body.question.strip():
            return None
        ids = body.document_ids
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Refused("`documents` should be a list")
        if ids:
            foreign = find_foreign_documents(scope.dataset_ids, ids)
            if foreign:
                raise NotFound(f"The datasets don't own the document {foreign[0]}")
            return _Plan(scope, ids)
        condition = body.metadata_condition
        if condition and not isinstance(condition, dict):
            raise BadArgument("`metadata_condition` must be an object")
        if condition and condition.get("conditions"):
            matching = sorted(documents_matching(scope.dataset_ids, condition))
            return _Plan(scope, matching) if matching else None
        return _Plan(scope, None)


def _chunk_reply(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    reply = {
        "id": chunk.id,
        "content": chunk.content,
        "content_ltks": chunk.words,
        "document_id": chunk.document_id,
        "document_keyword": chunk.document_name,
        "document_name": chunk.document_name,
        "dataset_id": chunk.dataset_id,
        "important_keywords": chunk.keywords,
        "image_id": chunk.image_id,
        "similarity": hit.similarity,
        "vector_similarity": hit.vector_similarity,
        "term_similarity": hit.term_similarity,
        "positions": chunk.positions,
        "doc_type_kwd": chunk.kind,
        "mom_id": chunk.parent_id,
    }
    if hit.highlight is not None:
        reply["highlight"] = hit.highlight
    return reply
