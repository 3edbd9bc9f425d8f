"""Times and ids as the API shows them."""

import time
import uuid
from email.utils import formatdate
from functools import lru_cache


def now_ms() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A version-1 UUID as 32 lower-case hex digits; clients refuse other versions."""
    return uuid.uuid1().hex


def http_date(time_ms: int | None) -> str | None:
    """`Fri, 17 Oct 2025 15:34:07 GMT` for milliseconds since the epoch; None stays None."""
    return None if time_ms is None else _http_date(time_ms // 1000)


@lru_cache(4096)  # a list of 100 rows shows 200 dates, most of them again and again
def _http_date(time_s: int) -> str:
    return formatdate(time_s, usegmt=True)
