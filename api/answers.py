"""Questions to chats: what the session completions and the OpenAI-compatible endpoint share."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from api.auth import Caller
from api.db.database import Database
from api.db.datasets import find_datasets
from api.db.metadata import documents_matching, metadata_of_datasets, metadata_of_documents
from api.db.models import Chat, Dataset
from api.errors import AppError, BadArgument, NotFound, Refused
from api.permissions import Right, get_datasets, right_to
from api.search import Searcher, SearchScope, bare_model
from api.tenant_models import TenantModels
from rag.answering.events import AnswerEvent, Done
from rag.answering.helpers import Helpers
from rag.answering.pipeline import answer
from rag.answering.prompts import Prompts
from rag.answering.reference import Reference
from rag.answering.request import AnswerRequest, ChatSettings, PassageQuery, PromptVariable
from rag.answering.web_search import WebPage, WebSearch
from rag.errors import MixedEmbeddings, RagError
from rag.models.catalog import BUILTIN_PROVIDER
from rag.models.protocol import ChatModel, Message
from rag.retrieval.metadata_filter import has_conditions
from rag.retrieval.result import RetrievalOptions, RetrievalResult

MAX_TOP_N = 1000


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """A chat as it is asked now.

    datasets: those of the chat that still exist and that the caller may still use.
    has_datasets: whether the chat has any by its settings, or searches the web: then nothing found is an
        empty response.
    document_ids: None: all of the datasets.
    model_id: "" for the tenant's default.
    tenant_id: whose chat and rerank models are asked; embeddings are those of the datasets' owner.
    """

    model_id: str
    settings: ChatSettings
    datasets: Sequence[Dataset]
    has_datasets: bool
    document_ids: Sequence[str] | None
    tenant_id: str
    rerank_id: str = ""


@dataclass(slots=True)
class FoundMetadata:
    """Metadata of the documents behind an answer, filled when they are found."""

    by_document: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_condition(value: Any) -> Mapping[str, Any] | None:
    """A request's `metadata_condition`; None where it filters nothing. Raises Refused."""
    if value and not isinstance(value, dict):
        raise Refused("metadata_condition must be an object.")
    return value if value and has_conditions(value) else None


def plan_answer(
    caller: Caller,
    chat: Chat,
    *,
    condition: Mapping[str, Any] | None = None,
    document_ids: Sequence[str] | None = None,
    more_dataset_ids: Sequence[str] = (),
    is_researching: bool = False,
) -> AnswerPlan:
    """Look up what an answer needs, on the database's thread. Raises NotFound, BadFilter.

    condition: takes the place of document_ids. more_dataset_ids: asked together with the chat's.
    is_researching: deep research, also where the chat has it switched off.
    """
    own_ids: list[str] = orjson.loads(chat.dataset_ids)
    found = find_datasets(own_ids)
    datasets = {id: found[id] for id in own_ids if right_to(caller, found.get(id)) >= Right.WORK}
    for dataset in get_datasets(
        caller, list(more_dataset_ids), Right.WORK, lambda id: NotFound(f"You don't own the dataset {id}")
    ):
        datasets[dataset.id] = dataset
    config: dict[str, Any] = orjson.loads(chat.prompt_config)
    allowed = None if document_ids is None else set(document_ids)
    if condition is not None:
        allowed = documents_matching(list(datasets), condition)
    chat_condition = _manual_condition(orjson.loads(chat.meta_data_filter))
    if chat_condition is not None:
        matching = documents_matching(list(datasets), chat_condition)
        allowed = matching if allowed is None else allowed & matching
    settings = _settings(chat, config)
    return AnswerPlan(
        model_id=chat.llm_id,
        settings=replace(settings, reasoning=settings.reasoning or is_researching),
        datasets=list(datasets.values()),
        has_datasets=bool(own_ids or more_dataset_ids or settings.tavily_api_key),
        document_ids=None if allowed is None else sorted(allowed),
        tenant_id=chat.tenant_id,
        rerank_id=chat.rerank_id,
    )


def _manual_condition(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """A chat's own filter in the form of a request's; the other methods are a stage of the answer."""
    filters = stored.get("manual")
    if stored.get("method") != "manual" or not isinstance(filters, list) or not filters:
        return None
    conditions = [
        {"name": one.get("key"), "comparison_operator": one.get("op"), "value": one.get("value")}
        for one in filters
        if isinstance(one, dict)
    ]
    return {"logic": stored.get("logic", "and"), "conditions": conditions}


def _settings(chat: Chat, config: Mapping[str, Any]) -> ChatSettings:
    llm = {name: value for name, value in orjson.loads(chat.llm_setting).items() if name != "model_type"}
    variables = config.get("parameters")
    if variables is None:
        variables = [{"key": "knowledge", "optional": False}]
    api_key = config.get("tavily_api_key")
    return ChatSettings(
        system_prompt=config.get("system") or "",
        opener=config.get("prologue"),
        empty_response=config.get("empty_response"),
        show_quote=bool(config.get("quote", True)) and chat.do_refer != "0",
        variables=[PromptVariable(one["key"], one["optional"]) for one in variables],
        top_n=min(chat.top_n, MAX_TOP_N),
        top_k=chat.top_k,
        similarity_threshold=chat.similarity_threshold,
        vector_similarity_weight=chat.vector_similarity_weight,
        llm=llm,
        refine_multiturn=bool(config.get("refine_multiturn")),
        keyword=bool(config.get("keyword")),
        reasoning=bool(config.get("reasoning")),
        cross_languages=config.get("cross_languages") or (),
        meta_data_filter=orjson.loads(chat.meta_data_filter),
        tavily_api_key=api_key if isinstance(api_key, str) else "",
    )


def instructed(model: ChatModel) -> ChatModel | None:
    """The model, if it does what it is told: the built-in answerer quotes sentences and does nothing else."""
    return None if model.name.rpartition("@")[2] == BUILTIN_PROVIDER else model


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How the steps before an answer ask a model.

    step_timeout_s: longest time of one call; research_timeout_s: of all calls of deep research.

    web: asked by chats that have a key for it.
    """

    prompts: Prompts = field(default_factory=Prompts)
    step_timeout_s: float = 30.0
    research_timeout_s: float = 180.0
    web: WebSearch | None = None


class DefaultModel:
    """The chat model that a tenant has chosen for whatever is no chat."""

    def __init__(self, models: TenantModels) -> None:
        self._models = models

    async def find(self, tenant_id: str) -> ChatModel:
        """The tenant's default, or the server's. Raises ModelNotFound."""
        return (await self._models.of(tenant_id)).chat()

    async def find_instructed(self, tenant_id: str, wanted_for: str) -> ChatModel:
        """The same, if it follows instructions. Raises ModelNotFound, BadArgument that names what needs one."""
        model = instructed(await self.find(tenant_id))
        if model is None:
            raise BadArgument(
                f"{wanted_for} needs a chat model that follows instructions, and the default chat model is the "
                "built-in answerer, which quotes passages and does nothing else; set another default chat model"
            )
        return model


class Answerer:
    """Asks the model of a chat, with what its datasets hold."""

    def __init__(
        self,
        db: Database,
        searcher: Searcher,
        models: TenantModels,
        options: StepOptions | None = None,
        observe_stages: Callable[[Mapping[str, float]], None] = lambda timings_ms: None,
    ) -> None:
        self._db = db
        self._searcher = searcher
        self._models = models
        self._options = options or StepOptions()
        self._observe_stages = observe_stages

    async def answer(
        self,
        plan: AnswerPlan,
        messages: Sequence[Message],
        *,
        variables: Mapping[str, str] | None = None,
        quote: bool = True,
        metadata: FoundMetadata | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer. Raises RagError before the first event, see `rag.answering.pipeline`.

        metadata: filled with the metadata of the documents that were found.
        """
        metadata = metadata or FoundMetadata()

        async def retrieve(query: PassageQuery) -> RetrievalResult:
            result = await self._search(plan, query)
            ids = {hit.chunk.document_id for hit in result.hits}
            if ids:
                metadata.by_document.update(await self._db.read(metadata_of_documents, sorted(ids)))
            return result

        request = AnswerRequest(
            settings=plan.settings,
            messages=messages,
            has_datasets=plan.has_datasets,
            variables=variables or {},
            quote=quote,
            document_ids=plan.document_ids,
            document_metadata=metadata.by_document,
        )
        embedding = None
        if plan.has_datasets:
            # A dataset's model is its owner's; without datasets it only places citations.
            owner_id = plan.datasets[0].tenant_id if plan.datasets else plan.tenant_id
            owner = await self._models.of(owner_id)
            embedding = owner.embedding(plan.datasets[0].embedding_model if plan.datasets else "")
        model = (await self._models.of(plan.tenant_id)).chat(plan.model_id)
        events = answer(
            request,
            retrieve=retrieve,
            chat_model=model,
            embedding=embedding,
            helpers=self._helpers(plan, model),
        )
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Done):
                    self._observe_stages(event.timings_ms)
                yield event

    def _helpers(self, plan: AnswerPlan, model: ChatModel) -> Helpers:
        async def load_metadata() -> Mapping[str, Mapping[str, Any]]:
            return await self._db.read(metadata_of_datasets, [dataset.id for dataset in plan.datasets])

        web, api_key = self._options.web, plan.settings.tavily_api_key

        async def search_web(query: str) -> Sequence[WebPage]:
            return [] if web is None else await web.search(query, api_key)

        return Helpers(
            instructed=instructed(model),
            search_web=search_web if api_key else None,
            load_metadata=load_metadata,
            prompts=self._options.prompts,
            step_timeout_s=self._options.step_timeout_s,
            research_timeout_s=self._options.research_timeout_s,
        )

    async def _search(self, plan: AnswerPlan, query: PassageQuery) -> RetrievalResult:
        if not plan.datasets or query.top_n == 0 or query.document_ids == []:
            return RetrievalResult(0, [], [])
        if len({bare_model(dataset.embedding_model) for dataset in plan.datasets}) > 1:
            raise MixedEmbeddings("Knowledge bases use different embedding models.")
        ids = tuple(dataset.id for dataset in plan.datasets)
        pagerank = {dataset.id: float(dataset.pagerank) for dataset in plan.datasets if dataset.pagerank}
        rerank = None
        if plan.rerank_id and query.is_reranked:
            rerank = await self._models.reranker(plan.tenant_id, plan.rerank_id)
        return await self._searcher.search(
            SearchScope(ids, plan.datasets[0].embedding_model, pagerank, plan.datasets[0].tenant_id),
            query.question,
            RetrievalOptions(
                dataset_ids=ids,
                document_ids=query.document_ids,
                page_size=query.top_n,
                similarity_threshold=query.similarity_threshold,
                vector_similarity_weight=query.vector_similarity_weight,
                top_k=query.top_k,
                pagerank=pagerank,
                rerank=rerank,
            ),
        )


def reference_reply(reference: Reference) -> dict[str, Any]:
    """The passages behind an answer as clients see them; `[ID:i]` means `chunks[i]`."""
    urls = {chunk.document_id: chunk.url for chunk in reference.chunks if chunk.url}
    return {
        "total": reference.total,
        "chunks": [
            {
                "id": chunk.id,
                "content": chunk.content,
                "document_id": chunk.document_id,
                "document_name": chunk.document_name,
                "dataset_id": chunk.dataset_id,
                "image_id": chunk.image_id,
                "positions": [list(position) for position in chunk.positions],
                "url": chunk.url,
                "similarity": chunk.similarity,
                "vector_similarity": chunk.vector_similarity,
                "term_similarity": chunk.term_similarity,
                "doc_type": chunk.kind,
            }
            for chunk in reference.chunks
        ],
        "doc_aggs": [
            {"doc_name": one.document_name, "doc_id": one.document_id, "count": one.count}
            | ({"url": urls[one.document_id]} if one.document_id in urls else {})
            for one in reference.documents
        ],
    }


def timings_reply(done: Done) -> dict[str, float]:
    """Milliseconds of each stage of an answer, as clients see them."""
    return {stage: round(elapsed_ms, 2) for stage, elapsed_ms in done.timings_ms.items()}


def stream_error(error: Exception, request_id: str) -> str:
    """What a client reads of a failure after its stream has begun; of unforeseen ones a stable text."""
    if isinstance(error, (AppError, RagError)):
        return str(error)
    return f"Internal server error. Please report it with this id: {request_id}"
