"""Text to terms: one pre-tokenised form for documents and questions, and for every engine.

A term depends on the word alone, hardly on the text around it, so that a short question and a long
document come to the same terms. Words are normalised (NFKC, simplified Chinese, accents folded, lower
case) and stemmed; Chinese is cut by rjieba; compounds (`ABC-2024`, `getUserName`) give their parts and,
joined, the whole.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import rjieba
import Stemmer

from rag.text.languages import detect_latin, fold, stop_words

# Longer ones are encoded data, not words; engines refuse terms of some kilobytes.
_TERM_CHARACTERS = 64
_CACHED_WORDS = 100_000
_LANGUAGE_SAMPLE_WORDS = 400

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〇"
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a0-\u30ff\u31f0-\u31ff"
_HANGUL = "\uac00-\ud7af\u1100-\u11ff\u3130-\u318f"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"
_SEGMENTED = _HAN + _HIRAGANA + _KATAKANA + _HANGUL + _UNSPACED
_LETTER = rf"(?:(?![{_SEGMENTED}])[^\W_])[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0981-\u0d4d]*"

_WORD = rf"(?:{_LETTER})+(?:[-_.'’&+#](?:{_LETTER})+)*(?:\+\+|#)?"
_RUNS = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?![\d_])|\d+(?:\.\d+)+(?![^\W\d_{_SEGMENTED}]))"
    rf"|(?P<word>{_WORD})|(?P<katakana>[{_KATAKANA}]+)|(?P<hiragana>[{_HIRAGANA}]+)|(?P<hangul>[{_HANGUL}]+)"
    rf"|(?P<unspaced>[{_UNSPACED}]+)|(?P<emoji>[{_EMOJI}])"
)
_ASCII_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d_])|\d+(?:\.\d+)+(?![A-Za-z\d_])"
_ASCII_WORD = r"[A-Za-z0-9]+(?:[-_.'&+#][A-Za-z0-9]+)*(?:\+\+|#)?"
_ASCII_RUNS = re.compile(rf"(?P<number>{_ASCII_NUMBER})|(?P<word>{_ASCII_WORD})")
_ASCII_SURFACES = re.compile(rf"{_ASCII_NUMBER}|{_ASCII_WORD}")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+(?:\.\d+)*|[^\x00-\x7f]+|\+\+|#")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)*")
_ASCII_LETTERS = re.compile("[A-Za-z]+")
_JOINERS = re.compile(r"[-_.'’&+#]")
_POSSESSIVE = re.compile(r"['’][sS]$")
_LEADING_ZEROS = re.compile(r"^0(?=\d$)")

_SCRIPT_STEMMERS = (
    (re.compile("[\u0400-\u04ff]"), "russian"),
    (re.compile("[\u0370-\u03ff]"), "greek"),
    (re.compile("[\u0600-\u06ff]"), "arabic"),
    (re.compile("[\u0900-\u097f]"), "hindi"),
    (re.compile("[\u0b80-\u0bff]"), "tamil"),
    (re.compile("[\u0530-\u058f]"), "armenian"),
)
_LATIN_STEMMERS = {
    "en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian",
    "pt": "portuguese", "nl": "dutch", "sv": "swedish", "da": "danish",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text.

    surface: as written, normalised; what stop words are looked up by.
    terms: its terms. Parts first, in order; the last one is the whole where there are several.
    start, end: where it stands in the normalised text.
    """

    surface: str
    terms: tuple[str, ...]
    start: int
    end: int
    kind: str


@cache
def _simplified() -> dict[int, str]:
    table: dict[int, str] = {}
    path = resources.files("rag.text") / "data" / "traditional_simplified.tsv"
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            traditional, simplified = line.split("\t")
            table[ord(traditional)] = simplified
    return table


@cache
def _stemmer(algorithm: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(algorithm, 0)  # the words are cached here, with the parts


def normalize(text: str) -> str:
    """Half-width, composed forms and simplified characters; case and accents stay."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_simplified())


_expanded: dict[tuple[str, str], tuple[str, ...]] = {}


def _expand(word: str, language: str) -> tuple[str, ...]:
    key = (word, language)
    terms = _expanded.get(key)
    if terms is None:
        terms = _expand_anew(word, language)
        if len(_expanded) >= _CACHED_WORDS:
            _expanded.clear()
        if len(word) <= _TERM_CHARACTERS:
            _expanded[key] = terms
    return terms


def _expand_anew(word: str, language: str) -> tuple[str, ...]:
    word = fold(_POSSESSIVE.sub("", word[: 16 * _TERM_CHARACTERS]))
    if word.isalpha() and (word.islower() or word.isupper() or word.istitle()):
        return (_stem(word.lower(), language),)
    if word[0].isdigit() and _NUMBER.fullmatch(word):
        return (_number(word),)
    if word.endswith(("++", "#")):  # C++, C#, F#
        return (word.lower()[:_TERM_CHARACTERS],)
    whole = _JOINERS.sub("", word).lower()
    parts = [part for piece in _JOINERS.split(word) for part in _PARTS.findall(piece)]
    if len(parts) <= 1:
        return (_stem(whole, language),)
    terms = [_part(part, language) for part in parts[:32]]
    # iPhone15 is also iphone, 15.
    runs = [
        run.lower() for run in _ASCII_LETTERS.findall(word)[:32] if not run.islower() and not run.isupper()
    ]
    terms.extend(_stem(run, language) for run in runs if run != whole)
    terms.append(_stem(whole, language))
    return tuple(dict.fromkeys(terms))


def _part(part: str, language: str) -> str:
    return _number(part) if part[0].isdigit() else _stem(part.lower(), language)


def _stem(word: str, language: str) -> str:
    word = word[:_TERM_CHARACTERS]
    if word.isascii():
        if word.isalpha():
            return str(_stemmer(_LATIN_STEMMERS[language]).stemWord(word))
        return _number(word) if word.isdigit() else word
    for script, algorithm in _SCRIPT_STEMMERS:
        if script.search(word):
            return str(_stemmer(algorithm).stemWord(word)) or word
    return str(_stemmer(_LATIN_STEMMERS[language]).stemWord(word))


def _number(number: str) -> str:
    """3,500.00 and 3500 are one term; so are 05 and 5."""
    plain = number.replace(",", "")
    if plain.count(".") == 1:
        plain = plain.rstrip("0").rstrip(".") or "0"
    return _LEADING_ZEROS.sub("", plain)[:_TERM_CHARACTERS]


def _sub_words(word: str) -> tuple[str, ...]:
    """The word after its pairs of characters: however a question cuts a name, they are found."""
    if len(word) <= 2:
        return (word,)
    pairs = [word[i : i + 2] for i in range(len(word) - 1)]
    return (*pairs, word[:_TERM_CHARACTERS])


def _clusters(text: str) -> list[str]:
    """Characters with the marks that belong to them."""
    clusters: list[str] = []
    for character in text:
        if clusters and unicodedata.category(character) in {"Mn", "Mc"}:
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def tokens(text: str) -> Iterator[Token]:
    """The words of a text in order, with their terms. Punctuation and symbols give none."""
    text = normalize(text)
    runs = (_ASCII_RUNS if text.isascii() else _RUNS).finditer(text)
    language = _latin_language(text)
    for run in runs:
        kind = run.lastgroup or ""
        surface = run.group()
        start = run.start()
        if kind == "word":
            terms = _expand(surface, language)
            if language != "en":
                # A short question does not always show its language: its terms are English stems then.
                terms = tuple(dict.fromkeys((*_expand(surface, "en"), *terms)))
            yield Token(surface, terms, start, run.end(), kind)
        elif kind == "han":
            for word in rjieba.cut(surface, True):
                yield Token(word, _sub_words(word), start, start + len(word), kind)
                start += len(word)
        elif kind == "number":
            yield Token(surface, (_number(surface),), start, run.end(), kind)
        elif kind in {"hangul", "katakana"}:
            yield Token(surface, _sub_words(surface[: 16 * _TERM_CHARACTERS]), start, run.end(), kind)
        elif kind in {"hiragana", "unspaced"}:
            clusters = list(surface) if kind == "hiragana" else _clusters(surface)
            pairs = ["".join(clusters[i : i + 2]) for i in range(len(clusters) - 1)] or [surface]
            for i, pair in enumerate(pairs):
                yield Token(
                    pair, (pair[:_TERM_CHARACTERS],), start + i, min(run.end(), start + i + len(pair)), kind
                )
        else:
            yield Token(surface, (surface,), start, run.end(), kind)


def _latin_language(text: str) -> str:
    sample = _LATIN_WORDS.findall(fold(text[: 8 * _LANGUAGE_SAMPLE_WORDS].lower()))
    return detect_latin(sample[:_LANGUAGE_SAMPLE_WORDS])


_LATIN_WORDS = re.compile("[a-z]+")


def words(text: str) -> str:
    """The terms of a text, one space between them: what a store indexes and never analyses again."""
    if not text.isascii() or (language := _latin_language(text)) != "en":
        return " ".join([term for token in tokens(text) for term in token.terms])
    # Most text that is written in English, without the cost of tokens (three times as fast).
    terms: list[str] = []
    for surface in _ASCII_SURFACES.findall(text):
        known = _expanded.get((surface, language))
        terms.extend(known if known is not None else _expand(surface, language))
    return " ".join(terms)


def is_stop_word(token: Token, language: str = "en") -> bool:
    """Whether the word says nothing about a topic. Upper-case abbreviations (US, WHO, IT) always do."""
    if token.kind == "han":
        return token.surface in stop_words("zh")
    if token.kind == "hiragana":
        return True
    surface = token.surface
    if len(surface) > 1 and surface.isupper() and surface.isalpha():
        return False
    return fold(surface.lower()) in stop_words(language)


# What is measured after "how": it names the kind of answer, and texts that hold the answer rarely say it.
_MEASURES = frozenset(
    (
        "big",
        "deep",
        "far",
        "fast",
        "heavy",
        "high",
        "large",
        "long",
        "often",
        "old",
        "quickly",
        "soon",
        "tall",
        "wide",
    )
)


def content_tokens(found: Sequence[Token], language: str = "en") -> list[Token]:
    """The words that say what a question is about: no stop words, and of "how long" neither."""
    previous = ""
    kept: list[Token] = []
    for token in found:
        surface = token.surface.lower()
        if not is_stop_word(token, language) and not (previous == "how" and surface in _MEASURES):
            kept.append(token)
        previous = surface
    return kept
