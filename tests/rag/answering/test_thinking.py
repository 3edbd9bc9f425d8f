"""Reasoning told from text, however the pieces are cut."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.events import Text, ThinkingEnded, ThinkingStarted, ThinkingText
from rag.answering.thinking import ThinkingEvent, ThinkingSplitter


def run(pieces: list[tuple[str, str]]) -> list[ThinkingEvent]:
    splitter = ThinkingSplitter()
    events: list[ThinkingEvent] = []
    for reasoning, text in pieces:
        events.extend(chain(splitter.reasoning(reasoning), splitter.text(text)))
    return [*events, *splitter.end()]


def joined(events: list[ThinkingEvent]) -> tuple[str, str]:
    reasoning = "".join(event.text for event in events if isinstance(event, ThinkingText))
    return reasoning, "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize(
    ("pieces", "reasoning", "text"),
    [
        (["<think>a</think>b"], "a", "b"),
        (["<thi", "nk>a</", "think>", "\n\nb"], "a", "b"),
        (["<think>", "</think>", "b"], "", "b"),
        (["<think>never closed"], "never closed", ""),
        (["a < b and a <t> b"], "", "a < b and a <t> b"),
        (["b</think>c"], "", "bc"),
        (["b <think"], "", "b <think"),
        (["x<think>a</think>y<think>c</think>z"], "ac", "xyz"),
        (["only"], "", "only"),
        ([], "", ""),
    ],
)
def test_tags_in_text(pieces: list[str], reasoning: str, text: str) -> None:
    assert joined(run([("", piece) for piece in pieces])) == (reasoning, text)


def test_reasoning_of_the_provider_in_one_piece_has_both_marks() -> None:
    events = run([("why", ""), ("", "because")])
    assert events == [ThinkingStarted(), ThinkingText("why"), ThinkingEnded(), Text("because")]


def test_reasoning_only_is_ended() -> None:
    assert run([("why", "")]) == [ThinkingStarted(), ThinkingText("why"), ThinkingEnded()]


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", "a", "b ", "\n", "/"]), max_size=12),
    st.data(),
)
def test_piece_borders_change_nothing(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    borders = [0, *cuts, len(whole)]
    pieces = [("", whole[a:b]) for a, b in pairwise(borders)]
    events = run(pieces)
    assert joined(events) == joined(run([("", whole)]))
    depth = 0
    for event in events:
        depth += isinstance(event, ThinkingStarted) - isinstance(event, ThinkingEnded)
        assert depth in (0, 1)
        assert isinstance(event, Text) <= (depth == 0)
    assert depth == 0
