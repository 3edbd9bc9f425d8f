"""Rows as models, by SQL of our own: for look-ups that nearly every request does.

peewee builds the SQL anew for every query, which costs 200 µs; SQLite needs 10 (docs/decisions/0080-hot-queries.md).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from peewee import BooleanField, Model

from api.db.database import execute

ModelT = TypeVar("ModelT", bound=Model)


@lru_cache
def _columns(model: type[Model]) -> tuple[str, tuple[tuple[str, Callable[[Any], Any] | None], ...]]:
    """The start of the SELECT, and for each column its attribute and what the driver's value goes through."""
    meta: Any = model._meta
    fields = meta.sorted_fields
    head = f"SELECT {', '.join(field.column_name for field in fields)} FROM {meta.table_name} WHERE "
    return head, tuple((field.name, bool if isinstance(field, BooleanField) else None) for field in fields)


def select_rows(model: type[ModelT], condition: str, values: Sequence[Any]) -> list[ModelT]:
    """Rows by a condition in SQL, `?` for values."""
    head, columns = _columns(model)
    return [
        model(**{
            name: value if read is None or value is None else read(value)
            for (name, read), value in zip(columns, row, strict=True)
        })
        for row in execute(head + condition, values)
    ]  # fmt: skip


def first_row(model: type[ModelT], condition: str, values: Sequence[Any]) -> ModelT | None:
    """The first row by a condition in SQL, `?` for values."""
    rows = select_rows(model, condition, values)
    return rows[0] if rows else None
