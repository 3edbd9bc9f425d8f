"""Chunk methods: files to chunk drafts. One file per method; what methods share has a file of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepdoc.errors import NoTextInFile
from rag.chunking.drafts import ChunkDraft, Report
from rag.chunking.methods import check_supported, find_method

__all__ = ["ChunkDraft", "Report", "check_supported", "chunk_document"]


def _say_nothing(share: float, message: str) -> None:
    pass


def chunk_document(
    method: str,
    path: Path,
    name: str,
    config: Mapping[str, Any],
    *,
    language: str = "English",
    report: Report = _say_nothing,
) -> Iterator[ChunkDraft]:
    """Cut the file at `path`, uploaded as `name`, into chunks; they come as they are ready.

    method: `naive` (also called `general`) or `one`.
    config: the document's `parser_config`; missing keys get the method's defaults, unknown keys are ignored.
    language: the dataset's language, for methods that add words of their own.
    Raises at once UnknownChunkMethod and UnsupportedFile; while iterating any ParseError. At least one
    draft comes, else NoTextInFile is raised.
    """
    check_supported(method, name)
    drafts = find_method(method).load()(path, name, config, language, report)
    return _at_least_one(drafts, name)


def _at_least_one(drafts: Iterator[ChunkDraft], name: str) -> Iterator[ChunkDraft]:
    is_empty = True
    for draft in drafts:
        is_empty = False
        yield draft
    if is_empty:
        raise NoTextInFile(f"{name} holds no text that could be searched. Upload a file with text in it.")
