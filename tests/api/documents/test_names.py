"""Names and folders as clients send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.db.datasets import free_name
from api.documents.names import clean_folder, clean_name


@pytest.mark.parametrize(
    ("sent", "clean"),
    [
        ("a\x00b\x07\n.txt", "ab.txt"),
        ("a\ud800.txt", "a.txt"),
        ("C:\\docs\\x.txt", "x.txt"),
        ("..", ""),
        ("a/", ""),
        ("  a.txt ", "a.txt"),
    ],
)
def test_clean_name(sent: str, clean: str) -> None:
    assert clean_name(sent) == clean


@given(st.text())
def test_a_clean_name_is_a_plain_one(name: str) -> None:
    clean = clean_name(name)
    assert "/" not in clean
    assert "\x00" not in clean
    assert clean not in (".", "..")
    assert clean.encode().decode() == clean
    assert clean_name(clean) == clean


@pytest.mark.parametrize(
    ("sent", "clean"), [("/a\\b/../c d/", "a/b/cd"), ("../..", ""), ("报告/x", "x"), ("", "")]
)
def test_clean_folder(sent: str, clean: str) -> None:
    assert clean_folder(sent) == clean


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80), st.integers(1, 30))
def test_a_free_name_is_new_and_short_enough(name: str, rounds: int) -> None:
    taken: set[str] = set()
    for _ in range(rounds):
        free = free_name(name, taken.__contains__, max_bytes=255)
        assert free not in taken
        assert len(free.encode()) <= max(255, len(name.encode()))
        taken.add(free)
