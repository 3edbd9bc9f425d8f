"""naive for Word documents: paragraphs joined until a chunk is full, tables apart with their place."""

from collections.abc import Iterator

from deepdoc.blocks import Block, BlockKind
from deepdoc.parsers import parse
from deepdoc.tables import with_caption
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job
from rag.chunking.tables import table_chunks

_DEEPEST_HEADING = 7


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Merge paragraphs without overlap; a table follows the text chunk that was open where it stands."""
    tables: list[str] = []

    def sections() -> Iterator[Section]:
        headings: list[Block] = []
        for block in parse(job.path, job.name):
            if block.kind is BlockKind.TABLE:
                steps = [job.name, *(heading.text for heading in headings)]
                tables.append(with_caption(block.text, "Table Location: " + " > ".join(steps)))
                continue
            if block.kind is BlockKind.HEADING and block.level <= _DEEPEST_HEADING:
                headings = [heading for heading in headings if heading.level < block.level] + [block]
            yield Section(block.text)

    for merged in merge(sections(), job.limit, delimiters=job.delimiters):
        yield ChunkDraft(merged.text)
        while tables:
            yield from table_chunks(tables.pop(0), job.limit)
    while tables:
        yield from table_chunks(tables.pop(0), job.limit)
