"""How well each sentence of the retrieved passages answers a question, without a language model.

A question's word counts as held by a sentence as far as the nearest word of the sentence resembles it
(cosine of word vectors): 1 for the word itself, less for a relative. Words are weighted by rarity among
the sentences and by the length of their vector, which wordllama's training made longer for words that
tell texts apart. Figures: docs/decisions/0031.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.chunks import FloatArray
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.protocol import ChatPassage
from rag.models.quotable import Quotable, split_quotables
from rag.text.languages import detect
from rag.text.tokenizer import Token, content_tokens, tokens

_COVERAGE_SHARE = 0.5
_COSINE_SHARE = 0.3
_PASSAGE_SHARE = 0.8
# A word of the passage's title is taken as said in each of its sentences, nearly.
_TITLE_SHARE = 0.9
# The cosine from which a word of the sentence says the question's word: itself, its plural, its past.
_NEARLY_HELD = 0.6
_CONTEXT_WEIGHT = 0.4
_MOST_SENTENCES = 1_500
_MOST_QUESTION_WORDS = 60
_MOST_PASSAGE_CHARACTERS = 40_000


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """passage: its citation number. score: higher is better, about 0.4 to 1.6.

    own_score: the part of the score that is not the passage's. held_share: how much of the question's
    content words, by weight, the sentence itself holds or nearly holds, 0 to 1.
    """

    quotable: Quotable
    passage: int
    score: float
    own_score: float
    held_share: float


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    terms: frozenset[str]
    weight: float


def score_sentences(
    question: str, passages: Sequence[ChatPassage], embedding: BuiltinEmbedding, context: str = ""
) -> list[ScoredSentence]:
    """Every sentence with its score, in the order of the passages.

    context: earlier questions, whose words count less; "" where the question stands by itself.
    """
    words = _words_of(question, 1.0)
    if context and not count_content_words(question):
        words = _words_of(context, 1.0)
    elif context:
        known = {word.text for word in words}
        words += [word for word in _words_of(context, _CONTEXT_WEIGHT) if word.text not in known]
    words = words[:_MOST_QUESTION_WORDS]

    places: list[tuple[int, Quotable]] = []
    for number, passage in enumerate(passages):
        pieces = split_quotables(passage.content[:_MOST_PASSAGE_CHARACTERS])
        places.extend((number, piece) for piece in pieces)
    del places[_MOST_SENTENCES:]
    if not places or not words:
        return []

    texts = [piece.text for _, piece in places]
    token_lists = [list(tokens(text)) for text in texts]
    held = _held_words(words, token_lists, embedding)
    title_terms = [{term for token in tokens(passage.title) for term in token.terms} for passage in passages]
    in_title = np.array([[_share(word.terms, terms) for word in words] for terms in title_terms])
    numbers = np.array([number for number, _ in places])
    weights = _weights(words, token_lists, embedding)
    coverage = np.maximum(held, _TITLE_SHARE * in_title[numbers]) @ weights
    held_shares = (held >= _NEARLY_HELD) @ weights
    query = question if not context else f"{question} {context}"
    vectors = embedding.embed_now([query, *texts]).vectors
    cosines = vectors[1:] @ vectors[0]
    similarities = np.array([min(1.0, max(0.0, passage.similarity)) for passage in passages])[numbers]
    own_scores = _COVERAGE_SHARE * coverage + _COSINE_SHARE * cosines
    scores = own_scores + _PASSAGE_SHARE * similarities
    figures = zip(scores.tolist(), own_scores.tolist(), held_shares.tolist(), strict=True)
    return [
        ScoredSentence(piece, number, *three) for (number, piece), three in zip(places, figures, strict=True)
    ]


def count_content_words(text: str) -> int:
    """Words that say something about a topic."""
    language = detect(text)
    return len(content_tokens(list(tokens(text)), language))


def _words_of(text: str, weight: float) -> list[_Word]:
    found = list(tokens(text[: _MOST_PASSAGE_CHARACTERS // 10]))
    chosen = content_tokens(found, detect(text)) or found
    by_surface = {token.surface: _Word(token.surface, frozenset(token.terms), weight) for token in chosen}
    return list(by_surface.values())


def _share(terms: frozenset[str], held: set[str]) -> float:
    return len(terms & held) / len(terms)


def _held_words(
    words: Sequence[_Word], token_lists: Sequence[Sequence[Token]], embedding: BuiltinEmbedding
) -> FloatArray:
    """(sentences, words), 0..1: the cosine of each word with the sentence's nearest content word.

    1 where the terms are the same: word vectors tell "Cars" from "cars".
    """
    columns: dict[str, int] = {}
    rows: list[list[int]] = []
    language = detect(" ".join(word.text for word in words))
    for found in token_lists:
        surfaces = [token.surface for token in content_tokens(found, language)]
        rows.append([columns.setdefault(surface, len(columns)) for surface in surfaces])
    held = np.zeros((len(token_lists), len(words)), dtype=np.float32)
    if not columns:
        return held
    vectors = embedding.embed_now([*(word.text for word in words), *columns]).vectors
    cosines = np.maximum(vectors[: len(words)] @ vectors[len(words) :].T, 0)
    for index, row in enumerate(rows):
        if row:
            held[index] = cosines[:, row].max(axis=1)
    for index, found in enumerate(token_lists):
        terms = {term for token in found for term in token.terms}
        held[index, [word.terms <= terms for word in words]] = 1
    return held


def _weights(
    words: Sequence[_Word], token_lists: Sequence[Sequence[Token]], embedding: BuiltinEmbedding
) -> FloatArray:
    """(words,), sum 1."""
    held = [{term for token in found for term in token.terms} for found in token_lists]
    counts = np.array([sum(word.terms <= terms for terms in held) for word in words], dtype=np.float32)
    rarity = np.log(1 + (len(held) - counts + 0.5) / (counts + 0.5))
    lengths = embedding.word_lengths([word.text for word in words])
    weights = rarity * lengths * np.array([word.weight for word in words], dtype=np.float32)
    total = float(weights.sum())
    result: FloatArray = (weights / total if total > 0 else weights).astype(np.float32)
    return result
