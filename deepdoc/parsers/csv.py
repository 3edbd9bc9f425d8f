"""CSV: every row a record that carries its column names."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from deepdoc.blocks import Block, BlockKind
from deepdoc.cleaning import squeeze_lines
from deepdoc.decoding import read_lines, read_text

_SAMPLE_ROWS = 50
_SAMPLE_CHARS = 1 << 16
_DELIMITERS = ",;\t|"
_LARGEST_FIELD = 1 << 30


def parse(path: Path, name: str) -> Iterator[Block]:
    """One record per row, `header：value; header：value`; empty cells are left out.

    The first row that is not empty names the columns. A file of one row is one record of bare values.
    """
    header: list[str] | None = None
    is_alone = True
    for row in read_rows(path, name):
        cells = [squeeze_lines(cell) for cell in row]
        if not any(cells):
            continue
        if header is None:
            header = cells
            continue
        is_alone = False
        yield Block(BlockKind.RECORD, "; ".join(_named(header, cells)))
    if header is not None and is_alone:
        yield Block(BlockKind.RECORD, "; ".join(cell for cell in header if cell))


def _named(header: list[str], cells: list[str]) -> Iterator[str]:
    for index, cell in enumerate(cells):
        if cell:
            column = header[index] if index < len(header) else ""
            yield f"{column}：{cell}" if column else cell


def read_rows(path: Path, name: str) -> Iterator[list[str]]:
    """Rows as they stand; delimiter and quote are found from the first rows."""
    # Process-wide, and only ever this value: the default refuses fields over 128 kB.
    csv.field_size_limit(_LARGEST_FIELD)
    lines = read_lines(read_text(path, name))
    head = list(islice(lines, _SAMPLE_ROWS))
    delimiter, quote = sniff([line[:_SAMPLE_CHARS] for line in head])
    return csv.reader(chain(head, lines), delimiter=delimiter, quotechar=quote, strict=False)


def sniff(lines: list[str]) -> tuple[str, str]:
    """Delimiter and quote character: those that give the most rows of one width above 1."""
    best, best_score = (",", '"'), 0.0
    for quote in _quotes(lines):
        for delimiter in _DELIMITERS:
            reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
            widths = Counter(len(row) for row in reader if row)
            if not widths:
                continue
            width, count = widths.most_common(1)[0]
            if width > 1:
                # More columns decide between delimiters that fit equally well.
                score = count / widths.total() + min(width, 100) / 1000
                if score > best_score:
                    best, best_score = (delimiter, quote), score
    return best


def _quotes(lines: list[str]) -> str:
    text = "".join(lines)
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\n]|$)", text, re.MULTILINE))
    return "'" if single > text.count('"') else '"'
