"""The question's words marked in a chunk's own text."""

from collections.abc import Collection, Sequence

from rag.retrieval.query import Question
from rag.text.sentences import sentence_spans
from rag.text.tokenizer import normalize, tokens

_MAX_SENTENCES = 12


def highlight(text: str, question: Question) -> str:
    """The sentences that hold a word of the question, in order, joined by `...`, the words in `<em>`.

    The text itself is not changed otherwise. Without such a sentence the whole text comes back.
    """
    wholes = {word.terms[-1] for word in question.words}
    parts = {part for word in question.words for part in word.terms[:-1]}
    found = [
        marked
        for start, end in sentence_spans(text)
        if (marked := _mark(text[start:end], wholes, parts)) is not None
    ]
    return "...".join(found[:_MAX_SENTENCES]) if found else text


def _mark(sentence: str, wholes: Collection[str], parts: Collection[str]) -> str | None:
    spans = _spans(sentence, wholes, parts)
    if not spans:
        return None
    pieces: list[str] = []
    place = 0
    for start, end in spans:
        pieces += [sentence[place:start], "<em>", sentence[start:end], "</em>"]
        place = end
    pieces.append(sentence[place:])
    return "".join(pieces)


def _spans(sentence: str, wholes: Collection[str], parts: Collection[str]) -> list[tuple[int, int]]:
    normalized, origin = _normalize_with_origin(sentence)
    marked: list[tuple[int, int]] = []
    for token in tokens(normalized):
        whole = token.terms[-1] if token.terms else ""
        if whole in wholes or whole in parts:
            marked.append((token.start, token.end))
        elif token.kind in _PAIRED_KINDS and len(token.terms) > 1:
            marked += [
                (token.start + place, token.start + place + 2)
                for place, pair in enumerate(token.terms[:-1])
                if pair in wholes
            ]
        elif any(term in wholes for term in token.terms):
            marked.append((token.start, token.end))
    return _merge([(origin[start], origin[end - 1] + 1) for start, end in marked])


_PAIRED_KINDS = {"han", "hangul", "katakana"}


def _normalize_with_origin(text: str) -> tuple[str, Sequence[int]]:
    """The normalised text, and for each of its characters where it comes from."""
    if text.isascii():
        return text, range(len(text))
    pieces = [normalize(character) for character in text]
    return "".join(pieces), [place for place, piece in enumerate(pieces) for _ in piece]


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
