"""Rows of the task queue, written in the transaction that makes the work necessary.

The row is the truth about a task, whatever hands it out: `api.executor.database_queue` does from here.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from api.clock import new_id, now_ms
from api.db.database import execute
from api.db.models import Task
from api.executor.protocol import Lease, Write

PARSE = "parse"
PURGE = "purge"
SETTLE = "settle"

QUEUED = "queued"
LEASED = "leased"

SMALL_BYTES = 64 * 1024
"""Files up to this size are leased and handed to workers several at a time."""

_ROWS_PER_QUERY = 500


def insert_task(
    kind: str,
    *,
    document_id: str = "",
    dataset_id: str = "",
    size: int = 0,
    payload: dict[str, Any] | None = None,
    delay_ms: int = 0,
) -> str:
    """Queue a piece of work; poke the queue after the commit. Returns the task's id."""
    now = now_ms()
    task_id = new_id()
    execute(
        "INSERT INTO task (id, create_time, update_time, kind, document_id, dataset_id, size, payload, state,"
        " attempts, busy_count, lease_count, priority, available_at, lease_owner, lease_token, lease_until,"
        " is_cancelled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, '', '', 0, ?)",
        [task_id, now, now, kind, document_id, dataset_id, size, orjson.dumps(payload or {}).decode(), QUEUED,
         now + delay_ms, False],
    )  # fmt: skip
    return task_id


def drop_parse_tasks(document_ids: Sequence[str]) -> None:
    """Nobody wants the documents parsed any more; poke the queue after the commit.

    Waiting tasks go at once, running ones are stopped and cleaned up by who has them.
    """
    for some in _portions(document_ids):
        _drop(f"document_id IN ({_marks(some)})", some)


def drop_dataset_tasks(dataset_id: str) -> None:
    """The same for all documents of a dataset."""
    _drop("dataset_id = ?", [dataset_id])


def _drop(which: str, values: Sequence[Any]) -> None:
    rows = execute(f"SELECT id, state FROM task WHERE {which} AND kind = ?", [*values, PARSE])
    for some in _portions([id_ for id_, state in rows if state == QUEUED]):
        execute(f"DELETE FROM task WHERE id IN ({_marks(some)})", some)
    for some in _portions([id_ for id_, state in rows if state != QUEUED]):
        execute(
            f"UPDATE task SET is_cancelled = ?, update_time = ? WHERE id IN ({_marks(some)})",
            [True, now_ms(), *some],
        )


def list_payloads(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """(id, payload) of every task of the kind, oldest first."""
    rows = Task.select(Task.id, Task.payload).where(Task.kind == kind).order_by(Task.create_time)
    return [(row.id, orjson.loads(row.payload)) for row in rows]


def delete_tasks(task_ids: Sequence[str]) -> None:
    """Forget tasks."""
    for some in _portions(task_ids):
        Task.delete().where(Task.id.in_(some)).execute()


def count_waiting(limit: int = 2**31) -> int:
    """Tasks that wait for a worker, not counting further than the limit.

    Settlements only wait in case that their request dies.
    """
    waiting = (Task.state == QUEUED) & (Task.kind != SETTLE)
    count: int = Task.select(Task.id).where(waiting).limit(limit).count()
    return count


def lease_tasks(owner: str, lease_ms: int, *, limit: int, extra_small: int) -> list[Lease]:
    """Lease the next tasks that are due: those whose holder is gone first, then the oldest."""
    now = now_ms()
    chosen = _choose(_due(now, limit + extra_small), limit)
    if not chosen:
        return []
    token = secrets.token_hex(16)
    execute(
        "UPDATE task SET state = ?, lease_owner = ?, lease_token = ?, lease_until = ?,"
        f" lease_count = lease_count + 1, update_time = ? WHERE id IN ({_marks(chosen)})",
        [LEASED, owner, token, now + lease_ms, now, *(row.id for row in chosen)],
    )
    return [
        Lease(
            task_id=row.id, kind=row.kind, document_id=row.document_id, dataset_id=row.dataset_id, token=token,
            attempts=row.attempts, busy_count=row.busy_count, lease_count=row.lease_count + 1,
            is_cancelled=bool(row.is_cancelled), payload=orjson.loads(row.payload),
        )
        for row in chosen
    ]  # fmt: skip


class _Due(NamedTuple):
    id: str
    kind: str
    document_id: str
    dataset_id: str
    size: int
    payload: str
    attempts: int
    busy_count: int
    lease_count: int
    is_cancelled: bool


_DUE = f"SELECT {', '.join(f't.{name}' for name in _Due._fields)} FROM task t WHERE "


def _due(now: int, limit: int) -> Iterable[_Due]:
    lost = "t.state = ? AND t.lease_until <= ? ORDER BY t.lease_until LIMIT ?"
    yield from map(_Due._make, execute(_DUE + lost, [LEASED, now, limit]))
    waiting = (
        "t.state = ? AND t.available_at <= ? AND (t.kind <> ? OR NOT EXISTS (SELECT 1 FROM task o"
        " WHERE o.document_id = t.document_id AND o.kind = ? AND o.state = ?))"
        " ORDER BY t.priority, t.available_at LIMIT ?"
    )
    yield from map(_Due._make, execute(_DUE + waiting, [QUEUED, now, PARSE, PARSE, LEASED, limit]))


def _choose(due: Iterable[_Due], limit: int) -> list[_Due]:
    chosen: list[_Due] = []
    documents: set[str] = set()
    has_large = False
    for row in due:
        has_large = has_large or row.size > SMALL_BYTES
        if len(chosen) >= limit and has_large:
            break
        if row.kind == PARSE:
            if row.document_id in documents:
                continue
            documents.add(row.document_id)
        chosen.append(row)
    return chosen


def lost_leases(leases: Sequence[Lease], *, prolong_ms: int) -> set[str]:
    """Ids of those no longer held; the others are prolonged when a third of their time is over."""
    now = now_ms()
    held = _held(leases)
    ageing = [id_ for id_, lease_until in held.items() if lease_until - now < prolong_ms * 2 / 3]
    for some in _portions(ageing):
        Task.update(lease_until=now + prolong_ms).where(Task.id.in_(some)).execute()
    return {lease.task_id for lease in leases} - held.keys()


def run_writes(writes: Sequence[tuple[Lease, Write]], *, is_end: bool) -> dict[str, Any]:
    """Run the writes of leases that hold; with `is_end` the tasks are deleted."""
    held = _held([lease for lease, _ in writes])
    results = {lease.task_id: write() for lease, write in writes if lease.task_id in held}
    if is_end:
        for some in _portions(sorted(held)):
            execute(f"DELETE FROM task WHERE id IN ({_marks(some)})", some)
    return results


def queue_again(lease: Lease, delay_s: float, write: Write, *, is_counted: bool) -> bool:
    """Put a leased task back for later; False when it is no longer held."""
    if not _held([lease]):
        return False
    now = now_ms()
    Task.update(
        state=QUEUED, lease_owner="", lease_token="", lease_until=0, update_time=now,
        available_at=now + int(delay_s * 1000),
        attempts=Task.attempts + (1 if is_counted else 0),
        busy_count=Task.busy_count + (0 if is_counted else 1),
    ).where(Task.id == lease.task_id).execute()  # fmt: skip
    write()
    return True


def release_tasks(leases: Sequence[Lease]) -> None:
    """End leases that are still held; who comes next starts the tasks over. Cancelled ones too: they want cleaning."""
    for lease in leases:
        Task.update(lease_until=0, lease_owner="").where(
            (Task.id == lease.task_id) & (Task.lease_token == lease.token)
        ).execute()


def forget_cancelled(lease: Lease) -> None:
    """Delete a task that this lease holds, cancelled or not."""
    Task.delete().where((Task.id == lease.task_id) & (Task.lease_token == lease.token)).execute()


def is_holder(lease: Lease) -> bool:
    """Whether the task's last lease is this one, be it cancelled."""
    return bool(Task.select().where((Task.id == lease.task_id) & (Task.lease_token == lease.token)).exists())


def end_leases_of(is_gone: Callable[[str], bool]) -> int:
    """End the leases of owners that are gone; returns how many."""
    leased = (Task.state == LEASED) & (Task.lease_until > 0)
    owners = [row.lease_owner for row in Task.select(Task.lease_owner).where(leased).distinct()]
    gone = [owner for owner in owners if owner and is_gone(owner)]
    if not gone:
        return 0
    count: int = Task.update(lease_until=0).where(leased & Task.lease_owner.in_(gone)).execute()
    return count


def _held(leases: Sequence[Lease]) -> dict[str, int]:
    """Ids of the tasks that the leases still hold, and until when."""
    tokens = {lease.task_id: lease.token for lease in leases}
    return {
        id_: lease_until
        for some in _portions(list(tokens))
        for id_, token, lease_until in execute(
            "SELECT id, lease_token, lease_until FROM task"
            f" WHERE id IN ({_marks(some)}) AND state = ? AND is_cancelled = ?",
            [*some, LEASED, False],
        )
        if token == tokens[id_]
    }


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _ROWS_PER_QUERY] for start in range(0, len(ids), _ROWS_PER_QUERY))
