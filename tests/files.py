"""Real files for tests, made on the spot: see tests/README.md for what each one holds.

Every function returns the file's bytes, the same bytes for the same arguments as far as the library allows.
"""

import io
import zipfile
from collections.abc import Sequence

import docx
from docx.enum.text import WD_BREAK
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LIGHTHOUSE = (
    "The lighthouse at Cape Arkona was built in 1827 after plans by Karl Friedrich Schinkel.",
    "Its lamp burned rapeseed oil until 1872, when it was changed to petroleum.",
    "The keeper climbed 98 steps every evening to light it.",
    "Since 1905 a second, taller tower of brick has guided ships past the cape.",
    "The old tower has been a museum since 1993 and can be visited all year round.",
)
"""English facts that questions can be asked about."""

GREAT_WALL = (
    "长城是中国古代修建的军事防御工程。",
    "明长城的总长度为八千八百五十一点八千米。",
    "一九八七年，长城被列入世界文化遗产名录。",
    "山海关位于河北省秦皇岛市，被称为天下第一关。",
)
"""The same in Chinese."""

WIDTH, HEIGHT = A4


def manual_pdf(page_count: int = 3) -> bytes:
    """A manual: title, headings, wrapped paragraphs; running header, footer with page number on each page.

    Page n has the sentence "The pump on page n delivers n0 litres per minute." and a divided word.
    """
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    for page in range(1, page_count + 1):
        canvas.setFont("Helvetica", 9)
        canvas.drawString(72, HEIGHT - 40, "Pump manual, revision 7")
        canvas.drawString(WIDTH / 2 - 20, 30, f"Page {page} of {page_count}")
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(72, HEIGHT - 100, f"{page}. Chapter {page}")
        lines = [
            f"The pump on page {page} delivers {page}0 litres per minute. It is made of stainless",
            "steel and needs no maintenance during the first year of its operation, except for a",
            "visual inspection of the seals and a measure-",
            "ment of the pressure.",
        ]
        _paragraph(canvas, 72, HEIGHT - 140, lines)
        _paragraph(
            canvas,
            72,
            HEIGHT - 220,
            ["Switch the pump off before you open the housing.", "Wait for a minute."],
        )
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def two_column_pdf(*, by_rows: bool = False) -> bytes:
    """An article in two columns under a title; `L1 …` to `L12 …` left, `R1 …` to `R12 …` right.

    by_rows: written row by row, as some programs do, so that the order of the file is wrong.
    """
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    canvas.setFont("Helvetica-Bold", 18)
    canvas.drawString(100, HEIGHT - 80, "A study of two columns that spans both of them")
    canvas.setFont("Helvetica", 10)
    cells = []
    for row in range(1, 13):
        y = HEIGHT - 120 - 13 * row
        cells.append((72, y, f"L{row} the left column goes on with its text"))
        cells.append((320, y, f"R{row} the right column goes on with text"))
    if not by_rows:
        cells.sort(key=lambda cell: (cell[0], -cell[1]))
    for x, y, text in cells:
        canvas.drawString(x, y, text)
    canvas.save()
    return file.getvalue()


def chinese_pdf() -> bytes:
    """The sentences of GREAT_WALL, three lines that are one paragraph, then one more."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    canvas.setFont("STSong-Light", 12)
    text = "".join(GREAT_WALL[:3])
    for row, start in enumerate(range(0, len(text), 30)):
        canvas.drawString(72, HEIGHT - 100 - 16 * row, text[start : start + 30])
    canvas.drawString(72, HEIGHT - 220, GREAT_WALL[3])
    canvas.save()
    return file.getvalue()


def text_pdf(pages: Sequence[Sequence[str]], *, rotation: int = 0, password: str = "") -> bytes:
    """Pages of lines at 72 points from the left, the first 72 points below the top, 14 points apart."""
    file = io.BytesIO()
    encrypt = None
    if password:
        from reportlab.lib.pdfencrypt import StandardEncryption

        encrypt = StandardEncryption(password, canPrint=0)
    # reportlab swaps the sides of a page that lies on its side; the page here is always upright A4.
    size = (HEIGHT, WIDTH) if rotation in (90, 270) else A4
    canvas = Canvas(file, pagesize=size, invariant=1, encrypt=encrypt)
    for lines in pages:
        if rotation:
            canvas.setPageRotation(rotation)
        _paragraph(canvas, 72, HEIGHT - 82, lines)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def scanned_pdf(page_count: int = 2, text_on_last: str = "") -> bytes:
    """Pages that hold only a drawing, as a scan holds only a picture; optionally text on the last one."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    for page in range(page_count):
        canvas.rect(100, 100, 300, 500, fill=1)
        if text_on_last and page == page_count - 1:
            canvas.drawString(72, HEIGHT - 50, text_on_last)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def empty_pdf() -> bytes:
    """A well-formed PDF of no pages."""
    parts = [
        b"%PDF-1.4\n",
        b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
        b"2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\n",
    ]
    offsets = [len(parts[0]), len(parts[0]) + len(parts[1])]
    start = sum(map(len, parts))
    table = b"xref\n0 3\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer\n<< /Size 3 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return b"".join(parts) + table + end


def _paragraph(canvas: Canvas, x: float, y: float, lines: Sequence[str]) -> None:
    canvas.setFont("Helvetica", 11)
    for row, line in enumerate(lines):
        canvas.drawString(x, y - 14 * row, line)


def report_docx() -> bytes:
    """A report: title, headings 1 and 2, paragraphs, a list, a table with merged cells, a second table.

    Also a tracked insertion ("approved"), a tracked deletion ("rejected"), a text box ("boxed note"),
    hidden text ("invisible ink"), a page header ("running head") and Chinese text.
    """
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "running head"
    document.add_heading("Annual report", 0)
    document.add_heading("Results", 1)
    document.add_paragraph(LIGHTHOUSE[0])
    tracked = document.add_paragraph("The budget was ")
    _change(tracked, "ins", "w:t", "approved")
    _change(tracked, "del", "w:delText", "rejected")
    tracked.add_run(" by the board.")
    hidden = document.add_paragraph("Seen. ").add_run("invisible ink")
    hidden.font.hidden = True
    document.add_heading("Figures", 2)
    table = document.add_table(3, 3)
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"r{row}c{column}"
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 2).merge(table.cell(2, 2)).text = "tall"
    document.add_paragraph("After the table.")
    for item in ("first item", "second item"):
        document.add_paragraph(item, style="List Bullet")
    boxed = document.add_paragraph("Anchor of the box.")
    boxed._p.append(_text_box("boxed note"))
    broken = document.add_paragraph("line one").add_run()
    broken.add_break(WD_BREAK.LINE)
    broken.add_text("line two")
    document.add_heading("长城", 1)
    document.add_paragraph("".join(GREAT_WALL))
    second = document.add_table(1, 2)
    second.cell(0, 0).text, second.cell(0, 1).text = "高度", "<8 m>"
    return _saved(document)


def long_docx(paragraph_count: int) -> bytes:
    """Numbered paragraphs of one sentence: "Paragraph n tells of the lighthouse …"."""
    document = docx.Document()
    for number in range(1, paragraph_count + 1):
        document.add_paragraph(f"Paragraph {number} tells: {LIGHTHOUSE[number % len(LIGHTHOUSE)]}")
    return _saved(document)


def _saved(document: "docx.document.Document") -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _change(paragraph: "docx.text.paragraph.Paragraph", tag: str, text_tag: str, text: str) -> None:
    change = OxmlElement(f"w:{tag}")
    change.set(qn("w:author"), "tester")
    run, content = OxmlElement("w:r"), OxmlElement(text_tag)
    content.text = text
    run.append(content)
    change.append(run)
    paragraph._p.append(change)


def _text_box(text: str) -> "docx.oxml.xmlchemy.BaseOxmlElement":
    """As Word writes it: a choice for new programs, and the same text again as a fallback for old ones."""
    run = OxmlElement("w:r")
    content = f"<w:txbxContent><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:txbxContent>"
    xml = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
        'xmlns:v="urn:schemas-microsoft-com:vml">'
        f'<mc:Choice Requires="wps"><w:drawing><wps:txbx>{content}</wps:txbx></w:drawing></mc:Choice>'
        f"<mc:Fallback><w:pict><v:textbox>{content}</v:textbox></w:pict></mc:Fallback>"
        "</mc:AlternateContent>"
    )
    run.append(docx.oxml.parser.parse_xml(xml))
    return run


def docx_with_document(xml: bytes, *, extra: dict[str, bytes] | None = None) -> bytes:
    """A Word file whose main part is this XML, with further entries; for hostile ones."""
    return zip_of(
        {
            "[Content_Types].xml": _CONTENT_TYPES,
            "_rels/.rels": _RELATIONSHIPS,
            "word/document.xml": xml,
            **(extra or {}),
        }
    )


def zip_of(entries: dict[str, bytes]) -> bytes:
    """A ZIP archive with these entries, compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def word_xml(body: str, *, prolog: str = "") -> bytes:
    """A main part with this body."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<w:document xmlns:w="'
        f'http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>'
    ).encode()


_CONTENT_TYPES = (
    b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    b'<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    b'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONSHIPS = (
    b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    b'officeDocument" Target="word/document.xml"/></Relationships>'
)


def manual_markdown() -> bytes:
    """Front matter, headings, a list, a quote, fenced code with a `#` line, a table, an HTML table."""
    return (
        "# Pump manual\n\nThe pump delivers **30 litres** per minute.\n\n## Safety\n\n"
        "- Switch it off first.\n- Wear gloves.\n\n> Never open it under pressure.\n\n"
        "```sh\n# not a heading\npump --stop\n```\n\n| part | price |\n|---|---:|\n| seal | 3,50 |\n| motor | 180 |\n\n"
        '![picture](file:///etc/passwd)\n\n<table onclick="x()"><tr><td>from</td><td>html</td></tr></table>\n\n'
        "## 安全\n\n使用前请切断电源。\n"
    ).encode()


def web_page() -> bytes:
    """A page with script, style, comment, hidden parts, headings, list, pre, a data and a layout table."""
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Cape Arkona</title>"
        "<style>p{color:red}</style><script>var secretScript = 1;</script></head><body>"
        "<!-- a comment --><h1>Cape Arkona</h1><p>" + LIGHTHOUSE[0] + "</p><p>A <b>bold</b>ly&nbsp;set "
        "word,<br>then a line.</p><div hidden>hidden words</div><p style='display: none'>styled away</p>"
        "<ul><li>First<li>Second</ul><pre>keep\n    this</pre><table><tr><td><p>layout text</p></td></tr></table>"
        "<h2>Facts</h2><table class='x' onclick='steal()'><caption>Towers</caption><tr><th colspan='2'>Tower"
        "</th><th>Year</th></tr><tr><td>old<script>bad()</script></td><td>small</td><td>1827</td></tr></table>"
        "<p>&lt;not a tag&gt; 长城</p></body></html>"
    ).encode()


def towers_csv() -> bytes:
    """Semicolons, quotes, a line break and a delimiter inside quotes, an empty cell, Chinese."""
    return (
        'name;year;note\r\n"Arkona; old";1827;"first line\r\nsecond line"\r\nArkona new;1905;\r\n长城;1368;"说 ""墙"""\r\n'
    ).encode()


def towers_json() -> bytes:
    """An object with a list of objects."""
    return (
        '{"country": "DE", "towers": [{"name": "old", "year": 1827}, {"name": "新", "year": 1905}]}'.encode()
    )
