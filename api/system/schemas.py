"""Replies of the system routes."""

from typing import Literal

from pydantic import Field

from api.http import Reply

PartState = Literal["ok", "nok"]


class PartTrouble(Reply):
    """elapsed: milliseconds that the trial took, as text."""

    elapsed: str
    error: str


class HealthReply(Reply):
    """Which parts work."""

    db: PartState
    redis: PartState = Field(description="the task queue, whatever holds it")
    doc_engine: PartState
    storage: PartState
    status: PartState
    meta: dict[str, PartTrouble] = Field({}, alias="_meta", description="only where something is wrong")
