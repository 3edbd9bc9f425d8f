"""Text to sentences: English, Chinese, German and what mixes them."""

import re

from rag.text.languages import detect, stop_words

# What is never cut nor joined with its neighbours: a code fence, a heading of markdown.
_BLOCK = re.compile(
    r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)|^[ \t]{0,3}#{1,6}[ \t][^\n]*$", re.MULTILINE | re.DOTALL
)

# A sentence ends after Chinese marks anywhere, after Latin ones before white space, and at a line's end
# where the next line starts anew (blank line, list item, heading, table) or the line ended in a mark.
_END = re.compile(
    r"[。！？；!?…]+[”’」』）)\]\"'》]*(?=[^\s\w]|[\u3000-\u9fff\uff00-\uffef]|\s|$)"
    r"|(?<=[。！？])"
    r"|\.+[”’\"')\]]*(?=\s|$|[\u4e00-\u9fff])"
    r"|\n\s*\n"
    r"|\n(?=[ \t]*(?:[-*+•·#>|]|\d{1,3}[.)、]|[（(]?[一二三四五六七八九十]{1,3}[)）、.]))"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|Rev|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep"
    r"|Hon|No|Nos|Vol|Fig|Figs|Eq|Sec|Ch|pp|p|vs|etc|cf|al|ca|approx|dept|est|Inc|Ltd|Co|Corp|Ave|Blvd|Rd"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec|z\.B|bzw|Nr|Str|ex|e\.g|i\.e|vgl|ggf|evtl|inkl|exkl|zzgl|bspw|insb|sog|geb"
    r"|Mme|Mlle|env|Sra|aprox|núm|pág)$",
    re.IGNORECASE,
)
# These shorten only before a number: "Abs. 2", but "Sie trainiert ihre Abs."
_BEFORE_NUMBER = re.compile(r"(?:^|[\s(])(?:Abs|Art|Kap|Abb|Tab|Bd|Tel|max|min|mind|cap|tél)$", re.IGNORECASE)
_NUMBER_NEXT = re.compile(r"\s+[+\d]")
# These end a sentence where a function word begins the next: "1,5 Mio. Euro", "1,5 Mio. Die Anlage …".
_OPEN_ABBREVIATION = re.compile(r"(?:^|[\s(\d])(?:Mio|Mrd|Tsd|usw|usf|Jh|Jhd|Chr|Std|Mill)$")
_ORDINAL = re.compile(r"(?:(?P<determiner>[^\W\d_]+)[ \t]+|^|\W)\d{1,3}$")
_DETERMINER = re.compile(
    r"am|im|vom|zum|zur|ins|beim|bis|ab|seit|der|die|das|dem|den|des|(?:ein|sein|ihr|unser)(?:e[mnrs]?)?"
    r"|jede[mnrs]?|diese[mnrs]?",
    re.IGNORECASE,
)
_MONTH_NEXT = re.compile(
    r"\s+(?:Januar|Jänner|Februar|März|Maerz|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
    r"|(?:Jan|Feb|Mär|Apr|Jun|Jul|Aug|Sept?|Okt|Nov|Dez)\.)(?!\w)"
)
_WORD_NEXT = re.compile(r"\s+([^\W\d_]+)")
_LANGUAGE_SAMPLE = 200
# A bracket further back than this was never closed.
_MOST_BRACKETED = 300
_NEXT_LOWER = re.compile(r"\s+[a-zà-öø-ÿ,;:]")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences stand, in order, without the white space around them; a code fence is one, a heading too.

    Joined with what lies between, they are the text: nothing but white space is left out.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for block in _BLOCK.finditer(text):
        _add_spans(text, start, block.start(), spans)
        _add(text, block.start(), block.end(), spans)
        start = block.end()
    _add_spans(text, start, len(text), spans)
    return spans


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, in order, stripped, none empty."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _add_spans(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    sentence_start = start
    for match in _END.finditer(text, start, end):
        if match.start() < sentence_start or not _ends_sentence(text, match):
            continue
        _add(text, sentence_start, match.end(), spans)
        sentence_start = match.end()
    _add(text, sentence_start, end, spans)


def _add(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark.startswith("；"):
        return not _is_bracketed(text, match.start())
    if not mark.startswith("."):
        return True
    before = text[max(0, match.start() - 16) : match.start()]
    if mark == "." and (_ABBREVIATION.search(before) or _is_german_short(text, before, match.end())):
        # "… in the U.S. The next": an initialism before a capital may end a sentence; a title never does.
        return False
    if mark == "." and re.search(r"(?:^|\n)[ \t]*\d{1,3}$", before):
        return False  # "1. First": the number of a list item
    return _NEXT_LOWER.match(text, match.end()) is None


def _is_german_short(text: str, before: str, end: int) -> bool:
    """Whether the full stop makes an ordinal ("am 3. Mai", "im 19. Jahrhundert") or ends an abbreviation."""
    if _BEFORE_NUMBER.search(before):
        return _NUMBER_NEXT.match(text, end) is not None
    follows = _WORD_NEXT.match(text, end)
    next_word = follows.group(1).lower() if follows else ""
    if _OPEN_ABBREVIATION.search(before):
        return bool(next_word) and next_word not in stop_words("de")
    ordinal = _ORDINAL.search(before)
    if ordinal is None or not next_word:
        return False
    if _MONTH_NEXT.match(text, end):
        return True
    if not _DETERMINER.fullmatch(ordinal["determiner"] or "") or next_word in stop_words("de"):
        return False
    return detect(text[max(0, end - _LANGUAGE_SAMPLE) : end + _LANGUAGE_SAMPLE]) == "de"


def _is_bracketed(text: str, position: int) -> bool:
    before = text[max(0, position - _MOST_BRACKETED) : position]
    return max(map(before.rfind, "(（")) > max(map(before.rfind, ")）\n。"))
