"""Text as it may go into a database, an index and a prompt."""

import re

# C0 and C1 controls but tab and newline, BOM, noncharacters, lone surrogates. Marks of direction
# (U+200E, U+200F, U+202A to U+202E), joiners and soft hyphens are text and stay.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_WHITE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Without control characters, every kind of line end as a newline; nothing else is touched."""
    return _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))


def squeeze(text: str) -> str:
    """Clean, with every run of white space as one space; stripped."""
    return _WHITE.sub(" ", clean(text)).strip()


def squeeze_lines(text: str) -> str:
    """Clean, with runs of blanks as one space; line ends stay, each line stripped, blank ones dropped."""
    lines = (_SPACES.sub(" ", line).strip() for line in clean(text).split("\n"))
    return "\n".join(line for line in lines if line)
