"""Queries on datasets that several slices share, and how a dataset row becomes what clients see."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from api.clock import http_date, now_ms
from api.db.models import Dataset, fold_name
from api.db.rows import first_row, select_rows

REPLY_COLUMNS = (
    "id", "avatar", "tenant_id", "name", "language", "description", "embedding_model", "permission", "created_by",
    "document_count", "token_count", "chunk_count", "similarity_threshold", "vector_similarity_weight",
    "chunk_method", "pipeline_id", "parser_config", "pagerank", "create_time", "update_time",
)  # fmt: skip
SELECT_COLUMNS = ", ".join(f"d.{name}" for name in REPLY_COLUMNS)

# Runs that a later version adds; clients read the keys all the same.
_NEVER_RUN = {
    f"{kind}_task_{part}": None for kind in ("graphrag", "raptor", "mindmap") for part in ("id", "finish_at")
}


def reply_from_values(values: Iterable[Any]) -> dict[str, Any]:
    """A dataset as the API shows it, from the values of `REPLY_COLUMNS`; needs orjson to render."""
    reply = dict(zip(REPLY_COLUMNS, values, strict=True))
    reply["token_num"] = reply.pop("token_count")
    reply["parser_config"] = orjson.Fragment(reply["parser_config"])
    reply["create_date"] = http_date(reply["create_time"])
    reply["update_date"] = http_date(reply["update_time"])
    reply["status"] = "1"
    reply.update(_NEVER_RUN)
    return reply


def dataset_reply(dataset: Dataset) -> dict[str, Any]:
    """A dataset as the API shows it."""
    return reply_from_values(getattr(dataset, name) for name in REPLY_COLUMNS)


def find_dataset(dataset_id: str) -> Dataset | None:
    """A dataset by id."""
    return first_row(Dataset, "id = ?", [dataset_id])


def find_datasets(ids: Sequence[str]) -> dict[str, Dataset]:
    """Datasets by id; unknown ids are absent."""
    found: dict[str, Dataset] = {}
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        for dataset in select_rows(Dataset, f"id IN ({', '.join('?' * len(some))})", some):
            found[dataset.id] = dataset
    return found


def is_name_taken(tenant_id: str, name: str, *, but: str = "") -> bool:
    """Whether another dataset of the tenant (not `but`) has this name, ignoring case."""
    return bool(
        Dataset.select()
        .where((Dataset.tenant_id == tenant_id) & (Dataset.name_key == fold_name(name)) & (Dataset.id != but))
        .exists()
    )


_NUMBERED = re.compile(r"^(.*)\((\d+)\)$", re.DOTALL)
MAX_TRIES = 1000


def free_name(
    name: str, is_taken: Callable[[str], bool], *, max_characters: int = 255, max_bytes: int = 255
) -> str:
    """The name, or with a number: `trim` -> `trim(1)` -> `trim(2)`; `a.b` -> `a(1).b`. Text before a `/` goes.

    The stem is shortened where the number would make the name too long. Raises ValueError after 1,000 tries.
    """
    candidate = name
    for _ in range(MAX_TRIES):
        if not is_taken(candidate):
            return candidate
        candidate = _next_name(candidate.rsplit("/", 1)[-1], max_characters, max_bytes)
    raise ValueError(f"Failed to generate unique name within {MAX_TRIES} attempts. Original: {name}")


def _next_name(name: str, max_characters: int, max_bytes: int) -> str:
    dot = name.rfind(".")
    stem, suffix = (name[:dot], name[dot:]) if dot > 0 else (name, "")
    numbered = _NUMBERED.match(stem)
    if numbered:
        stem, number = numbered[1].rstrip(), int(numbered[2]) + 1
    else:
        number = 1
    tail = f"({number}){suffix}"
    while stem and (len(stem + tail) > max_characters or len((stem + tail).encode()) > max_bytes):
        stem = stem[:-1]
    return stem + tail


def add_to_counters(dataset_id: str, *, documents: int = 0, chunks: int = 0, tokens: int = 0) -> None:
    """Keep the dataset's counters equal to the sums over its documents."""
    Dataset.update(
        document_count=Dataset.document_count + documents,
        chunk_count=Dataset.chunk_count + chunks,
        token_count=Dataset.token_count + tokens,
        update_time=now_ms(),
    ).where(Dataset.id == dataset_id).execute()
