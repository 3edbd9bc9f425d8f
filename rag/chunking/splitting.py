"""Cutting a text that is too long for one chunk, where it hurts least."""

import re
from collections.abc import Iterator

from rag.text.tokens import count_tokens

# Ends of sentences; a full stop, ! and ? only before white space, for numbers and abbreviations.
_SENTENCE_END = re.compile(r"\n|[。！？；][”’」』）】]*|[.!?;][\"')\]]*(?=\s)")
_SPACE = re.compile(r"\s")

_FEWEST_CHARS = 16


def split_long(text: str, limit: int) -> Iterator[str]:
    """Pieces of at most `limit` tokens; joined they are the text.

    Cut after the last sentence that fits, else at the last space, else between characters, and in the
    second half of what fits, so that pieces are not small. A character of more than `limit` tokens
    stays whole. Time is linear in the length of the text, whatever it holds.
    """
    start, chars_per_token = 0, 4.0
    while start < len(text):
        size = max(1, int(limit * chars_per_token))
        while True:
            window = text[start : start + size]
            tokens = count_tokens(window)
            if tokens <= limit or len(window) == 1:
                break
            # Slightly less than proportion says, so that the next count mostly is the last.
            size = max(1, min(len(window) - 1, int(len(window) * limit / tokens * 0.98)))
        chars_per_token = max(0.25, min(8.0, 1.05 * len(window) / max(1, tokens)))
        end = start + len(window)
        if end < len(text):
            end = start + _best_cut(window, text[end])
        yield text[start:end]
        start = end


def _best_cut(window: str, following: str) -> int:
    """Where to cut inside the window: an offset in its second half, or its end."""
    half = len(window) // 2
    if following.isspace() and len(window) >= _FEWEST_CHARS and window[-1] in ".!?;。！？；":
        return len(window)
    for pattern in (_SENTENCE_END, _SPACE):
        cut = 0
        for match in pattern.finditer(window, half):
            cut = match.end()
        if cut > half:
            return cut
    return len(window)
