import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.query import TermScorer, parse_question, query_terms, term_similarity, weigh_words
from rag.text.tokenizer import words


def term_texts(question: str) -> list[str]:
    return [term.text for term in query_terms(question)]


def similarity(question: str, text: str, more: str = "", count: int = 0, **frequencies: int) -> float:
    parsed = parse_question(question)
    weighed = weigh_words(parsed, count, frequencies)
    return TermScorer(weighed, parsed.term_count).similarity(words(text), words(more))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the price of the ABC-2024?", ["price", "abc", "2024", "abc2024"]),
        ("请问合同的金额是多少？", ["合同", "金额"]),
        ("什么是深度学习?", ["深度", "学习"]),
        ("Wie hoch ist der Preis für die Wohnung in der Stadt?", ["hoch", "preis", "wohnung", "stadt"]),
        ("Does WHO help US?", ["who", "help", "us"]),
        ("who is it", ["who", "is", "it"]),
        ("的", ["的"]),
        ("???", []),
        ("", []),
        ('"a AND (b', ["b"]),
    ],
)
def test_terms(question: str, expected: list[str]) -> None:
    assert set(expected) <= set(term_texts(question))
    if len(expected) < 2:
        assert len(term_texts(question)) <= 2


def test_only_stop_words_are_kept() -> None:
    assert set(term_texts("to be or not to be")) == {"to", "be", "or", "not"}


@given(st.text(max_size=100))
def test_weights_sum_to_one_and_terms_are_distinct(question: str) -> None:
    terms = query_terms(question)
    assert len({term.text for term in terms}) == len(terms)
    assert all(term.weight > 0 for term in terms)
    assert not terms or sum(term.weight for term in terms) == pytest.approx(1)


@given(st.text(max_size=100), st.integers(0, 1000))
def test_shares_sum_to_one(question: str, count: int) -> None:
    parsed = parse_question(question)
    frequencies = {word.terms[-1]: place * 7 % (count + 1) for place, word in enumerate(parsed.words)}
    weighed = weigh_words(parsed, count, frequencies)
    assert not weighed or sum(word.share for word in weighed) == pytest.approx(1)


@pytest.mark.parametrize("unit", ["word ", "中文", "a1b2", "... ", "x" * 1000])
def test_a_megabyte_is_bounded(unit: str) -> None:
    started = time.perf_counter()
    terms = query_terms(unit * (1_000_000 // len(unit)))
    assert len(terms) < 5000
    assert time.perf_counter() - started < 5


@given(st.text(alphabet="abcde 数据库检索。,-1", min_size=1, max_size=80), st.text(max_size=40))
def test_a_chunk_that_repeats_the_question_scores_one(question: str, more: str) -> None:
    if parse_question(question).words:
        assert similarity(question, question, more) == pytest.approx(1)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_between_zero_and_one_and_more_never_hurts(question: str, text: str, more: str) -> None:
    plain = similarity(question, text)
    assert 0 <= plain <= 1 + 1e-6
    assert plain <= similarity(question, text, more) + 1e-6 <= 1 + 1e-5


def test_rare_words_count_more() -> None:
    frequencies = {"common": 900, "rare": 2}
    assert similarity("common rare", "rare", count=1000, **frequencies) > 0.8
    assert similarity("common rare", "common", count=1000, **frequencies) < 0.2


def test_unknown_words_do_not_decide() -> None:
    frequencies = {"known": 10}
    assert similarity("known unheardof", "known", count=1000, **frequencies) == pytest.approx(0.5)


def test_together_is_better_than_apart() -> None:
    apart = "red " + "filler " * 60 + "car"
    assert similarity("red car", "a red car " + "filler " * 60) == pytest.approx(1)
    assert 0.7 < similarity("red car", apart) < 0.95


def test_title_and_keywords_count() -> None:
    assert similarity("engine manual", "the engine", "manual") == pytest.approx(1)
    assert similarity("engine manual", "nothing", "engine manual") == pytest.approx(1)
    assert similarity("engine manual", "nothing") == 0


def test_parts_count_less_than_the_whole() -> None:
    assert similarity("数据库", "数据库很好") == pytest.approx(1)
    assert 0 < similarity("数据库", "数据很好") < 0.6
    assert term_similarity(weigh_words(parse_question("数据库"), 0, {}), {"数据", "据库"}) == pytest.approx(
        0.8
    )
