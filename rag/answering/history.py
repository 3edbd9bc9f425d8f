"""The conversation so far, as a model may see it."""

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.models.protocol import Message

_THINK_BLOCK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_LEGACY_MARKER = re.compile(r"##\d+\$\$")
# Numbers of earlier answers point into other retrievals than this one.
_OLD_CITATION = re.compile(r" ?\[ID:\d+\]")


def clean_history(messages: Sequence[Message]) -> list[Message]:
    """User and assistant turns, the opener before the first question dropped.

    Of assistant turns: no reasoning, no citation numbers, and not those that nothing is left of.
    """
    turns = [message for message in messages if message.role in ("user", "assistant")]
    while turns and turns[0].role == "assistant":
        turns.pop(0)
    cleaned = [replace(turn, content=_clean(turn)) for turn in turns]
    return [turn for turn in cleaned if turn.content or turn.role == "user"]


def _clean(turn: Message) -> str:
    content = _LEGACY_MARKER.sub("", turn.content)
    if turn.role == "user":
        return content
    return _OLD_CITATION.sub("", strip_thinking(content))


def strip_thinking(text: str) -> str:
    """Text without `<think>` blocks; without an opening tag all up to the last closing one is reasoning."""
    text = _THINK_BLOCK.sub("", text)
    _, tag, rest = text.rpartition("</think>")
    return (rest if tag else text).strip()
