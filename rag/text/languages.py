"""Which language a text is in, cheaply: by script, and by its commonest words for Latin and Cyrillic."""

import re
from collections import Counter
from functools import cache
from importlib import resources

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3041-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7af]")
_LETTERS = re.compile(r"[^\W\d_]+")

# A language is told from its function words; a longer sample adds nothing.
_SAMPLE_CHARACTERS = 4000

_SCRIPTS = (
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words that say nothing about a topic, lower case, accents folded, simplified characters.

    language: two letters; empty for languages without a list.
    """
    return _stop_word_lists().get(language, frozenset())


@cache
def _stop_word_lists() -> dict[str, frozenset[str]]:
    path = resources.files("rag.text") / "data" / "stop_words.txt"
    lists: dict[str, set[str]] = {}
    words: set[str] = set()
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            words = lists.setdefault(line.strip("[] "), set())
        elif line and not line.startswith("#"):
            words.update(line.split())
    return {language: frozenset(words) for language, words in lists.items()}


@cache
def _latin_languages_by_word() -> dict[str, tuple[str, ...]]:
    languages: dict[str, list[str]] = {}
    for language, words in _stop_word_lists().items():
        if language in {"zh", "ja", "ru"}:
            continue
        for word in words:
            languages.setdefault(word, []).append(language)
    return {word: tuple(names) for word, names in languages.items()}


def is_chinese(text: str) -> bool:
    """Whether Chinese is what a reader of the text needs: Han characters weigh at least a third of the words.

    Japanese, which uses them too, is told by its kana.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    han = len(_HAN.findall(sample))
    if han == 0 or len(_KANA.findall(sample)) * 5 > han:
        return False
    other_words = sum(1 for run in _LETTERS.findall(_HAN.sub(" ", sample)) if run)
    return han >= other_words


def detect(text: str) -> str:
    """The language in two letters (ISO 639-1): by script first, then by function words; "en" when in doubt."""
    sample = text[:_SAMPLE_CHARACTERS]
    if not sample.isascii():
        if is_chinese(sample):
            return "zh"
        letters = max(1, sum(map(str.isalpha, sample)))
        if len(_KANA.findall(sample)) * 4 > letters:
            return "ja"
        if len(_HANGUL.findall(sample)) * 3 > letters:
            return "ko"
        for language, script in _SCRIPTS:
            if len(script.findall(sample)) * 2 > letters:
                return language
    return detect_latin(_LETTERS.findall(fold(sample.lower())))


def detect_latin(words: list[str]) -> str:
    """The language of words in Latin letters, lower case and folded; "en" unless another one is clearly ahead."""
    by_word = _latin_languages_by_word()
    votes: Counter[str] = Counter()
    for word, count in Counter(words).items():
        if len(word) > 1:  # single letters are names of variables
            for language in by_word.get(word, ()):
                votes[language] += min(count, 3)  # one repeated word is no language
    if not votes:
        return "en"
    language, count = votes.most_common(1)[0]
    return language if count >= 2 and count > votes["en"] else "en"


@cache
def _fold_table() -> dict[int, str]:
    import unicodedata

    table = {ord("ß"): "ss", ord("æ"): "ae", ord("œ"): "oe", ord("ø"): "o", ord("ł"): "l", ord("đ"): "d"}
    table |= {ord("ð"): "d", ord("þ"): "th", ord("ı"): "i", ord("ё"): "е", ord("ς"): "σ", ord("’"): "'"}
    table |= {ord("Æ"): "AE", ord("Œ"): "OE", ord("Ø"): "O", ord("Ł"): "L", ord("Đ"): "D"}
    # Latin and Greek only: elsewhere a mark makes another letter (й, が) or is a vowel (Thai, Hindi).
    for code in (*range(0xC0, 0x250), *range(0x370, 0x400), *range(0x1E00, 0x2000)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base != chr(code) and base.isalpha():
            table.setdefault(code, base)
    return table


def fold(text: str) -> str:
    """Latin and Greek letters without their accents."""
    return text if text.isascii() else text.translate(_fold_table())
