"""Reading order: columns where they can be told, else the order of the file."""

from deepdoc.layout.lines import Line, PageLines

_BIN = 4.0  # points
_FEWEST_LINES = 4
_FEWEST_CHARS = 12


def in_reading_order(page: PageLines) -> list[Line]:
    """The page's lines, left column before right column between lines that cross both."""
    gutter = find_gutter(page.lines, page.width)
    if gutter is not None:
        return _by_columns(page.lines, gutter)
    # Most programs write text in reading order; where the order jumps up and down, height decides.
    jumps = sum(
        1
        for line, following in zip(page.lines, page.lines[1:], strict=False)
        if following.bottom < line.top - line.size
    )
    if jumps > 2 and jumps * 8 > len(page.lines):
        return _by_rows(page.lines)
    return page.lines


def find_gutter(lines: list[Line], page_width: float) -> float | None:
    """x of the empty strip between two columns of running text; None when there is none."""
    if len(lines) < 2 * _FEWEST_LINES or page_width <= 0:
        return None
    first, last = int(0.3 * page_width / _BIN), int(0.7 * page_width / _BIN)
    covered = [0] * (last - first + 1)
    for line in lines:
        start, end = int(line.left / _BIN) - first, int(line.right / _BIN) - first
        for index in range(max(0, start), min(len(covered) - 1, end) + 1):
            covered[index] += 1
    fewest = min(covered)
    if fewest * 4 > len(lines):
        return None
    # The middle of the longest emptiest strip.
    best_start = best_length = start = 0
    for index, count in enumerate([*covered, fewest + 1]):
        if count > fewest:
            if index - start > best_length:
                best_start, best_length = start, index - start
            start = index + 1
    gutter = (first + best_start + best_length / 2) * _BIN
    left = [line for line in lines if line.right <= gutter + _BIN]
    right = [line for line in lines if line.left >= gutter - _BIN]
    if not (_is_running_text(left) and _is_running_text(right)):
        return None
    overlap = min(_lowest(left), _lowest(right)) - max(_highest(left), _highest(right))
    shorter = min(_lowest(left) - _highest(left), _lowest(right) - _highest(right))
    return gutter if overlap > 0.5 * shorter > 0 else None


def _is_running_text(lines: list[Line]) -> bool:
    # Columns of a table hold short cells; columns of text hold long lines.
    chars = sum(len(line.text) for line in lines)
    return len(lines) >= _FEWEST_LINES and chars >= _FEWEST_CHARS * len(lines)


def _highest(lines: list[Line]) -> float:
    return min(line.top for line in lines)


def _lowest(lines: list[Line]) -> float:
    return max(line.bottom for line in lines)


def _by_columns(lines: list[Line], gutter: float) -> list[Line]:
    ordered: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for line in sorted(lines, key=lambda line: line.top):
        if line.right <= gutter + _BIN:
            left.append(line)
        elif line.left >= gutter - _BIN:
            right.append(line)
        else:
            ordered += [*left, *right, line]
            left, right = [], []
    return [*ordered, *left, *right]


def _by_rows(lines: list[Line]) -> list[Line]:
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.top):
        if rows and line.top < rows[-1][0].bottom - 0.5 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.left)]
