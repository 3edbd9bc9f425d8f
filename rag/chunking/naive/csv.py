"""naive for CSV: rows, each with its column names, merged."""

from collections.abc import Iterator

from deepdoc.parsers import parse
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Merge rows until a chunk is full."""
    sections = (Section(block.text) for block in parse(job.path, job.name))
    for merged in merge(sections, job.limit, overlap=job.overlap, delimiters=job.delimiters):
        yield ChunkDraft(merged.text)
