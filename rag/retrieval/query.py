"""A question as weighed terms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rag.stores.protocol import QueryTerm
from rag.text.languages import detect
from rag.text.tokenizer import Token, is_stop_word, tokens

# A longer question is a pasted document: its beginning says what it is about, and the time is bounded.
_QUESTION_CHARACTERS = 8000
_MAX_WORDS = 128
# Terms that no chunk of a large collection would be searched for alone.
_SINGLE_HAN_WEIGHT = 0.5
# A part found where the whole is missing (`数据` of `数据库`, `2024` of `ABC-2024`).
_PARTS_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class QuestionWord:
    """A word of the question: found when its last term, the whole, or (in part) the others are.

    terms: parts first, the whole last. weight: how much it says before the collection is known.
    """

    terms: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Question:
    """What a question asks for, without question words and stop words.

    words: distinct, in order; empty for a question of punctuation alone.
    """

    text: str
    language: str
    words: tuple[QuestionWord, ...]

    def query_terms(self) -> list[QueryTerm]:
        """The distinct terms of all words, weights summing to 1; parts share their word's weight."""
        weights: dict[str, float] = {}
        for word in self.words:
            share = word.weight / len(word.terms)
            for term in word.terms:
                weights[term] = weights.get(term, 0.0) + share
        total = sum(weights.values())
        return [QueryTerm(term, weight / total) for term, weight in weights.items()]


def parse_question(text: str) -> Question:
    """The words that a question asks for.

    Stop words and question words are dropped, unless there is nothing else.
    """
    text = text[:_QUESTION_CHARACTERS]
    language = detect(text)
    all_tokens = list(tokens(text))
    latin = "en" if language == "zh" else language
    told = [token for token in all_tokens if not is_stop_word(token, latin)]
    distinct: dict[tuple[str, ...], Token] = {}
    for token in told or all_tokens:
        if token.terms:
            distinct.setdefault(token.terms, token)
    words = [QuestionWord(terms, _weight(token)) for terms, token in distinct.items()]
    return Question(text, language, tuple(words[:_MAX_WORDS]))


def query_terms(question: str) -> list[QueryTerm]:
    """The terms of a question as a store's `search` and `list_chunks` take them."""
    return parse_question(question).query_terms()


def _weight(token: Token) -> float:
    return _SINGLE_HAN_WEIGHT if token.kind == "han" and len(token.surface) == 1 else 1.0


@dataclass(frozen=True, slots=True)
class WeighedWord:
    """A word of the question with its share of the question (all shares: 1)."""

    whole: str
    parts: tuple[str, ...]
    share: float


def weigh_words(
    question: Question, chunk_count: int, document_frequencies: Mapping[str, int]
) -> list[WeighedWord]:
    """Each word's share, from its inverse document frequency (BM25's) in the collection.

    A word that the collection does not hold at all counts as the median of the others: it shall lower the
    similarity of all, and not be all that counts.
    """
    idf = [_idf(word.terms[-1], chunk_count, document_frequencies) for word in question.words]
    known = sorted(value for value in idf if value is not None)
    median = known[len(known) // 2] if known else 1.0
    weights = [
        word.weight * (value if value is not None else median)
        for word, value in zip(question.words, idf, strict=True)
    ]
    total = sum(weights) or 1.0
    return [
        WeighedWord(word.terms[-1], word.terms[:-1], weight / total)
        for word, weight in zip(question.words, weights, strict=True)
    ]


def _idf(term: str, chunk_count: int, document_frequencies: Mapping[str, int]) -> float | None:
    frequency = document_frequencies.get(term, 0)
    if frequency <= 0:
        return None
    count = max(chunk_count, frequency)
    return math.log(1.0 + (count - frequency + 0.5) / (frequency + 0.5)) + _IDF_FLOOR


# In a collection of one chunk every word is in every chunk: none may count for nothing.
_IDF_FLOOR = 0.1


def term_similarity(weighed: list[WeighedWord], terms: set[str]) -> float:
    """The share of the question that is among the terms, 0..1; 1 when every word is there."""
    found = 0.0
    for word in weighed:
        if word.whole in terms:
            found += word.share
        elif word.parts:
            held = sum(1 for part in word.parts if part in terms)
            found += word.share * _PARTS_SHARE * held / len(word.parts)
    return min(found, 1.0)
