"""Token counts by cl100k_base, from a file in the install; nothing is fetched."""

import base64
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

import tiktoken

# The published pattern and special ids of cl100k_base (OpenAI, tiktoken, MIT).
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_SPECIAL_TOKENS = {
    "<|endoftext|>": 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
}

# tiktoken merges a run without a break in quadratic time (a million "a" take minutes): runs are cut.
_RUN_CHARACTERS = 2000
_LONG_RUN = re.compile(rf"\S{{{_RUN_CHARACTERS},}}|\s{{{_RUN_CHARACTERS},}}")


@cache
def encoding() -> tiktoken.Encoding:
    """The encoding; made once, on first use (0.1 s)."""
    ranks: dict[bytes, int] = {}
    path = resources.files("rag.text") / "data" / "cl100k_base.tiktoken"
    for line in path.read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(
        "cl100k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens=_SPECIAL_TOKENS
    )


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that tiktoken takes in linear time; one piece nearly always."""
    start = 0
    for match in _LONG_RUN.finditer(text):
        run_start, run_end = match.span()
        if run_start > start:
            yield text[start:run_start]
        for cut in range(run_start, run_end, _RUN_CHARACTERS):
            yield text[cut : min(cut + _RUN_CHARACTERS, run_end)]
        start = run_end
    if start < len(text):
        yield text[start:]


def encode(text: str) -> list[int]:
    """Token ids; special tokens count as the text that they are. Lone surrogates become U+FFFD."""
    encoder = encoding()
    if len(text) < _RUN_CHARACTERS:
        return encoder.encode_ordinary(text)
    return [token for piece in _pieces(text) for token in encoder.encode_ordinary(piece)]


def count_tokens(text: str) -> int:
    """How many cl100k_base tokens the text has."""
    return len(encode(text))


def truncate(text: str, token_count: int) -> str:
    """The longest beginning of the text with at most so many tokens, cut between characters."""
    if token_count <= 0:
        return ""
    # A token is at least one byte and at most a few words: what lies far beyond cannot count.
    encoder = encoding()
    tokens: list[int] = []
    for piece in _pieces(text):
        tokens.extend(encoder.encode_ordinary(piece))
        if len(tokens) > token_count:
            break
    else:
        return text
    return encoder.decode_bytes(tokens[:token_count]).decode("utf-8", "ignore")
