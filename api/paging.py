"""Paging and ordering of lists, for the routes whose rules are the same."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from api.http import LooseQuery

MAX_PAGE_SIZE = 1000
MAX_INTEGER = 2**53

SORT_COLUMNS = {
    "create_time": "create_time",
    "update_time": "update_time",
    "create_date": "create_time",
    "update_date": "update_time",
    "name": "name",
    "id": "id",
}

Descending = Annotated[bool, BeforeValidator(lambda text: text not in ("False", "false"))]
"""`False` and `false` are false, everything else is true."""


class PageQuery(LooseQuery):
    """Which page, in which order. Whoever inherits offers the columns in `SORT_COLUMNS`."""

    page: int = Field(1, ge=0, le=MAX_INTEGER, description="1-based; 0 is taken as 1")
    page_size: int = Field(30, ge=0, le=MAX_INTEGER, description="more than 1000 is taken as 1000")
    desc: Descending = True

    @property
    def limit(self) -> int:
        """Rows of the page."""
        return min(self.page_size, MAX_PAGE_SIZE)

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return min((max(self.page, 1) - 1) * self.limit, 2**62)
