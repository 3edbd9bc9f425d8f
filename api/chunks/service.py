"""What a caller can do with the chunks of a document."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

from api.auth import Caller
from api.chunks.schemas import ChunkCreate, ChunkListQuery, ChunkUpdate
from api.clock import now_ms
from api.db.database import Database
from api.db.document_replies import document_reply
from api.db.documents import find_document
from api.db.models import Dataset, Document
from api.errors import AppError, BadArgument, Code, Conflict, NotFound, Refused
from api.permissions import Right, get_dataset
from api.settling import Settler
from api.tenant_models import TenantModels
from rag.chunks import Chunk, Position, chunk_id
from rag.ingest.chunks import no_vector, title_words
from rag.ingest.embedding import embed_one, plain_text
from rag.retrieval.highlight import highlight
from rag.retrieval.query import parse_question
from rag.stores.protocol import ChunkStore
from rag.text.tokenizer import words
from rag.text.tokens import count_tokens

MAX_PAGE_SIZE = 1024
MAX_CONTENT_CHARACTERS = 1_000_000
UPDATE_TRIES = 5


class ChunkService:
    """What a caller can do with the chunks of a document."""

    def __init__(self, db: Database, chunks: ChunkStore, models: TenantModels, settler: Settler) -> None:
        self._db = db
        self._chunks = chunks
        self._models = models
        self._settler = settler

    async def find(
        self, caller: Caller, dataset_id: str, document_id: str, query: ChunkListQuery
    ) -> dict[str, Any]:
        """A page of chunks with their document. Raises NotFound."""
        _, document = await self._db.read(self._get, caller, dataset_id, document_id)
        if query.id is not None:
            chunk = await self._chunks.get(dataset_id, document_id, query.id)
            if chunk is None:
                raise NotFound(f"Chunk not found: {dataset_id}/{query.id}", code=Code.NOT_FOUND)
            total, chunks = 1, [chunk]
        else:
            size = min(query.page_size, MAX_PAGE_SIZE)
            question = parse_question(query.keywords)
            terms = question.query_terms()
            if query.keywords and not terms:
                total, chunks = 0, []
            else:
                page = await self._chunks.list_chunks(
                    dataset_id, document_id, offset=(max(query.page, 1) - 1) * size, limit=size, terms=terms
                )
                total, chunks = page.total, page.chunks
                if terms:
                    chunks = [replace(chunk, content=highlight(chunk.content, question)) for chunk in chunks]
        return {
            "total": total,
            "chunks": [chunk_reply(chunk) for chunk in chunks],
            "doc": document_reply(document),
        }

    async def add(
        self, caller: Caller, dataset_id: str, document_id: str, new: ChunkCreate
    ) -> dict[str, Any]:
        """Write a chunk; the same content again replaces it. Raises NotFound, Refused, BadArgument, RagError."""
        dataset, document = await self._db.read(self._get, caller, dataset_id, document_id)
        content = _checked_content(new.content)
        if not content.strip():
            raise Refused("`content` is required")
        keywords = _texts(new.important_keywords, Refused("`important_keywords` is required to be a list"))
        questions = _texts(new.questions, Refused("`questions` is required to be a list"))
        now_s = time.time()
        chunk = Chunk(
            id=chunk_id(content, document_id),
            dataset_id=dataset_id,
            document_id=document_id,
            document_name=document.name,
            content=content,
            words="",
            title_words="",
            vector=no_vector(),
            order=now_ms(),
            created_at=now_s,
            token_count=count_tokens(content),
            keywords=keywords,
            questions=[question.strip() for question in questions if question.strip()],
            is_available=document.is_enabled,
        )
        await self._complete(dataset, chunk)
        is_same = False
        while not is_same:  # the document may be renamed or switched beside
            inserting = partial(self._chunks.upsert, [chunk])
            _, row = await self._settler.change(dataset_id, document_id, inserting, is_alone=False)
            is_same = (chunk.document_name, chunk.is_available) == (row.name, row.is_enabled)
            chunk.document_name, chunk.is_available = row.name, row.is_enabled
            chunk.title_words = title_words(row.name)
        return {
            "chunk": {
                "id": chunk.id,
                "content": content,
                "document_id": document_id,
                "important_keywords": chunk.keywords,
                "questions": chunk.questions,
                "dataset_id": dataset_id,
                "create_timestamp": now_s,
                "create_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now_s)),
            }
        }

    async def update(
        self, caller: Caller, dataset_id: str, document_id: str, chunk_id: str, changes: ChunkUpdate
    ) -> None:
        """Change what was sent and embed again. Raises NotFound, Refused, BadArgument, RagError."""
        dataset, _document = await self._db.read(self._get, caller, dataset_id, document_id)
        for _ in range(UPDATE_TRIES):
            before = await self._get_chunk(dataset_id, document_id, chunk_id)
            after = _changed(before, changes)
            await self._complete(dataset, after)  # before the lock is taken: a model may be slow
            replacing = partial(self._replace, before, after)
            is_done, _ = await self._settler.change(dataset_id, document_id, replacing, is_alone=True)
            if is_done:
                return
        raise Conflict("Others are changing this chunk. Please try again shortly.")

    async def delete(
        self, caller: Caller, dataset_id: str, document_id: str, ids: list[str] | None
    ) -> dict[str, Any] | None:
        """Delete chunks; None or []: all of the document. Raises NotFound (the existing ones are gone then)."""
        await self._db.read(self._get_for_delete, caller, dataset_id, document_id)
        unique = list(dict.fromkeys(ids or []))
        deleted, _ = await self._settler.change(
            dataset_id,
            document_id,
            lambda: self._chunks.delete_chunks(dataset_id, document_id, unique or None),
            is_alone=True,
        )
        if unique and deleted.chunks != len(unique):
            raise NotFound(f"rm_chunk deleted chunks {deleted.chunks}, expect {len(unique)}")
        if ids and len(unique) < len(ids):
            twice = [one for one in unique if ids.count(one) > 1]
            return {
                "success_count": deleted.chunks,
                "errors": [f"Duplicate chunk ids: {one}" for one in twice],
            }
        return None

    async def _get_chunk(self, dataset_id: str, document_id: str, chunk_id: str) -> Chunk:
        chunk = await self._chunks.get(dataset_id, document_id, chunk_id)
        if chunk is None:
            raise NotFound(f"Can't find this chunk {chunk_id}")
        return chunk

    async def _replace(self, before: Chunk, after: Chunk) -> bool:
        """Write the changed chunk, unless it is not any more what the change was made of."""
        now = await self._get_chunk(before.dataset_id, before.document_id, before.id)
        if _content_of(now) != _content_of(before):
            return False
        await self._chunks.upsert([after])
        return True

    async def _complete(self, dataset: Dataset, chunk: Chunk) -> None:
        """Fill in the words and the vector."""
        model = (await self._models.of(dataset.tenant_id)).embedding(dataset.embedding_model)
        chunk.words = words(plain_text(chunk.content))
        chunk.title_words = title_words(chunk.document_name)
        chunk.keyword_words = words(" ".join(chunk.keywords))
        chunk.question_words = words(" ".join(chunk.questions))
        chunk.vector = await embed_one(model, chunk.document_name, chunk.content, chunk.questions)

    def _get(self, caller: Caller, dataset_id: str, document_id: str) -> tuple[Dataset, Document]:
        dataset = get_dataset(
            caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}.")
        )
        document = find_document(dataset_id, document_id)
        if document is None:
            raise NotFound(f"You don't own the document {document_id}.")
        return dataset, document

    def _get_for_delete(self, caller: Caller, dataset_id: str, document_id: str) -> None:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}."))
        if find_document(dataset_id, document_id) is None:
            raise NotFound(f"Can't find the document with ID {document_id}!")


def chunk_reply(chunk: Chunk) -> dict[str, Any]:
    """A chunk as a list shows it."""
    return {
        "id": chunk.id,
        "content": chunk.content,
        "document_id": chunk.document_id,
        "docnm_kwd": chunk.document_name,
        "important_keywords": chunk.keywords,
        "questions": chunk.questions,
        "dataset_id": chunk.dataset_id,
        "image_id": chunk.image_id,
        "available": chunk.is_available,
        "positions": chunk.positions,
    }


def _changed(chunk: Chunk, changes: ChunkUpdate) -> Chunk:
    """The chunk with what was sent. Raises BadArgument, Refused."""
    chunk = replace(chunk)
    if changes.content is not None:
        chunk.content = _checked_content(changes.content)
        chunk.token_count = count_tokens(chunk.content)
    if changes.important_keywords is not None:
        chunk.keywords = _texts(changes.important_keywords, Refused("`important_keywords` should be a list"))
    if changes.questions is not None:
        questions = _texts(changes.questions, Refused("`questions` should be a list"))
        chunk.questions = [question.strip() for question in questions if question.strip()]
    if changes.positions is not None:
        chunk.positions = _positions(changes.positions)
    if changes.available is not None:
        chunk.is_available = _truth(changes.available)
    return chunk


def _content_of(chunk: Chunk) -> tuple[Any, ...]:
    """What changes of others would show in."""
    return (
        chunk.content, chunk.keywords, chunk.questions, chunk.positions, chunk.is_available, chunk.document_name,
    )  # fmt: skip


def _checked_content(content: str | None) -> str:
    text = (content or "").replace("\x00", "")
    if len(text) > MAX_CONTENT_CHARACTERS:
        raise BadArgument(f"`content` may have {MAX_CONTENT_CHARACTERS} characters, got {len(text)}")
    return text


def _texts(values: Any, refusal: AppError) -> list[str]:
    if not isinstance(values, list):
        raise refusal
    for value in values:
        if not isinstance(value, str):
            raise BadArgument(f"{refusal.message.split()[0]} must hold strings, got {value!r}")
    return values


def _positions(values: Any) -> list[Position]:
    if not isinstance(values, list):
        raise Refused("`positions` should be a list")
    for value in values:
        is_five = isinstance(value, list) and len(value) == 5
        if not is_five or not all(
            isinstance(n, int) and not isinstance(n, bool) and abs(n) < 2**31 for n in value
        ):
            raise BadArgument(f"`positions` must hold lists of 5 integers, got {value!r}")
    return [tuple(value) for value in values]


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    if value not in (True, False) or not isinstance(value, bool | int):
        raise BadArgument(f"`available` must be true or false, got {value!r}")
    return bool(value)
