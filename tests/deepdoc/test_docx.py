import io
import time
import zipfile

import pytest

from deepdoc.blocks import BlockKind
from deepdoc.errors import FileTooLarge, MalformedFile, ParseError
from tests import files

PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"


def texts(blocks):
    return [block.text for block in blocks]


def test_report(read):
    blocks = read("a.docx", files.report_docx())
    assert [(block.kind.value, block.level, block.text) for block in blocks] == [
        ("heading", 1, "Annual report"),
        ("heading", 1, "Results"),
        ("paragraph", 0, files.LIGHTHOUSE[0]),
        ("paragraph", 0, "The budget was approved by the board."),
        ("paragraph", 0, "Seen."),
        ("heading", 2, "Figures"),
        (
            "table",
            0,
            (
                '<table>\n<tr><td colspan="2">wide</td><td>r0c2</td></tr>\n'
                '<tr><td>r1c0</td><td>r1c1</td><td rowspan="2">tall</td></tr>\n'
                "<tr><td>r2c0</td><td>r2c1</td></tr>\n</table>"
            ),
        ),
        ("paragraph", 0, "After the table."),
        ("list", 0, "first item"),
        ("list", 0, "second item"),
        ("paragraph", 0, "Anchor of the box."),
        ("paragraph", 0, "boxed note"),
        ("paragraph", 0, "line one\nline two"),
        ("heading", 1, "长城"),
        ("paragraph", 0, "".join(files.GREAT_WALL)),
        ("table", 0, "<table>\n<tr><td>高度</td><td>&lt;8 m&gt;</td></tr>\n</table>"),
    ]


STYLES = (
    '<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    '<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="Überschrift 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="B"><w:name w:val="标题 3"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="C"><w:name w:val="mine"/><w:basedOn w:val="B"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="D"><w:name w:val="o"/><w:pPr><w:outlineLvl w:val="4"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="X"><w:name w:val="x"/><w:basedOn w:val="Y"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Y"><w:name w:val="y"/><w:basedOn w:val="X"/></w:style>'
    "</w:styles>"
)
RELATED = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>'
    '<Relationship Id="b" Target="footnotes.xml" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"/>'
    '<Relationship Id="c" TargetMode="External" Target="http://127.0.0.1:1/x" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/endnotes"/></Relationships>'
)


def styled(style, text="text"):
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def test_headings_by_localised_name_inheritance_and_outline(read):
    body = "".join(map(styled, ["berschrift2", "B", "C", "D", "X", "missing"]))
    body += '<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>direct</w:t></w:r></w:p>'
    data = files.docx_with_document(
        files.word_xml(body),
        extra={"word/styles.xml": STYLES.encode(), "word/_rels/document.xml.rels": RELATED.encode()},
    )
    assert [block.level for block in read("a.docx", data)] == [2, 3, 3, 5, 0, 0, 1]


def test_footnotes_follow_their_paragraph(read):
    notes = (
        files.word_xml("").decode().replace("w:document", "w:footnotes").replace("<w:body></w:body>", "{}")
    )
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>the note</w:t></w:r></w:p></w:footnote>'
    body = (
        '<w:p><w:r><w:t>said</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        + PARAGRAPH.format("b")
    )
    data = files.docx_with_document(
        files.word_xml(body),
        extra={
            "word/footnotes.xml": notes.format(note).encode(),
            "word/_rels/document.xml.rels": RELATED.encode(),
        },
    )
    assert texts(read("a.docx", data)) == ["said", "the note", "b"]


def test_text_in_content_controls_and_nested_tables(read):
    nested = f"<w:tbl><w:tr><w:tc>{PARAGRAPH.format('inner')}</w:tc><w:tc/></w:tr></w:tbl>"
    body = (
        f"<w:sdt><w:sdtContent>{PARAGRAPH.format('controlled')}</w:sdtContent></w:sdt>"
        f"<w:tbl><w:tr><w:tc>{nested}</w:tc><w:tc>{PARAGRAPH.format('b')}</w:tc></w:tr></w:tbl>"
        f"<w:tbl><w:tr><w:tc>{PARAGRAPH.format('framed')}</w:tc></w:tr></w:tbl>"
    )
    assert texts(read("a.docx", files.docx_with_document(files.word_xml(body)))) == [
        "controlled",
        "<table>\n<tr><td>inner</td><td>b</td></tr>\n</table>",
        "framed",
    ]


def test_long_document_in_order(read):
    start = time.monotonic()
    blocks = read("a.docx", files.long_docx(3000))
    assert [block.text.split(" ")[1] for block in blocks] == [str(n) for n in range(1, 3001)]
    assert all(block.kind is BlockKind.PARAGRAPH for block in blocks)
    assert time.monotonic() - start < 20


# Hostile and damaged files


def test_bomb_with_an_honest_directory(read):
    data = files.docx_with_document(files.word_xml(PARAGRAPH.format("a" * (64 << 20))))
    assert len(data) < 1 << 20
    with pytest.raises(FileTooLarge, match="unpacks to far more"):
        read("a.docx", data)


def test_bomb_with_a_lying_directory(read):
    """The sizes in the archive's directory say 1000 bytes; the part goes on and on."""
    data = bytearray(files.docx_with_document(files.word_xml(PARAGRAPH.format("a " * (8 << 20)))))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        real = archive.getinfo("word/document.xml").file_size
    data = data.replace(real.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    with pytest.raises(ParseError):
        read("a.docx", bytes(data))


def test_bomb_of_many_entries(read):
    entries = {f"word/{n}.xml": b"" for n in range(21_000)}
    with pytest.raises(FileTooLarge, match="unpacks"):
        read("a.docx", files.docx_with_document(files.word_xml(""), extra=entries))


def test_nested_archives_are_not_opened(read):
    inner = files.zip_of({"a": b"0" * (32 << 20)})
    data = files.docx_with_document(
        files.word_xml(PARAGRAPH.format("fine")), extra={"word/embeddings/inner.zip": inner}
    )
    assert texts(read("a.docx", data)) == ["fine"]


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE d SYSTEM "http://127.0.0.1:1/d.dtd">',
        (
            '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
            '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY x "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>'
        ),
        "<!DOCTYPE d>",
    ],
)
@pytest.mark.parametrize("part", ["document", "styles"])
def test_document_type_declarations_are_refused(read, prolog, part):
    body = PARAGRAPH.format("&x;" if "ENTITY" in prolog else "text")
    extra = {}
    if part == "styles":
        extra = {
            "word/styles.xml": (prolog + STYLES).encode(),
            "word/_rels/document.xml.rels": RELATED.encode(),
        }
        body, prolog = PARAGRAPH.format("text"), ""
    data = files.docx_with_document(files.word_xml(body, prolog=prolog), extra=extra)
    with pytest.raises(MalformedFile, match=r"document type declaration|not well-formed"):
        read("a.docx", data)


def test_missing_main_part(read):
    data = files.zip_of({"[Content_Types].xml": b"<Types/>", "word/other.xml": b"<a/>"})
    with pytest.raises(MalformedFile, match=r"its main part word/document.xml is missing"):
        read("a.docx", data)


@pytest.mark.parametrize("xml", [b"", b"not xml", b"<a/>", b"<w:p>", files.word_xml("<w:p>")[:-30]])
def test_broken_main_part(read, xml):
    with pytest.raises(MalformedFile, match=r"a\.docx is damaged"):
        read("a.docx", files.docx_with_document(xml))


def test_wrong_content_types_do_no_harm(read):
    data = files.zip_of(
        {"[Content_Types].xml": b"<Types/>", "word/document.xml": files.word_xml(PARAGRAPH.format("fine"))}
    )
    assert texts(read("a.docx", data)) == ["fine"]


def test_names_that_climb_out_of_the_archive(read, tmp_path):
    extra = {"../../evil.xml": b"<a/>", "/etc/evil.xml": b"<a/>", "word/../../../evil2.xml": b"<a/>"}
    data = files.docx_with_document(files.word_xml(PARAGRAPH.format("fine")), extra=extra)
    assert texts(read("a.docx", data)) == ["fine"]
    assert [path.name for path in tmp_path.parent.rglob("evil*")] == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_truncated(read, share):
    data = files.report_docx()
    with pytest.raises(MalformedFile, match=r"a\.docx"):
        read("a.docx", data[: int(len(data) * share)])


def test_overwritten_bytes(read):
    data = files.report_docx()
    for start in range(0, len(data), 1499):
        damaged = data[:start] + b"\xff" * 40 + data[start + 40 :]
        problem = ""
        try:
            assert read("a.docx", damaged)
        except ParseError as error:
            problem = str(error)
        assert problem == "" or "a.docx" in problem


def test_deep_nesting(read):
    body = "<w:sdt><w:sdtContent>" * 20_000 + PARAGRAPH.format("deep") + "</w:sdtContent></w:sdt>" * 20_000
    with pytest.raises(MalformedFile, match="damaged"):
        read("a.docx", files.docx_with_document(files.word_xml(body)))


def test_empty_document(read):
    from deepdoc.errors import NoTextInFile

    with pytest.raises(NoTextInFile, match="holds no text"):
        read("a.docx", files.docx_with_document(files.word_xml("<w:p/>")))
