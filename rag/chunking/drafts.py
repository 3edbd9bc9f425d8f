"""What a chunk method produces: a chunk before it has an id, words and a vector."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rag.chunks import Position

Kind = Literal["", "table", "image"]

Report = Callable[[float, str], None]
"""Called with the share of the reading that is done (0..1) and a message; an empty message is progress only.

It may raise (a cancelled task): the chunk method then stops and closes its files.
"""


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A piece of a document's text, in document order.

    content: never blank, free of control characters other than newline and tab.
    positions: a box on a page for every block of a PDF that went in; for formats without geometry one
        `(n+1, n, n, n, n)` where n counts the drafts (children of one parent share it); empty where the
        method has none.
    kind: "table" when content is an HTML table, else "".
    parent: text of the parent chunk when this is a child, else None. Children follow each other, and
        their contents, joined, are the parent's text.
    """

    content: str
    positions: list[Position] = field(default_factory=list)
    kind: Kind = ""
    parent: str | None = None
