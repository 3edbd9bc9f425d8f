"""The pieces of a passage that can be quoted: sentences, rows of its tables, records, blocks of code."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from html import unescape

from rag.text.sentences import split_sentences

# A sentence longer than this is cut at the commas and semicolons inside it, a row only when far longer.
_LONGEST = 700
_LONGEST_ROW = 1_400
_MOST_PIECES = 400
_HEADER_LINES = 2

_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"<tr\b[^>]*>(.*?)(?=<tr\b|</table|\Z)", re.DOTALL | re.IGNORECASE)
_CELL = re.compile(r"<(t[hd])\b[^>]*>(.*?)(?=<t[hdr]\b|</t[rhd]|</table|\Z)", re.DOTALL | re.IGNORECASE)
# Lines of a passage that are whole: a code fence, rows of a markdown table, a record of a table file
# (`header：value; header：value`), an object of JSON.
_LINES = re.compile(
    r"^[ \t]*(?P<mark>```|~~~)[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=mark)[ \t]*$|\Z)"
    r"|(?P<rows>(?:^[ \t]*\|[^\n]*(?:\n|\Z))+)"
    r"|^(?P<record>[^：:;\n]{1,100}：[^\n]*; [^：:;\n]{1,100}：[^\n]*)$"
    r"|^(?P<json>[ \t]*\{[^\n]*\}[ \t]*)$",
    re.MULTILINE | re.DOTALL,
)
_UNDERLINE = re.compile(r"[\s|:+-]*-[\s|:+-]*")
_CELL_BREAK = re.compile(r"(?<!\\)\|")
_LIST_MARK = re.compile(r"\A(?:[-*+•·] |\d{1,3}[.)] )(?=\S)")
_LIST_NUMBER = re.compile(r"^[ \t]*\d{1,3}[.)] ", re.MULTILINE)
_HEADING_NUMBER = re.compile(r"\A\d{1,3}(?:\.\d{1,3})*\.? (?=\S)")
_SENTENCE_END = re.compile(r"[.!?。！？][”’」』）)\]\"'》]*\Z")
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
    is_code: bool = False


class _Kind(Enum):
    SENTENCE = 1
    ROW = 2
    CODE = 3


def split_quotables(content: str) -> list[Quotable]:
    """Sentences, rows, records and code blocks of a passage, in order, at most 400."""
    pieces: list[Quotable] = []
    is_numbered = len(_LIST_NUMBER.findall(content)) > 1
    for text, kind in _pieces(content):
        line = _SPACE.sub(" ", text).strip()
        if kind is _Kind.SENTENCE:
            line = _without_marks(line, is_numbered=is_numbered)
        if any(character.isalnum() for character in line):
            pieces.append(Quotable(line, len(pieces), kind is _Kind.ROW, kind is _Kind.CODE))
        if len(pieces) == _MOST_PIECES:
            break
    return pieces


def _pieces(content: str) -> Iterator[tuple[str, _Kind]]:
    position = 0
    for table in _TABLE.finditer(content):
        yield from _lines(content[position : table.start()])
        yield from ((part, _Kind.ROW) for row in _rows(table.group()) for part in _shorten(row, _LONGEST_ROW))
        position = table.end()
    yield from _lines(content[position:])


def _lines(text: str) -> Iterator[tuple[str, _Kind]]:
    position = 0
    for found in _LINES.finditer(text):
        yield from ((sentence, _Kind.SENTENCE) for sentence in _sentences(text[position : found.start()]))
        if found["code"] is not None:
            yield from ((part, _Kind.CODE) for part in _shorten(found["code"], _LONGEST))
        else:
            rows = _whole_rows(found)
            yield from ((part, _Kind.ROW) for row in rows for part in _shorten(row, _LONGEST_ROW))
        position = found.end()
    yield from ((sentence, _Kind.SENTENCE) for sentence in _sentences(text[position:]))


def _whole_rows(found: re.Match[str]) -> Iterator[str]:
    if found["rows"] is not None:
        return _markdown_rows(found["rows"])
    return iter([found["record"]]) if found["record"] is not None else _objects(found["json"])


def _markdown_rows(table: str) -> Iterator[str]:
    lines = [line.strip() for line in table.splitlines()]
    headers: list[str] = []
    for index, line in enumerate(lines):
        if _UNDERLINE.fullmatch(line):
            continue
        cells = [cell.strip() for cell in _CELL_BREAK.split(line.strip("|"))]
        if index == 0 and len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            headers = cells
            if len(lines) > _HEADER_LINES:
                continue
        yield _named(cells, headers)


def _objects(line: str) -> Iterator[str]:
    """`name: value; name: value` of each object; a nested one is led by the names on the way to it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        yield line
        return
    waiting: list[tuple[str, dict[str, object]]] = [("", value)]
    while waiting:
        path, fields = waiting.pop()
        plain: list[str] = []
        nested: list[tuple[str, dict[str, object]]] = []
        for name, child in fields.items():
            parts = child if isinstance(child, list) else [child]
            objects = [part for part in parts if isinstance(part, dict)]
            # Chunks write a list as an object of its places: the places say nothing.
            inner = path if name.isdecimal() else f"{path} {name}".strip()
            nested += [(inner, part) for part in objects]
            values = [_plain_value(part) for part in parts if not isinstance(part, dict)]
            if values:
                shown = ", ".join(values)
                plain.append(shown if name.isdecimal() else f"{name}: {shown}")
        if plain:
            yield (f"{path}: " if path else "") + "; ".join(plain)
        waiting += reversed(nested)


def _plain_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without_marks(line: str, *, is_numbered: bool) -> str:
    """Without the mark of a heading or, where the rest is a sentence, of a list."""
    heading = _HEADING_MARK.match(line)
    if heading:
        line = line[heading.end() :]
        mark = _HEADING_NUMBER.match(line)
    else:
        mark = _LIST_MARK.match(line)
        if mark and line[0].isdigit() and not is_numbered:
            return line  # "2. Liga": one number alone is no list
    return line[mark.end() :] if mark and _SENTENCE_END.search(line) else line


def _sentences(text: str) -> Iterator[str]:
    for sentence in split_sentences(text):
        yield from _shorten(sentence, _LONGEST)


def _shorten(sentence: str, longest: int) -> Iterator[str]:
    if len(sentence) <= longest:
        yield sentence
        return
    held = ""
    for clause in _CLAUSE_BREAK.split(sentence):
        for start in range(0, len(clause), longest):
            part = clause[start : start + longest]
            if held and len(held) + len(part) > longest:
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
        yield _named([text for _, text in cells], headers)


def _named(cells: list[str], headers: list[str]) -> str:
    shown = []
    for index, text in enumerate(cells):
        header = headers[index] if index < len(headers) else ""
        if text:
            shown.append(f"{header}: {text}" if header and header != text else text)
    return "; ".join(shown)


def _plain(html: str) -> str:
    return _SPACE.sub(" ", unescape(_TAG.sub(" ", html))).strip()
