"""HTML: text by block element, tables as HTML without anything but structure."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from deepdoc.blocks import Block, BlockKind
from deepdoc.cleaning import clean, squeeze, squeeze_lines
from deepdoc.decoding import read_text
from deepdoc.tables import Cell, to_html


def _tags(*lines: str) -> frozenset[str]:
    return frozenset(tag for line in lines for tag in line.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = _tags(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption",
    "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol optgroup",
    "option p pre search section summary table tbody td tfoot th thead tr ul",
)
_DROPPED = _tags(
    "script style template noscript head iframe object embed applet svg canvas audio video map select",
    "textarea input datalist",
)
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)

# The tree builder takes quadratic time on deep trees: 2 s for 50,000 levels. Real pages have under 100.
_DEEPEST = 512
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*)[^<>]*>?")
_NEVER_NESTED = _tags(
    "area base br col embed hr img input link meta source track wbr p li dt dd tr td th tbody thead tfoot",
    "option optgroup colgroup h1 h2 h3 h4 h5 h6",
)
_CHARSET = re.compile(r"<meta[^<>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})", re.IGNORECASE)


def parse(path: Path, name: str) -> Iterator[Block]:
    """Blocks in document order. Scripts, styles, comments, form fields and hidden elements are dropped."""
    with path.open("rb") as file:
        declared = _CHARSET.search(file.read(4096).decode("latin-1"))
    text = "".join(read_text(path, name, declared=declared[1] if declared else None))
    return parse_html(text)


def parse_html(text: str) -> Iterator[Block]:
    """The same, of a document or a fragment in memory."""
    root = LexborHTMLParser(flattened(text)).root
    if root is None:
        return iter(())
    return _Walk(root).blocks()


def flattened(text: str) -> str:
    """The text itself, or without any nesting elements when they nest far too deeply."""
    if text.count("<") < _DEEPEST:
        return text
    depth = 0
    for match in _TAG.finditer(text):
        if match[2].lower() not in _NEVER_NESTED:
            depth = max(0, depth + (-1 if match[1] else 1))
            if depth > _DEEPEST:
                return _TAG.sub(_flat_tag, text)
    return text


def _flat_tag(match: re.Match[str]) -> str:
    tag = match[2].lower()
    if tag in _NEVER_NESTED or tag in _DROPPED or tag in ("html", "body"):
        return match[0]
    return "\n" if tag in _BLOCKS else " "


class _Walk:
    """One pass over the tree without recursion: trees may be deep."""

    def __init__(self, root: LexborNode) -> None:
        self._root = root
        # Nodes are told apart by their address: == serialises both of them.
        self._root_id = root.mem_id
        self._inline: list[str] = []
        self._kinds: list[tuple[BlockKind, int]] = [(BlockKind.PARAGRAPH, 0)]
        self._pre = 0

    def blocks(self) -> Iterator[Block]:
        """All blocks below the root."""
        node = self._root
        while True:
            tag = node.tag or ""
            goes_down = False
            if tag == "-text":
                self._inline.append(node.text_content or "")
            elif tag == "br":
                self._inline.append("\n" if self._pre else "\0")
            elif tag == "table" and (html := _data_table(node)) is not None:
                yield from self._flush()
                if html:
                    yield Block(BlockKind.TABLE, html)
            elif tag[:1] not in "-_!" and tag not in _DROPPED and not _is_hidden(node):
                if tag in _BLOCKS:
                    yield from self._flush()
                self._enter(tag)
                goes_down = True
            elif tag in _BLOCKS:
                yield from self._flush()
            child = node.child if goes_down else None
            if child is not None:
                node = child
                continue
            if goes_down:
                yield from self._leave(tag)
            while node.next is None:
                parent = node.parent
                if parent is None or node.mem_id == self._root_id:
                    yield from self._flush()
                    return
                node = parent
                yield from self._leave(node.tag or "")
                if node.mem_id == self._root_id:
                    yield from self._flush()
                    return
            node = node.next

    def _enter(self, tag: str) -> None:
        if kind := _kind(tag):
            self._kinds.append(kind)
        if tag == "pre":
            self._pre += 1

    def _leave(self, tag: str) -> Iterator[Block]:
        if tag in _BLOCKS:
            yield from self._flush()
        if _kind(tag):
            self._kinds.pop()
        if tag == "pre":
            self._pre -= 1

    def _flush(self) -> Iterator[Block]:
        raw = "".join(self._inline)
        self._inline.clear()
        if self._pre:
            text = clean(raw).strip("\n").rstrip()
        else:
            text = "\n".join(filter(None, map(squeeze, raw.split("\0"))))
        if text.strip():
            kind, level = self._kinds[-1]
            yield Block(kind, text, level)


def _kind(tag: str) -> tuple[BlockKind, int] | None:
    if tag in _HEADINGS:
        return BlockKind.HEADING, _HEADINGS[tag]
    if tag in ("li", "dt", "dd"):
        return BlockKind.LIST, 0
    if tag == "blockquote":
        return BlockKind.QUOTE, 0
    return (BlockKind.CODE, 0) if tag == "pre" else None


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes:
        return True
    style = attributes.get("style")
    return bool(style) and _HIDDEN_STYLE.search(style or "") is not None


def _data_table(table: LexborNode) -> str | None:
    """The table as clean HTML; None for one that only lays out a page."""
    rows: list[list[Cell]] = []
    caption = ""
    for node in table.css("tr, caption, table"):
        if node.tag == "table":
            if node.mem_id != table.mem_id:
                return None  # tables in tables are layout
        elif node.tag == "caption":
            caption = squeeze(node.text(separator=" "))
        else:
            rows.append(_row(node))
    if all(len(row) < 2 for row in rows):
        return None  # one column: running text in a frame
    return to_html(rows, caption)


def _row(row: LexborNode) -> list[Cell]:
    cells = []
    for node in row.iter():
        if node.tag in ("td", "th") and not _is_hidden(node):
            attributes = node.attributes
            cells.append(
                Cell(
                    squeeze(_cell_text(node)),
                    node.tag == "th",
                    _span(attributes.get("colspan")),
                    _span(attributes.get("rowspan")),
                )
            )
    return cells


def _cell_text(cell: LexborNode) -> str:
    parts: list[str] = []
    dropped: set[int] = set()
    for node in cell.traverse(include_text=True):
        tag = node.tag or ""
        if tag in _DROPPED:
            dropped.add(node.mem_id)
        elif tag == "-text":
            if node.parent is None or node.parent.mem_id not in dropped:
                parts.append(node.text_content or "")
        elif tag == "br" or tag in _BLOCKS:
            parts.append(" ")
    return "".join(parts)


def _span(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 5 else 1


def plain_text(fragment: str) -> str:
    """A fragment's text without tags: for inline HTML in other formats."""
    return squeeze_lines(unescape(_TAG.sub(" ", fragment)))
