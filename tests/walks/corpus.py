"""A small library of every file type, each file with a fact of its own to ask about."""

import functools
import io
from dataclasses import dataclass

import docx
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table


@dataclass(frozen=True, slots=True)
class Fact:
    """answer: a piece of text that an answer to the question must hold; name: the file it stands in."""

    name: str
    question: str
    answer: str


FACTS = (
    Fact("turbine.pdf", "At which temperature must the turbine be shut down?", "640 degrees"),
    Fact("turbine.pdf", "Who inspects the rotor blades of the turbine?", "Marta Jensen"),
    Fact("contract.docx", "How long is the notice period of the tenancy?", "three months"),
    Fact("contract.docx", "Which deposit does the tenant pay?", "2,400 euros"),
    Fact("tea.txt", "乌龙茶的发酵程度是多少？", "百分之二十到七十"),
    Fact("owls.html", "What do barn owls hunt?", "voles"),
    Fact("bread.md", "How long must the sourdough rise?", "eighteen hours"),
    Fact("stations.csv", "Which platform does the night train to Vienna leave from?", "14"),
    Fact("satellites.json", "Which rocket launched the satellite Meridian?", "Soyuz"),
)


def turbine_pdf() -> bytes:
    """Six pages with headings, flowing text and a table; the facts stand on pages 3 and 5."""
    styles = getSampleStyleSheet()
    filler = (
        "The turbine hall is cleaned every week. Tools are returned to their cabinets, and every visitor "
        "wears ear protection, a helmet and shoes with steel caps. The log book lies at the entrance. "
    )
    facts = {
        3: "The turbine must be shut down as soon as its exhaust reaches 640 degrees.",
        5: "The rotor blades of the turbine are inspected by Marta Jensen before each winter.",
    }
    story: list[object] = []
    for page in range(1, 7):
        story.append(Paragraph(f"{page}. Section {page}", styles["Heading1"]))
        story.append(Paragraph(filler * 4, styles["BodyText"]))
        if page in facts:
            story.append(Paragraph(facts[page], styles["BodyText"]))
        story.append(Spacer(1, 12))
        story.append(Table([["part", "checked"], [f"valve {page}", "yes"]]))
        story.append(PageBreak())
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A4, title="Turbine handbook").build(story)
    return file.getvalue()


def contract_docx() -> bytes:
    """A tenancy contract with headings and a table."""
    document = docx.Document()
    document.add_heading("Tenancy contract", 0)
    document.add_heading("Duration", 1)
    document.add_paragraph("The notice period of the tenancy is three months to the end of a quarter.")
    document.add_paragraph("Notice must be given in writing.")
    document.add_heading("Payments", 1)
    document.add_paragraph("The tenant pays a deposit of 2,400 euros before moving in.")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("month", "rent", "May", "1,200 euros"), strict=True):
        cell.text = text
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


@functools.cache  # PDF and Word files hold the time when they were made
def library() -> dict[str, bytes]:
    """Every file by its name."""
    return {
        "turbine.pdf": turbine_pdf(),
        "contract.docx": contract_docx(),
        "tea.txt": (
            "茶叶按照发酵程度分为六大类。绿茶是不发酵茶。乌龙茶的发酵程度是百分之二十到七十，"
            "属于半发酵茶。红茶是全发酵茶。\n\n泡绿茶的水温以八十度为宜，泡红茶则要用沸水。"
        ).encode(),
        "owls.html": (
            b"<!doctype html><html><head><title>Owls</title><script>track()</script></head><body><nav>Home</nav>"
            b"<h1>Owls</h1><p>Barn owls hunt voles at dusk, by ear alone.</p><p>They nest in old towers.</p>"
            b"<ul><li>Eagle owls are the largest.</li></ul></body></html>"
        ),
        "bread.md": (
            b"# Bread\n\n## Sourdough\n\nThe sourdough must rise for eighteen hours at room temperature.\n\n"
            b"## Baking\n\n| step | minutes |\n|---|---|\n| hot | 15 |\n| cool | 35 |\n"
        ),
        "stations.csv": (
            b"train,destination,platform\nnight train,Vienna,14\nexpress,Hamburg,3\nregional train,Ulm,7\n"
        ),
        "satellites.json": (
            b'[{"satellite": "Meridian", "rocket": "Soyuz", "year": 2006},'
            b' {"satellite": "Sentinel", "rocket": "Vega", "year": 2015}]'
        ),
    }
