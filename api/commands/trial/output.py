"""What `ragd try` shows: the answer as it comes, and its numbered sources."""

import re
from difflib import SequenceMatcher
from html import unescape
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

_MARK = re.compile(r"\[ID:\s?(\d+)\]")
_UNFINISHED = re.compile(r"\[(?:I(?:D(?::\s?\d*)?)?)?$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_TABLE_TAG = re.compile(
    r"</?(?:table|caption|colgroup|col|thead|tbody|tfoot|tr|th|td|br)(?:\s[^<>]*)?/?>", re.IGNORECASE
)

EXCERPT_LENGTH = 240
INDENT = "    "
LEAST_AGREEMENT = 8


def clean(text: str) -> str:
    """The text without control characters: a document must not steer the terminal."""
    return _CONTROL.sub("", text)


def counted(count: int, noun: str) -> str:
    """`1 chunk`, `2 chunks`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


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
    """The cited chunks; all that were found, as no more than nearest, if the answer (a refusal) cites none."""
    cited = cited_numbers(cited_text, len(chunks))
    numbers = cited or list(range(1, len(chunks) + 1))
    if not numbers:
        return
    console.print(f"\n[bold]{'Sources' if cited else 'Nearest passages'}[/bold]")
    for number in numbers:
        chunk = chunks[number - 1]
        page = _pages(chunk) if chunk["document_name"].lower().endswith(".pdf") else ""
        name = escape(clean(chunk["document_name"]))
        console.print(
            rf"[bold]\[{number}] {name}[/bold]{page}, similarity {chunk['similarity']:.2f}", highlight=False
        )
        text = Text(excerpt(chunk["content"], _cited_with(number, cited_text)), "dim")
        for line in text.wrap(console, max(20, console.width - len(INDENT))):
            line.rstrip()
            console.print(INDENT, line, sep="", highlight=False, soft_wrap=True)


def _pages(chunk: dict[str, Any]) -> str:
    """`, page 2` or `, pages 1–3`; empty where the chunk has no pages."""
    pages = sorted({int(position[0]) for position in chunk.get("positions") or () if position})
    if len(pages) < 2:
        return f", page {pages[0]}" if pages else ""
    return f", pages {pages[0]}–{pages[-1]}"


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
    plain = _TABLE_TAG.sub(" ", content)
    if plain != content:  # a table's cells are escaped, other text is not
        plain = unescape(plain)
    text = clean(" ".join(plain.split()))
    cited = clean(" ".join(cited.split()))
    same = SequenceMatcher(None, text, cited, autojunk=False).find_longest_match()
    found = same.a if same.size >= LEAST_AGREEMENT else 0
    start = 0 if found < EXCERPT_LENGTH // 2 else min(found, max(0, len(text) - EXCERPT_LENGTH))
    piece = text[start : start + EXCERPT_LENGTH]
    return ("…" if start else "") + piece.strip() + ("…" if start + EXCERPT_LENGTH < len(text) else "")
