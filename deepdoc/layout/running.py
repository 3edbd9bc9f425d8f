"""Running headers, footers and page numbers: lines that stand at the same place on page after page."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from deepdoc.layout.lines import Line, PageLines

_WINDOW = 8  # pages looked at before and after a page: left and right pages may differ
_EDGE = 0.12  # share of the page's height
_MOST_LINES = 3
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|seite|p\.|第)\s*)?#(?:\s*(?:/|of|von|de|-|–|—|页|頁|共)*\s*#?\s*(?:页|頁)?)?\W*",
    re.IGNORECASE,
)
_OUTER_NUMBER = re.compile(r"^\d{1,5}(?=\s|$)|(?<=\s)\d{1,5}$")

Signature = tuple[str, int]


def without_running_lines(pages: Iterable[PageLines], page_count: int) -> Iterator[PageLines]:
    """The pages without the lines at their upper and lower edge that repeat, numbers aside.

    A line repeats when it stands at the same height on three pages of its neighbourhood (on every page
    of a document of two). At most `2 * _WINDOW + 1` pages are kept in memory.
    """
    needed = min(3, page_count)
    seen: deque[dict[Signature, Line]] = deque(maxlen=_WINDOW)
    ahead: deque[tuple[PageLines, dict[Signature, Line]]] = deque()
    source = iter(pages)
    is_done = False
    while True:
        while not is_done and len(ahead) <= _WINDOW:
            page = next(source, None)
            if page is None:
                is_done = True
            else:
                ahead.append((page, _edge_lines(page)))
        if not ahead:
            return
        page, edges = ahead.popleft()
        if edges and needed >= 2:
            counts = Counter(edges.keys())
            for other in (*seen, *(edges for _, edges in ahead)):
                counts.update(edges.keys() & other.keys())
            repeated = [line for signature, line in edges.items() if counts[signature] >= needed]
            if repeated:
                dropped = {id(line) for line in repeated}
                # What is all of a page's text is no header: slides have only a title.
                page.lines = [line for line in page.lines if id(line) not in dropped] or page.lines
        seen.append(edges)
        yield page


def _edge_lines(page: PageLines) -> dict[Signature, Line]:
    by_height = sorted(page.lines, key=lambda line: line.top)
    found: dict[Signature, Line] = {}
    top = [line for line in by_height if line.bottom <= _EDGE * page.height][:_MOST_LINES]
    bottom = [line for line in reversed(by_height) if line.top >= (1 - _EDGE) * page.height][:_MOST_LINES]
    for lines in (top, bottom):
        for line in lines:
            text = _DIGITS.sub("#", line.text).strip()
            if _PAGE_NUMBER.fullmatch(text) or _stands_apart(line, page.lines):
                found[(text, round(line.top))] = line
                # "Chapter 2  14" counts along with "Chapter 3  15": its number follows the pages.
                for number in _OUTER_NUMBER.findall(line.text):
                    found[(f"page {int(number) - page.number:+d}", round(line.top))] = line
    return found


def _stands_apart(line: Line, lines: list[Line]) -> bool:
    """Not a line of the body, which goes on at the usual distance."""
    return all(
        gap >= 0.75 * line.size
        for other in lines
        if other is not line and (gap := max(other.top - line.bottom, line.top - other.bottom)) > -line.size / 2
        and abs(other.size - line.size) < 0.05 * line.size
        and min(other.right, line.right) > max(other.left, line.left)
    )  # fmt: skip
