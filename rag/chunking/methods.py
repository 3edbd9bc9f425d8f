"""Which chunk methods there are, and which files each of them takes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from deepdoc.errors import UnsupportedFile
from deepdoc.parsers import SUPPORTED_SUFFIXES, suffix_of
from rag.chunking.drafts import ChunkDraft, Report
from rag.errors import UnknownChunkMethod

Chunker = Callable[[Path, str, Mapping[str, Any], str, Report], Iterator[ChunkDraft]]


@dataclass(frozen=True, slots=True)
class ChunkMethod:
    """A chunk method by name; its code is imported when it is first used."""

    name: str
    module: str
    suffixes: frozenset[str]

    def load(self) -> Chunker:
        """The method itself."""
        return cast(Chunker, import_module(self.module).chunk)


_NAIVE = ChunkMethod("naive", "rag.chunking.naive", SUPPORTED_SUFFIXES)
_ONE = ChunkMethod(
    "one",
    "rag.chunking.one",
    frozenset({".docx", ".pdf", ".txt", ".md", ".markdown", ".mdx", ".htm", ".html"}),
)
_METHODS = {"naive": _NAIVE, "general": _NAIVE, "one": _ONE}


def find_method(name: str) -> ChunkMethod:
    """The method of this name. Raises UnknownChunkMethod."""
    try:
        return _METHODS[name]
    except KeyError:
        raise UnknownChunkMethod(
            f"chunk method '{name}' is not available in this version; available: naive, one"
        ) from None


def check_supported(method: str, name: str) -> None:
    """Refuse what `chunk_document` would refuse by name alone: UnknownChunkMethod, UnsupportedFile."""
    found = find_method(method)
    suffix = suffix_of(name)
    if suffix in found.suffixes:
        return
    if suffix in SUPPORTED_SUFFIXES:
        raise UnsupportedFile(
            f"Chunk method '{found.name}' does not read {suffix} files; it reads "
            f"{_listed(found.suffixes)}. Choose another chunk method, for example naive."
        )
    what = f"{suffix} files" if suffix else f"a file without an extension ({name})"
    raise UnsupportedFile(f"This version cannot read {what}; it reads {_listed(found.suffixes)}.")


def _listed(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffix.removeprefix(".") for suffix in suffixes))
