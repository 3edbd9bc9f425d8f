"""Sections to chunks of about one size: what RAGFlow calls naive merge.

A chunk closes only after it has exceeded the limit, so it may be longer by one section; a section that is
itself longer than the limit is cut first (docs/decisions/0020-hard-chunk-limit.md). No chunk has more than
`hard_limit(limit)` tokens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rag.chunking.delimiters import Delimiters, compile_any, split_dropping
from rag.chunking.splitting import split_long
from rag.chunks import Position
from rag.text.tokens import count_tokens

_FEWEST = 32
_LONGEST_WORD = 24
CUSTOM_LIMIT = 2048
"""Tokens that a piece between custom delimiters may have: the largest `chunk_token_num` that can be set."""


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a document that is merged with others: a paragraph, a row, a line.

    tokens: of the text, None when not counted yet.
    """

    text: str
    positions: list[Position] = field(default_factory=list)
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """A chunk's text and the positions of all sections in it."""

    text: str
    positions: list[Position]


def hard_limit(limit: int) -> int:
    """The most tokens that a chunk has when `limit` is asked for."""
    return max(2 * limit, limit + _FEWEST)


def section_limit(limit: int) -> int:
    """The most tokens that a section has before it is cut."""
    return max(limit, _FEWEST)


def overlap_percent(value: Any) -> int:
    """`overlapped_percent` as a whole number, 0 to 90; a share between 0 and 1 counts as such; 0 if invalid."""
    if isinstance(value, bool):
        return 0
    try:
        percent = float(value)
        percent = percent * 100 if 0 < percent < 1 else percent
        return max(0, min(90, int(percent)))
    except (TypeError, ValueError, OverflowError):
        return 0


def merge(
    sections: Iterable[Section],
    limit: int,
    *,
    overlap: int = 0,
    delimiters: Delimiters | None = None,
    joiner: str = "\n",
) -> Iterator[Merged]:
    """Merge sections into chunks of about `limit` tokens.

    overlap: percent of a chunk's characters that are repeated at the start of the next one; at most this
        share of `limit` in tokens, so that chunks do not grow.
    delimiters: custom ones switch merging off: every piece between them is a chunk.
    joiner: stands between merged sections; with an empty one blank sections count as text.
    """
    custom = compile_any(delimiters.custom) if delimiters is not None else None
    if custom is not None:
        for section in sections:
            for piece in split_dropping(custom, section.text):
                for part in split_long(piece, max(CUSTOM_LIMIT, hard_limit(limit))):
                    if part.strip():
                        yield Merged(part.strip(), section.positions)
        return
    closes_above = limit * (100 - overlap) / 100
    open_text, open_positions, open_tokens = "", list[Position](), 0
    for section in cut_long(sections, limit, keep_blank=not joiner):
        tokens = section.tokens if section.tokens is not None else count_tokens(joiner + section.text)
        if open_text and open_tokens > closes_above:
            yield from close(open_text, open_positions, limit)
            kept = tail(open_text, overlap, limit) if overlap else ""
            open_text = kept + joiner + section.text if kept else section.text
            open_positions, open_tokens = list(section.positions), tokens
        else:
            open_text = open_text + joiner + section.text if open_text else section.text
            open_positions.extend(section.positions)
            open_tokens += tokens
    yield from close(open_text, open_positions, limit)


def cut_long(sections: Iterable[Section], limit: int, *, keep_blank: bool = False) -> Iterator[Section]:
    longest = section_limit(limit)
    for section in sections:
        if not section.text.strip():
            if keep_blank:
                yield section
            continue
        tokens = section.tokens
        # A token has at least one byte: a short text needs no count.
        if tokens is None and len(section.text) * 4 > longest:
            tokens = count_tokens(section.text)
        if tokens is None or tokens <= longest:
            yield Section(section.text, section.positions, tokens)
            continue
        parts = split_long(section.text, longest)
        part = next(parts)
        for following in parts:
            # Counted as full, so that no joiner comes between the parts of a sentence.
            yield Section(part, section.positions, limit + 1)
            part = following
        yield Section(part, section.positions)


def close(text: str, positions: list[Position], limit: int) -> Iterator[Merged]:
    text = text.strip()
    if not text:
        return
    # Tokens of parts do not add up exactly (a word that two parts share), so the limit is checked here.
    hard = hard_limit(limit)
    if len(text) > hard and count_tokens(text) > hard:
        for part in split_long(text, hard):
            if part.strip():
                yield Merged(part.strip(), positions)
    else:
        yield Merged(text, positions)


def tail(text: str, overlap: int, limit: int) -> str:
    size = len(text) * overlap // 100
    tail = text[len(text) - size :]
    most = max(1, limit * overlap // 100)
    tokens = count_tokens(tail) if tail else 0
    if tokens > most:
        tail = tail[len(tail) - len(tail) * most // tokens :]
    before = text[: len(text) - len(tail)][-1:]
    if before.isascii() and before.isalnum() and tail[:1].isalnum():
        # Half a word is no use to search: start at the next one, if it is near.
        head, blank, rest = tail.partition(" ")
        if blank and len(head) <= _LONGEST_WORD:
            tail = rest
    return tail.lstrip()
