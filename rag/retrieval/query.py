"""A question as weighed terms."""

import math
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
    """Scores chunks for one question; `similarity` is called for each candidate, so it is quick.

    A set of the question's terms is a number with one bit for each; most chunks hold one of a few sets, so
    that each set is summed up once.
    """

    def __init__(self, weighed: Sequence[WeighedWord], question_terms: int) -> None:
        """question_terms: length of the whole question; a chunk that repeats it is as close as can be."""
        self._words = weighed
        self._window = max(_WINDOW, question_terms)
        terms = dict.fromkeys(term for word in weighed for term in (*word.parts, word.whole))
        self._bits = {term: 1 << place for place, term in enumerate(terms)}
        self._needles = [(bit, f" {term} ") for term, bit in self._bits.items()]
        self._shares: dict[int, float] = {0: 0.0}
        self._elsewhere: dict[str, int] = {}

    def similarity(self, words: str, more: str = "") -> float:
        """The share of the question that the chunk holds, 0..1.

        words: the content's terms in order. more: terms of title, keywords and questions, which count as
        if they stood everywhere. Mostly what is there at all, the rest what stands together in a window of
        the content; 1 when all of the question's words are there, close together.
        """
        padded = f" {words} "
        found = 0
        if len(self._needles) <= _FEW_NEEDLES:
            for bit, needle in self._needles:
                if needle in padded:
                    found |= bit
        else:
            for term in self._bits.keys() & words.split():
                found |= self._bits[term]
        everywhere = self._mask(more)
        coverage = self._share(found | everywhere)
        if found & (found - 1) == 0:  # one term or none: there is nothing to stand together
            return coverage
        closeness = self._closeness(self._matches(padded, found), everywhere, coverage)
        return (1.0 - _CLOSENESS_SHARE) * coverage + _CLOSENESS_SHARE * closeness

    def _mask(self, text: str) -> int:
        """The question's terms in a short text; the chunks of a document share their title."""
        mask = self._elsewhere.get(text)
        if mask is None:
            mask = 0
            for term in text.split():
                mask |= self._bits.get(term, 0)
            self._elsewhere[text] = mask
        return mask

    def _share(self, mask: int) -> float:
        share = self._shares.get(mask)
        if share is None:
            share = term_similarity(self._words, {term for term, bit in self._bits.items() if mask & bit})
            self._shares[mask] = share
        return share

    def _matches(self, padded: str, found: int) -> list[tuple[int, int]]:
        """(place among all terms, bit) wherever one of the terms stands. padded: with a space at both ends."""
        spots: list[tuple[int, int]] = []
        for bit, needle in self._needles:
            if found & bit:
                at = padded.find(needle)
                while at >= 0:
                    spots.append((at, bit))
                    at = padded.find(needle, at + len(needle) - 1)
        spots.sort()
        matches: list[tuple[int, int]] = []
        place = last = 0
        for at, bit in spots:
            place += padded.count(" ", last, at)
            last = at
            matches.append((place, bit))
        return matches

    def _closeness(self, matches: list[tuple[int, int]], everywhere: int, enough: float) -> float:
        """The best share within one window; no window holds more than `enough`."""
        best = 0.0
        seen = -1
        for start, (first, mask) in enumerate(matches):
            mask |= everywhere
            for place, bit in matches[start + 1 :]:
                if place > first + self._window:
                    break
                mask |= bit
            if mask == seen:
                continue
            seen = mask
            best = max(best, self._share(mask))
            if best >= enough - 1e-9:
                break
        return best
