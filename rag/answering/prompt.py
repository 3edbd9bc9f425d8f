"""The messages for a chat model: system prompt, knowledge, history, within the model's context."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag.answering.prompts import PromptLanguage, Prompts
from rag.answering.reference import ReferenceChunk
from rag.models.protocol import Message
from rag.models.untrusted import neutralise
from rag.text.tokens import count_tokens, truncate

KNOWLEDGE = "knowledge"

_KNOWLEDGE_SHARE = 0.97
_PROMPT_SHARE = 0.95
_SYSTEM_SHARE = 0.8
_LONGEST_FIELD = 500


@dataclass(frozen=True, slots=True)
class Knowledge:
    """text: the fenced block, "" without passages; entry_count: passages in it."""

    text: str
    entry_count: int


def fill_variables(template: str, values: Mapping[str, str]) -> str:
    """Replace `{key}` of these keys, once: braces in values and all other braces stay as they are."""
    if not values:
        return template
    keys = "|".join(re.escape(key) for key in sorted(values, key=len, reverse=True))
    return re.sub(r"\{(" + keys + r")\}", lambda match: values[match.group(1)], template)


def build_knowledge(
    chunks: Sequence[ReferenceChunk],
    token_budget: int,
    *,
    language: PromptLanguage = "en",
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    prompts: Prompts | None = None,
) -> Knowledge:
    """Passages in citation order, as many as fit the budget, fenced as data.

    The fence's mark derives from the passages themselves, so none of them can hold it, and equal
    passages give equal prompts. A first passage that is over the budget alone is cut.
    """
    entries: list[str] = []
    used = 0
    for index, chunk in enumerate(chunks):
        entry = _entry(index, chunk, (metadata or {}).get(chunk.document_id, {}))
        size = count_tokens(entry)
        if used + size > token_budget:
            if not entries and token_budget > 0:
                entries.append(truncate(entry, token_budget))
            break
        entries.append(entry)
        used += size
    if not entries:
        return Knowledge("", 0)
    mark = hashlib.sha256("\0".join(entries).encode("utf-8", "replace")).hexdigest()[:12]
    ruled = f"\n----- {mark} -----\n".join(entries)
    notice = (prompts or Prompts()).load("knowledge", language).replace("{mark}", mark)
    return Knowledge(f"{notice}\n===== {mark} =====\n{ruled}\n===== {mark} =====", len(entries))


def fit_messages(messages: Sequence[Message], context_tokens: int) -> list[Message]:
    """System first, the question last. Over 0.95 of the context only these two stay, cut if need be."""
    budget = int(_PROMPT_SHARE * context_tokens)
    if sum(count_tokens(message.content) for message in messages) <= budget:
        return list(messages)
    system = [message for message in messages[:1] if message.role == "system"]
    last = messages[-1]
    system_tokens = sum(count_tokens(message.content) for message in system)
    last_tokens = count_tokens(last.content)
    if system_tokens + last_tokens <= budget:
        return [*system, last]
    # Neither is ever cut to nothing, however long the other one is.
    if system_tokens > _SYSTEM_SHARE * (system_tokens + last_tokens):
        system_room = max(budget - last_tokens, budget // 5)
    else:
        system_room = min(system_tokens, int(_SYSTEM_SHARE * budget))
    system = [replace(message, content=truncate(message.content, system_room)) for message in system]
    last_room = max(1, budget - min(system_tokens, system_room))
    return [*system, replace(last, content=truncate(last.content, last_room))]


def knowledge_budget(context_tokens: int, other_tokens: int) -> int:
    """Tokens for passages: 0.97 of the context, and what the other messages leave of 0.95 of it.

    So the block is built to fit and its fence is not cut off later.
    """
    fence = 150
    room = int(_PROMPT_SHARE * context_tokens) - other_tokens - fence
    return max(0, min(int(_KNOWLEDGE_SHARE * context_tokens), room))


def cap_max_tokens(settings: Mapping[str, Any], context_tokens: int, used_tokens: int) -> dict[str, Any]:
    """Settings whose `max_tokens` fits into what the prompt leaves; other values stay as they are."""
    capped = dict(settings)
    wanted = capped.get("max_tokens")
    if isinstance(wanted, int) and wanted > 0:
        capped["max_tokens"] = max(1, min(wanted, context_tokens - used_tokens))
    return capped


def _entry(index: int, chunk: ReferenceChunk, fields: Mapping[str, Any]) -> str:
    lines = [f"ID: {index}", f"Title: {_one_line(chunk.document_name)}"]
    if chunk.url:
        lines.append(f"URL: {_one_line(chunk.url)}")
    for key, value in fields.items():
        text = _one_line(value)
        if text:
            lines.append(f"{_one_line(key)}: {text}")
    return "\n".join([*lines, "Content:", neutralise(chunk.content)])


def _one_line(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    return neutralise(" ".join(str(value if value is not None else "").split()))[:_LONGEST_FIELD]
