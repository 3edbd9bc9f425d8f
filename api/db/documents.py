"""Document rows: finding them, and the life of a parse as the row shows it.

run: 0 UNSTART -> 1 RUNNING -> 3 DONE or 4 FAIL; 2 CANCEL from anywhere. Counters of document and dataset
equal what the index holds, so a parse that starts leaves them alone: the old chunks are found until the
new ones replace them.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import fn

from api.clock import now_ms
from api.db import tasks
from api.db.database import execute
from api.db.models import Dataset, Document
from api.db.rows import first_row
from api.executor.progress import error_line, progress_line, with_lines
from rag.stores.protocol import StoreCounts

UNSTART, RUNNING, CANCEL, DONE, FAIL = "0", "1", "2", "3", "4"

_IDS_PER_QUERY = 500


def find_document(dataset_id: str, document_id: str) -> Document | None:
    """A document of the dataset."""
    return first_row(Document, "id = ? AND dataset_id = ?", [document_id, dataset_id])


def find_foreign_documents(dataset_ids: Collection[str], document_ids: Sequence[str]) -> list[str]:
    """Those of the ids, in order, that no document of the datasets has."""
    found: set[str] = set()
    for start in range(0, len(document_ids), _IDS_PER_QUERY):
        some = document_ids[start : start + _IDS_PER_QUERY]
        rows = Document.select(Document.id).where(
            Document.id.in_(some) & Document.dataset_id.in_(list(dataset_ids))
        )
        found.update(row.id for row in rows)
    return [one for one in dict.fromkeys(document_ids) if one not in found]


def existing_storage_keys(keys: Sequence[str]) -> set[str]:
    """Those of the keys that a document has its file under; the last name of a key is the document's id."""
    document_ids = [key.rpartition("/")[2] for key in keys]
    found: set[str] = set()
    for start in range(0, len(document_ids), _IDS_PER_QUERY):
        some = document_ids[start : start + _IDS_PER_QUERY]
        found.update(
            row.storage_key for row in Document.select(Document.storage_key).where(Document.id.in_(some))
        )
    return found


def start_parse(document: Document) -> str:
    """Queue the document for parsing, over a parse that may be under way; returns the task's id.

    Runs in the caller's transaction; the caller pokes the queue after the commit. The old chunks stay
    until the new ones are there.
    """
    tasks.drop_parse_tasks([document.id])
    now = now_ms()
    _update(
        document.id, run=RUNNING, progress=random.uniform(0.0001, 0.0099), progress_msg="Task is queued...",
        process_begin_at=now, process_duration=0.0,
    )  # fmt: skip
    return tasks.insert_task(
        tasks.PARSE, document_id=document.id, dataset_id=document.dataset_id, size=document.size
    )


def cancel_parse(document: Document) -> None:
    """Stop a parse: the row is CANCEL and empty, the counters of the dataset are corrected.

    Runs in the caller's transaction; after the commit the caller pokes the queue and deletes the
    document's chunks in the store. What the parse has staged goes with its task.
    """
    tasks.drop_parse_tasks([document.id])
    _add_to_dataset(document.dataset_id, -document.chunk_count, -document.token_count)
    _update(
        document.id, run=CANCEL, progress=0.0, chunk_count=0, token_count=0,
        progress_msg=with_lines(document.progress_msg, progress_line("Task has been canceled.", has_pages=False)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ParseJob:
    """What parsing a document needs, read when a task is leased."""

    document_id: str
    dataset_id: str
    name: str
    storage_key: str
    size: int
    chunk_method: str
    parser_config: str
    is_enabled: bool
    language: str
    embedding_model: str
    tenant_id: str
    begun_at: int
    progress_msg: str


def load_jobs(document_ids: Sequence[str]) -> dict[str, ParseJob]:
    """The jobs of documents that are there."""
    columns = (
        Document.id, Document.dataset_id, Document.name, Document.storage_key, Document.size, Document.chunk_method,
        Document.parser_config, Document.is_enabled, Dataset.language, Dataset.embedding_model, Dataset.tenant_id,
        fn.COALESCE(Document.process_begin_at, now_ms()), Document.progress_msg,
    )  # fmt: skip
    select: Any = Document.select(*columns)
    rows = (
        select.join(Dataset, on=(Dataset.id == Document.dataset_id))
        .where(Document.id.in_(document_ids))
        .tuples()
    )
    return {row[0]: ParseJob(*row) for row in rows}


def show_progress(job: ParseJob, progress: float, message: str) -> None:
    """What clients that poll see while a parse runs."""
    _update(job.document_id, progress=progress, progress_msg=message, process_duration=_duration_s(job))


@dataclass(frozen=True, slots=True)
class RowState:
    """What may have changed while the document was parsed."""

    name: str
    is_enabled: bool


def row_states(document_ids: Sequence[str]) -> dict[str, RowState]:
    """By document id, of those that are there."""
    rows = Document.select(Document.id, Document.name, Document.is_enabled).where(
        Document.id.in_(document_ids)
    )
    return {row.id: RowState(row.name, row.is_enabled) for row in rows}


def finish_parse(job: ParseJob, counts: StoreCounts, message: str) -> RowState | None:
    """DONE, with counters equal to what the index holds; None when the row is gone."""
    rows = execute(
        "SELECT name, is_enabled, chunk_count, token_count FROM document WHERE id = ?", [job.document_id]
    )
    if not rows:
        return None
    name, is_enabled, chunk_count, token_count = rows[0]
    _add_to_dataset(job.dataset_id, counts.chunks - chunk_count, counts.tokens - token_count)
    _update(
        job.document_id, run=DONE, progress=1.0, progress_msg=message, process_duration=_duration_s(job),
        chunk_count=counts.chunks, token_count=counts.tokens,
    )  # fmt: skip
    return RowState(name, bool(is_enabled))


def fail_parse(job: ParseJob, message: str, error: str) -> None:
    """FAIL with the reason; chunks of an earlier parse stay, and so do the counters."""
    _update(
        job.document_id, run=FAIL, progress=-1.0, progress_msg=with_lines(message, error_line(error)),
        process_duration=_duration_s(job),
    )  # fmt: skip


def retry_parse(job: ParseJob, message: str, error: str) -> None:
    """Still RUNNING, from the start again, with the reason."""
    _update(job.document_id, progress=0.005, progress_msg=with_lines(message, error_line(error)))


def set_counts_of(document_id: str, counts: StoreCounts) -> RowState | None:
    """`set_counts` for a row that may be gone; None when it is."""
    row = find_row(document_id)
    if row is None:
        return None
    set_counts(row, counts)
    return RowState(row.name, row.is_enabled)


def set_counts(document: Document, counts: StoreCounts) -> None:
    """Write what the index holds into the row, and the difference into the dataset's counters."""
    _add_to_dataset(
        document.dataset_id, counts.chunks - document.chunk_count, counts.tokens - document.token_count
    )
    _update(document.id, chunk_count=counts.chunks, token_count=counts.tokens)


def _add_to_dataset(dataset_id: str, chunks: int, tokens: int) -> None:
    execute(
        "UPDATE dataset SET chunk_count = chunk_count + ?, token_count = token_count + ?, update_time = ?"
        " WHERE id = ?",
        [chunks, tokens, now_ms(), dataset_id],
    )


def find_row(document_id: str) -> Document | None:
    """A document by its id alone; for work that nobody asks rights for."""
    row: Document | None = Document.get_or_none(Document.id == document_id)
    return row


def _update(document_id: str, **values: Any) -> None:
    values["update_time"] = now_ms()
    columns = ", ".join(f"{name} = ?" for name in values)
    execute(f"UPDATE document SET {columns} WHERE id = ?", [*values.values(), document_id])


def _duration_s(job: ParseJob) -> float:
    return max(0, now_ms() - job.begun_at) / 1000
