"""The quick ways of the term scorer against splitting the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval import query
from rag.retrieval.query import TermScorer, WeighedWord, term_similarity

TERMS = st.sampled_from(["a", "aa", "ab", "b", "ba", "长", "长城", "城", "x1", "1"])
TEXTS = st.lists(TERMS, max_size=60).map(" ".join)


WINDOW = 3


def plainly(words: list[WeighedWord], text: str, more: str) -> float:
    """The same without tricks: every window of the text, every set summed up anew."""
    terms = {term for word in words for term in (*word.parts, word.whole)}
    places = text.split()
    found, everywhere = terms & set(places), terms & set(more.split())
    coverage = term_similarity(words, found | everywhere)
    if len(found) < 2:
        return coverage
    windows = [set(places[start : start + WINDOW + 1]) & terms for start in range(len(places))]
    closeness = max(term_similarity(words, window | everywhere) for window in windows if window)
    return 0.7 * coverage + 0.3 * closeness


def question(terms: list[str]) -> list[WeighedWord]:
    total = sum(range(1, len(terms) + 1))
    return [
        WeighedWord(term, tuple(term) if len(term) > 1 else (), place / total)
        for place, term in enumerate(terms, 1)
    ]


@given(st.lists(TERMS, min_size=1, max_size=6, unique=True), TEXTS, TEXTS, st.sampled_from([0, 1000]))
def test_scores_are_those_of_the_plain_way(terms: list[str], text: str, more: str, few: int) -> None:
    words = question(terms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "_FEW_NEEDLES", few)
        patch.setattr(query, "_WINDOW", WINDOW)
        scorer = TermScorer(words, 1)
        for _ in range(2):  # the second time from what is remembered
            assert scorer.similarity(text, more) == pytest.approx(plainly(words, text, more))
