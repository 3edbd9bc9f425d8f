"""What every parser produces: the blocks of a document, in reading order."""

from dataclasses import dataclass
from enum import StrEnum


class BlockKind(StrEnum):
    """What a block is; chunk methods treat tables and figures apart from running text."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    QUOTE = "quote"
    CODE = "code"
    TABLE = "table"
    RECORD = "record"  # a row of a sheet, a piece of a JSON document
    FIGURE = "figure"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points (1/72 inch) from the page's top left corner."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document.

    text: plain text; a table's text is HTML (`<table>…</table>`).
    level: 1 to 9 for a heading, else 0.
    page: 1-based page number, 0 where the format has no pages.
    box: where the block stands on its page, None where the format has no geometry.
    """

    kind: BlockKind
    text: str
    level: int = 0
    page: int = 0
    box: Box | None = None
