"""Opens everything once, hands out the services, closes in reverse order.

The server, `ragd worker` and the commands all start from `open_parts`; only the server adds services.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from api.answers import Answerer, DefaultModel, StepOptions
from api.auth import CallerResolver
from api.chats.service import ChatService
from api.chats_openai.service import OpenAIService
from api.chunks.service import ChunkService
from api.data_folder import chunk_folder, database_file
from api.datasets.service import DatasetService
from api.db.database import Database, open_database
from api.dify.service import DifyService
from api.document_locks import DocumentLocks
from api.documents.metadata import MetadataService
from api.documents.service import DocumentService
from api.executor.database_queue import DatabaseQueue
from api.executor.executor import Executor, open_executor
from api.executor.protocol import TaskQueue
from api.llm.service import LlmService
from api.metrics import Metrics
from api.models_config import models_config
from api.observed_models import ObservedCatalog
from api.purge import Purger
from api.retrieval.service import RetrievalService
from api.search import Searcher
from api.secrets import Vault, load_secret
from api.sessions.ask import AskService
from api.sessions.completions import CompletionService
from api.sessions.service import SessionService
from api.settings import Settings, SettingsError
from api.settling import Settler
from api.storage import open_storage
from api.storage.protocol import FileStorage
from api.tenant_models import TenantModels, UsedTokens
from api.tidying import tidy
from rag.answering.prompts import BadPrompt, Prompts, open_prompts
from rag.answering.web_search import WEB_TIMEOUT_S, WebSearch
from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore


@dataclass(slots=True)
class Parts:
    """What every process of ragd works on."""

    settings: Settings
    vault: Vault
    db: Database
    storage: FileStorage
    chunks: ChunkStore
    models: TenantModels
    queue: TaskQueue
    metrics: Metrics


@dataclass(slots=True)
class Services:
    """What handlers use. closing: set when the server goes down; streams watch it."""

    parts: Parts
    settings: Settings
    db: Database
    vault: Vault
    callers: CallerResolver
    datasets: DatasetService
    documents: DocumentService
    metadata: MetadataService
    chunks: ChunkService
    retrieval: RetrievalService
    chats: ChatService
    sessions: SessionService
    completions: CompletionService
    openai: OpenAIService
    questions: AskService
    dify: DifyService
    llm: LlmService
    executor: Executor
    closing: asyncio.Event


@asynccontextmanager
async def open_parts(settings: Settings, role: Literal["owner", "writer"]) -> AsyncIterator[Parts]:
    """Open database, storage, chunk store, models and queue. role: owner for the one server of a data folder.

    Raises SettingsError, OSError, StoreUnavailable.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        vault = Vault(load_secret(settings))
        db = await stack.enter_async_context(
            open_database(database_file(settings), settings.database.queue_limit)
        )
        storage = await stack.enter_async_context(open_storage(settings))
        chunks = await stack.enter_async_context(
            open_embedded_store(
                chunk_folder(settings),
                role=role,
                thread_count=settings.retrieval.threads or max(2, os.cpu_count() or 1),
                max_queued=settings.retrieval.queue_limit,
            )
        )
        metrics = Metrics()
        used_tokens = UsedTokens(db)
        catalog = ObservedCatalog(models_config(settings), metrics, used_tokens.count)
        stack.push_async_callback(catalog.close)
        await stack.enter_async_context(used_tokens.counting())
        models = TenantModels(db, vault, catalog)
        yield Parts(
            settings,
            vault,
            db,
            storage,
            chunks,
            models,
            DatabaseQueue(db, settings.executor.lease_s),
            metrics,
        )


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open every part, start the workers, hand out the services."""
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings, "owner"))
        db, chunks, models = parts.db, parts.chunks, parts.models
        purger = Purger(db, chunks, parts.storage)
        searcher = Searcher(chunks, models)
        default_model = DefaultModel(models)
        limits = settings.answering
        web = WebSearch(limits.web_search_url, min(WEB_TIMEOUT_S, limits.step_timeout_s))
        stack.push_async_callback(web.close)
        steps = StepOptions(_open_prompts(settings), limits.step_timeout_s, limits.research_timeout_s, web)
        answerer = Answerer(db, searcher, models, steps, parts.metrics.observe_answer_stages)
        completions = CompletionService(db, answerer)
        stack.push_async_callback(completions.close)
        locks = DocumentLocks()
        settler = Settler(db, chunks, locks)
        stack.push_async_callback(settler.close)
        await settler.run_all()
        tidying = asyncio.create_task(tidy(db, parts.storage, purger), name="tidying")
        stack.push_async_callback(_cancel, tidying)
        executor = await stack.enter_async_context(
            open_executor(
                settings,
                db=db,
                queue=parts.queue,
                store=chunks,
                storage=parts.storage,
                locks=locks,
                models=models,
            )
        )
        yield Services(
            parts=parts,
            settings=settings,
            db=db,
            vault=parts.vault,
            callers=CallerResolver(db, parts.vault, settings.http.rate_limit_per_minute),
            datasets=DatasetService(db, models, purger),
            documents=DocumentService(settings, db, parts.storage, purger, settler, parts.queue),
            metadata=MetadataService(db),
            chunks=ChunkService(db, chunks, models, settler),
            retrieval=RetrievalService(db, searcher, default_model, steps),
            chats=ChatService(db, models),
            sessions=SessionService(db),
            completions=completions,
            openai=OpenAIService(db, answerer),
            questions=AskService(db, answerer, default_model, steps),
            dify=DifyService(db, searcher),
            llm=LlmService(db, parts.vault, models),
            executor=executor,
            closing=asyncio.Event(),
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _open_prompts(settings: Settings) -> Prompts:
    try:
        return open_prompts(settings.answering.prompts_dir)
    except BadPrompt as error:
        raise SettingsError(f"answering.prompts_dir: {error}") from error
