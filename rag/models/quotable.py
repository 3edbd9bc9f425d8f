"""The pieces of a passage that can be quoted: sentences, and rows of its tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from rag.text.sentences import split_sentences

# A sentence longer than this is cut at the commas and semicolons inside it.
_LONGEST = 700
_MOST_PIECES = 400

_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"<tr\b[^>]*>(.*?)(?=<tr\b|</table|\Z)", re.DOTALL | re.IGNORECASE)
_CELL = re.compile(r"<(t[hd])\b[^>]*>(.*?)(?=<t[hdr]\b|</t[rhd]|</table|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_SPACE = re.compile(r"\s+")
_HEADING_MARK = re.compile(r"\A#{1,6} ")

_CLAUSE_BREAK = re.compile(r"(?<=[,;:，、；：])\s*")


@dataclass(frozen=True, slots=True)
class Quotable:
    """A piece as it may stand in an answer, in one line, and its place in the passage."""

    text: str
    order: int
    is_row: bool = False


def split_quotables(content: str) -> list[Quotable]:
    """Sentences and table rows of a passage, in order, at most 400."""
    pieces: list[Quotable] = []
    for text, is_row in _pieces(content):
        line = _HEADING_MARK.sub("", _SPACE.sub(" ", text).strip())
        if any(character.isalnum() for character in line):
            pieces.append(Quotable(line, len(pieces), is_row))
        if len(pieces) == _MOST_PIECES:
            break
    return pieces


def _pieces(content: str) -> Iterator[tuple[str, bool]]:
    position = 0
    for table in _TABLE.finditer(content):
        yield from ((sentence, False) for sentence in _sentences(content[position : table.start()]))
        yield from ((row, True) for row in _rows(table.group()))
        position = table.end()
    yield from ((sentence, False) for sentence in _sentences(content[position:]))


def _sentences(text: str) -> Iterator[str]:
    for sentence in split_sentences(text):
        yield from _shorten(sentence)


def _shorten(sentence: str) -> Iterator[str]:
    if len(sentence) <= _LONGEST:
        yield sentence
        return
    held = ""
    for clause in _CLAUSE_BREAK.split(sentence):
        for start in range(0, len(clause), _LONGEST):
            part = clause[start : start + _LONGEST]
            if held and len(held) + len(part) > _LONGEST:
                yield held
                held = ""
            held = f"{held} {part}" if held and part[0].isascii() else held + part
    if held:
        yield held


def _rows(table: str) -> Iterator[str]:
    """`header: cell; header: cell` of each row; a table without header cells gives bare cells."""
    headers: list[str] = []
    for row in _ROW.finditer(table):
        cells = [(tag.lower(), _plain(inner)) for tag, inner in _CELL.findall(row.group(1))]
        if not cells:
            continue
        if not headers and all(tag == "th" for tag, _ in cells):
            headers = [text for _, text in cells]
            continue
        shown = []
        for index, (_, text) in enumerate(cells):
            header = headers[index] if index < len(headers) else ""
            if text:
                shown.append(f"{header}: {text}" if header and header != text else text)
        yield "; ".join(shown)


def _plain(html: str) -> str:
    return _SPACE.sub(" ", unescape(_TAG.sub(" ", html))).strip()
