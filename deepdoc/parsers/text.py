"""Plain text and source code."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from deepdoc.blocks import Block, BlockKind
from deepdoc.decoding import read_text

__all__ = ["parse", "read_text"]

_PROSE = {".txt"}
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
# A text without blank lines must not become one block in memory.
_LONG = 1 << 16


def parse(path: Path, name: str) -> Iterator[Block]:
    """Paragraphs, as blank lines part them; indentation stays."""
    kind = BlockKind.PARAGRAPH if PurePosixPath(name).suffix.lower() in _PROSE else BlockKind.CODE
    pending = ""
    for piece in read_text(path, name):
        *whole, pending = _BLANK_LINES.split(pending + piece)
        for text in whole:
            yield from _block(kind, text)
        while len(pending) > 2 * _LONG:
            cut = max(pending.rfind("\n", 0, _LONG), pending.rfind(" ", 0, _LONG)) + 1 or _LONG
            yield from _block(kind, pending[:cut])
            pending = pending[cut:]
    yield from _block(kind, pending)


def _block(kind: BlockKind, text: str) -> Iterator[Block]:
    if text.strip():
        yield Block(kind, text.strip("\n").rstrip())
