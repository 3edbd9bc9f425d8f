"""naive for HTML: blocks merged, headings marked as in markdown, tables last."""

from collections.abc import Iterator

from deepdoc.blocks import BlockKind
from deepdoc.parsers import parse
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job
from rag.chunking.tables import table_chunks


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Merge text blocks; every table is a chunk after them."""
    tables: list[str] = []

    def sections() -> Iterator[Section]:
        for block in parse(job.path, job.name):
            if block.kind is BlockKind.TABLE:
                tables.append(block.text)
            elif block.kind is BlockKind.HEADING:
                yield Section(f"{'#' * block.level} {block.text}")
            else:
                yield Section(block.text)

    for merged in merge(sections(), job.limit, overlap=job.overlap, delimiters=job.delimiters):
        yield ChunkDraft(merged.text)
    for html in tables:
        yield from table_chunks(html, job.limit)
