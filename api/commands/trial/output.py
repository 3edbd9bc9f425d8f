"""What `ragd try` shows: the answer as it comes, and its numbered sources."""

import re
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

_MARK = re.compile(r"\[ID:\s?(\d+)\]")
_UNFINISHED = re.compile(r"\[(?:I(?:D(?::\s?\d*)?)?)?$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

EXCERPT_LENGTH = 240


def clean(text: str) -> str:
    """The text without control characters: a document must not steer the terminal."""
    return _CONTROL.sub("", text)


class Numbered:
    """Turns the citations `[ID:0]` of a streamed answer into `[1]`, also where a piece ends within one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown by now."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        self._held = text[unfinished.start() :] if unfinished else ""
        return _number(text[: len(text) - len(self._held)])

    def rest(self) -> str:
        """What was held back, once the answer has ended."""
        held, self._held = self._held, ""
        return held


def _number(text: str) -> str:
    return clean(_MARK.sub(lambda mark: f"[{int(mark[1]) + 1}]", text))


def cited_numbers(text: str, chunk_count: int) -> list[int]:
    """Numbers (from 1) of the chunks that an answer cites, in order."""
    return sorted({int(n) + 1 for n in _MARK.findall(text) if int(n) < chunk_count})


def show_sources(console: Console, chunks: list[dict[str, Any]], cited_text: str) -> None:
    """The cited chunks; all that were found if the answer cites none."""
    numbers = cited_numbers(cited_text, len(chunks)) or list(range(1, len(chunks) + 1))
    if not numbers:
        return
    console.print("\n[bold]Sources[/bold]")
    for number in numbers:
        chunk = chunks[number - 1]
        pages = sorted({int(position[0]) for position in chunk.get("positions") or () if position})
        page = f", page {pages[0]}" if pages and chunk["document_name"].lower().endswith(".pdf") else ""
        name = escape(clean(chunk["document_name"]))
        console.print(
            rf"[bold]\[{number}] {name}[/bold]{page}, similarity {chunk['similarity']:.2f}", highlight=False
        )
        console.print(Padding(Text(excerpt(chunk["content"]), "dim"), (0, 0, 0, 4)))


def excerpt(content: str) -> str:
    """The beginning of a chunk on one line."""
    text = clean(" ".join(content.split()))
    return text if len(text) <= EXCERPT_LENGTH else text[: EXCERPT_LENGTH - 1].rstrip() + "…"
