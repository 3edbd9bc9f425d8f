"""The rules of pages that most lists share."""

from hypothesis import given
from hypothesis import strategies as st

from api.paging import MAX_PAGE_SIZE, PageQuery


@given(st.integers(0, 60), st.integers(1, 12))
def test_pages_cover_a_list_once_and_in_order(length: int, size: int) -> None:
    rows = list(range(length))
    seen: list[int] = []
    for number in range(1, length // size + 3):
        query = PageQuery(page=number, page_size=size)
        seen += rows[query.offset : query.offset + query.limit]
    assert seen == rows


@given(st.integers(0, 2**53), st.integers(0, 2**53))
def test_any_page_fits_the_database(page: int, size: int) -> None:
    query = PageQuery(page=page, page_size=size)
    assert 0 <= query.limit <= MAX_PAGE_SIZE
    assert 0 <= query.offset < 2**63


def test_page_0_is_the_first() -> None:
    assert PageQuery(page=0).offset == PageQuery(page=1).offset == 0


@given(st.text())
def test_only_one_word_is_false(text: str) -> None:
    assert PageQuery.model_validate({"desc": text}).desc is (text not in ("False", "false"))
