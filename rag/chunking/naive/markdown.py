"""naive for markdown: elements joined while they fit; tables are chunks of their own as well."""

from collections.abc import Iterator

from deepdoc.parsers.markdown import read_elements
from rag.chunking.delimiters import compile_any, split_dropping
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Merged, Section, close, cut_long, tail
from rag.chunking.naive import Job
from rag.chunking.tables import table_chunks
from rag.text.tokens import count_tokens


def cut(job: Job) -> Iterator[ChunkDraft]:
    """Join elements by newline while all are within the limit: here a chunk never exceeds it.

    With custom delimiters the pieces between them take the place of the elements.
    """
    tables: list[str] = []

    def sections() -> Iterator[Section]:
        custom = compile_any(job.delimiters.custom)
        for element in read_elements(job.path, job.name):
            if element.html:
                tables.append(element.html)
            for piece in split_dropping(custom, element.text):
                yield Section(piece)

    for merged in _pack(cut_long(sections(), job.limit), job.limit, job.overlap):
        yield ChunkDraft(merged.text)
        while tables:  # after the text chunk in which they stand
            yield from table_chunks(tables.pop(0), job.limit)
    while tables:
        yield from table_chunks(tables.pop(0), job.limit)


def _pack(sections: Iterator[Section], limit: int, overlap: int) -> Iterator[Merged]:
    text, tokens = "", 0
    for section in sections:
        count = section.tokens if section.tokens is not None else count_tokens("\n" + section.text)
        if text and tokens + count > limit:
            yield from close(text, [], limit)
            kept = tail(text, overlap, limit) if overlap else ""
            text, tokens = (f"{kept}\n{section.text}" if kept else section.text), count
        else:
            text, tokens = (f"{text}\n{section.text}" if text else section.text), tokens + count
    yield from close(text, [], limit)
