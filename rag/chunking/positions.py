"""Where a chunk stands in its document, as clients see it."""

from deepdoc.blocks import Block
from rag.chunks import Position


def of_block(block: Block) -> list[Position]:
    """The block's box in whole points; nothing where the format has no geometry."""
    if block.box is None:
        return []
    box = block.box
    return [(block.page, round(box.left), round(box.right), round(box.top), round(box.bottom))]


def ordinal(n: int) -> list[Position]:
    """The place of the n-th chunk (0-based) of a document without geometry."""
    return [(n + 1, n, n, n, n)]
