"""Find passages for Dify."""

from dataclasses import dataclass
from typing import Any

from api.auth import Caller
from api.db.database import Database
from api.db.metadata import documents_matching, metadata_of_documents
from api.dify.schemas import DifyRetrievalBody
from api.errors import BadArgument, NotFound
from api.permissions import Right, get_dataset
from api.search import Searcher, SearchScope, find_scope
from rag.retrieval.metadata_filter import has_conditions
from rag.retrieval.result import RetrievalOptions

MAX_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class _Plan:
    scope: SearchScope
    document_ids: list[str] | None


class DifyService:
    """Find passages for Dify."""

    def __init__(self, db: Database, searcher: Searcher) -> None:
        self._db = db
        self._searcher = searcher

    async def retrieve(self, caller: Caller, body: DifyRetrievalBody) -> dict[str, Any]:
        """Passages, best first. Raises NotFound, BadArgument, RagError."""
        plan = await self._db.read(self._plan, caller, body)
        if not body.query.strip() or plan.document_ids == []:
            return {"records": []}
        found = await self._searcher.search(
            plan.scope,
            body.query.strip(),
            RetrievalOptions(
                dataset_ids=plan.scope.dataset_ids,
                document_ids=plan.document_ids,
                page_size=min(body.retrieval_setting.top_k, MAX_RECORDS),
                similarity_threshold=body.retrieval_setting.score_threshold,
                vector_similarity_weight=0.3,
                pagerank=plan.scope.pagerank,
            ),
        )
        ids = sorted({hit.chunk.document_id for hit in found.hits})
        metadata = await self._db.read(metadata_of_documents, ids) if ids else {}
        return {
            "records": [
                {
                    "content": hit.chunk.content,
                    "score": hit.similarity,
                    "title": hit.chunk.document_name,
                    "metadata": metadata.get(hit.chunk.document_id, {}) | {"doc_id": hit.chunk.document_id},
                }
                for hit in found.hits
            ]
        }

    def _plan(self, caller: Caller, body: DifyRetrievalBody) -> _Plan:
        get_dataset(caller, body.knowledge_id, Right.WORK, NotFound("Knowledgebase not found!"))
        if body.use_kg:
            raise BadArgument("`use_kg` is not available in this version; leave it out or send false")
        scope = find_scope(caller, [body.knowledge_id])
        condition = body.metadata_condition
        if condition is None or not has_conditions(condition):
            return _Plan(scope, None)
        return _Plan(scope, sorted(documents_matching(scope.dataset_ids, condition)))
