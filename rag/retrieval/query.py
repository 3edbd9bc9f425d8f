"""A question as weighed terms."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from rag.stores.protocol import QueryTerm
from rag.text.languages import detect
from rag.text.tokenizer import Token, content_tokens, tokens

# A longer question is a pasted document: its beginning says what it is about, and the time is bounded.
_QUESTION_CHARACTERS = 8000
_MAX_WORDS = 128
# Terms that no chunk of a large collection would be searched for alone.
_SINGLE_HAN_WEIGHT = 0.5
# Chunks at which a collection's own frequencies count as much as knowing nothing.
_TRUSTED_CHUNKS = 100
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
    term_count: terms of the whole text, stop words and repetitions counted.
    """

    text: str
    language: str
    words: tuple[QuestionWord, ...]
    term_count: int = 0

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
    told = content_tokens(all_tokens, latin)
    distinct: dict[tuple[str, ...], Token] = {}
    for token in told or all_tokens:
        if token.terms:
            distinct.setdefault(token.terms, token)
    words = [QuestionWord(terms, _weight(token)) for terms, token in distinct.items()]
    term_count = sum(len(token.terms) for token in all_tokens)
    return Question(text, language, tuple(words[:_MAX_WORDS]), term_count)


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
    similarity of all, and not be all that counts. The less a collection holds, the less its frequencies
    are believed: in a handful of chunks all words count nearly the same.
    """
    idf = [_idf(word.terms[-1], chunk_count, document_frequencies) for word in question.words]
    known = sorted(value for value in idf if value is not None)
    median = known[len(known) // 2] if known else 1.0
    filled = [value if value is not None else median for value in idf]
    mean = sum(filled) / max(1, len(filled))
    trust = chunk_count / (chunk_count + _TRUSTED_CHUNKS)
    weights = [
        word.weight * (trust * value + (1 - trust) * mean)
        for word, value in zip(question.words, filled, strict=True)
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


def term_similarity(weighed: Sequence[WeighedWord], terms: AbstractSet[str]) -> float:
    """The share of the question that is among the terms, 0..1, wherever they stand.

    A word of which only parts are there counts less.
    """
    total = 0.0
    for word in weighed:
        if word.whole in terms:
            total += word.share
        elif word.parts:
            held = sum(1 for part in word.parts if part in terms)
            total += word.share * _PARTS_SHARE * held / len(word.parts)
    return min(total, 1.0)


# What standing together counts: see docs/decisions/0012-term-similarity.md.
_CLOSENESS_SHARE = 0.3
# Terms; about a sentence.
_WINDOW = 20
# So many searches in a chunk's text cost less than splitting it (a tenth of a microsecond each against 10).
_FEW_NEEDLES = 32


class TermScorer:
    """Scores chunks for one question; `similarity` is called for each candidate, so it is quick."""

    def __init__(self, weighed: Sequence[WeighedWord], question_terms: int) -> None:
        """question_terms: length of the whole question; a chunk that repeats it is as close as can be."""
        self._words = weighed
        self._window = max(_WINDOW, question_terms)
        self._slots: dict[str, tuple[int, float]] = {}
        for place, word in enumerate(weighed):
            for part in word.parts:
                self._slots.setdefault(part, (place, word.share * _PARTS_SHARE / len(word.parts)))
        for place, word in enumerate(weighed):
            self._slots[word.whole] = (place, word.share)
        self._needles = [(term, f" {term} ") for term in self._slots]

    def similarity(self, words: str, more: str = "") -> float:
        """The share of the question that the chunk holds, 0..1.

        words: the content's terms in order. more: terms of title, keywords and questions, which count as
        if they stood everywhere. Mostly what is there at all, the rest what stands together in a window of
        the content; 1 when all of the question's words are there, close together.
        """
        padded = f" {words} "
        if len(self._needles) <= _FEW_NEEDLES:
            found = {term for term, needle in self._needles if needle in padded}
        else:
            found = self._slots.keys() & words.split()
        everywhere = self._slots.keys() & more.split() if more else set()
        if not found and not everywhere:
            return 0.0
        coverage = term_similarity(self._words, found | everywhere)
        if len(found) < 2:
            return coverage
        closeness = self._closeness(_matches(padded, found), everywhere, coverage)
        return (1.0 - _CLOSENESS_SHARE) * coverage + _CLOSENESS_SHARE * closeness

    def _closeness(self, matches: list[tuple[int, str]], everywhere: set[str], enough: float) -> float:
        """The best share within one window; no window holds more than `enough`."""
        slots, window = self._slots, self._window
        places = [place for place, _ in matches]
        best = 0.0
        count = len(matches)
        last_end = -1
        for start in range(count):
            end = bisect_right(places, places[start] + window, start, count)
            if end == last_end:
                continue  # a part of the window before
            last_end = end
            held = {term for _, term in matches[start:end]}
            # As many distinct terms as can be, before anything is summed up.
            if sum(slots[term][1] for term in held) <= best and not everywhere:
                continue
            share = term_similarity(self._words, held | everywhere)
            if share > best:
                best = share
                if best >= enough - 1e-9:
                    break
        return best


def _matches(padded: str, terms: AbstractSet[str]) -> list[tuple[int, str]]:
    """(place among all terms, term) wherever one of the terms stands. padded: with a space at both ends."""
    spots: list[tuple[int, str]] = []
    for term in terms:
        needle = f" {term} "
        at = padded.find(needle)
        while at >= 0:
            spots.append((at, term))
            at = padded.find(needle, at + len(term) + 1)
    spots.sort()
    matches: list[tuple[int, str]] = []
    place = last = 0
    for at, term in spots:
        place += padded.count(" ", last, at)
        last = at
        matches.append((place, term))
    return matches
