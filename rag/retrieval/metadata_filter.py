"""Which documents a metadata condition selects.

A condition: `{"logic": "and" | "or", "conditions": [{"name", "comparison_operator", "value"}]}`. Every
stored value (of a list each item) is compared on its own, as text or as the literal that it spells; a
document matches a condition when one of its values does. A document without the key never matches.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rag.errors import BadFilter

_ALIASES = {"is": "=", "not is": "≠", "is not": "≠", "!=": "≠", ">=": "≥", "<=": "≤"}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    "≥": operator.ge,
    "≤": operator.le,
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAX_CONDITIONS = 256
# What the literal reader may be given: longer or deeper text stays text.
_LITERAL_CHARACTERS = 1000
_LITERAL_START = re.compile(r"[-+0-9.'\"\[({tTfFNbBrRuU]")

OPERATORS = frozenset(
    {
        "=",
        "≠",
        ">",
        "<",
        "≥",
        "≤",
        "contains",
        "not contains",
        "in",
        "not in",
        "start with",
        "end with",
        "empty",
        "not empty",
    }
)


def has_conditions(condition: Mapping[str, Any] | None) -> bool:
    """Whether there is anything to filter by; a condition without conditions filters nothing."""
    return bool(condition) and bool(condition.get("conditions"))  # type: ignore[union-attr]


def matching_documents(metadata: Mapping[str, Mapping[str, Any]], condition: Mapping[str, Any]) -> set[str]:
    """Ids of the documents that the condition selects.

    metadata: document id to its metadata. Without conditions all of them are selected.
    Raises BadFilter when the condition is malformed.
    """
    predicates = [_read_condition(entry, place) for place, entry in enumerate(_read_conditions(condition))]
    if not predicates:
        return set(metadata)
    # RAGFlow takes any logic but "and" as "or".
    combine = all if _read_logic(condition) == "and" else any
    return {
        document_id
        for document_id, values in metadata.items()
        if combine(
            any(predicate(text) for text in stored_texts(values.get(name))) for name, predicate in predicates
        )
    }


def stored_texts(value: Any) -> Iterator[str]:
    """The texts that a stored value is compared as: of a list each item on its own, null none."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if item is not None:
            yield item if isinstance(item, str) else str(item)


_Predicate = Callable[[str], bool]


def _read_conditions(condition: Mapping[str, Any]) -> Sequence[Any]:
    if not isinstance(condition, Mapping):
        raise BadFilter(f"metadata_condition must be an object, not {_kind(condition)}")
    conditions = condition.get("conditions")
    if conditions is None:
        return ()
    if not isinstance(conditions, (list, tuple)):
        raise BadFilter(f"`conditions` must be a list, not {_kind(conditions)}")
    if len(conditions) > _MAX_CONDITIONS:
        raise BadFilter(f"`conditions` has {len(conditions)} entries; at most {_MAX_CONDITIONS} are possible")
    return conditions


def _read_logic(condition: Mapping[str, Any]) -> str:
    # Dify says logical_operator.
    logic = condition.get("logic", condition.get("logical_operator"))
    if logic is None:
        return "and"
    if not isinstance(logic, str):
        raise BadFilter(f'`logic` must be "and" or "or", not {_kind(logic)}')
    return "and" if logic.strip().lower() == "and" else "or"


def _read_condition(entry: Any, place: int) -> tuple[str, _Predicate]:
    if not isinstance(entry, Mapping):
        raise BadFilter(f"conditions[{place}] must be an object, not {_kind(entry)}")
    name = entry.get("name")
    if isinstance(name, (list, tuple)) and len(name) == 1:
        name = name[0]  # Dify sends a list
    if not isinstance(name, str) or not name:
        raise BadFilter(f"conditions[{place}] needs `name`, the metadata key, as a text")
    compare = entry.get("comparison_operator")
    if not isinstance(compare, str) or not compare:
        raise BadFilter(
            f"conditions[{place}] needs `comparison_operator`, one of {', '.join(sorted(OPERATORS))}"
        )
    compare = compare.strip().lower()
    compare = _ALIASES.get(compare, compare)
    if "value" not in entry and compare not in {"empty", "not empty"}:
        raise BadFilter(f"conditions[{place}] needs `value` for {compare!r}")
    return name, _predicate(compare, entry.get("value"))


def _predicate(compare: str, value: Any) -> _Predicate:
    if compare == "empty":
        return lambda stored: stored == ""
    if compare == "not empty":
        return lambda stored: stored != ""
    if compare in {"contains", "not contains", "start with", "end with"}:
        return _text_predicate(compare, value)
    if compare in {"in", "not in"}:
        return _membership(value, is_member=compare == "in")
    if compare in {"=", "≠", *_ORDERS}:
        return _comparison(compare, value)
    return lambda stored: False  # as RAGFlow: an operator that it does not know selects nothing


def _text_predicate(compare: str, value: Any) -> _Predicate:
    if not isinstance(value, str):
        return lambda stored: False
    wanted = value.lower()
    if compare == "contains":
        return lambda stored: wanted in stored.lower()
    if compare == "not contains":
        return lambda stored: wanted not in stored.lower()
    if compare == "start with":
        return lambda stored: stored.lower().startswith(wanted)
    return lambda stored: stored.lower().endswith(wanted)


def _membership(value: Any, *, is_member: bool) -> _Predicate:
    if isinstance(value, str):
        text = value.lower()
        return lambda stored: (stored.lower() in text) == is_member
    if isinstance(value, (list, tuple, set)):
        members = {str(item).lower() for item in value if item is not None}
        return lambda stored: (stored.lower() in members) == is_member
    return lambda stored: False


def _comparison(compare: str, value: Any) -> _Predicate:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        date = value.strip()
        test = _ORDERS.get(compare) or (operator.eq if compare == "=" else operator.ne)

        def compare_dates(stored: str) -> bool:
            return _DATE.fullmatch(stored.strip()) is not None and test(stored.strip(), date)

        return compare_dates

    def compare_literals(stored: str) -> bool:
        left: Any = _literal(stored)
        right = value
        if left is _NO_LITERAL:
            left = stored
        elif isinstance(right, str) and (spelled := _literal(right)) is not _NO_LITERAL:
            right = spelled
        left = left.lower() if isinstance(left, str) else left
        right = right.lower() if isinstance(right, str) else right
        return _compare(compare, left, right)

    return compare_literals


def _compare(compare: str, left: Any, right: Any) -> bool:
    if compare in {"=", "≠"}:
        return bool(left == right) == (compare == "=")
    try:
        return bool(_ORDERS[compare](left, right))
    except TypeError:  # a number and a text have no order
        return False


_NO_LITERAL = object()


def _literal(text: str) -> Any:
    """The number, text, truth value, list or object that the text spells, else _NO_LITERAL."""
    text = text.strip()
    if not text or len(text) > _LITERAL_CHARACTERS or not _LITERAL_START.match(text):
        return _NO_LITERAL
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NO_LITERAL


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }.get(type(value), type(value).__name__)
