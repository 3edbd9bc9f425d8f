"""Questions to datasets: what the retrieval and the chat slices share.

Binds datasets the caller may see, the chunk store and the embedding model to one call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.auth import Caller
from api.errors import AppError, NotFound, Refused
from api.permissions import Right, get_datasets
from api.tenant_models import TenantModels
from rag.errors import ModelNotFound
from rag.retrieval.result import Rerank, RetrievalOptions, RetrievalResult
from rag.retrieval.search import retrieve
from rag.stores.protocol import ChunkStore


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Datasets that are asked together: same embedding model, all visible to the caller.

    tenant_id: whose embedding model it is: the first dataset's owner, whoever asks.
    """

    dataset_ids: tuple[str, ...]
    embedding_model: str
    pagerank: Mapping[str, float]
    tenant_id: str


def bare_model(model_id: str) -> str:
    """`name@provider` -> `name`: models of the same name at two providers give the same vectors."""
    return model_id.rsplit("@", 1)[0]


def find_scope(caller: Caller, dataset_ids: Sequence[str], mixed: AppError | None = None) -> SearchScope:
    """Look the datasets up, on the database's thread. Raises NotFound for the first that the caller may not use.

    mixed: raised when their embedding models differ.
    """
    datasets = get_datasets(
        caller,
        list(dict.fromkeys(dataset_ids)),
        Right.WORK,
        lambda dataset_id: NotFound(f"You don't own the dataset {dataset_id}."),
    )
    if len({bare_model(dataset.embedding_model) for dataset in datasets}) > 1:
        raise mixed or Refused('Datasets use different embedding models."')
    return SearchScope(
        tuple(dataset.id for dataset in datasets),
        datasets[0].embedding_model if datasets else "",
        {dataset.id: float(dataset.pagerank) for dataset in datasets if dataset.pagerank},
        datasets[0].tenant_id if datasets else caller.tenant_id,
    )


class Searcher:
    """Asks the chunk store with words and vector."""

    def __init__(self, chunks: ChunkStore, models: TenantModels) -> None:
        self._chunks = chunks
        self._models = models

    async def reranker(self, tenant_id: str, model_id: str) -> Rerank:
        """A rerank model of the tenant, for `RetrievalOptions`. Raises Refused."""
        try:
            return await self._models.reranker(tenant_id, model_id)
        except ModelNotFound as error:
            raise Refused(f"Model({model_id}) not authorized") from error

    async def search(self, scope: SearchScope, question: str, options: RetrievalOptions) -> RetrievalResult:
        """The passages that answer best. Raises RagError."""
        models = await self._models.of(scope.tenant_id)
        vector = await models.embedding(scope.embedding_model).embed_query(question)
        return await retrieve(self._chunks, question, vector, options)
