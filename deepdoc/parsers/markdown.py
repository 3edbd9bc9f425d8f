"""Markdown: the top-level elements, with their source as it stands."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from deepdoc.blocks import Block, BlockKind
from deepdoc.decoding import read_lines, read_text
from deepdoc.parsers.html import parse_html, plain_text
from deepdoc.tables import Cell, to_html

_KINDS = {
    "paragraph_open": BlockKind.PARAGRAPH,
    "heading_open": BlockKind.HEADING,
    "bullet_list_open": BlockKind.LIST,
    "ordered_list_open": BlockKind.LIST,
    "blockquote_open": BlockKind.QUOTE,
    "fence": BlockKind.CODE,
    "code_block": BlockKind.CODE,
    "table_open": BlockKind.TABLE,
}
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# A document is parsed in parts, cut where no element can cross: memory stays bounded.
_PART_CHARS = 1 << 18
_LONGEST_PART = 1 << 20
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Element:
    """kind: as a block; text: markdown source, HTML reduced to its text; html: of a table, else ""."""

    kind: BlockKind
    text: str
    level: int = 0
    html: str = ""


def parse(path: Path, name: str) -> Iterator[Block]:
    """Elements as blocks; headings without their marks, everything else as source."""
    for element in read_elements(path, name):
        if element.kind is BlockKind.TABLE:
            yield Block(BlockKind.TABLE, element.html)
        elif element.kind is BlockKind.HEADING:
            yield Block(BlockKind.HEADING, _without_marks(element.text), element.level)
        else:
            yield Block(element.kind, element.text)


def read_elements(path: Path, name: str) -> Iterator[Element]:
    """Headings, paragraphs, lists, quotes, code and tables in order. Links and images are never opened."""
    for part in _parts(read_lines(read_text(path, name))):
        yield from _elements(part)


def _parts(lines: Iterator[str]) -> Iterator[str]:
    part: list[str] = []
    size = 0
    fence = ""
    for line in lines:
        if not fence and size > _PART_CHARS and (line.startswith("#") or size > _LONGEST_PART):
            yield "".join(part)
            part, size = [], 0
        elif size > 8 * _LONGEST_PART:  # a fence that is never closed
            yield "".join(part)
            part, size, fence = [], 0, ""
        if match := _FENCE.match(line):
            mark = match[1]
            if not fence:
                fence = mark
            elif mark.startswith(fence) and not line[match.end() :].strip():
                fence = ""
        part.append(line)
        size += len(line)
    if part:
        yield "".join(part)


@cache
def _markdown() -> MarkdownIt:
    # Blocks only: what stands inside a line is kept as it is.
    return MarkdownIt("commonmark").enable("table").disable(["inline", "text_join", "reference"])


def _elements(source: str) -> Iterator[Element]:
    lines = source.split("\n")
    if any(len(line) > _LONGEST_LINE for line in lines):
        # No markdown has such lines; block rules would scan them again and again.
        yield from (Element(BlockKind.PARAGRAPH, text) for text in _paragraphs(lines))
        return
    tokens = _markdown().parse(source)
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = index + 1
        if token.nesting == 1:
            while tokens[end].level > token.level:
                end += 1
            end += 1
        yield from _element(token, tokens[index:end], lines)
        index = end


def _element(token: Token, inside: Sequence[Token], lines: Sequence[str]) -> Iterator[Element]:
    if token.map is None:
        return
    text = "\n".join(lines[token.map[0] : token.map[1]]).strip("\n").rstrip()
    if not text.strip():
        return
    if token.type == "html_block":
        for block in parse_html(text):
            if block.kind is BlockKind.TABLE:
                yield Element(BlockKind.TABLE, _as_text(block.text), html=block.text)
            else:
                yield Element(block.kind, block.text, block.level)
    elif token.type == "table_open":
        if html := _table(inside):
            yield Element(BlockKind.TABLE, text, html=html)
    elif token.type == "heading_open":
        yield Element(BlockKind.HEADING, text, int(token.tag[1:]))
    elif token.type in _KINDS:
        yield Element(_KINDS[token.type], text)


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []


def _table(tokens: Sequence[Token]) -> str:
    rows: list[list[Cell]] = []
    is_header = False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            is_header = token.type == "th_open"
        elif token.type == "inline":
            rows[-1].append(Cell(plain_text(token.content), is_header))
    return to_html(rows)


def _as_text(html: str) -> str:
    return plain_text(html.replace("</tr>", "\n"))


def _without_marks(heading: str) -> str:
    first = heading.split("\n")[0].strip()
    return re.sub(r"^#{1,6}\s+|\s+#+$", "", first) if first.startswith("#") else first
