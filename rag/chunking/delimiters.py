"""Delimiters as users write them. They are literals: no character of them is ever a pattern."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "\\": "\\", "0": "\0"}
_ESCAPE = re.compile(r"\\([ntrfv0\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_CUSTOM = re.compile("`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """custom: strings between backticks; plain: the remaining characters, one by one."""

    custom: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Custom strings and plain characters."""
        return self.custom + self.plain


def read_delimiters(text: str) -> Delimiters:
    r"""`\n` typed as two characters is a newline; "\n。`##`" is two plain characters and one custom string."""
    text = unescape(text)
    custom = tuple(dict.fromkeys(_CUSTOM.findall(text)))
    return Delimiters(custom, tuple(dict.fromkeys(_CUSTOM.sub("", text))))


def unescape(text: str) -> str:
    r"""Replace \n, \t, \\, \x41, \u0041 and the like; anything else stays as it is."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return _ESCAPES[code] if len(code) == 1 else chr(int(code[1:], 16))


def compile_any(delimiters: tuple[str, ...]) -> re.Pattern[str] | None:
    """A pattern that finds any of the strings, the longest first; None when there are none."""
    if not delimiters:
        return None
    longest_first = sorted(delimiters, key=lambda delimiter: (-len(delimiter), delimiter))
    return re.compile("|".join(map(re.escape, longest_first)))


def split_keeping(pattern: re.Pattern[str] | None, text: str) -> Iterator[str]:
    """Pieces of the text, each with its delimiter at its end; joined they are the text."""
    start = 0
    if pattern is not None:
        for match in pattern.finditer(text):
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def split_dropping(pattern: re.Pattern[str] | None, text: str) -> Iterator[str]:
    """Pieces between the delimiters that are not blank."""
    for piece in [text] if pattern is None else pattern.split(text):
        if piece.strip():
            yield piece
