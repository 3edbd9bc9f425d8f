"""Office files as what they are: ZIP archives of XML, from strangers."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from lxml import etree

from deepdoc.errors import FileTooLarge, MalformedFile

_MOST_ENTRIES = 20_000
_MOST_PART_BYTES = 128 << 20
_MOST_TOTAL_BYTES = 2 << 30
# Deflate reaches 1032 at most; documents of long repeated tables have been seen at 150.
_MOST_RATIO = 300
_RATIO_COUNTS_FROM = 16 << 20
_BLOCK_BYTES = 1 << 16
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class Package:
    """An opened Office file. Parts are read by name only; nothing is ever unpacked to disk."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._parts = {info.filename.lstrip("/"): info for info in archive.infolist()}

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    @contextmanager
    def open(self, part: str) -> Iterator[IO[bytes]]:
        """A part's bytes, counted while they are read. Raises MalformedFile, FileTooLarge."""
        info = self._parts.get(part)
        if info is None:
            raise damaged(self._name, f"its part {part} is missing")
        _check_size(info, self._name)
        try:
            with self._archive.open(info) as file:
                yield _Counted(file, self._name)  # type: ignore[misc]
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise damaged(self._name, f"its part {part} cannot be unpacked ({error})") from None

    def parse(self, part: str) -> etree._Element | None:
        """A part as a tree; None when it is not there."""
        if part not in self:
            return None
        with self.open(part) as file:
            try:
                root: etree._Element = etree.parse(file, _parser()).getroot()
            except etree.XMLSyntaxError as error:
                raise damaged(self._name, f"its part {part} is not well-formed XML ({error.msg})") from None
            refuse_doctype(root, self._name)
            return root

    def walk(self, part: str, tags: tuple[str, ...]) -> Iterator[tuple[str, etree._Element]]:
        """start and end events of these elements, without the whole tree in memory."""
        with self.open(part) as file:
            events = etree.iterparse(
                file,
                events=("start", "end"),
                tag=tags,
                resolve_entities=False,
                load_dtd=False,
                no_network=True,
                huge_tree=False,
                remove_comments=True,
                remove_pis=True,
            )
            is_first = True
            try:
                for event, element in events:
                    if is_first:
                        refuse_doctype(element, self._name)
                        is_first = False
                    yield event, element
            except etree.XMLSyntaxError as error:
                raise damaged(self._name, f"its part {part} is not well-formed XML ({error.msg})") from None

    def targets(self, part: str) -> dict[str, str]:
        """The part's internal relationships: kind (last step of the type's URI) to part name."""
        path = PurePosixPath(part)
        root = self.parse(str(path.parent / "_rels" / f"{path.name}.rels").lstrip("./"))
        found: dict[str, str] = {}
        for relation in root.iter(_RELATIONSHIP) if root is not None else ():
            if relation.get("TargetMode") != "External":
                kind = (relation.get("Type") or "").rsplit("/", 1)[-1]
                found.setdefault(kind, _resolved(path.parent, relation.get("Target") or ""))
        return found


def _resolved(folder: PurePosixPath, target: str) -> str:
    steps: list[str] = [] if target.startswith("/") else list(folder.parts)
    for step in target.split("/"):
        if step == "..":
            steps = steps[:-1]
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


@contextmanager
def open_package(path: Path, name: str) -> Iterator[Package]:
    """Open an Office file; sizes that its directory claims are checked before anything is unpacked."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise damaged(name, "the archive is cut off or broken") from None
    with archive:
        infos = archive.infolist()
        total = sum(info.file_size for info in infos)
        if len(infos) > _MOST_ENTRIES or total > _MOST_TOTAL_BYTES:
            raise _too_large(name)
        yield Package(archive, name)


class _Counted:
    """Stops where the real size is over the limit, whatever the archive's directory says."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """At most 64 kB at a time."""
        data = self._file.read(_BLOCK_BYTES if size < 0 else min(size, _BLOCK_BYTES))
        self._read += len(data)
        if self._read > _MOST_PART_BYTES:
            raise _too_large(self._name)
        return data


def _check_size(info: zipfile.ZipInfo, name: str) -> None:
    is_bomb = info.file_size > _RATIO_COUNTS_FROM and info.file_size > _MOST_RATIO * max(
        1, info.compress_size
    )
    if info.file_size > _MOST_PART_BYTES or is_bomb:
        raise _too_large(name)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def refuse_doctype(element: etree._Element, name: str) -> None:
    """No Office program writes a document type declaration: entities in it are an attack."""
    if element.getroottree().docinfo.internalDTD is not None:
        raise MalformedFile(
            f"{name} holds an XML document type declaration, which Office files never have; it was not read. "
            "Save the document again with Word and upload that."
        )


def damaged(name: str, reason: str) -> MalformedFile:
    """A MalformedFile that says what is broken."""
    return MalformedFile(
        f"{name} is damaged: {reason}. Open it in Word, save it again as .docx, and upload that."
    )


def _too_large(name: str) -> FileTooLarge:
    return FileTooLarge(
        f"{name} unpacks to far more than a document of its size holds (over {_MOST_PART_BYTES >> 20} MB, or "
        f"over {_MOST_RATIO} times its packed size); it was not read. Remove large embedded content or split it."
    )
