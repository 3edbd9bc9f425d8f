import time

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from rag.text.tokens import count_tokens, encode, encoding, truncate


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("hello world", 2), ("tiktoken is great!", 6), ("お誕生日おめでとう", 9), ("<|endoftext|>", 7)],
)
def test_published_counts(text: str, count: int) -> None:
    assert count_tokens(text) == count


def test_known_ids() -> None:
    assert encode("hello world") == [15339, 1917]


@given(st.text(max_size=300))
def test_ids_say_the_text(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    assert encoding().decode(encode(clean)) == clean


@given(st.text(max_size=300), st.integers(0, 40))
def test_truncate_is_a_beginning_and_short_enough(text: str, limit: int) -> None:
    text = text.encode("utf-8", "replace").decode("utf-8")
    cut = truncate(text, limit)
    assert text.startswith(cut)
    assert count_tokens(cut) <= limit + 3  # a cut inside a character may merge the rest otherwise
    if count_tokens(text) <= limit:
        assert cut == text


@pytest.mark.parametrize("text", ["a" * 1_000_000, " " * 1_000_000, "中" * 300_000, "=" * 500_000])
def test_long_runs_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    assert count_tokens(text) > 100
    assert time.perf_counter() - started < 5


def test_encoding_is_tiktokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(encoding(), tiktoken.Encoding)
    assert encoding().n_vocab == 100277
