"""Lines to paragraphs and headings."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from deepdoc.blocks import Block, BlockKind
from deepdoc.layout.lines import Line, PageLines, union
from deepdoc.layout.order import in_reading_order

_ITEM = re.compile(
    r"(?:[•◦▪■●○‣⁃·–—*-]\s*|\d{1,3}(?:\.\d{1,3}){0,4}[.)、]?\s+|[（(]?[a-zA-Z0-9一二三四五六七八九十]{1,3}[)）]\s*"
    r"|[一二三四五六七八九十]{1,3}、|第[一二三四五六七八九十百\d]{1,4}[章节節条條编編])\S"
)
_SENTENCE_END = tuple(".!?:。！？：；;”\"'」）)")
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff65]")
_HEADING_RATIO = 1.15
_LONGEST_HEADING = 150


def page_blocks(page: PageLines) -> Iterator[Block]:
    """Paragraphs, list items and headings of a page, in reading order, each with its box."""
    lines = in_reading_order(page)
    if not lines:
        return
    body = _body_size(lines)
    pitch = _usual_pitch(lines)
    for paragraph in _paragraphs(lines, pitch):
        text = join(paragraph)
        box = union(paragraph)
        ratio = paragraph[0].size / body if body else 1.0
        if ratio >= _HEADING_RATIO and len(text) <= _LONGEST_HEADING:
            level = 1 if ratio >= 1.7 else 2 if ratio >= 1.35 else 3
            yield Block(BlockKind.HEADING, text, level, page.number, box)
        else:
            kind = BlockKind.LIST if _ITEM.match(text) else BlockKind.PARAGRAPH
            yield Block(kind, text, 0, page.number, box)


def join(lines: Sequence[Line]) -> str:
    """The lines' text as one: divided words whole, a blank between lines unless both sides are Chinese."""
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        text = line.text
        if following is None:
            parts.append(text + "-" if line.is_hyphenated else text)
            break
        start = following.text[:1]
        if line.is_hyphenated or (text.endswith(("-", "\u00ad", "‐")) and text[-2:-1].islower()):
            if not line.is_hyphenated:
                text = text[:-1]
            # A capital or a digit after the hyphen is a name of two parts: it stays.
            parts.append(text if start.islower() else text + "-")
        elif _WIDE.match(text[-1:]) and _WIDE.match(start):
            parts.append(text)
        else:
            parts.append(text + " ")
    return "".join(parts)


def _body_size(lines: Sequence[Line]) -> float:
    chars: Counter[float] = Counter()
    for line in lines:
        chars[round(line.size, 1)] += len(line.text)
    return chars.most_common(1)[0][0]


def _usual_pitch(lines: Sequence[Line]) -> float:
    """Distance from line to line inside a paragraph: the lower quartile, bounded by the font's size."""
    size = median(line.size for line in lines)
    pitches = sorted(
        following.upper - line.upper
        for line, following in pairwise(lines)
        if 0.5 * size < following.upper - line.upper < 2.5 * size
    )
    return min(pitches[len(pitches) // 4], 1.7 * size) if pitches else 1.2 * size


def _paragraphs(lines: Sequence[Line], pitch: float) -> Iterator[list[Line]]:
    paragraph: list[Line] = []
    for line in lines:
        if paragraph and not _goes_on(paragraph, line, pitch):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _goes_on(paragraph: Sequence[Line], line: Line, pitch: float) -> bool:
    last = paragraph[-1]
    if last.is_hyphenated and line.top > last.top:
        return True
    size = last.size
    same_row = abs(line.upper - last.upper) < 0.3 * size and line.left >= last.right
    if same_row:  # a label and its text, cells of a row
        return abs(line.size - size) <= 0.2 * size
    if abs(line.size - size) > 0.2 * size:
        return False
    if not 0.4 * size < line.upper - last.upper <= max(1.2 * pitch, 1.1 * size):
        return False
    overlap = min(line.right, last.right) - max(line.left, last.left)
    if overlap < 0.2 * min(line.width, last.width):
        return False
    if _ITEM.match(line.text):
        return False
    is_item = _ITEM.match(paragraph[0].text) is not None
    indent = line.left - last.left
    if indent > 0.8 * size and not is_item and last.left <= paragraph[0].left + 1:
        return False  # the first line of the next paragraph
    is_short = last.right < line.right - 0.15 * line.width
    return not (is_short and last.text.endswith(_SENTENCE_END))
