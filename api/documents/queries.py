"""The document list, in SQL of its own: building it through the ORM costs more than running it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.db.database import execute
from api.db.document_replies import RUN_TEXTS, SELECT_COLUMNS, listed_reply
from api.db.models import Document, fold_name

_RUN_CODES = {text: code for code, text in RUN_TEXTS.items()} | {code: code for code in RUN_TEXTS}


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Conditions of a list, all of which must hold. ids: None for any."""

    dataset_id: str
    keywords: str = ""
    ids: Sequence[str] | None = None
    name: str | None = None
    suffixes: Sequence[str] = field(default_factory=list)
    runs: Sequence[str] = field(default_factory=list)
    create_time_from: int = 0
    create_time_to: int = 0

    def sql(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        parts, values = ["d.dataset_id = ?"], [self.dataset_id]

        def add(part: str, *more: Any) -> None:
            parts.append(part)
            values.extend(more)

        if self.keywords:
            escaped = fold_name(self.keywords).replace("!", "!!").replace("%", "!%").replace("_", "!_")
            add("d.name_key LIKE ? ESCAPE '!'", f"%{escaped}%")
        if self.ids is not None:
            add(f"d.id IN ({_marks(self.ids)})", *self.ids)
        if self.name is not None:
            add("d.name_key = ?", fold_name(self.name))
        if self.suffixes:
            add(f"d.suffix IN ({_marks(self.suffixes)})", *self.suffixes)
        if self.runs:
            codes = [_RUN_CODES.get(run, "") for run in self.runs]
            add(f"d.run IN ({_marks(codes)})", *codes)
        if self.create_time_from:
            add("d.create_time >= ?", self.create_time_from)
        if self.create_time_to:
            add("d.create_time <= ?", self.create_time_to)
        return " AND ".join(parts), values


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values)) or "NULL"


def list_documents(
    wanted: DocumentFilter, *, column: str, desc: bool, limit: int, offset: int
) -> list[dict[str, Any]]:
    """A page of documents as the API shows them. column: already checked."""
    where, values = wanted.sql()
    way = "DESC" if desc else "ASC"
    sql = (
        f"SELECT {SELECT_COLUMNS} FROM document d WHERE {where} "
        f"ORDER BY d.{column} {way}, d.id {way} LIMIT ? OFFSET ?"
    )
    return [listed_reply(row) for row in execute(sql, [*values, limit, offset])]


def count_documents(wanted: DocumentFilter) -> int:
    """How many match in all."""
    where, values = wanted.sql()
    return int(execute(f"SELECT COUNT(*) FROM document d WHERE {where}", values)[0][0])


def existing_ids(dataset_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are documents of the dataset."""
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        found |= {
            row.id
            for row in Document.select(Document.id).where(
                (Document.dataset_id == dataset_id) & (Document.id.in_(some))
            )
        }
    return found


def is_name_taken(dataset_id: str, name: str, *, but: str = "") -> bool:
    """Whether another document of the dataset (not `but`) has this name, ignoring case."""
    return bool(
        Document.select()
        .where(
            (Document.dataset_id == dataset_id)
            & (Document.name_key == fold_name(name))
            & (Document.id != but)
        )
        .exists()
    )


def count_of_tenant(tenant_id: str) -> int:
    """How many documents the tenant's datasets hold."""
    sql = "SELECT COALESCE(SUM(document_count), 0) FROM dataset WHERE tenant_id = ?"
    return int(execute(sql, [tenant_id])[0][0])
