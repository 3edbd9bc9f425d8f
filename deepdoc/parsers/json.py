"""JSON and JSON Lines: pieces of a document that keep their place in its structure."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from deepdoc.blocks import Block, BlockKind
from deepdoc.decoding import read_lines, read_text
from deepdoc.errors import FileTooLarge, MalformedFile
from deepdoc.parsers import suffix_of

_DEEPEST = 200
_MOST_CHARS = 1024
_LINES_TRIED = 10


def parse(path: Path, name: str) -> Iterator[Block]:
    """Records of about a thousand characters."""
    return read_records(path, name, most_chars=_MOST_CHARS, least_chars=_MOST_CHARS // 2)


def read_records(path: Path, name: str, *, most_chars: int, least_chars: int) -> Iterator[Block]:
    """Pieces of JSON, each with the keys that lead to it, lists as objects with index keys.

    A piece is full at `least_chars` characters and has at most `most_chars`, unless one value is longer.
    JSON Lines are told by the extension, or by a file that is no JSON document although at least 8 of its
    first 10 lines are; each line is split by itself, and a line that is no JSON is kept as text.
    Raises MalformedFile, and FileTooLarge when it nests too deeply.
    """
    sizes = (most_chars, least_chars)
    if suffix_of(name) != ".json" and _has_json_lines(path, name):
        yield from _lines(path, name, sizes)
        return
    try:
        value = _load("".join(read_text(path, name)), name)
    except json.JSONDecodeError as error:
        if not _has_json_lines(path, name):
            raise MalformedFile(
                f"{name} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
                "Correct it, or upload it with the extension .txt."
            ) from None
        yield from _lines(path, name, sizes)
        return
    yield from _pieces(value, sizes)


def _lines(path: Path, name: str, sizes: tuple[int, int]) -> Iterator[Block]:
    for line in read_lines(read_text(path, name)):
        if not line.strip():
            continue
        try:
            yield from _pieces(_load(line, name), sizes)
        except json.JSONDecodeError:
            yield Block(BlockKind.RECORD, line.strip())


def _has_json_lines(path: Path, name: str) -> bool:
    lines = (line for line in read_lines(read_text(path, name)) if line.strip())
    found = [_is_json(line, name) for line in islice(lines, _LINES_TRIED)]
    return len(found) > 0 and sum(found) >= 0.8 * len(found)


def _is_json(line: str, name: str) -> bool:
    try:
        _load(line, name)
    except json.JSONDecodeError:
        return False
    return True


def _load(text: str, name: str) -> Any:
    try:
        value = json.loads(text, parse_int=_number)
    except RecursionError:
        raise _too_deep(name) from None
    if _depth_exceeds(value, _DEEPEST):
        raise _too_deep(name)
    return value


def _number(digits: str) -> int | str:
    # Python refuses to convert numbers of more than 4300 digits, for their quadratic cost.
    return int(digits) if len(digits) < 1000 else digits


def _too_deep(name: str) -> FileTooLarge:
    return FileTooLarge(
        f"{name} nests more than {_DEEPEST} levels deep, which cannot be read. Flatten it and upload it again."
    )


def _depth_exceeds(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _pieces(value: Any, sizes: tuple[int, int]) -> Iterator[Block]:
    if value is None or value == "" or value == {} or value == []:
        return
    if not isinstance(value, dict | list):
        yield _block(value)
        return
    splitter = _Splitter(*sizes)
    yield from splitter.split(value, [])
    yield from splitter.flush()


def _block(value: Any) -> Block:
    # Escapes of lone surrogates are valid JSON but no text.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    return Block(BlockKind.RECORD, text)


class _Splitter:
    """Fills one piece after the other, in document order."""

    def __init__(self, most: int, least: int) -> None:
        self._most = most
        self._least = least
        self._sizes: dict[int, int] = {}
        self._piece: dict[str, Any] = {}
        self._size = 2

    def split(self, value: Any, path: list[str]) -> Iterator[Block]:
        """Add the children of a container, whole where they fit, else split in turn."""
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            name = str(key)
            size = self._measure(child) + len(name) + 6
            if self._size + size <= self._most:
                self._put(path, name, child, size)
                continue
            if self._size >= self._least:
                yield from self.flush()
            if isinstance(child, dict | list) and child and size > self._most:
                yield from self.split(child, [*path, name])
                continue
            if self._size + size > self._most:
                yield from self.flush()
            self._put(path, name, child, size)

    def flush(self) -> Iterator[Block]:
        """The open piece, if anything is in it."""
        if self._piece:
            yield _block(self._piece)
        self._piece, self._size = {}, 2

    def _put(self, path: list[str], name: str, child: Any, size: int) -> None:
        target = self._piece
        for step in path:
            if step not in target:
                target[step] = {}
                self._size += len(step) + 6
            target = target[step]
        target[name] = _with_index_keys(child)
        self._size += size

    def _measure(self, value: Any) -> int:
        """About the length of the value as JSON; containers are measured once."""
        if isinstance(value, str):
            return len(value) + 4
        if not isinstance(value, dict | list):
            return len(str(value)) + 2
        known = self._sizes.get(id(value))
        if known is None:
            if isinstance(value, dict):
                known = 2 + sum(len(key) + 6 + self._measure(child) for key, child in value.items())
            else:
                known = 2 + sum(len(str(n)) + 6 + self._measure(child) for n, child in enumerate(value))
            self._sizes[id(value)] = known
        return known


def _with_index_keys(value: Any) -> Any:
    if isinstance(value, list):
        return {str(index): _with_index_keys(child) for index, child in enumerate(value)}
    if isinstance(value, dict):
        return {key: _with_index_keys(child) for key, child in value.items()}
    return value
