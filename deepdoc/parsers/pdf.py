"""PDF by its text layer."""

import ctypes
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pypdfium2 as pdfium
from pypdfium2 import raw

from deepdoc.blocks import Block, BlockKind
from deepdoc.cleaning import squeeze
from deepdoc.errors import EncryptedFile, FileTooLarge, MalformedFile, NoTextInFile, ParseError
from deepdoc.layout.lines import Line, PageLines
from deepdoc.layout.order import find_gutter
from deepdoc.layout.paragraphs import page_blocks
from deepdoc.layout.running import without_running_lines

PageRanges = Sequence[tuple[int, int]]

# pdfium is not safe in two threads of a process, not even on two documents.
_LOCK = threading.Lock()
_MOST_PAGES = 100_000
# pdfium writes U+FFFE where a hyphen divides a word at the end of a line.
_LINE_END = re.compile("\r\n|[\r\n]|\ufffe|\x02")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "}
)


def parse(path: Path, name: str, *, pages: PageRanges | None = None) -> Iterator[Block]:
    """Paragraphs, list items and headings with page and box; running headers and footers are dropped.

    pages: 1-based start, exclusive end. Pages without text are skipped; when no page has any,
    NoTextInFile. Raises EncryptedFile, MalformedFile, FileTooLarge.
    """
    with _open(path, name) as document:
        numbers = _chosen(document, name, pages)
        source = _pages(document, name, numbers)
        is_empty = True
        for page in without_running_lines(source, len(numbers)):
            for block in page_blocks(page):
                is_empty = False
                yield block
        if is_empty:
            raise _no_text(name, len(numbers))


def read_lines(path: Path, name: str, *, pages: PageRanges | None = None) -> Iterator[Block]:
    """The text layer line by line, as it is stored: no boxes, nothing joined, nothing dropped."""
    with _open(path, name) as document:
        numbers = _chosen(document, name, pages)
        is_empty = True
        for number in numbers:
            for text in _plain_lines(document, number):
                is_empty = False
                yield Block(BlockKind.PARAGRAPH, text, page=number)
        if is_empty:
            raise _no_text(name, len(numbers))


def count_pages(path: Path, name: str) -> int:
    """The number of pages. Raises EncryptedFile, MalformedFile, FileTooLarge."""
    with _open(path, name) as document:
        return len(_chosen(document, name, None))


@contextmanager
def _open(path: Path, name: str) -> Iterator[pdfium.PdfDocument]:
    try:
        with _LOCK:
            document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError:
        raise _why_not_opened(path, name) from None
    try:
        yield document
    finally:
        with _LOCK:
            document.close()


def _why_not_opened(path: Path, name: str) -> ParseError:
    # Asked again, because for a document without pages pypdfium2 reports the error of an earlier file.
    with _LOCK:
        handle = raw.FPDF_LoadDocument(str(path).encode() + b"\0", None)
        if handle:
            raw.FPDF_CloseDocument(handle)
            return MalformedFile(
                f"{name} has no pages. Open it to see whether it is whole, and upload it again."
            )
        code = raw.FPDF_GetLastError()
    if code == raw.FPDF_ERR_PASSWORD:
        return EncryptedFile(f"{name} is protected by a password. Remove the password and upload it again.")
    if code == raw.FPDF_ERR_SECURITY:
        return EncryptedFile(
            f"{name} is encrypted in a way that cannot be read. Save it without protection and upload it again."
        )
    return _damaged(name)


def _chosen(document: pdfium.PdfDocument, name: str, pages: PageRanges | None) -> Sequence[int]:
    with _LOCK:
        count = len(document)
    if count > _MOST_PAGES:
        raise FileTooLarge(f"{name} has {count} pages, more than {_MOST_PAGES}. Split it into several files.")
    if pages is None:
        return range(1, count + 1)
    chosen = {number for start, end in pages for number in range(max(1, start), min(end, count + 1))}
    if not chosen:
        asked = ", ".join(f"[{start}, {end}]" for start, end in pages)
        raise NoTextInFile(
            f"None of the {count} pages of {name} is in the page ranges of its parser settings ({asked}; the "
            "end is not included). Change the ranges and parse again."
        )
    return sorted(chosen)


def _pages(document: pdfium.PdfDocument, name: str, numbers: Sequence[int]) -> Iterator[PageLines]:
    failed = 0
    for number in numbers:
        try:
            with _LOCK:
                page = _page_lines(document, number)
        except pdfium.PdfiumError:
            failed += 1
            if failed == len(numbers):
                raise _damaged(name) from None
            continue
        yield page


def _page_lines(document: pdfium.PdfDocument, number: int) -> PageLines:
    page = document[number - 1]
    try:
        width, height = page.get_size()
        frame = _Frame(page)
        text_page = page.get_textpage()
        try:
            reader = _TextReader(text_page, frame)
            lines = reader.lines()
            if gutter := reader.gutter(width):
                lines = reader.lines(gutter)
            return PageLines(number, width, height, lines)
        finally:
            text_page.close()
    finally:
        page.close()


def _plain_lines(document: pdfium.PdfDocument, number: int) -> list[str]:
    try:
        with _LOCK:
            page = document[number - 1]
            try:
                text_page = page.get_textpage()
                try:
                    text = _text(text_page)
                finally:
                    text_page.close()
            finally:
                page.close()
    except pdfium.PdfiumError:
        return []
    text = text.replace("\ufffe", "-\n").replace("\x02", "-\n")
    return [line for line in map(_clean, _LINE_END.split(text)) if line]


def _text(text_page: pdfium.PdfTextPage) -> str:
    count = raw.FPDFText_CountChars(text_page)
    if count <= 0:
        return ""
    # Two UTF-16 units for a character beyond the first plane, and a NUL at the end.
    buffer = (ctypes.c_ushort * (2 * count + 1))()
    written = raw.FPDFText_GetText(text_page, 0, count, buffer)
    return ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", errors="replace")


def _clean(text: str) -> str:
    return squeeze(text.translate(_LIGATURES))


class _Frame:
    """From a page's own coordinates to points from the top left corner, as the page is shown."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._left, self._bottom, self._right, self._top = page.get_cropbox()
        self._rotation = page.get_rotation()

    def box(self, left: float, right: float, top: float, bottom: float) -> tuple[float, float, float, float]:
        """left, right, top, bottom as shown."""
        if self._rotation == 90:
            return bottom - self._bottom, top - self._bottom, left - self._left, right - self._left
        if self._rotation == 180:
            return self._right - right, self._right - left, bottom - self._bottom, top - self._bottom
        if self._rotation == 270:
            return self._top - top, self._top - bottom, self._right - right, self._right - left
        return left - self._left, right - self._left, self._top - top, self._top - bottom


Rect = tuple[float, float, float, float]  # left, right, top, bottom as shown


class _TextReader:
    """Lines of one text page."""

    def __init__(self, text_page: pdfium.PdfTextPage, frame: _Frame) -> None:
        self._page = text_page
        self._frame = frame
        self._text = _text(text_page)
        self._numbers = [ctypes.c_double() for _ in range(4)]
        self._refs = [ctypes.byref(number) for number in self._numbers]
        self._loose = raw.FS_RECTF()
        self._gaps: list[tuple[Rect, Rect]] = []

    def lines(self, gutter: float | None = None) -> list[Line]:
        """Lines in the order of the file; those that run across the gutter are cut there."""
        self._gaps = []
        lines: list[Line] = []
        start = 0
        ends = [
            (match.start(), match.end(), match[0] in "\ufffe\x02") for match in _LINE_END.finditer(self._text)
        ]
        for end, following, is_hyphenated in [*ends, (len(self._text), len(self._text), False)]:
            text = self._text[start:end]
            if stripped := text.strip():
                offset = start + text.index(stripped[0])
                lines += self._line(offset, stripped, is_hyphenated, gutter)
            start = following
        return lines

    def gutter(self, page_width: float) -> float | None:
        """Where lines that were written across two columns are to be cut."""
        if len(self._gaps) < 6:
            return None
        halves = [
            Line("x" * int(rect[1] - rect[0]), rect[0], rect[1], rect[2], rect[3], rect[2], rect[3])
            for pair in self._gaps
            for rect in pair
            # Halves of text columns are wide; cells of a table are not.
            if rect[1] - rect[0] > 0.2 * page_width
        ]
        if len(halves) < 1.2 * len(self._gaps):
            return None
        return find_gutter(halves, page_width)

    def _line(self, offset: int, text: str, is_hyphenated: bool, gutter: float | None) -> Iterator[Line]:
        first = raw.FPDFText_GetCharIndexFromTextIndex(self._page, offset)
        last = raw.FPDFText_GetCharIndexFromTextIndex(self._page, offset + len(text) - 1)
        cleaned = _clean(text)
        if first < 0 or not cleaned:
            return
        rects = self._rects(first, max(1, last - first + 1))
        if not rects:
            return
        # Of a character in the middle: a bullet at the start may come from another font.
        middle = raw.FPDFText_GetCharIndexFromTextIndex(self._page, offset + len(text) // 2)
        upper, lower = self._line_box(middle) or rects[0][2:]
        for before, after in pairwise(rects):
            if after[0] - before[1] > 1.2 * (lower - upper):
                self._gaps.append(
                    (
                        _around([r for r in rects if r[1] <= before[1]]),
                        _around([r for r in rects if r[0] >= after[0]]),
                    )
                )
                break
        if gutter is not None:
            halves = (
                [rect for rect in rects if rect[1] <= gutter + 4],
                [rect for rect in rects if rect[0] >= gutter - 4],
            )
            if all(halves) and sum(map(len, halves)) == len(rects):
                split = self._split_at(first, last, gutter)
                if split is not None:
                    for part, around in zip(split, halves, strict=True):
                        if part:
                            yield Line(part, *_around(around), upper, lower)
                    return
        left, right, top, bottom = _around(rects)
        if bottom - top < 0.3 * (lower - upper):  # fonts that are not in the file have no ink to measure
            top, bottom = upper, lower
        yield Line(cleaned, left, right, top, bottom, upper, lower, is_hyphenated)

    def _split_at(self, first: int, last: int, gutter: float) -> tuple[str, str] | None:
        """The text of a line left and right of the gutter."""
        left: list[str] = []
        right: list[str] = []
        box = [ctypes.c_double() for _ in range(4)]
        for index in range(first, last + 1):
            code = raw.FPDFText_GetUnicode(self._page, index)
            if not raw.FPDFText_GetCharBox(self._page, index, *(ctypes.byref(number) for number in box)):
                return None
            shown = self._frame.box(box[0].value, box[1].value, box[3].value, box[2].value)
            (left if shown[0] < gutter else right).append(chr(code) if 0 < code < 0xD800 else "")
        return _clean("".join(left)), _clean("".join(right))

    def _rects(self, first: int, count: int) -> list[Rect]:
        left, top, right, bottom = self._numbers
        found = []
        for index in range(max(0, raw.FPDFText_CountRects(self._page, first, count))):
            if raw.FPDFText_GetRect(self._page, index, *self._refs):
                found.append(self._frame.box(left.value, right.value, top.value, bottom.value))
        return found

    def _line_box(self, index: int) -> tuple[float, float] | None:
        if not raw.FPDFText_GetLooseCharBox(self._page, index, ctypes.byref(self._loose)):
            return None
        box = self._loose
        _, _, upper, lower = self._frame.box(box.left, box.right, box.top, box.bottom)
        return (upper, lower) if lower > upper else None


def _around(rects: Sequence[Rect]) -> Rect:
    return (
        min(rect[0] for rect in rects),
        max(rect[1] for rect in rects),
        min(rect[2] for rect in rects),
        max(rect[3] for rect in rects),
    )


def _damaged(name: str) -> MalformedFile:
    return MalformedFile(
        f"{name} is damaged or was cut off: it cannot be read as a PDF. Open it to see whether it is whole, "
        "save it again as PDF, and upload that."
    )


def _no_text(name: str, page_count: int) -> NoTextInFile:
    pages = "The only page" if page_count == 1 else f"None of the {page_count} pages"
    verb = "holds no text layer" if page_count == 1 else "holds a text layer"
    return NoTextInFile(
        f"{pages} of {name} {verb}: the pages are pictures, as scans are, or blank. Scanned pages cannot be "
        "read yet; make the text searchable with an OCR program and upload that file."
    )
