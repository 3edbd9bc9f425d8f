import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdoc.errors import UnsupportedFile
from deepdoc.tables import Cell, to_html
from rag.chunking.children import split_into_children
from rag.chunking.config import page_ranges, token_limit, uses_geometry
from rag.chunking.delimiters import (
    Delimiters,
    compile_any,
    read_delimiters,
    split_dropping,
    split_keeping,
    unescape,
)
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import Section, hard_limit, merge, overlap_percent
from rag.chunking.splitting import split_long
from rag.chunking.tables import table_chunks
from rag.text.tokens import count_tokens

TEXTS = st.text(st.sampled_from("ab cd. ef\n长城。，!? 🎈é"), max_size=200)


def merged(texts, limit, **options):
    return [chunk.text for chunk in merge([Section(text) for text in texts], limit, **options)]


def letters(text):
    return [char for char in text if not char.isspace()]


# Merging


def test_example_of_the_contract():
    """One token per word: a chunk closes only after it has exceeded the limit."""
    sections = ["a b c d", "e f", "g h i j k", "l"]
    counted = [Section(text, tokens=len(text.split())) for text in sections]
    assert [chunk.text for chunk in merge(counted, 4)] == ["a b c d\ne f", "g h i j k", "l"]


def test_custom_delimiters_switch_merging_off():
    assert merged(["a##b c##d"], 512, delimiters=read_delimiters("`##`")) == ["a", "b c", "d"]
    assert merged(["a##b", "c"], 512, delimiters=read_delimiters("\n`##`"), overlap=50) == ["a", "b", "c"]


def test_plain_delimiters_have_no_effect_on_merging():
    assert merged(["a;b", "c"], 512, delimiters=read_delimiters(";")) == ["a;b\nc"]


def test_overlap_repeats_the_end_of_the_chunk_before():
    first, second, *_ = merged(["one two three four five six seven eight"] * 6, 16, overlap=25)
    assert first.endswith("eight\none two three four five six seven eight")
    assert second.startswith("six seven eight\none two three")  # a quarter, from the next whole word


@pytest.mark.parametrize(
    ("value", "percent"),
    [
        (0, 0),
        (0.2, 20),
        (20, 20),
        ("15", 15),
        (95, 90),
        (-3, 0),
        (1, 1),
        (None, 0),
        ("x", 0),
        (math.nan, 0),
        (math.inf, 0),
        (True, 0),
        ([], 0),
        (10**400, 0),
    ],
)
def test_overlap_percent(value, percent):
    assert overlap_percent(value) == percent


def test_positions_of_all_sections_are_kept():
    sections = [Section(f"section {n}", [(n, n, n, n, n)]) for n in range(4)]
    (chunk,) = merge(sections, 512)
    assert chunk.positions == [(n, n, n, n, n) for n in range(4)]


@given(st.lists(TEXTS, max_size=12), st.integers(1, 60))
@settings(deadline=None)
def test_merging_loses_nothing(texts, limit):
    assert letters("".join(merged(texts, limit))) == letters("".join(texts))


@given(st.lists(TEXTS, max_size=12), st.integers(1, 60), st.integers(0, 90))
@settings(deadline=None)
def test_no_chunk_exceeds_the_hard_limit(texts, limit, overlap):
    for text in merged(texts, limit, overlap=overlap):
        assert text == text.strip() != ""
        assert count_tokens(text) <= hard_limit(limit)


@given(
    st.lists(TEXTS, max_size=8), st.lists(st.text("abc。\n", min_size=1, max_size=3), min_size=1, max_size=3)
)
@settings(deadline=None)
def test_custom_delimiters_are_gone_and_nothing_else(texts, custom):
    delimiters = Delimiters(custom=tuple(custom))
    chunks = merged(texts, 512, delimiters=delimiters)
    pattern = compile_any(delimiters.custom)
    assert [letters(chunk) for chunk in chunks] == [
        letters(piece) for text in texts for piece in pattern.split(text) if piece.strip()
    ]


# Cutting


@given(st.text(max_size=400), st.integers(1, 50))
@settings(deadline=None)
def test_cut_pieces_are_the_text_and_fit(text, limit):
    pieces = list(split_long(text, limit))
    assert "".join(pieces) == text
    for piece in pieces:
        assert count_tokens(piece) <= limit or len(piece) == 1


def test_cuts_come_after_sentences_then_at_blanks():
    text = "This is a sentence. " * 30
    assert all(piece.strip().endswith(".") for piece in split_long(text, 40))
    words = "word " * 200
    assert all(set(piece.split()) == {"word"} for piece in split_long(words, 30))
    chinese = "长城是中国古代修建的军事防御工程。" * 20
    assert all(piece.endswith("。") for piece in split_long(chinese, 60))


@pytest.mark.parametrize("text", ["a", "ab ", "长", "。", "\n", "1", "🎈", "a.b", "<>"])
def test_cutting_takes_linear_time(text):
    text = text * (3_000_000 // len(text))
    start = time.monotonic()
    assert sum(map(len, split_long(text, 512))) == len(text)
    assert time.monotonic() - start < 20


# Delimiters


def test_delimiters_as_users_write_them():
    assert read_delimiters("\\n") == Delimiters((), ("\n",))
    assert read_delimiters("\n。`##``\\n\\n`;") == Delimiters(("##", "\n\n"), ("\n", "。", ";"))
    assert read_delimiters("`unfinished") == Delimiters((), ("`", *"unfished"))
    assert read_delimiters("") == Delimiters()
    assert unescape("a\\tb\\\\n\\x41\\u957f\\q") == "a\tb\\nA长\\q"


@pytest.mark.parametrize("hostile", ["(a+)+$", "[", "*", "\\", "?", "(?P<x>", "a|b", "^.*$", "\\d{999999}"])
def test_delimiters_are_literals(hostile):
    pattern = compile_any((hostile,))
    assert list(split_dropping(pattern, f"x{hostile}y")) == ["x", "y"]
    assert list(split_dropping(pattern, "a" * 50)) in (["a" * 50], [])


def test_the_longest_delimiter_wins():
    assert list(split_dropping(compile_any(("#", "##")), "a##b#c")) == ["a", "b", "c"]


@given(TEXTS, st.lists(st.text("ab。\n.", min_size=1, max_size=2), max_size=3))
def test_kept_delimiters_end_their_piece(text, delimiters):
    pieces = list(split_keeping(compile_any(tuple(delimiters)), text))
    assert "".join(pieces) == text
    assert all(piece.endswith(tuple(delimiters)) for piece in pieces[:-1])


# Children


@given(TEXTS.filter(str.strip), st.lists(st.text("ab。\n.", min_size=1, max_size=2), min_size=1, max_size=3))
def test_children_joined_are_their_parent(text, delimiters):
    draft = ChunkDraft(text, [(1, 2, 3, 4, 5)])
    children = list(split_into_children(draft, compile_any(tuple(delimiters))))
    assert "".join(child.content for child in children) == text
    assert all(child.content.strip() for child in children)
    assert children == [draft] or all(
        child.parent == text and child.positions == draft.positions for child in children
    )


def test_tables_have_no_children():
    table = ChunkDraft("<table>.x.</table>", kind="table")
    assert list(split_into_children(table, compile_any((".",)))) == [table]


# Tables


def test_a_long_table_is_cut_between_rows_with_its_header():
    rows = [[Cell("name", True), Cell("text", True)]]
    rows += [[Cell(f"row{n}"), Cell("some words that fill the row")] for n in range(1000)]
    drafts = list(table_chunks(to_html(rows), 128))
    assert len(drafts) > 5
    for draft in drafts:
        assert draft.kind == "table"
        assert draft.content.startswith("<table>\n<tr><th>name</th>")
        assert draft.content.endswith("</tr>\n</table>")
        assert count_tokens(draft.content) <= 2048
    together = "".join(draft.content for draft in drafts)
    assert all(f"<td>row{n}</td>" in together for n in range(1000))


def test_a_table_of_one_endless_row():
    drafts = list(table_chunks(to_html([[Cell(f"cell {n}") for n in range(20_000)]]), 128))
    together = " ".join(draft.content for draft in drafts)
    assert "cell 19999" in together
    assert all(count_tokens(draft.content) <= 2048 for draft in drafts)


# Configuration


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (None, 128),
        (512, 512),
        (0, 128),
        (-1, 128),
        ("512", 128),
        (True, 128),
        (math.nan, 128),
        (1e9, 8192),
        (1, 1),
    ],
)
def test_token_limit(value, limit):
    assert token_limit({"chunk_token_num": value}) == limit
    assert token_limit({}) == 128


def test_page_ranges():
    assert page_ranges({"pages": [[1, 10], [12, 13]]}) == [(1, 10), (12, 13)]
    assert page_ranges({"pages": [[0, 3]]}) == [(1, 3)]
    for nothing in (None, [], [[1]], "x", [[None, 2]]):
        assert page_ranges({"pages": nothing}) is None


def test_layout_engines():
    assert uses_geometry({})
    assert uses_geometry({"layout_recognize": "deepdoc"})
    assert uses_geometry({"layout_recognize": True})
    for plain in ("Plain Text", "", False, None):
        assert not uses_geometry({"layout_recognize": plain})
    for absent in ("MinerU", "m@MinerU", "Docling", "gpt-4o"):
        with pytest.raises(UnsupportedFile, match=f"layout_recognize '{absent}' is not available"):
            uses_geometry({"layout_recognize": absent})
