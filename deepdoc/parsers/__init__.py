"""Parsers: one file per format, all of them behind `parse`."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath

from deepdoc.blocks import Block
from deepdoc.errors import NoTextInFile, UnsupportedFile
from deepdoc.sniffing import check_content

__all__ = ["SUPPORTED_SUFFIXES", "TEXT_SUFFIXES", "parse", "suffix_of"]

TEXT_SUFFIXES = frozenset(
    {".txt", ".py", ".js", ".java", ".c", ".cpp", ".h", ".php", ".go", ".ts", ".sh", ".cs", ".kt", ".sql"}
    | {".ini", ".yml", ".xml"}
)
"""Read as plain text: prose and source code."""

_PARSERS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".jsonl": "json",
    ".ldjson": "json",
    ".csv": "csv",
    ".docx": "docx",
    ".pdf": "pdf",
}

SUPPORTED_SUFFIXES = TEXT_SUFFIXES | _PARSERS.keys()
"""Lower case, with the dot."""


def suffix_of(name: str) -> str:
    """The extension of a file name: lower case, with the dot; "" when there is none."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def parse(path: Path, name: str, *, pages: Sequence[tuple[int, int]] | None = None) -> Iterator[Block]:
    """Read the file at `path`, uploaded as `name`, into blocks in reading order.

    pages: for PDFs, the ranges of pages to read: 1-based start, exclusive end; None reads all.
    Raises at once UnsupportedFile and what the first look at the content shows (MalformedFile,
    NoTextInFile, EncryptedFile), any ParseError while iterating. At least one block comes.
    """
    suffix = suffix_of(name)
    if suffix not in SUPPORTED_SUFFIXES:
        known = ", ".join(sorted(known.removeprefix(".") for known in SUPPORTED_SUFFIXES))
        what = f"{suffix} files" if suffix else f"a file without an extension ({name})"
        raise UnsupportedFile(f"This version cannot read {what}; it reads {known}.")
    check_content(path, name)
    parser = import_module(f"deepdoc.parsers.{_PARSERS.get(suffix, 'text')}")
    blocks: Iterator[Block] = (
        parser.parse(path, name, pages=pages) if suffix == ".pdf" else parser.parse(path, name)
    )
    return _at_least_one(blocks, name)


def _at_least_one(blocks: Iterator[Block], name: str) -> Iterator[Block]:
    is_empty = True
    for block in blocks:
        is_empty = False
        yield block
    if is_empty:
        raise NoTextInFile(f"{name} holds no text that could be searched. Upload a file with text in it.")
