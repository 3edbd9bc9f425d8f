"""Documents' metadata: normalised on writing, counted in a summary, changed in batches. Pure functions.

Metadata is one object per document: a key, and a scalar or a list of scalars.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.errors import RagError

_SEPARATORS = re.compile("[、,，;；|]")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class BadMetadata(RagError):
    """Metadata, or a change of it, that cannot be stored; the text says why."""


@dataclass(frozen=True, slots=True)
class MetadataUpdate:
    """Set, append to or replace a key's value; with `match` only where the old value equals it as text."""

    key: str
    value: Any
    match: Any = None


@dataclass(frozen=True, slots=True)
class MetadataDelete:
    """Remove a key; with `value` only what equals it as text."""

    key: str
    value: Any = None


def normalize_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it is stored: the texts of a list are split at separators, trimmed and de-duplicated.

    Scalars stay as they are. Raises BadMetadata for a list that holds objects or lists.
    """
    return {str(key): _normalize(str(key), value) for key, value in metadata.items()}


def _normalize(key: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    items: list[Any] = []
    for item in value:
        if isinstance(item, (list, tuple, dict)):
            raise BadMetadata(f"metadata key {key!r}: a list may hold texts, numbers and truth values only")
        if isinstance(item, str):
            items.extend(part for piece in _SEPARATORS.split(item) if (part := piece.strip()))
        else:
            items.append(item)
    return _distinct(items)


def _distinct(items: Iterable[Any]) -> list[Any]:
    """In order, without repetitions; 1, 1.0 and True are different."""
    seen: dict[str, Any] = {}
    for item in items:
        seen.setdefault(f"{type(item).__name__}:{item!r}", item)
    return list(seen.values())


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def summarize(metadata: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`{key: {"type", "values": [[text, count], …]}}` over documents; most frequent first, ties as first seen.

    type: the most frequent of "list", "number", "time" and "string".
    """
    counts: dict[str, Counter[str]] = {}
    kinds: dict[str, Counter[str]] = {}
    for document in metadata:
        for key, value in document.items():
            items = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
            if not items:
                continue
            counts.setdefault(key, Counter()).update(_as_text(item) for item in items)
            kinds.setdefault(key, Counter())[_kind(value)] += 1
    return {
        key: {
            "type": kinds[key].most_common(1)[0][0],
            "values": [[text, count] for text, count in values.most_common()],
        }
        for key, values in counts.items()
    }


def documents_by_value(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """`{key: {text: [document ids]}}`."""
    found: dict[str, dict[str, list[str]]] = {}
    for document_id, document in metadata.items():
        for key, value in document.items():
            for text in dict.fromkeys(
                _as_text(item) for item in (value if isinstance(value, list) else [value]) if item is not None
            ):
                found.setdefault(key, {}).setdefault(text, []).append(document_id)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "list"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return "time"
    return "string"


def read_updates(updates: Any, deletes: Any) -> tuple[list[MetadataUpdate], list[MetadataDelete]]:
    """The changes of a request body; what is falsy counts as empty. Raises BadMetadata with the wire's text."""
    updates, deletes = updates or [], deletes or []
    if not isinstance(updates, list) or not isinstance(deletes, list):
        raise BadMetadata("updates and deletes must be lists.")
    for update in updates:
        if not isinstance(update, Mapping) or not update.get("key") or "value" not in update:
            raise BadMetadata("Each update requires key and value.")
    for delete in deletes:
        if not isinstance(delete, Mapping) or not delete.get("key"):
            raise BadMetadata("Each delete requires key.")
    return (
        [MetadataUpdate(str(update["key"]), update["value"], update.get("match")) for update in updates],
        [MetadataDelete(str(delete["key"]), delete.get("value")) for delete in deletes],
    )


def apply_changes(
    metadata: Mapping[str, Any], updates: Sequence[MetadataUpdate], deletes: Sequence[MetadataDelete]
) -> dict[str, Any]:
    """The metadata after the updates, in order, and then the deletes; the argument stays as it was."""
    changed = dict(metadata)
    for update in updates:
        _apply_update(changed, update)
    for delete in deletes:
        _apply_delete(changed, delete)
    return changed


def _apply_update(metadata: dict[str, Any], update: MetadataUpdate) -> None:
    key, value = update.key, update.value
    has_match = update.match is not None and update.match != ""
    if key not in metadata:
        if not has_match:
            metadata[key] = _distinct(value) if isinstance(value, list) else value
        return
    old = metadata[key]
    if not has_match:
        metadata[key] = (
            _distinct([*old, *(value if isinstance(value, list) else [value])])
            if isinstance(old, list)
            else value
        )
        return
    match = _as_text(update.match)
    if isinstance(old, list):
        if any(_as_text(item) == match for item in old):
            replaced: list[Any] = []
            for item in old:
                if _as_text(item) != match:
                    replaced.append(item)
                elif isinstance(value, list):
                    replaced.extend(value)  # a list cannot be an item of a stored list
                else:
                    replaced.append(value)
            metadata[key] = _distinct(replaced)
    elif _as_text(old) == match:
        metadata[key] = value


def _apply_delete(metadata: dict[str, Any], delete: MetadataDelete) -> None:
    if delete.key not in metadata:
        return
    old = metadata[delete.key]
    if delete.value is None:
        del metadata[delete.key]
        return
    value = _as_text(delete.value)
    if isinstance(old, list):
        left = [item for item in old if _as_text(item) != value]
        if left:
            metadata[delete.key] = left
        elif len(left) != len(old):
            del metadata[delete.key]
    elif _as_text(old) == value:
        del metadata[delete.key]
