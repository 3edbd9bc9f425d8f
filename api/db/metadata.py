"""Queries on the metadata of documents."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from api.db.database import execute
from rag.retrieval.metadata_filter import matching_documents


def metadata_of_datasets(dataset_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Document id to metadata, of all documents of the datasets that have any, oldest first."""
    marks = ", ".join("?" * len(dataset_ids)) or "NULL"
    sql = (
        f"SELECT id, meta_fields FROM document WHERE dataset_id IN ({marks}) AND meta_fields <> '{{}}' "
        "ORDER BY create_time, id"
    )
    return {document_id: orjson.loads(text) for document_id, text in execute(sql, list(dataset_ids))}


def metadata_of_documents(document_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Document id to metadata, of those of the documents that have any."""
    marks = ", ".join("?" * len(document_ids)) or "NULL"
    sql = f"SELECT id, meta_fields FROM document WHERE id IN ({marks}) AND meta_fields <> '{{}}'"
    return {document_id: orjson.loads(text) for document_id, text in execute(sql, list(document_ids))}


def documents_matching(dataset_ids: Sequence[str], condition: Mapping[str, Any]) -> set[str]:
    """Ids of the documents whose metadata fulfil the condition. Raises BadFilter."""
    return matching_documents(metadata_of_datasets(dataset_ids), condition)
