"""What `ragd try` shows: the answer as it comes, and its numbered sources."""

import re
from difflib import SequenceMatcher
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

_MARK = re.compile(r"\[ID:\s?(\d+)\]")
_UNFINISHED = re.compile(r"\[(?:I(?:D(?::\s?\d*)?)?)?$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

EXCERPT_LENGTH = 240
LEAST_AGREEMENT = 8


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
        text = Text(excerpt(chunk["content"], _cited_with(number, cited_text)), "dim")
        console.print(Padding(text, (0, 0, 0, 4), expand=False))


def _cited_with(number: int, cited_text: str) -> str:
    """What stands before the first citation of the chunk, back to the citation before it."""
    before = ""
    for mark in _MARK.finditer(cited_text):
        if int(mark[1]) + 1 == number:
            return _MARK.split(cited_text[: mark.start()])[-1] or before
        before = _MARK.split(cited_text[: mark.start()])[-1] or before
    return ""


def excerpt(content: str, cited: str = "") -> str:
    """A piece of a chunk on one line, from where it agrees with what cites it; else its beginning."""
    text = clean(" ".join(content.split()))
    cited = clean(" ".join(cited.split()))
    same = SequenceMatcher(None, text, cited, autojunk=False).find_longest_match()
    found = same.a if same.size >= LEAST_AGREEMENT else 0
    start = 0 if found < EXCERPT_LENGTH // 2 else min(found, max(0, len(text) - EXCERPT_LENGTH))
    piece = text[start : start + EXCERPT_LENGTH]
    return ("…" if start else "") + piece.strip() + ("…" if start + EXCERPT_LENGTH < len(text) else "")
