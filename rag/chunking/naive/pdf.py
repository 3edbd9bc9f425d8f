"""naive for PDF: paragraphs merged, with the box of every one of them."""

from collections.abc import Iterator

from deepdoc.blocks import Block, BlockKind
from deepdoc.parsers.pdf import count_pages, parse, read_lines
from rag.chunking.config import page_ranges, uses_geometry
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job
from rag.chunking.positions import of_block
from rag.chunking.tables import table_chunks


def cut(job: Job) -> Iterator[ChunkDraft]:
    """DeepDOC: paragraphs with positions; Plain Text: lines without."""
    pages = page_ranges(job.config)
    read = parse if uses_geometry(job.config) else read_lines
    page_count = count_pages(job.path, job.name)
    tables: list[Block] = []

    def sections() -> Iterator[Section]:
        page = 0
        for block in read(job.path, job.name, pages=pages):
            if block.page != page:
                page = block.page
                job.report(min(0.99, page / page_count), "")
            if block.kind is BlockKind.TABLE:
                tables.append(block)
            else:
                yield Section(block.text, of_block(block))

    for merged in merge(sections(), job.limit, overlap=job.overlap, delimiters=job.delimiters):
        yield ChunkDraft(merged.text, merged.positions)
    for table in tables:
        yield from table_chunks(table.text, job.limit, of_block(table))
