"""What a file's first bytes say it is, and whether that agrees with its name."""

import zipfile
from pathlib import Path, PurePosixPath

from deepdoc.errors import EncryptedFile, MalformedFile, NoTextInFile

_HEAD_BYTES = 4096

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh91AY&SY", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"ID3\x03", "an MP3 recording"),
    (b"ID3\x04", "an MP3 recording"),
    (b"OggS\x00", "an Ogg recording"),
    (b"fLaC\x00", "a FLAC recording"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (.doc, .xls, .ppt)"),
)

_OFFICE_FOLDERS = {
    "word/": "a Word document (.docx)",
    "xl/": "an Excel workbook (.xlsx)",
    "ppt/": "a PowerPoint presentation (.pptx)",
}

_DAMAGED_ZIP = "a damaged archive (ZIP or Office)"
PDF, WORD, TEXT = "a PDF document", _OFFICE_FOLDERS["word/"], "plain text"


def check_content(path: Path, name: str) -> None:
    """Refuse an empty file (NoTextInFile) and one whose content contradicts its name (MalformedFile).

    Looks at the first bytes only: a file that passes may still be damaged.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise NoTextInFile(f"{name} is empty (0 bytes). Upload the file again, it may have been cut off.")
    found = kind_of(head, path)
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    expected = {".pdf": PDF, ".docx": WORD}.get(suffix, TEXT)
    if found == expected:
        return
    if expected == WORD and head.startswith(b"\xd0\xcf\x11\xe0"):
        if _is_encrypted_office(path):
            raise EncryptedFile(
                f"{name} is protected by a password. Remove the password in Word and upload it again."
            )
        found = "an old Word document (.doc)"
    if found == "" or (expected == WORD and found == _DAMAGED_ZIP):
        raise MalformedFile(_damaged(name, expected))
    raise MalformedFile(
        f"{name} is named as if it were {expected}, but its content is {found}. "
        "Give the file its right extension, or upload the file that was meant."
    )


def kind_of(head: bytes, path: Path) -> str:
    """The content in words: `PDF`, `WORD`, `TEXT`, another description, or "" for bytes of no known kind."""
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    # The standard lets a PDF begin anywhere in the first 1024 bytes, but a text may speak of "%PDF-".
    if head.startswith(b"%PDF-") or (b"%PDF-" in head[:1024] and not _looks_like_text(head)):
        return PDF
    if head[:3] == bytes(3) and head[4:8] == b"ftyp":
        return "a video or a picture (MP4, HEIC)"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return {b"WEBP": "a WebP picture", b"WAVE": "a WAV recording"}.get(head[8:12], "an AVI video")
    if head[:2] == b"BM" and head[6:10] == b"\x00\x00\x00\x00":
        return "a BMP picture"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _kind_of_zip(path)
    return TEXT if _looks_like_text(head) else ""


def _looks_like_text(head: bytes) -> bool:
    # Legacy encodings and UTF-16 pass: only the decoder, which sees more of the file, can be strict.
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return True
    controls = sum(head.count(byte) for byte in _CONTROLS)
    zeros = head.count(0)
    if zeros and (head[0::2].count(0) in (0, zeros)):  # all NULs on one side: UTF-16 or UTF-32
        return controls * 20 <= len(head)
    return (controls + zeros) * 20 <= len(head)


_CONTROLS = [bytes([byte]) for byte in range(1, 32) if byte not in b"\t\n\r\f\x0b\x1b"]


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _DAMAGED_ZIP
    if "[Content_Types].xml" in names:
        for folder, words in _OFFICE_FOLDERS.items():
            if any(name.startswith(folder) for name in names):
                return words
    if "META-INF/container.xml" in names:
        return "an EPUB book"
    if "content.xml" in names:
        return "an OpenDocument file (.odt, .ods, .odp)"
    return "a ZIP archive"


def _is_encrypted_office(path: Path) -> bool:
    with path.open("rb") as file:
        return "EncryptedPackage".encode("utf-16-le") in file.read(1 << 16)


def _damaged(name: str, expected: str) -> str:
    if expected == TEXT:
        return (
            f"{name} is named as if it were {expected}, but its content is binary data. "
            "Give the file its right extension, or upload the file that was meant."
        )
    return f"{name} is not {expected}, or it is damaged. Open it to see whether it is whole, and upload it again."
