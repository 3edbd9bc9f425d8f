"""The `naive` method (also `general`): running text cut into chunks of about `chunk_token_num` tokens."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from deepdoc.parsers import suffix_of
from deepdoc.sniffing import check_content
from rag.chunking import positions
from rag.chunking.children import split_into_children
from rag.chunking.config import PLAIN_DELIMITERS, text_of, token_limit
from rag.chunking.delimiters import Delimiters, compile_any, read_delimiters
from rag.chunking.drafts import ChunkDraft, Report
from rag.chunking.merge import overlap_percent

_BY_SUFFIX = {
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


@dataclass(frozen=True, slots=True)
class Job:
    """What every format's way of cutting needs."""

    path: Path
    name: str
    config: Mapping[str, Any]
    limit: int
    overlap: int
    delimiters: Delimiters
    report: Report


def chunk(
    path: Path, name: str, config: Mapping[str, Any], language: str, report: Report
) -> Iterator[ChunkDraft]:
    """Cut a file as its format asks for, then into children where `children_delimiter` is set."""
    check_content(path, name)
    job = Job(
        path,
        name,
        config,
        limit=token_limit(config),
        overlap=overlap_percent(config.get("overlapped_percent", 0)),
        delimiters=read_delimiters(text_of(config, "delimiter", PLAIN_DELIMITERS)),
        report=report,
    )
    suffix = suffix_of(name)
    module = import_module(f"rag.chunking.naive.{_BY_SUFFIX.get(suffix, 'text')}")
    cut: Callable[[Job], Iterator[ChunkDraft]] = module.cut
    has_geometry = suffix == ".pdf"
    children = compile_any(read_delimiters(text_of(config, "children_delimiter")).all)

    def drafts() -> Iterator[ChunkDraft]:
        report(0.0, "Start to parse.")
        ordinals = count()
        for draft in cut(job):
            if not has_geometry:
                draft = ChunkDraft(draft.content, positions.ordinal(next(ordinals)), draft.kind)
            yield from split_into_children(draft, children)
        report(1.0, "Finish parsing.")

    return drafts()
