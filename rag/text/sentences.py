"""Text to sentences: English, Chinese and what mixes them."""

import re

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
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec|z\.B|bzw|usw|Nr|Str|ex|e\.g|i\.e)$",
    re.IGNORECASE,
)
# A bracket further back than this was never closed.
_MOST_BRACKETED = 300
_NEXT_LOWER = re.compile(r"\s+[a-z,;:]")


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
    if mark == "." and _ABBREVIATION.search(before):
        # "… in the U.S. The next": an initialism before a capital may end a sentence; a title never does.
        return False
    if mark == "." and re.search(r"(?:^|\n)[ \t]*\d{1,3}$", before):
        return False  # "1. First": the number of a list item
    return _NEXT_LOWER.match(text, match.end()) is None


def _is_bracketed(text: str, position: int) -> bool:
    before = text[max(0, position - _MOST_BRACKETED) : position]
    return max(map(before.rfind, "(（")) > max(map(before.rfind, ")）\n。"))
