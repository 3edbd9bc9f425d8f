"""How fast files become blocks and chunks, against the bare engine in the same run.

    python bench/parsing.py [FILE.pdf ...]

Prints one JSON object per figure. `floor`: the engine alone (pypdfium2's text of every page; decoding the
bytes; the HTML tree; json.loads; csv.reader; unzipping and parsing the main part's XML; tiktoken over the
text for chunking). `ratio`: value / floor.
"""

import csv
import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
from lxml import etree
from selectolax.lexbor import LexborHTMLParser

sys.path.insert(0, str(Path(__file__).parents[1]))

from deepdoc.parsers import parse
from rag.chunking import chunk_document
from rag.text.tokens import encode
from tests import files

PARAGRAPH = " ".join(files.LIGHTHOUSE) + "\n" + "".join(files.GREAT_WALL) + "\n\n"
TIMES = 3


def main() -> None:
    """Measure every format on made files of a few megabytes, and the PDFs that are given."""
    encode("load the table")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for name, content, engine in _made():
            path.write_bytes(content)
            _measure(name, path, len(content) / 1e6, "MB/s", engine)
        path.write_bytes(files.manual_pdf(400))
        _measure("manual.pdf", path, 400, "pages/s", _pdfium)
    for given in map(Path, sys.argv[1:]):
        document = pypdfium2.PdfDocument(given)
        pages = len(document)
        document.close()
        _measure(given.name, given, pages, "pages/s", _pdfium)


def _made() -> list[tuple[str, bytes, Callable[[Path], Any]]]:
    rows = "name;year;note\n" + "".join(
        f"tower {n};{1800 + n % 200};{files.LIGHTHOUSE[n % 5]}\n" for n in range(30_000)
    )
    items = [{"n": n, "text": files.LIGHTHOUSE[n % 5]} for n in range(30_000)]
    page = "".join(f"<div><p>{PARAGRAPH}</p><ul><li>one<li><b>two</b></ul></div>" for _ in range(4000))
    return [
        ("prose.txt", (PARAGRAPH * 5000).encode(), lambda path: path.read_text("utf-8")),
        ("gb18030.txt", (PARAGRAPH * 5000).encode("gb18030"), lambda path: path.read_text("gb18030")),
        ("manual.md", files.manual_markdown() * 5000, lambda path: path.read_text("utf-8")),
        ("page.html", page.encode(), lambda path: LexborHTMLParser(path.read_text("utf-8"))),
        (
            "rows.csv",
            rows.encode(),
            lambda path: list(csv.reader(io.StringIO(path.read_text()), delimiter=";")),
        ),
        ("items.json", json.dumps(items).encode(), lambda path: json.loads(path.read_bytes())),
        ("long.docx", files.long_docx(5000), _unzip),
    ]


def _unzip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        etree.fromstring(archive.read("word/document.xml"))


def _pdfium(path: Path) -> None:
    document = pypdfium2.PdfDocument(path)
    for page in document:
        text = page.get_textpage()
        text.get_text_range()
        text.close()
        page.close()
    document.close()


def _measure(name: str, path: Path, amount: float, unit: str, engine: Callable[[Path], Any]) -> None:
    config = {"chunk_token_num": 512, "delimiter": "\n"}
    floor = amount / _seconds(lambda: engine(path))
    parsing = amount / _seconds(lambda: [None for _ in parse(path, name)])
    _print(f"parse {name}", parsing, unit, floor)
    chunks = [draft.content for draft in chunk_document("naive", path, name, config)]
    tokens = amount / _seconds(lambda: [encode(chunk) for chunk in chunks])
    chunking = amount / _seconds(lambda: [None for _ in chunk_document("naive", path, name, config)])
    _print(f"chunk {name}", chunking, unit, 1 / (1 / floor + 1 / tokens))


def _seconds(work: Callable[[], Any]) -> float:
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _print(figure: str, value: float, unit: str, floor: float) -> None:
    report = {"figure": figure, "value": round(value, 2), "unit": unit, "floor": round(floor, 2)}
    print(json.dumps({**report, "ratio": round(value / floor, 3)}))


if __name__ == "__main__":
    main()
