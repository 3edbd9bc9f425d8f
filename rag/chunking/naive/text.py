"""naive for plain text and source code: cut at delimiters, which stay at the end of their piece."""

from collections.abc import Iterable, Iterator

from deepdoc.parsers.text import read_text
from rag.chunking.delimiters import Delimiters, compile_any, split_keeping
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job

# Without a delimiter for so long, a piece is cut: a file on one line must not stand in memory twice.
_LONGEST_PIECE = 1 << 16


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Merge the pieces between delimiters, custom and plain alike, until a chunk is full."""
    size = max(1, job.path.stat().st_size)
    done = 0

    def pieces() -> Iterator[str]:
        nonlocal done
        for text in read_text(job.path, job.name):
            yield text
            done += len(text.encode("utf-8", "replace"))
            job.report(min(0.99, done / size), "")

    # A custom delimiter ends a chunk's piece but never forbids merging here, unlike in other formats.
    overlap = 0 if job.delimiters.custom else job.overlap
    sections = (Section(piece) for piece in split_stream(pieces(), job.delimiters))
    for merged in merge(sections, job.limit, overlap=overlap, joiner=""):
        yield ChunkDraft(merged.text)


def split_stream(texts: Iterable[str], delimiters: Delimiters) -> Iterator[str]:
    """Pieces that end with a delimiter, of a text that comes in parts; joined they are the text."""
    pattern = compile_any(delimiters.all)
    pending = ""
    for text in texts:
        *whole, pending = list(split_keeping(pattern, pending + text)) or [""]
        yield from whole
        while len(pending) > 2 * _LONGEST_PIECE:
            cut_at = max(pending.rfind("\n", 0, _LONGEST_PIECE), pending.rfind(" ", 0, _LONGEST_PIECE)) + 1
            cut_at = cut_at or _LONGEST_PIECE
            yield pending[:cut_at]
            pending = pending[cut_at:]
    if pending:
        yield pending
