"""A metadata filter that the model writes from the question: `auto` and `semi_auto`."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from rag.answering.ask import ask_for_object
from rag.answering.prompt import fill_variables
from rag.answering.state import AnswerState
from rag.errors import BadFilter, ModelError
from rag.retrieval.metadata import documents_by_value
from rag.retrieval.metadata_filter import OPERATORS, matching_documents
from rag.text.tokens import count_tokens

MAX_DOCUMENTS = 10_000
_MAX_CONDITIONS = 32
_MAX_VALUES = 40
_LONGEST_TEXT = 100
# Of the model's context, for keys and values.
_METADATA_SHARE = 0.4
_SAME = {"==": "=", "is": "=", "!=": "≠", "not is": "≠", "is not": "≠", ">=": "≥", "<=": "≤"}


def wants_conditions(state: AnswerState) -> bool:
    """Whether the model chooses among documents by their metadata."""
    method = state.request.settings.meta_data_filter.get("method")
    has_means = state.helpers.instructed is not None and state.helpers.load_metadata is not None
    return method in ("auto", "semi_auto") and has_means and state.wants_passages


async def filter_by_metadata(state: AnswerState) -> None:
    """Restrict retrieval to the documents that the model's conditions select; no conditions: no filter."""
    model, load = state.helpers.instructed, state.helpers.load_metadata
    assert model is not None
    assert load is not None
    settings = state.request.settings.meta_data_filter
    metadata = dict(list((await load()).items())[:MAX_DOCUMENTS])
    fixed = _semi_auto_keys(settings) if settings.get("method") == "semi_auto" else None
    budget = int(_METADATA_SHARE * model.context_tokens)
    shown = await asyncio.to_thread(_shown_metadata, metadata, fixed, budget)
    if not shown:
        return
    operators = {key: op for key, op in (fixed or {}).items() if op and key in shown}
    instructions = fill_variables(
        state.helpers.prompts.load("conditions"),
        {"today": str(datetime.now(UTC).date()), "operators": ", ".join(sorted(OPERATORS))},
    )
    asked = {"metadata": shown, "operators": operators, "question": state.question}
    try:
        written = await ask_for_object(
            model,
            instructions,
            orjson.dumps(asked).decode(),
            timeout_s=state.helpers.step_timeout_s,
            temperature=0.0,
            attempts=1,
        )
    except ModelError:
        return
    condition = read_conditions(written, set(shown), operators)
    if condition is None:
        return
    try:
        matching = await asyncio.to_thread(matching_documents, metadata, condition)
    except BadFilter:
        return
    requested = state.document_ids
    state.document_ids = sorted(matching if requested is None else matching & set(requested))


def read_conditions(
    written: Mapping[str, Any] | None, keys: set[str], operators: Mapping[str, str]
) -> dict[str, Any] | None:
    """The model's conditions as a request spells them; None if none of them can be used."""
    entries = (written or {}).get("conditions")
    conditions = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("key"), str):
            continue
        key, op, value = entry["key"], entry.get("op"), entry.get("value")
        op = operators.get(key) or op
        op = _SAME.get(op, op) if isinstance(op, str) else None
        if key in keys and op in OPERATORS and (value is not None or op in ("empty", "not empty")):
            conditions.append({"name": key, "comparison_operator": op, "value": value})
    if not conditions:
        return None
    logic = "or" if str((written or {}).get("logic")).lower() == "or" else "and"
    return {"logic": logic, "conditions": conditions[:_MAX_CONDITIONS]}


def _semi_auto_keys(settings: Mapping[str, Any]) -> dict[str, str]:
    """Key to its fixed operator, "" where the model chooses."""
    chosen: dict[str, str] = {}
    entries = settings.get("semi_auto")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, str):
            chosen[entry] = ""
        elif isinstance(entry, Mapping) and isinstance(entry.get("key"), str):
            op = entry.get("op")
            op = _SAME.get(op, op) if isinstance(op, str) else ""
            chosen[entry["key"]] = op if op in OPERATORS else ""
    return chosen


def _shown_metadata(
    metadata: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, str] | None, token_budget: int
) -> dict[str, Sequence[str]]:
    """Keys with their commonest values, the keys of most documents first, as many as fit the budget."""
    by_key = documents_by_value(metadata)
    if fixed is not None:
        by_key = {key: values for key, values in by_key.items() if key in fixed}
    ordered = sorted(by_key.items(), key=lambda item: -sum(len(ids) for ids in item[1].values()))
    shown: dict[str, Sequence[str]] = {}
    used = 0
    for key, values in ordered:
        if len(key) > _LONGEST_TEXT:
            continue
        commonest = sorted(values, key=lambda text: -len(values[text]))[:_MAX_VALUES]
        texts = [text[:_LONGEST_TEXT] for text in commonest]
        used += count_tokens(" , ".join((key, *texts))) + 4
        if used > token_budget:
            break
        shown[key] = texts
    return shown
