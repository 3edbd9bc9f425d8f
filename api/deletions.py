"""Deleting several things by id: what was done, and how it is reported."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import NotFound
from api.http import LooseBody, Reply


class DeletionBody(LooseBody):
    """What to delete; null, [] or nothing: all."""

    ids: list[str] | None = None


class DeletionReport(Reply):
    """What was done where something was wrong with the ids; absent where nothing was."""

    success_count: int
    errors: list[str]


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """ids: what is deleted, each once. errors: what could not be done in full."""

    ids: list[str]
    errors: list[str]

    @property
    def report(self) -> dict[str, Any] | None:
        """`data` of the reply: nothing where all went as asked."""
        return {"success_count": len(self.ids), "errors": self.errors} if self.errors else None


def plan_deletion(
    wanted: Sequence[str], existing: Collection[str], *, unknown: str, duplicate: str
) -> DeletionPlan:
    """Which of the wanted ids can go. unknown, duplicate: messages with `{id}`.

    Raises NotFound with all messages when none exists. Where some are unknown, duplicates are not told.
    """
    once = list(dict.fromkeys(wanted))
    ids = [id for id in once if id in existing]
    missing = [unknown.format(id=id) for id in once if id not in existing]
    if missing and not ids:
        raise NotFound("; ".join(missing))
    if missing or len(once) == len(wanted):
        return DeletionPlan(ids, missing)
    twice = [id for id, count in Counter(wanted).items() if count > 1]
    return DeletionPlan(ids, [duplicate.format(id=id) for id in twice])
