"""How a document row becomes what clients see: in uploads (U), updates and chunk lists (P), document lists (L)."""

from collections.abc import Iterable
from typing import Any

import orjson

from api.clock import http_date
from api.db.models import Document

RUN_TEXTS = {"0": "UNSTART", "1": "RUNNING", "2": "CANCEL", "3": "DONE", "4": "FAIL"}

REPLY_COLUMNS = (
    "id", "dataset_id", "chunk_method", "pipeline_id", "parser_config", "created_by", "type", "name", "source_type",
    "suffix", "location", "size", "thumbnail", "run", "chunk_count", "token_count", "progress", "progress_msg",
    "process_begin_at", "process_duration", "is_enabled", "create_time", "update_time", "meta_fields",
)  # fmt: skip
SELECT_COLUMNS = ", ".join(f"d.{name}" for name in REPLY_COLUMNS)

_UPLOAD_KEYS = (
    "id", "dataset_id", "chunk_method", "pipeline_id", "parser_config", "created_by", "type", "name", "source_type",
    "suffix", "location", "size", "thumbnail", "run",
)  # fmt: skip


def listed_reply(values: Iterable[Any]) -> dict[str, Any]:
    """Set L, from the values of `REPLY_COLUMNS`; needs orjson to render."""
    reply = dict(zip(REPLY_COLUMNS, values, strict=True))
    reply["parser_config"] = orjson.Fragment(reply["parser_config"])
    reply["meta_fields"] = orjson.Fragment(reply["meta_fields"])
    reply["run"] = RUN_TEXTS[reply["run"]]
    reply["status"] = "1" if reply.pop("is_enabled") else "0"
    reply["process_begin_at"] = http_date(reply["process_begin_at"])
    reply["create_date"] = http_date(reply["create_time"])
    reply["update_date"] = http_date(reply["update_time"])
    reply["title"] = None
    return reply


def document_reply(document: Document) -> dict[str, Any]:
    """Set P: what an update and a chunk list show."""
    reply = listed_reply(getattr(document, name) for name in REPLY_COLUMNS)
    del reply["meta_fields"], reply["title"]
    return reply


def upload_reply(document: Document) -> dict[str, Any]:
    """Set U: what an upload shows."""
    reply = document_reply(document)
    return {key: reply[key] for key in _UPLOAD_KEYS}
