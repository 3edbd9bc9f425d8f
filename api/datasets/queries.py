"""The dataset list, in SQL of its own: building it through the ORM costs more than running it."""

from collections.abc import Sequence
from typing import Any

from api.db.database import execute
from api.db.datasets import SELECT_COLUMNS, reply_from_values


def _where(tenants: Sequence[str], dataset_id: str | None, name_key: str | None) -> tuple[str, list[Any]]:
    """Rows that are listed: the first tenant's own, and what the others share with their team."""
    parts = ["d.tenant_id = ?"]
    values: list[Any] = [tenants[0]]
    if len(tenants) > 1:
        marks = ", ".join("?" * (len(tenants) - 1))
        parts[0] = f"(d.tenant_id = ? OR (d.permission = 'team' AND d.tenant_id IN ({marks})))"
        values += tenants[1:]
    if dataset_id is not None:
        parts.append("d.id = ?")
        values.append(dataset_id)
    if name_key is not None:
        parts.append("d.name_key = ?")
        values.append(name_key)
    return " AND ".join(parts), values


def list_datasets(
    tenants: Sequence[str], dataset_id: str | None, name_key: str | None,
    *, orderby: str, desc: bool, limit: int, offset: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """A page of visible datasets as the API shows them. orderby: a column, already checked."""
    where, values = _where(tenants, dataset_id, name_key)
    way = "DESC" if desc else "ASC"
    sql = (
        f"SELECT {SELECT_COLUMNS} FROM dataset d WHERE {where} "
        f"ORDER BY d.{orderby} {way}, d.id {way} LIMIT ? OFFSET ?"
    )
    return [reply_from_values(row) for row in execute(sql, [*values, limit, offset])]


def count_datasets(tenants: Sequence[str], dataset_id: str | None, name_key: str | None) -> int:
    """How many are visible in all."""
    where, values = _where(tenants, dataset_id, name_key)
    return int(execute(f"SELECT COUNT(*) FROM dataset d WHERE {where}", values)[0][0])


def name_exists(tenants: Sequence[str], name_key: str) -> bool:
    """Whether the caller could see or share a dataset of this name."""
    return count_datasets(tenants, None, name_key) > 0
