"""Citations in an answer: `[ID:n]`, where n is the place of a passage in the reference.

Code (``` fences and `inline`) is never touched: `ref12` in it is a name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.chunks import FloatArray
from rag.models.protocol import EmbeddingModel
from rag.text.languages import detect
from rag.text.tokenizer import is_stop_word, tokens

MARKER = re.compile(r"\[ID:(\d{1,6})\]")

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_NUMBER = r"(?:ID\s*[:：]?\s*)?\d{1,6}"
_BROKEN = re.compile(
    rf"""
    [\[(【（]\s* ID\s*[:：\s]\s*\d{{1,6}} (?:\s*[,;、，；]\s*{_NUMBER})* \s*[\])】）]
    | (?<![\w/#.\-]) ref\d{{1,6}} (?![\w.\-]*\w)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DIGITS = re.compile(r"\d+")

# A sentence ends after these, or at a line's end that is not a table row's, or after a letter with
# Latin punctuation and white space.
_SENTENCE_END = re.compile(r"(?<=[。；？！!?])|(?<=[^\s|])(?=\n)|(?<=[^\W\d_][.;])(?=\s)")
_FINAL_PUNCTUATION = re.compile(r"[\s.。;；!！?？…”\"’')）\]]*\Z")
_SHORTEST_PIECE = 5
_MOST_PER_SENTENCE = 4
_THRESHOLD = 0.63
_LOWEST_THRESHOLD = 0.3
_THRESHOLD_STEP = 0.8
_NEAR_BEST = 0.99
_MOST_PIECES = 500


@dataclass(frozen=True, slots=True)
class CitedText:
    """text: with markers; indexes: the passages they name, in order of appearance."""

    text: str
    indexes: list[int]


def find_citations(text: str, passage_count: int) -> list[int]:
    """Passages that the text cites, each once, in order; numbers of no passage are left out."""
    numbers = (
        int(match.group(1))
        for piece, is_code in _split_code(text)
        if not is_code
        for match in MARKER.finditer(piece)
    )
    return list(dict.fromkeys(number for number in numbers if number < passage_count))


def repair_citations(text: str, passage_count: int) -> str:
    """Misspelt markers made right, lists split, markers that name no passage dropped.

    `(ID: 3)`, `[ID 3]`, `【ID: 3】`, `ref3` become `[ID:3]`; `[ID:0, ID:1]` becomes `[ID:0][ID:1]`. A misspelt
    marker of no passage may be something else, and stays.
    """

    def mend(match: re.Match[str]) -> str:
        numbers = [int(digits) for digits in _DIGITS.findall(match.group())]
        known = [number for number in numbers if number < passage_count]
        if MARKER.fullmatch(match.group()) or known:
            return "".join(f"[ID:{number}]" for number in known)
        return match.group()

    pieces = [piece if is_code else _BROKEN.sub(mend, piece) for piece, is_code in _split_code(text)]
    return "".join(pieces)


async def cite(
    text: str, passages: Sequence[str], *, embedding: EmbeddingModel | None, vector_weight: float = 0.3
) -> CitedText:
    """Repair what the model cited; if it cited nothing, insert citations, as far as embeddings are there.

    Raises ModelError of the embedding model.
    """
    repaired = repair_citations(text, len(passages))
    indexes = find_citations(repaired, len(passages))
    if not indexes and embedding is not None:
        repaired = await insert_citations(
            repaired, passages, embedding=embedding, vector_weight=vector_weight
        )
        indexes = find_citations(repaired, len(passages))
    return CitedText(repaired, indexes)


async def insert_citations(
    text: str, passages: Sequence[str], *, embedding: EmbeddingModel, vector_weight: float = 0.3
) -> str:
    """Cite the passages that each sentence resembles most, at most four; a passage is cited once.

    Raises ModelError.
    """
    pieces = _sentences(text)
    chosen = [index for index, piece in enumerate(pieces) if _is_citable(piece)][:_MOST_PIECES]
    if not chosen or not passages:
        return text
    embedded = await embedding.embed([*passages, *(pieces[index] for index in chosen)])
    cosines = embedded.vectors[len(passages) :] @ embedded.vectors[: len(passages)].T
    terms = _term_shares([pieces[index] for index in chosen], passages)
    similarities = vector_weight * cosines + (1 - vector_weight) * terms

    found = _choose(similarities)
    for row, numbers in found.items():
        index = chosen[row]
        pieces[index] = _add_markers(pieces[index], numbers)
    return "".join(pieces)


def _choose(similarities: FloatArray) -> dict[int, list[int]]:
    """Passages to cite by sentence, by the first threshold (0.63, 0.504, ...) that any sentence reaches."""
    best = similarities.max(axis=1) * _NEAR_BEST
    threshold = _THRESHOLD
    while threshold > _LOWEST_THRESHOLD:
        cited: dict[int, list[int]] = {}
        seen: set[int] = set()
        for row in np.flatnonzero(best >= threshold).tolist():
            above = np.flatnonzero(similarities[row] > best[row])[:_MOST_PER_SENTENCE].tolist()
            fresh = [number for number in above if number not in seen]
            if fresh:
                cited[row] = fresh
                seen.update(fresh)
        if cited:
            return cited
        threshold *= _THRESHOLD_STEP
    return {}


def _term_shares(sentences: Sequence[str], passages: Sequence[str]) -> FloatArray:
    """(sentences, passages): the share of the sentence's words that the passage holds."""
    passage_words = [content_terms(passage) for passage in passages]
    shares = np.zeros((len(sentences), len(passages)), dtype=np.float32)
    for row, sentence in enumerate(sentences):
        own = content_terms(sentence)
        if own:
            shares[row] = [len(own & held) / len(own) for held in passage_words]
    return shares


def content_terms(text: str) -> set[str]:
    """Terms of a text without its stop words; all of them where nothing else is left."""
    language = detect(text)
    found = list(tokens(text))
    chosen = [token for token in found if not is_stop_word(token, language)] or found
    return {term for token in chosen for term in token.terms}


def _sentences(text: str) -> list[str]:
    """Pieces that join to the text again; a piece of code is one."""
    pieces: list[str] = []
    for piece, is_code in _split_code(text, _FENCED):
        pieces.extend([piece] if is_code else filter(None, _SENTENCE_END.split(piece)))
    return pieces


def _is_citable(piece: str) -> bool:
    stripped = piece.strip()
    return len(stripped) >= _SHORTEST_PIECE and not stripped.startswith("```") and not stripped.endswith("|")


def _add_markers(piece: str, numbers: Sequence[int]) -> str:
    end = _FINAL_PUNCTUATION.search(piece)
    cut = end.start() if end else len(piece)
    return piece[:cut] + " " + "".join(f"[ID:{number}]" for number in numbers) + piece[cut:]


def _split_code(text: str, pattern: re.Pattern[str] = _CODE) -> list[tuple[str, bool]]:
    """(piece, whether it is code), joining to the text."""
    pieces: list[tuple[str, bool]] = []
    position = 0
    for match in pattern.finditer(text):
        if match.start() > position:
            pieces.append((text[position : match.start()], False))
        pieces.append((match.group(), True))
        position = match.end()
    if position < len(text):
        pieces.append((text[position:], False))
    return pieces
