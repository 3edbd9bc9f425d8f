"""naive for JSON and JSON Lines: pieces that keep their structure, merged."""

from collections.abc import Iterator

from deepdoc.parsers.json import read_records
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, merge
from rag.chunking.naive import Job


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Split into pieces of at most 2 * limit characters, then merge."""
    records = read_records(job.path, job.name, most_chars=2 * job.limit, least_chars=max(job.limit - 200, 50))
    sections = (Section(record.text) for record in records)
    for merged in merge(sections, job.limit, overlap=job.overlap, delimiters=job.delimiters):
        yield ChunkDraft(merged.text)
