"""The `one` method: a whole document is one chunk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepdoc.blocks import Block, BlockKind
from deepdoc.errors import FileTooLarge
from deepdoc.parsers import parse, suffix_of
from deepdoc.parsers.pdf import count_pages, read_lines
from rag.chunking.config import uses_geometry
from rag.chunking.drafts import ChunkDraft, Report

_MOST_CHARS = 4_000_000


def chunk(
    path: Path, name: str, config: Mapping[str, Any], language: str, report: Report
) -> Iterator[ChunkDraft]:
    """All blocks joined by newline, tables as HTML where they stand; no positions.

    Page ranges do not apply. Over four million characters FileTooLarge: no answer could use such a chunk.
    """
    is_plain = suffix_of(name) == ".pdf" and not uses_geometry(config)
    is_marked = suffix_of(name) not in (".pdf", ".docx", ".txt")
    blocks = read_lines(path, name) if is_plain else parse(path, name)

    def drafts() -> Iterator[ChunkDraft]:
        report(0.0, "Start to parse.")
        page_count = count_pages(path, name) if suffix_of(name) == ".pdf" else 0
        texts: list[str] = []
        size = page = 0
        for block in blocks:
            if block.page != page:
                page = block.page
                report(min(0.99, page / page_count), "")
            texts.append(_text(block) if is_marked else block.text)
            size += len(texts[-1])
            if size > _MOST_CHARS:
                raise FileTooLarge(
                    f"{name} holds more than {_MOST_CHARS:,} characters, too many for one chunk. "
                    "Choose the chunk method naive."
                )
        if content := "\n".join(texts).strip():
            yield ChunkDraft(content)
        report(1.0, "Finish parsing.")

    return drafts()


def _text(block: Block) -> str:
    if block.kind is BlockKind.HEADING:
        return f"{'#' * block.level} {block.text}"
    return block.text
