"""Bytes of unknown encoding to text, in bounded memory."""

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from deepdoc.cleaning import clean
from deepdoc.east_asian import east_asian_encoding
from deepdoc.errors import MalformedFile

_SAMPLE_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# What documents are really written in; the library's full list finds EBCDIC in short texts.
_LEGACY = [
    "gb18030", "big5", "cp932", "euc_jp", "cp949",
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "cp874",
]  # fmt: skip

_HIGH = re.compile(rb"[\x80-\xff]")


def read_text(path: Path, name: str, *, declared: str | None = None) -> Iterator[str]:
    """The text of a file, cleaned, in pieces that end anywhere but inside a line end.

    declared: an encoding the file itself names; used when the bytes are not UTF-8.
    A few invalid bytes become U+FFFD. Raises MalformedFile when the content is not text.
    """
    encoding = find_encoding(path, name, declared=declared)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    pending = ""
    with path.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            piece = pending + decoder.decode(data)
            # A carriage return may be the first half of a line end.
            pending = "\r" if piece.endswith("\r") else ""
            yield clean(piece.removesuffix("\r"))
        yield clean(pending + decoder.decode(b"", final=True))


def read_lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces, each with its newline."""
    pending: list[str] = []
    for piece in pieces:
        *whole, rest = piece.split("\n")
        for line in whole:
            pending.append(line)
            yield "".join(pending) + "\n"
            pending = []
        pending.append(rest)
    if last := "".join(pending):
        yield last


def find_encoding(path: Path, name: str, *, declared: str | None = None) -> str:
    """The codec that reads the file: marks first, then strict UTF-8, then what fits best."""
    with path.open("rb") as file:
        head = file.read(4)
        for mark, encoding in _BOMS:
            if head.startswith(mark):
                return encoding
        file.seek(0)
        sample = file.read(_SAMPLE_BYTES)
        if b"\x00" in sample:
            return _with_zeros(sample, name)
        if _binary_share(sample) > 0.05:
            raise _not_text(name)
        file.seek(0)
        if _is_utf8(file):
            return "utf-8"
        return _legacy(_telling_sample(file), name, declared)


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := file.read(_PIECE_BYTES):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _with_zeros(sample: bytes, name: str) -> str:
    """Only UTF-16 and UTF-32 texts are full of NULs; every one of them has blanks and punctuation."""
    best, most_usual = "", 0
    for encoding, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        text = sample[: len(sample) // width * width].decode(encoding, errors="replace")
        odd = sum(1 for char in text if (char < " " and char not in "\t\n\r\f\v") or char in "\ufffd\ufffe")
        # Read with its bytes swapped, Latin text is Chinese, but never the other way round.
        usual = sum(1 for char in text if char < "\x7f" or char in "。，、")
        if odd * 50 <= len(text) and usual * 50 >= len(text) and usual > most_usual:
            best, most_usual = encoding, usual
    if best:
        return best
    if sample.count(0) * 100 <= len(sample) and _binary_share(sample) <= 0.05:
        try:
            sample[:-4].decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return "utf-8"  # a text with a few stray NULs, which cleaning drops
    raise _not_text(name)


def _binary_share(sample: bytes) -> float:
    controls = sum(sample.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")
    return controls / max(1, len(sample))


def _telling_sample(file: BinaryIO) -> bytes:
    """The first part of the file that holds bytes beyond ASCII."""
    file.seek(0)
    while data := file.read(_PIECE_BYTES):
        if found := _HIGH.search(data):
            start = max(0, found.start() - 256)
            return _whole_characters((data + file.read(_SAMPLE_BYTES))[start : start + _SAMPLE_BYTES])
    return b""


def _whole_characters(sample: bytes) -> bytes:
    # No encoding uses blanks and !"#$%&'()*+,-./ inside a character: a cut after one halves none.
    if len(sample) < _SAMPLE_BYTES:
        return sample
    end = max((sample.rfind(byte) for byte in b"\n !\"#$%&'()*+,-./"), default=-1)
    return sample[: end + 1] if end > len(sample) // 2 else sample


def _legacy(sample: bytes, name: str, declared: str | None) -> str:
    repaired = sample.decode("utf-8", errors="replace")
    invalid = repaired.count("\ufffd")
    beyond_ascii = sum(1 for char in repaired if char > "\x7f") - invalid
    if beyond_ascii >= 10 * invalid:
        return "utf-8"  # with a few damaged bytes
    if declared is not None and (known := _known(declared)) is not None:
        return known
    if (east_asian := east_asian_encoding(sample)) is not None:
        return east_asian
    best = from_bytes(sample, cp_isolation=_LEGACY, enable_fallback=False).best()
    if best is not None:
        return _western(best.encoding, sample)
    if _looks_binary(sample):
        raise _not_text(name)
    # Damaged: the multi-byte encoding with the fewest errors, else every byte a character.
    errors = {encoding: sample.decode(encoding, errors="replace").count("\ufffd") for encoding in _LEGACY[:5]}
    encoding = min(errors, key=lambda encoding: errors[encoding])
    if errors[encoding] * 50 <= len(_HIGH.findall(sample)):
        return encoding
    return "utf-8" if invalid * 4 <= beyond_ascii else "cp1252"


def _western(encoding: str, sample: bytes) -> str:
    """cp1252 where it gives the same text: many encodings share the letters of a short sample."""
    if encoding.startswith("cp125"):
        try:
            if sample.decode("cp1252") == sample.decode(encoding):
                return "cp1252"
        except UnicodeDecodeError:
            pass
    return encoding


def _looks_binary(sample: bytes) -> bool:
    # Compressed or encrypted data uses every byte value about equally; no text does.
    return len(set(sample)) > 240 and _binary_share(sample) > 0.02


def _known(encoding: str) -> str | None:
    try:
        found = codecs.lookup(encoding.strip().lower()).name
    except (LookupError, UnicodeError):
        return None
    # HTML calls GB18030 by the names of its subsets, and Latin-1 means windows-1252.
    widened = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252",
               "shift_jis": "cp932", "euc_kr": "cp949"}  # fmt: skip
    found = widened.get(found, found)
    is_text = codecs.lookup(found)._is_text_encoding
    return (
        found if is_text and not found.startswith(("utf-7", "utf-16", "utf-32", "idna", "punycode")) else None
    )


def _not_text(name: str) -> MalformedFile:
    return MalformedFile(
        f"{name} is named as if it were plain text, but its content is binary data. "
        "Give the file its right extension, or upload the file that was meant."
    )
