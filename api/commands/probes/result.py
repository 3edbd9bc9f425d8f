"""What a probe found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. advice: what to do about a failure."""

    part: str
    state: Literal["ok", "failed", "skipped"]
    detail: str
    advice: str = ""


def ok(part: str, detail: str) -> Finding:
    """It works."""
    return Finding(part, "ok", detail)


def failed(part: str, detail: str, advice: str) -> Finding:
    """It does not."""
    return Finding(part, "failed", detail, advice)


def skipped(part: str, detail: str) -> Finding:
    """There is nothing to try yet."""
    return Finding(part, "skipped", detail)
