"""The quick ways of the term scorer against splitting the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval import query
from rag.retrieval.query import TermScorer, WeighedWord, _matches

TERMS = st.sampled_from(["a", "aa", "ab", "b", "ba", "长", "长城", "城", "x1", "1"])
TEXTS = st.lists(TERMS, max_size=60).map(" ".join)


@given(TEXTS, st.sets(TERMS, max_size=5))
def test_matches_are_the_places_in_the_split_text(text: str, terms: set[str]) -> None:
    expected = [(place, term) for place, term in enumerate(text.split(), 1) if term in terms]
    found = _matches(f" {text} ", terms)
    # The first place may differ, since only distances count.
    shift = expected[0][0] - found[0][0] if found else 0
    assert [(place + shift, term) for place, term in found] == expected


@given(st.lists(TERMS, min_size=1, max_size=6, unique=True), TEXTS, TEXTS)
def test_long_questions_are_scored_like_short_ones(terms: list[str], text: str, more: str) -> None:
    words = [WeighedWord(term, tuple(term) if len(term) > 1 else (), 1 / len(terms)) for term in terms]
    scorer = TermScorer(words, len(terms))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "_FEW_NEEDLES", 0)
        assert scorer.similarity(text, more) == pytest.approx(_searching(scorer, text, more))


def _searching(scorer: TermScorer, text: str, more: str) -> float:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "_FEW_NEEDLES", 1000)
        return scorer.similarity(text, more)
