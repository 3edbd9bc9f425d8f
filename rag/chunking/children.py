"""Small chunks for search that bring their large parent to the answer (`children_delimiter`)."""

import re
from collections.abc import Iterator

from rag.chunking.delimiters import split_keeping
from rag.chunking.drafts import ChunkDraft


def split_into_children(draft: ChunkDraft, pattern: re.Pattern[str] | None) -> Iterator[ChunkDraft]:
    """The draft's pieces as children with its positions; a table, or a text of one piece, as it is.

    Every delimiter stays at the end of its piece; a blank piece stays with its neighbour.
    """
    pieces = _without_blanks(split_keeping(pattern, draft.content)) if pattern and not draft.kind else []
    if len(pieces) < 2:
        yield draft
        return
    for piece in pieces:
        yield ChunkDraft(piece, draft.positions, draft.kind, parent=draft.content)


def _without_blanks(pieces: Iterator[str]) -> list[str]:
    whole: list[str] = []
    for piece in pieces:
        if whole and (not piece.strip() or not whole[-1].strip()):
            whole[-1] += piece
        else:
            whole.append(piece)
    return whole
