"""What a caller can do with the documents of a dataset."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from api.auth import Caller
from api.clock import now_ms
from api.datasets.parser_config import deep_merge, method_defaults
from api.db import tasks
from api.db.database import Database
from api.db.datasets import add_to_counters
from api.db.document_replies import document_reply
from api.db.documents import cancel_parse, find_document, start_parse
from api.db.metadata import documents_matching
from api.db.models import Document, fold_name
from api.documents.file_types import suffix_of
from api.documents.names import MAX_NAME_BYTES, check_name
from api.documents.queries import DocumentFilter, count_documents, existing_ids, is_name_taken, list_documents
from api.documents.schemas import SORT_COLUMNS, DocumentListQuery, DocumentUpdate
from api.documents.upload import Upload
from api.errors import AppError, BadArgument, Conflict, NotFound, Refused, ServerBusy
from api.executor.protocol import TaskQueue
from api.permissions import Right, get_dataset
from api.purge import Purge, Purger
from api.settings import Settings
from api.settling import Settlement, Settler
from api.storage.protocol import FileStorage
from rag.retrieval.metadata import normalize_metadata

MAX_PAGE_SIZE = 1000
METHODS = (
    "naive", "manual", "qa", "table", "paper", "book", "laws", "presentation", "picture", "one", "knowledge_graph",
    "email", "tag",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids as they were sent: each once, in order, and a text for every one that came twice."""

    unique: list[str]
    duplicates: list[str]


def sort_out(ids: list[str], kind: str) -> Ids:
    """Tell repeated ids from the others."""
    unique = list(dict.fromkeys(ids))
    twice = [one for one in unique if ids.count(one) > 1] if len(unique) < len(ids) else []
    return Ids(unique, [f"Duplicate {kind} ids: {one}" for one in twice])


def partly_done(count: int, errors: list[str]) -> dict[str, Any]:
    """Data of a reply when some ids came twice."""
    return {"success_count": count, "errors": errors}


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way to a client."""

    name: str
    size: int
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Change:
    """A written update, and the queued task by which the chunks follow it, if they must."""

    reply: dict[str, Any]
    settlement: Settlement | None
    task_id: str


class DocumentService:
    """What a caller can do with the documents of a dataset."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        storage: FileStorage,
        purger: Purger,
        settler: Settler,
        queue: TaskQueue,
    ) -> None:
        self._settings = settings
        self._db = db
        self._storage = storage
        self._purger = purger
        self._settler = settler
        self._queue = queue

    def upload(self, caller: Caller, dataset_id: str) -> Upload:
        """An upload into the dataset; use it as a context."""
        return Upload(self._db, self._storage, caller, dataset_id, self._settings.storage.max_files_per_user)

    async def find(self, caller: Caller, dataset_id: str, query: DocumentListQuery) -> dict[str, Any]:
        """A page of documents and their total. Raises NotFound, BadArgument, Refused."""
        return await self._db.read(self._find, caller, dataset_id, query)

    async def update(
        self, caller: Caller, dataset_id: str, document_id: str, changes: DocumentUpdate
    ) -> dict[str, Any]:
        """Change what was sent: all of it or nothing. Raises NotFound, Refused, BadArgument, Conflict.

        The chunks follow the row.
        """
        change = await self._db.transaction(self._update, caller, dataset_id, document_id, changes)
        if change.settlement is not None:
            await self._settler.run_task(change.task_id, change.settlement)
        return change.reply

    async def download(self, caller: Caller, dataset_id: str, document_id: str) -> Download:
        """The stored file. Raises NotFound, Refused (empty)."""
        document = await self._db.read(self._get_own, caller, dataset_id, document_id)
        if not document.size:
            raise Refused("This file is empty.")
        pieces = self._storage.read(document.storage_key)
        try:
            first = await anext(pieces)
        except (FileNotFoundError, StopAsyncIteration) as error:
            raise Refused("This file is empty.") from error
        return Download(document.name, document.size, _with_first(first, pieces))

    async def delete(self, caller: Caller, dataset_id: str, ids: list[str] | None) -> dict[str, Any] | None:
        """Delete documents with chunks and files; None or []: all of the dataset. Raises NotFound."""
        wanted = sort_out(ids or [], "document")
        task_id, purge, missing = await self._db.transaction(self._delete, caller, dataset_id, wanted.unique)
        if purge.document_ids:
            await self._purger.run_task(task_id, purge)
        if missing:
            raise NotFound(f"Documents not found: {missing}")
        return partly_done(len(purge.document_ids), wanted.duplicates) if wanted.duplicates else None

    async def parse(self, caller: Caller, dataset_id: str, ids: list[str] | None) -> dict[str, Any] | None:
        """Queue documents for parsing. Raises NotFound, Refused, Conflict (one is being parsed).

        The known ones are queued although others are not found.
        """
        if await self._queue.depth() + len(ids or ()) > self._settings.executor.queue_limit:
            raise self._queue_is_full()
        wanted = sort_out(ids or [], "document")
        refusal, count = await self._db.transaction(self._parse, caller, dataset_id, wanted.unique)
        self._queue.poke()
        if refusal is not None:
            raise refusal
        return partly_done(count, wanted.duplicates) if wanted.duplicates else None

    async def stop(self, caller: Caller, dataset_id: str, ids: list[str] | None) -> dict[str, Any] | None:
        """Stop parsing and delete what it wrote. Raises NotFound, Refused, Conflict (nothing to stop)."""
        wanted = sort_out(ids or [], "document")
        refusal, task_id, settlement = await self._db.transaction(
            self._stop, caller, dataset_id, wanted.unique
        )
        self._queue.poke()
        if settlement.document_ids:
            await self._settler.run_task(task_id, settlement)
        if refusal is not None:
            raise refusal
        return partly_done(len(settlement.document_ids), wanted.duplicates) if wanted.duplicates else None

    def _queue_is_full(self) -> AppError:
        return ServerBusy("Too many documents wait to be parsed, please try again later.")

    def _find(self, caller: Caller, dataset_id: str, query: DocumentListQuery) -> dict[str, Any]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}. "))
        column = SORT_COLUMNS.get(query.orderby)
        if column is None:
            raise BadArgument(f"`orderby` must be one of {', '.join(SORT_COLUMNS)}, got {query.orderby!r}")
        if query.id is not None and not existing_ids(dataset_id, [query.id]):
            raise NotFound(f"You don't own the document {query.id}.")
        if query.name is not None and not is_name_taken(dataset_id, query.name):
            raise NotFound(f"You don't own the document {query.name}.")
        ids = None if query.id is None else [query.id]
        condition = _read_condition(query.metadata_condition)
        if condition:
            matching = documents_matching([dataset_id], condition)
            ids = sorted(matching if ids is None else matching & set(ids))
            if not ids:
                return {"total": 0, "docs": []}
        wanted = DocumentFilter(
            dataset_id, query.keywords, ids, query.name, query.suffix, query.run,
            query.create_time_from, query.create_time_to,
        )  # fmt: skip
        size = min(query.page_size, MAX_PAGE_SIZE)
        offset = (max(query.page, 1) - 1) * size
        docs = (
            list_documents(wanted, column=column, desc=query.desc, limit=size, offset=offset) if size else []
        )
        is_all = offset == 0 and len(docs) < size
        return {"total": len(docs) if is_all else count_documents(wanted), "docs": docs}

    def _get_own(self, caller: Caller, dataset_id: str, document_id: str) -> Document:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You do not own the dataset {dataset_id}."))
        document = find_document(dataset_id, document_id)
        if document is None:
            raise NotFound(f"The dataset not own the document {document_id}.")
        return document

    def _update(self, caller: Caller, dataset_id: str, document_id: str, changes: DocumentUpdate) -> _Change:
        get_dataset(caller, dataset_id, Right.WORK, NotFound("You don't own the dataset."))
        document = find_document(dataset_id, document_id)
        if document is None:
            raise NotFound("The dataset doesn't own the document.")
        sent = {name for name in changes.model_fields_set if getattr(changes, name) is not None}
        for name in ("chunk_count", "token_count", "progress"):
            if name in sent and getattr(changes, name) != getattr(document, name):
                raise Refused(f"Can't change `{name}`.")
        if "meta_fields" in sent:
            if not isinstance(changes.meta_fields, dict):
                raise Refused("meta_fields must be a dictionary")
            document.meta_fields = orjson.dumps(normalize_metadata(changes.meta_fields)).decode()
        if changes.name is not None and changes.name != document.name:
            self._rename(document, changes.name)
        is_reset = self._change_method(document, changes)
        if "enabled" in sent:
            document.is_enabled = bool(int(changes.enabled or 0))
        document.update_time = max(now_ms(), document.update_time + 1)
        document.save()
        settlement = Settlement(
            dataset_id, (document_id,), deletes=is_reset, renames="name" in sent, switches="enabled" in sent
        )
        if not (settlement.deletes or settlement.renames or settlement.switches):
            return _Change(document_reply(document), None, "")
        return _Change(document_reply(document), settlement, settlement.insert())

    def _rename(self, document: Document, name: str) -> None:
        if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            raise BadArgument("File name must be 255 bytes or less.")
        if suffix_of(name).lower() != suffix_of(document.name).lower():
            raise BadArgument("The extension of file can't be changed")
        check_name(name)
        if is_name_taken(document.dataset_id, name, but=document.id):
            raise Conflict("Duplicated document name in the same dataset.")
        document.name, document.name_key = name, fold_name(name)

    def _change_method(self, document: Document, changes: DocumentUpdate) -> bool:
        """Set method and config; True when the method changed, which resets the document."""
        config = orjson.loads(document.parser_config)
        is_reset = False
        if changes.chunk_method is not None:
            if changes.chunk_method.lower() not in METHODS:
                raise Refused(f"`chunk_method` {changes.chunk_method} doesn't exist")
            if document.type == "visual" or document.name.lower().endswith((".ppt", ".pptx", ".pages")):
                raise Refused("Not supported yet!")
            is_reset = changes.chunk_method.lower() != document.chunk_method.lower()
        if is_reset and changes.chunk_method is not None:
            tasks.drop_parse_tasks([document.id])
            add_to_counters(document.dataset_id, chunks=-document.chunk_count, tokens=-document.token_count)
            document.chunk_method = changes.chunk_method.lower()
            document.run, document.progress, document.progress_msg = "0", 0.0, ""
            document.chunk_count = document.token_count = 0
            document.process_duration = 0.0
            if not changes.parser_config:
                config = deep_merge(config, method_defaults(document.chunk_method))
        if changes.parser_config:
            config = deep_merge(config, changes.parser_config)
            if not changes.parser_config.get("raptor"):
                config.pop("raptor", None)
        text = orjson.dumps(config).decode()
        if len(text) > 65535:
            raise BadArgument(f"`parser_config` may have 65535 characters as JSON, got {len(text)}")
        document.parser_config = text
        return is_reset

    def _delete(self, caller: Caller, dataset_id: str, ids: list[str]) -> tuple[str, Purge, list[str]]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}. "))
        in_dataset = Document.dataset_id == dataset_id
        found: list[str] = (
            [one for one in ids if one in existing_ids(dataset_id, ids)]
            if ids
            else [row.id for row in Document.select(Document.id).where(in_dataset)]
        )
        chunks = tokens = 0
        for start in range(0, len(found), 500):
            some = found[start : start + 500]
            for row in Document.select(Document.chunk_count, Document.token_count).where(
                Document.id.in_(some)
            ):
                chunks += row.chunk_count
                tokens += row.token_count
            Document.delete().where(Document.id.in_(some)).execute()
        missing = [one for one in ids if one not in set(found)]
        if not found:
            return "", Purge(), missing
        tasks.drop_parse_tasks(found)
        add_to_counters(dataset_id, documents=-len(found), chunks=-chunks, tokens=-tokens)
        purge = Purge(dataset_id=dataset_id, document_ids=tuple(found))
        return purge.insert(), purge, missing

    def _parse(self, caller: Caller, dataset_id: str, ids: list[str]) -> tuple[AppError | None, int]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}."))
        if not ids:
            raise Refused("`document_ids` is required")
        missing, count = [], 0
        for document_id in ids:
            document = find_document(dataset_id, document_id)
            if document is None:
                missing.append(document_id)
                continue
            if document.run == "1":
                return Conflict("Can't parse document that is currently being processed"), count
            start_parse(document)
            count += 1
        return (NotFound(f"Documents not found: {missing}") if missing else None), count

    def _stop(
        self, caller: Caller, dataset_id: str, ids: list[str]
    ) -> tuple[AppError | None, str, Settlement]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}."))
        if not ids:
            raise Refused("`document_ids` is required")
        stopped: list[str] = []
        refusal: AppError | None = None
        for document_id in ids:
            document = find_document(dataset_id, document_id)
            if document is None:
                refusal = NotFound(f"You don't own the document {document_id}.")
            elif document.progress == 0 or int(document.progress) == 1:
                refusal = Conflict("Can't stop parsing document with progress at 0 or 1")
            if document is None or refusal is not None:
                break
            cancel_parse(document)
            stopped.append(document_id)
        settlement = Settlement(dataset_id, tuple(stopped), deletes=True)
        return refusal, settlement.insert() if stopped else "", settlement


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _read_condition(text: str | None) -> dict[str, Any] | None:
    """A metadata condition from a query parameter; None when there is nothing to filter by."""
    if text is None:
        return None
    try:
        condition = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused("metadata_condition must be valid JSON.") from error
    if condition and not isinstance(condition, dict):
        raise Refused("metadata_condition must be an object.")
    return condition if condition and condition.get("conditions") else None
