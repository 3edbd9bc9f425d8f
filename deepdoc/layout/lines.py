"""Lines of text with their places, as a page's text layer gives them."""

from dataclasses import dataclass

from deepdoc.blocks import Box


@dataclass(slots=True)
class Line:
    """One line of one column.

    left, right, top, bottom: around the ink.
    upper, lower: the font's own line box, the same for every line of a font, so that distances compare.
    is_hyphenated: the last word goes on in the next line; the hyphen is not part of the text.
    """

    text: str
    left: float
    right: float
    top: float
    bottom: float
    upper: float
    lower: float
    is_hyphenated: bool = False

    @property
    def width(self) -> float:
        """In points."""
        return self.right - self.left

    @property
    def size(self) -> float:
        """Height of the font's line box in points, never 0; about 1.2 times the font size."""
        return max(self.lower - self.upper, 1.0)


@dataclass(slots=True)
class PageLines:
    """number: 1-based; width, height in points; lines in the order of the file."""

    number: int
    width: float
    height: float
    lines: list[Line]


def union(lines: list[Line]) -> Box:
    """The smallest box around all lines."""
    return Box(
        min(line.left for line in lines),
        max(line.right for line in lines),
        min(line.top for line in lines),
        max(line.bottom for line in lines),
    )
