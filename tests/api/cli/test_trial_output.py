"""What `ragd try` makes of a streamed answer."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.commands.trial.output import Numbered, cited_numbers, clean, counted, excerpt, show_sources
from api.commands.try_ import _last_message
from api.executor.progress import error_line, progress_line, with_lines

PIECES = st.lists(
    st.sampled_from(["[ID:0]", "[ID: 12]", "[I", "D:", "3]", "[", "]", "a", " ", "ID:4", "[x]"]), max_size=12
)


def _shown(pieces: list[str]) -> str:
    numbered = Numbered()
    return "".join(numbered.feed(piece) for piece in pieces) + numbered.rest()


@given(PIECES, st.integers(1, 5))
def test_where_a_stream_is_cut_does_not_matter(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    assert _shown([text[i : i + size] for i in range(0, len(text), size)]) == _shown([text])


def test_citations_count_from_one() -> None:
    assert _shown(["Built in 1827 [ID:0][ID:11]. See [1] and [I"]) == "Built in 1827 [1][12]. See [1] and [I"
    assert cited_numbers("x [ID:2] y [ID:0] z [ID:2] [ID:9]", 3) == [1, 3]


def test_a_document_does_not_steer_the_terminal() -> None:
    assert clean("a\x1b[2Jb\x07\u202ec\r\n\td") == "a[2Jbc\n\td"
    assert excerpt("a\n\n b\x1b]0;title\x07" + "x" * 500) == "a b]0;title" + "x" * 229 + "…"


def test_an_excerpt_shows_what_was_cited() -> None:
    content = "a " * 400 + "The pump delivers 20 litres. " + "b " * 400
    shown = excerpt(content, "The pump delivers 20 litres.")
    assert shown.startswith("…The pump delivers 20 litres. b b")
    assert shown.endswith("…")
    assert excerpt("The pump delivers 20 litres.", "The pump") == "The pump delivers 20 litres."
    assert excerpt(content).startswith("a a")


@given(st.text(max_size=600), st.text(max_size=100))
def test_an_excerpt_is_a_piece_of_the_chunk(content: str, cited: str) -> None:
    shown = excerpt(content, cited).removeprefix("…").removesuffix("…")
    assert shown in clean(" ".join(content.split()))


def _sources(cited_text: str, **chunk: Any) -> str:
    found = {"document_name": "a.pdf", "similarity": 0.5, "content": "The pump delivers 20 litres."} | chunk
    out = io.StringIO()
    show_sources(Console(file=out, width=60), [found], cited_text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("pages", "shown"),
    [([2], "a.pdf, page 2, similarity"), ([1, 1, 3, 2], "a.pdf, pages 1–3, similarity"), ([], "a.pdf, sim")],
)
def test_the_pages_of_a_source(pages: list[int], shown: str) -> None:
    assert shown in _sources("x [ID:0]", positions=[[page, 0, 1, 0, 1] for page in pages])


def test_what_no_answer_cites_is_only_near() -> None:
    assert _sources("x [ID:0]").startswith("\nSources\n")
    assert _sources("It is not in the documents.").startswith("\nNearest passages\n")


def test_no_line_ends_in_spaces() -> None:
    printed = _sources("x [ID:0]", content="many words that fill several lines, " * 6)
    lines = printed.splitlines()
    assert len(lines) > 4
    assert [line for line in lines if line != line.rstrip()] == []
    assert all(line.startswith("    ") and len(line) <= 60 for line in lines[3:])


def test_a_table_is_shown_without_its_tags() -> None:
    table = (
        "<table><caption>Pumps</caption><tr><th colspan='2'>name</th></tr><tr><td>A &amp; B</td></tr></table>"
    )
    assert excerpt(table) == "Pumps name A & B"
    assert excerpt("a <b and c> d &amp; <i>") == "a <b and c> d &amp; <i>"


def test_why_a_document_failed_without_what_is_for_the_log() -> None:
    message = with_lines(progress_line("Task has been received."), error_line("Scanned pages: none"))
    assert _last_message(message) == "Scanned pages: none"
    assert _last_message(progress_line("Task: gave up", has_pages=False)) == "Task: gave up"
    assert _last_message("") == "parsing failed"


def test_counts() -> None:
    assert [counted(n, "chunk") for n in (0, 1, 2)] == ["0 chunks", "1 chunk", "2 chunks"]
