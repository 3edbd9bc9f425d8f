"""Which results of a web search are fit to be shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.web_search import is_public_address, read_pages


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "http://example.com:8080/a?b=c#d", "https://例え.jp/ü", "https://8.8.8.8/x"],
)
def test_public_addresses(url: str) -> None:
    assert is_public_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "ftp://example.com", "file:///etc/passwd", "javascript:alert(1)", "//example.com",
        "http://", "http://localhost", "http://printer", "http://db.internal/", "http://nas.local",
        "http://127.0.0.1", "http://10.0.0.1/", "http://192.168.1.1", "http://169.254.169.254/latest",
        "http://[::1]/", "http://[fd00::1]/", "http://0x7f.1/", "http://2130706433/", "http://127.1/",
        "http://user:pass@example.com/", "http://example.com/a b", "http://example.com/\n", "http://[broken",
        "https://example.com/" + "a" * 3000,
    ],
)  # fmt: skip
def test_other_addresses(url: str) -> None:
    assert not is_public_address(url)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["results", "url", "content", "title", "score"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_any_reply_is_read(reply: Any) -> None:
    for page in read_pages(reply):
        assert is_public_address(page.url)
        assert 0 <= page.score <= 1


def test_at_most_six_pages() -> None:
    results = [{"url": f"https://example.com/{n}", "content": "x" * 20_000} for n in range(9)]
    pages = read_pages({"results": results})
    assert len(pages) == 6
    assert pages[0].title == pages[0].url
    assert len(pages[0].content) == 8000
