"""Metadata of a dataset's documents: what there is, and changing many at once."""

from typing import Any

import orjson

from api.auth import Caller
from api.clock import now_ms
from api.db.database import Database
from api.db.metadata import documents_matching, metadata_of_datasets
from api.db.models import Document
from api.documents.queries import existing_ids
from api.documents.schemas import MetadataUpdateBody
from api.errors import NotFound, Refused
from api.permissions import Right, get_dataset
from rag.retrieval.metadata import apply_changes, read_updates, summarize


class MetadataService:
    """Metadata of a dataset's documents."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def summary(
        self, caller: Caller, dataset_id: str, document_ids: list[str] | None
    ) -> dict[str, Any]:
        """Keys, their types and how often each value occurs. Raises NotFound."""
        return await self._db.read(self._summary, caller, dataset_id, document_ids)

    async def update(self, caller: Caller, dataset_id: str, body: MetadataUpdateBody) -> dict[str, int]:
        """Change the metadata of the selected documents (all without a selector). Raises NotFound, Refused, BadFilter."""
        return await self._db.transaction(self._update, caller, dataset_id, body)

    def _summary(self, caller: Caller, dataset_id: str, document_ids: list[str] | None) -> dict[str, Any]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}. "))
        metadata = metadata_of_datasets([dataset_id])
        if document_ids:
            wanted = set(document_ids)
            metadata = {key: value for key, value in metadata.items() if key in wanted}
        return {"summary": summarize(metadata.values())}

    def _update(self, caller: Caller, dataset_id: str, body: MetadataUpdateBody) -> dict[str, int]:
        get_dataset(caller, dataset_id, Right.WORK, NotFound(f"You don't own the dataset {dataset_id}. "))
        selector = body.selector or {}
        if not isinstance(selector, dict):
            raise Refused("selector must be an object.")
        updates, deletes = read_updates(body.updates, body.deletes)
        condition = selector.get("metadata_condition") or {}
        if not isinstance(condition, dict):
            raise Refused("metadata_condition must be an object.")
        ids = selector.get("document_ids") or []
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Refused("document_ids must be a list.")
        targets = self._targets(dataset_id, ids, condition)
        metadata = metadata_of_datasets([dataset_id])
        changed = 0
        for document_id in targets:
            old = metadata.get(document_id, {})
            new = apply_changes(old, updates, deletes)
            if new != old:
                changed += 1
                Document.update(meta_fields=orjson.dumps(new).decode(), update_time=now_ms()).where(
                    Document.id == document_id
                ).execute()
        return {"updated": changed, "matched_docs": len(targets)}

    def _targets(self, dataset_id: str, ids: list[str], condition: dict[str, Any]) -> list[str]:
        """Ids named, or all of the dataset; less those that the condition leaves out."""
        targets = list(dict.fromkeys(ids))
        foreign = set(targets) - existing_ids(dataset_id, targets) if targets else set()
        if foreign:
            listed = ", ".join(one for one in targets if one in foreign)
            raise Refused(f"These documents do not belong to dataset {dataset_id}: {listed}")
        if not targets:
            targets = [
                row.id for row in Document.select(Document.id).where(Document.dataset_id == dataset_id)
            ]
        if condition.get("conditions"):
            matching = documents_matching([dataset_id], condition)
            targets = [one for one in targets if one in matching]
        return targets
