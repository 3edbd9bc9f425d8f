"""What `ragd try` makes of a streamed answer."""

from hypothesis import given
from hypothesis import strategies as st

from api.commands.trial.output import Numbered, cited_numbers, clean, excerpt

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
