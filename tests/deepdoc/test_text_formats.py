"""txt, markdown, HTML, CSV, JSON."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdoc.blocks import BlockKind
from deepdoc.errors import FileTooLarge, MalformedFile, ParseError
from deepdoc.parsers import parse
from deepdoc.parsers.csv import sniff
from deepdoc.parsers.html import flattened, parse_html
from deepdoc.tables import Cell, joined, row_lines, to_html
from tests import files


def kinds(blocks):
    return [(block.kind.value, block.text) for block in blocks]


def test_text_paragraphs(read):
    assert kinds(read("a.txt", "One\nstill one.\n \n\nTwo.\n")) == [
        ("paragraph", "One\nstill one."),
        ("paragraph", "Two."),
    ]


def test_code_keeps_indentation(read):
    blocks = read("a.py", "    def f():\n        pass\n\n    x = 1\n")
    assert kinds(blocks) == [("code", "    def f():\n        pass"), ("code", "    x = 1")] or kinds(
        blocks
    ) == [
        ("code", "    def f():\n        pass"),
        ("code", "x = 1"),
    ]


def test_markdown_elements(read):
    blocks = read("a.md", files.manual_markdown())
    assert kinds(blocks)[:6] == [
        ("heading", "Pump manual"),
        ("paragraph", "The pump delivers **30 litres** per minute."),
        ("heading", "Safety"),
        ("list", "- Switch it off first.\n- Wear gloves."),
        ("quote", "> Never open it under pressure."),
        ("code", "```sh\n# not a heading\npump --stop\n```"),
    ]
    tables = [block.text for block in blocks if block.kind is BlockKind.TABLE]
    assert "<tr><td>seal</td><td>3,50</td></tr>" in tables[0]
    assert tables[1] == "<table>\n<tr><td>from</td><td>html</td></tr>\n</table>"
    assert [block.level for block in blocks if block.kind is BlockKind.HEADING] == [1, 2, 2]
    assert blocks[-1].text == "使用前请切断电源。"


def test_long_markdown_is_read_in_parts_without_loss(read):
    text = "".join(f"# Heading {n}\n\nParagraph {n} {'word ' * 60}\n\n" for n in range(3000))
    blocks = read("a.md", text)
    assert [block.text for block in blocks if block.kind is BlockKind.HEADING] == [
        f"Heading {n}" for n in range(3000)
    ]
    assert len(blocks) == 6000


def test_html_blocks(read):
    blocks = read("a.html", files.web_page())
    assert kinds(blocks) == [
        ("heading", "Cape Arkona"),
        ("paragraph", files.LIGHTHOUSE[0]),
        ("paragraph", "A boldly set word,\nthen a line."),
        ("list", "First"),
        ("list", "Second"),
        ("code", "keep\n    this"),
        ("paragraph", "layout text"),
        ("heading", "Facts"),
        (
            "table",
            (
                '<table><caption>Towers</caption>\n<tr><th colspan="2">Tower</th><th>Year</th></tr>\n'
                "<tr><td>old</td><td>small</td><td>1827</td></tr>\n</table>"
            ),
        ),
        ("paragraph", "<not a tag> 长城"),
    ]


def test_html_charset_is_believed_when_not_utf8(read):
    page = '<meta http-equiv="Content-Type" content="text/html; charset=gb2312"><p>长城</p>'
    assert kinds(read("a.htm", page.encode("gb18030"))) == [("paragraph", "长城")]


@pytest.mark.parametrize("tag", ["div", "b", "span", "x-y", "table", "ul"])
def test_deep_html_is_read_in_linear_time(read, tag):
    start = time.monotonic()
    blocks = read("a.html", f"<{tag}>" * 50_000 + "<p>deep text</p>" + f"</{tag}>" * 50_000)
    assert [block.text for block in blocks] == ["deep text"]
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("unit", ["<p>x<b>", "<table><tr><td>x", "<ruby><rb>x", "<li>x", "<font color=a>x"])
def test_many_unclosed_elements_take_linear_time(read, unit):
    start = time.monotonic()
    assert read("a.html", unit * 100_000)
    assert time.monotonic() - start < 10


def test_flat_html_is_not_flattened():
    page = "<p>one<div>two</div>" * 5000
    assert flattened(page) == page


def test_unclosed_tags_take_linear_time(read):
    start = time.monotonic()
    assert read("a.html", "<a " * 500_000 + "> end") or True
    assert time.monotonic() - start < 10


def test_csv_rows(read):
    assert kinds(read("a.csv", files.towers_csv())) == [
        ("record", "name：Arkona; old; year：1827; note：first line\nsecond line"),
        ("record", "name：Arkona new; year：1905"),
        ("record", 'name：长城; year：1368; note：说 "墙"'),
    ]


def test_csv_of_one_row(read):
    assert kinds(read("a.csv", "only,one\n")) == [("record", "only; one")]


def test_csv_row_longer_than_the_header(read):
    assert kinds(read("a.csv", "a,b\n1,2,3\n")) == [("record", "a：1; b：2; 3")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_csv_dialects(delimiter, quote):
    rows = [f"{quote}a{delimiter}b{quote}{delimiter}{n}{delimiter}c\n" for n in range(10)]
    assert sniff(rows) == (delimiter, quote)


def test_csv_with_very_many_columns(read):
    header = ",".join(f"c{n}" for n in range(100_000))
    (block,) = read("a.csv", f"{header}\n{','.join('v' * 100_000)}\n")
    assert block.text.endswith("c99999：v")


def test_csv_with_one_very_long_field(read):
    (block,) = read("a.csv", 'a,b\n1,"' + "word " * 2_000_000 + '"\n')
    assert len(block.text) > 9_000_000


def test_json_pieces_keep_their_place(read):
    (block,) = read("a.json", files.towers_json())
    assert json.loads(block.text) == {
        "country": "DE",
        "towers": {"0": {"name": "old", "year": 1827}, "1": {"name": "新", "year": 1905}},
    }


def test_json_lines_with_a_broken_line(read):
    lines = ['{"a": 1}'] * 9 + ["not json", '{"b": NaN}', "12345678901234567890123"]
    assert [block.text for block in read("a.jsonl", "\n".join(lines))] == lines
    assert len(read("a.json", "\n".join(lines))) == len(lines)


def test_json_with_an_error_says_where(read):
    with pytest.raises(MalformedFile, match=r"not valid JSON: .* line 2, column 8"):
        read("a.json", '{\n  "a": ,\n}')


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_json_is_refused(read, opening, depth):
    closing = "]" if opening == "[" else "}"
    with pytest.raises(FileTooLarge, match="levels deep"):
        read("a.json", opening * depth + "1" + closing * depth)


def test_json_lone_surrogates_and_long_numbers(read):
    blocks = read("a.json", '{"a": "x\\ud800y\\u0000", "n": ' + "9" * 6000 + "}")
    text = "".join(block.text for block in blocks)
    assert b"\x00" not in text.encode()
    assert "9" * 6000 in text


scalars = st.none() | st.booleans() | st.integers() | st.text("abc漢 ", max_size=40)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text("abc", max_size=3), inner)
)


def leaves(value, path=()):
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {leaf for key, child in items for leaf in leaves(child, (*path, str(key)))}
    return {(path, json.dumps({} if value == [] else value))}


@given(documents.filter(lambda value: isinstance(value, dict | list) and value))
@settings(deadline=None)
def test_json_pieces_together_are_the_document(tmp_path_factory, value):
    from deepdoc.parsers.json import read_records

    path = tmp_path_factory.getbasetemp() / "f.json"
    path.write_text(json.dumps(value))
    pieces = [json.loads(block.text) for block in read_records(path, "f.json", most_chars=60, least_chars=20)]
    found = [leaf for piece in pieces for leaf in leaves(piece)]
    assert sorted(found) == sorted(leaves(value))


@given(
    st.text(max_size=400), st.sampled_from(["a.md", "a.html", "a.csv", "a.json", "a.jsonl", "a.txt", "a.c"])
)
@settings(deadline=None)
def test_any_text_gives_clean_blocks_or_a_parse_error(tmp_path_factory, text, name):
    path = tmp_path_factory.getbasetemp() / "f"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        blocks = list(parse(path, name))
    except ParseError:
        return
    assert blocks
    for block in blocks:
        assert block.text.strip()
        assert "\x00" not in block.text
        block.text.encode()


@given(st.text("<>/abdivptr =\"'!-ul", max_size=300))
def test_any_markup_gives_blocks(text):
    for block in parse_html(text):
        assert block.text.strip()
        assert block.kind is not BlockKind.TABLE or block.text.startswith("<table>")


def test_tables_come_apart_and_together():
    html = to_html([[Cell("a\nb", True)], [Cell("<c>", colspan=2)]], "cap & tion")
    assert html == (
        "<table><caption>cap &amp; tion</caption>\n<tr><th>a b</th></tr>\n"
        '<tr><td colspan="2">&lt;c&gt;</td></tr>\n</table>'
    )
    assert joined(*row_lines(html)) == html
    assert to_html([[Cell("")]]) == ""
