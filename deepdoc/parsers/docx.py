"""Word documents: the body's paragraphs, lists, headings and tables in order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docx.oxml.parser import parse_xml
from docx.styles.style import BaseStyle
from docx.styles.styles import Styles
from lxml import etree

from deepdoc.blocks import Block, BlockKind
from deepdoc.cleaning import squeeze, squeeze_lines
from deepdoc.ooxml import Package, damaged, open_package
from deepdoc.tables import Cell, to_html

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_STRICT_W = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"

_P, _TBL, _T, _VAL = f"{_W}p", f"{_W}tbl", f"{_W}t", f"{_W}val"
_CHARACTERS = {
    f"{_W}tab": "\t",
    f"{_W}br": "\n",
    f"{_W}cr": "\n",
    f"{_W}noBreakHyphen": "-",
    f"{_W}ptab": "\t",
}
# Deleted and moved-away text, field codes, phonetic guides, properties; figures hold no text of their own.
_SKIPPED = {f"{_W}{tag}" for tag in ("del", "moveFrom", "instrText", "delText", "rt", "pPr", "rPr", "sectPr")}
_BOX = f"{_W}txbxContent"
_NOTES = {f"{_W}footnoteReference": "footnotes", f"{_W}endnoteReference": "endnotes"}
# Word stores built-in styles under English names; other programs write them as their users see them.
_HEADING_NAME = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|encabezado|kop|rubrik|overskrift|otsikko|nagłówek|"
    r"nadpis|заголовок|başlık|标题|標題|見出し|제목)\s*([1-9])",
    re.IGNORECASE,
)
_TITLE_NAMES = {"title", "titel", "标题", "標題", "表題", "제목", "titre", "título", "titolo", "название"}


def parse(path: Path, name: str) -> Iterator[Block]:
    """Blocks in document order: text as it reads after accepting all tracked changes.

    Text boxes and notes follow the paragraph that anchors them. Page headers and footers, comments and
    hidden text are left out. Raises MalformedFile, FileTooLarge.
    """
    with open_package(path, name) as package:
        main = package.targets("").get("officeDocument", "word/document.xml")
        if main not in package:
            raise damaged(name, f"its main part {main} is missing")
        related = package.targets(main)
        reader = _Reader(
            _read_styles(package, related.get("styles", "")),
            {kind: _read_notes(package, related.get(kind, "")) for kind in ("footnotes", "endnotes")},
        )
        has_body = False
        for element in _top_level(package, main, name):
            if element is None:
                has_body = True
            elif element.tag == _TBL:
                yield from reader.table(element)
            else:
                yield from reader.paragraph(element)
        if not has_body:
            raise damaged(name, f"its main part {main} is not a Word document")


def _top_level(package: Package, main: str, name: str) -> Iterator[etree._Element | None]:
    """None for the body, then its paragraphs and tables, also those in content controls; each is freed."""
    depth = 0
    tags = (f"{_W}document", f"{_STRICT_W}document", f"{_W}body", _P, _TBL)
    for event, element in package.walk(main, tags):
        if element.tag == f"{_STRICT_W}document":
            raise damaged(name, "it is in the rare 'Strict Open XML' format, which cannot be read")
        if element.tag not in (_P, _TBL):
            if event == "start" and element.tag == f"{_W}body":
                yield None
        elif event == "start":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                yield element
                element.clear()
                parent = element.getparent()
                while parent is not None and element.getprevious() is not None:
                    del parent[0]


@dataclass(frozen=True, slots=True)
class _Style:
    level: int = 0  # of a heading
    is_list: bool = False


def _read_styles(package: Package, part: str) -> dict[str, _Style]:
    root = package.parse(part)
    if root is None:
        return {}
    found = {}
    for style in Styles(parse_xml(etree.tostring(root))):
        if style.style_id:
            found[style.style_id] = _Style(_level(style), _is_list(style))
    return found


def _chain(style: BaseStyle) -> Iterator[BaseStyle]:
    seen = set()
    current: BaseStyle | None = style
    while current is not None and current.style_id not in seen:
        seen.add(current.style_id)
        yield current
        current = getattr(current, "base_style", None)


def _level(style: BaseStyle) -> int:
    for ancestor in _chain(style):
        name = (ancestor.name or "").strip()
        if match := _HEADING_NAME.fullmatch(name):
            return int(match[1])
        outline = ancestor.element.find(f"{_W}pPr/{_W}outlineLvl")
        if outline is not None:
            return _outline_level(outline)
        if name.lower() in _TITLE_NAMES:
            return 1
    return 0


def _is_list(style: BaseStyle) -> bool:
    return any(
        ancestor.element.find(f"{_W}pPr/{_W}numPr") is not None
        or (ancestor.name or "").startswith(("List Bullet", "List Number"))
        for ancestor in _chain(style)
    )


def _outline_level(outline: etree._Element) -> int:
    value = outline.get(_VAL) or ""
    return int(value) + 1 if value in set("012345678") else 0


def _read_notes(package: Package, part: str) -> dict[str, str]:
    root = package.parse(part)
    if root is None:
        return {}
    notes = {}
    for note in root:
        if note.get(f"{_W}type") in (None, "normal"):
            parts = _Parts()
            _collect(note, parts)
            notes[note.get(f"{_W}id") or ""] = squeeze("".join(parts.text))
    return notes


@dataclass(slots=True)
class _Parts:
    """What a paragraph holds: its text, and what is anchored in it."""

    text: list[str] = field(default_factory=list)
    boxes: list[etree._Element] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def _collect(element: etree._Element, parts: _Parts) -> None:
    for child in element:
        tag = child.tag
        if tag in (_T, f"{_M}t"):
            parts.text.append(child.text or "")
        elif tag in _CHARACTERS:
            parts.text.append(_CHARACTERS[tag])
        elif tag in _SKIPPED or not isinstance(tag, str) or (tag == f"{_W}r" and _is_hidden(child)):
            continue
        elif tag == _BOX:
            parts.boxes.append(child)
        elif tag in _NOTES:
            parts.notes.append((_NOTES[tag], child.get(f"{_W}id") or ""))
        elif tag == f"{_MC}AlternateContent":
            # The fallback repeats the choice for older programs.
            choice = child.find(f"{_MC}Choice")
            chosen = choice if choice is not None else child.find(f"{_MC}Fallback")
            if chosen is not None:
                _collect(chosen, parts)
        else:
            _collect(child, parts)
            if tag == _P:
                parts.text.append("\n")


def _is_hidden(run: etree._Element) -> bool:
    vanish = run.find(f"{_W}rPr/{_W}vanish")
    return vanish is not None and vanish.get(_VAL) not in ("0", "false", "off")


class _Reader:
    """Elements to blocks, with the document's styles and notes at hand."""

    def __init__(self, styles: dict[str, _Style], notes: dict[str, dict[str, str]]) -> None:
        self._styles = styles
        self._notes = notes

    def paragraph(self, element: etree._Element) -> Iterator[Block]:
        """The paragraph, then the text boxes and notes that are anchored in it."""
        parts = _Parts()
        _collect(element, parts)
        if text := squeeze_lines("".join(parts.text)):
            style = self._style_of(element)
            if style.level:
                yield Block(BlockKind.HEADING, " ".join(text.split("\n")), style.level)
            else:
                yield Block(BlockKind.LIST if style.is_list else BlockKind.PARAGRAPH, text)
        for box in parts.boxes:
            yield from self._inside(box)
        for kind, number in parts.notes:
            if note := self._notes[kind].get(number):
                yield Block(BlockKind.PARAGRAPH, note)

    def table(self, element: etree._Element) -> Iterator[Block]:
        """The table as HTML; a frame of one cell is its paragraphs."""
        rows = [row for row in _below(element, f"{_W}tr") if row.find(f"{_W}trPr/{_W}del") is None]
        cells = [cell for row in rows for cell in _below(row, f"{_W}tc")]
        if len(cells) == 1:
            yield from self._inside(cells[0])
            return
        if html := to_html(self._grid(rows)):
            yield Block(BlockKind.TABLE, html)

    def _inside(self, element: etree._Element) -> Iterator[Block]:
        for child in _below(element, _P, _TBL):
            yield from self.table(child) if child.tag == _TBL else self.paragraph(child)

    def _style_of(self, paragraph: etree._Element) -> _Style:
        properties = paragraph.find(f"{_W}pPr")
        if properties is None:
            return _Style()
        named = properties.find(f"{_W}pStyle")
        style = self._styles.get((named.get(_VAL) or "") if named is not None else "", _Style())
        outline = properties.find(f"{_W}outlineLvl")
        level = _outline_level(outline) if outline is not None else style.level
        number = properties.find(f"{_W}numPr/{_W}numId")
        is_list = number.get(_VAL) != "0" if number is not None else style.is_list
        return _Style(level, is_list)

    def _grid(self, rows: list[etree._Element]) -> list[list[Cell]]:
        """Cells with their spans: a vertically merged cell is one cell that runs over several rows."""
        grid: list[list[_Spanning]] = []
        above: dict[int, _Spanning] = {}  # by column: the cell that a continuation belongs to
        for row in rows:
            is_header = row.find(f"{_W}trPr/{_W}tblHeader") is not None
            column = _number(row.find(f"{_W}trPr/{_W}gridBefore"), 0)
            line: list[_Spanning] = []
            still_open: dict[int, _Spanning] = {}
            for cell in _below(row, f"{_W}tc"):
                properties = cell.find(f"{_W}tcPr")
                merge = properties.find(f"{_W}vMerge") if properties is not None else None
                width = _number(properties.find(f"{_W}gridSpan") if properties is not None else None, 1)
                if merge is not None and merge.get(_VAL) != "restart" and column in above:
                    above[column].rows += 1
                    still_open[column] = above[column]
                else:
                    spanning = _Spanning(self._cell_text(cell), is_header, width)
                    line.append(spanning)
                    if merge is not None:
                        still_open[column] = spanning
                column += width
            above = still_open
            grid.append(line)
        return [[Cell(cell.text, cell.is_header, cell.columns, cell.rows) for cell in line] for line in grid]

    def _cell_text(self, cell: etree._Element) -> str:
        parts = _Parts()
        _collect(cell, parts)
        boxes = [self._cell_text(box) for box in parts.boxes]
        notes = [self._notes[kind].get(number, "") for kind, number in parts.notes]
        return squeeze(" ".join(["".join(parts.text), *boxes, *notes]))


@dataclass(slots=True)
class _Spanning:
    text: str
    is_header: bool
    columns: int
    rows: int = 1


def _below(element: etree._Element, *tags: str) -> Iterator[etree._Element]:
    """Children with these tags, also inside content controls and the like, not inside each other."""
    for child in element:
        if child.tag in tags:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _SKIPPED and child.tag not in (_P, _TBL):
            yield from _below(child, *tags)


def _number(element: etree._Element | None, default: int) -> int:
    value = (element.get(_VAL) or "") if element is not None else ""
    return min(int(value), 1000) if value.isascii() and value.isdigit() and len(value) < 10 else default
