"""Files that harm a careless reader."""

import zlib

from tests.files import docx_with_document, word_xml

PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"


def pdf_of(content: bytes, *, page_count: int = 1) -> bytes:
    """A PDF whose pages all share one compressed content stream."""
    stream = zlib.compress(content, 9)
    kids = b" ".join(b"%d 0 R" % (5 + n) for n in range(page_count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (page_count, kids),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
    objects += [page] * page_count
    file = bytearray(b"%PDF-1.5\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)


def crowded_pdf(character_count: int) -> bytes:
    """A few kilobytes that hold one page of very many characters, each set by itself."""
    return pdf_of(b"BT /F1 1 Tf 50 700 Td " + b"(a) Tj " * character_count + b"ET")


def bomb_docx() -> bytes:
    """300 MB in 300 kB."""
    return docx_with_document(word_xml(PARAGRAPH.format("x" * 300_000_000)))


def entity_docx() -> bytes:
    """Asks for a file of the server."""
    prolog = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return docx_with_document(word_xml(PARAGRAPH.format("&x; visible words"), prolog=prolog))


def laughing_docx() -> bytes:
    """Entities of entities, a thousand million times."""
    levels = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    return docx_with_document(
        word_xml(PARAGRAPH.format("&m;"), prolog=f'<!DOCTYPE a [<!ENTITY a "ha">{levels}]>')
    )
