"""Tables as HTML that holds nothing but structure and text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain

_MOST_SPANNED = 1000
_WHITE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Cell:
    """text: plain; spans as in HTML."""

    text: str
    is_header: bool = False
    colspan: int = 1
    rowspan: int = 1


def to_html(rows: Sequence[Sequence[Cell]], caption: str = "") -> str:
    """One line of HTML per row; "" when no cell holds text."""
    if not any(cell.text for row in rows for cell in row):
        return ""
    head = f"<caption>{escape(caption, quote=False)}</caption>" if caption else ""
    lines = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows if row]
    return "\n".join([f"<table>{head}", *lines, "</table>"])


def _cell(cell: Cell) -> str:
    tag = "th" if cell.is_header else "td"
    columns = f' colspan="{cell.colspan}"' if 1 < cell.colspan <= _MOST_SPANNED else ""
    rows = f' rowspan="{cell.rowspan}"' if 1 < cell.rowspan <= _MOST_SPANNED else ""
    # No line ends inside a row: `row_lines` counts on it.
    text = escape(_WHITE.sub(" ", cell.text), quote=False)
    return f"<{tag}{columns}{rows}>{text}</{tag}>"


def row_lines(html: str) -> tuple[str, list[str]]:
    """The opening of a table made by `to_html` and its rows, one string each."""
    first, *rest = html.split("\n")
    return first, rest[:-1]


def joined(opening: str, rows: Iterator[str] | Sequence[str]) -> str:
    """What `row_lines` took apart, put together again."""
    return "\n".join(chain([opening], rows, ["</table>"]))


def with_caption(html: str, caption: str) -> str:
    """The table with a caption that says where it comes from."""
    return html.replace(
        "<table>", f"<table><caption>{escape(_WHITE.sub(' ', caption), quote=False)}</caption>", 1
    )
