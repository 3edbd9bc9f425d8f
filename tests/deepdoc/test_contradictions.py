"""Names that no parser reads, and contents that contradict their name."""

import pytest

from deepdoc.errors import EncryptedFile, MalformedFile, NoTextInFile, UnsupportedFile
from tests import files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
XLSX = files.zip_of({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})


@pytest.mark.parametrize("name", ["a.xlsx", "a.pptx", "a.doc", "a.eml", "a.png", "a.pdf.exe", "README"])
def test_unsupported_names(read, name):
    with pytest.raises(UnsupportedFile, match=r"reads .*docx.*pdf.*txt"):
        read(name, b"text")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.json", "a.jsonl", "a.csv", "a.docx", "a.pdf"])
def test_empty_file(read, name):
    with pytest.raises(NoTextInFile, match=f"{name} is empty"):
        read(name, b"")


@pytest.mark.parametrize(
    ("name", "content", "looks_like"),
    [
        ("a.txt", files.manual_pdf(1), "its content is a PDF document"),
        ("a.docx", files.manual_pdf(1), "its content is a PDF document"),
        ("a.pdf", files.report_docx(), r"its content is a Word document \(.docx\)"),
        ("a.csv", XLSX, r"its content is an Excel workbook \(.xlsx\)"),
        ("a.docx", XLSX, r"its content is an Excel workbook \(.xlsx\)"),
        ("a.docx", PNG, "its content is a PNG picture"),
        ("a.md", PNG, "its content is a PNG picture"),
        ("a.pdf", PNG, "its content is a PNG picture"),
        ("a.docx", files.zip_of({"a": b"b"}), "its content is a ZIP archive"),
        ("a.docx", OLE, r"its content is an old Word document \(.doc\)"),
        ("a.txt", OLE, "its content is an old Office file"),
        ("a.docx", b"just text", "its content is plain text"),
        ("a.pdf", b"just text", "its content is plain text"),
        ("a.json", b"\x1f\x8b\x08" + bytes(range(200)), "its content is a gzip archive"),
        ("a.txt", bytes(range(256)) * 20, "its content is binary data"),
        ("a.html", bytes(5000), "its content is binary data"),
        ("a.txt", b"text first\n" * 1000 + bytes(range(256)) * 200, "its content is binary data"),
    ],
)
def test_content_contradicts_name(read, name, content, looks_like):
    with pytest.raises(MalformedFile, match=looks_like):
        read(name, content)


def test_password_protected_word_file(read):
    with pytest.raises(EncryptedFile, match="password"):
        read("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.csv", "a.json", "a.jsonl"])
@pytest.mark.parametrize("content", [b" \n\t \n", b"\xef\xbb\xbf", b"\n"])
def test_blank_file(read, name, content):
    with pytest.raises((NoTextInFile, MalformedFile), match=name):
        read(name, content)


def test_a_text_about_pdf_is_a_text(read):
    assert read("a.txt", "The magic bytes are %PDF-1.7, as everybody knows.")[0].text.startswith("The magic")
