"""Rows of the task queue, written in the transaction that makes the work necessary."""

from collections.abc import Sequence
from typing import Any

import orjson

from api.clock import new_id, now_ms
from api.db.models import Task

PARSE = "parse"
PURGE = "purge"


def insert_task(
    kind: str,
    *,
    document_id: str = "",
    dataset_id: str = "",
    payload: dict[str, Any] | None = None,
    delay_ms: int = 0,
) -> str:
    """Queue a piece of work; poke the queue after the commit. Returns the task's id."""
    now = now_ms()
    task_id = new_id()
    Task.create(
        id=task_id, kind=kind, document_id=document_id, dataset_id=dataset_id, create_time=now, update_time=now,
        payload=orjson.dumps(payload or {}).decode(), available_at=now + delay_ms,
    )  # fmt: skip
    return task_id


def drop_parse_tasks(document_ids: Sequence[str]) -> None:
    """Forget the documents' parse tasks; a worker that has one loses it at its next sign of life."""
    for start in range(0, len(document_ids), 500):
        Task.delete().where(
            (Task.document_id.in_(document_ids[start : start + 500])) & (Task.kind == PARSE)
        ).execute()


def delete_task(task_id: str) -> None:
    """Forget a task."""
    Task.delete().where(Task.id == task_id).execute()


def drop_dataset_tasks(dataset_id: str) -> None:
    """Forget all parse tasks of a dataset."""
    Task.delete().where((Task.dataset_id == dataset_id) & (Task.kind == PARSE)).execute()
