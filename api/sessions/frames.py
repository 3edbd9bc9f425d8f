"""How the events of an answer become the frames of a stream, the reply in one piece, and what is stored."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from api.answers import reference_reply, timings_reply
from rag.answering.events import (
    AnswerEvent,
    Done,
    EmptyResponse,
    Failed,
    ReferenceFound,
    Text,
    ThinkingEnded,
    ThinkingStarted,
    ThinkingText,
)

END = {"code": 0, "data": True}


@dataclass(slots=True)
class Record:
    """What was answered so far: what is stored when the answer ends, however it ends.

    Streamed answers are kept as they were streamed, reasoning in `<think>` tags.
    """

    pieces: list[str] = field(default_factory=list)
    reference: dict[str, Any] = field(default_factory=lambda: {"chunks": [], "doc_aggs": []})
    is_thinking: bool = False

    def note(self, event: AnswerEvent, *, is_streamed: bool, is_citing: bool) -> None:
        """Take an event in."""
        match event:
            case ThinkingStarted():
                self.is_thinking = True
                self.pieces.append("<think>")
            case ThinkingEnded():
                self.is_thinking = False
                self.pieces.append("</think>")
            case Text() | ThinkingText() | EmptyResponse():
                self.pieces.append(event.text)
            case Failed():
                self.pieces.append(event.answer_text)
            case ReferenceFound():
                if is_citing:
                    self.reference = reference_reply(event.reference)
            case Done():
                if not is_streamed:
                    self.pieces = [event.cited_answer]
                self.reference = (
                    {"chunks": []} if event.reference is None else reference_reply(event.reference)
                )

    @property
    def content(self) -> str:
        """The answer's text; an open `<think>` is closed."""
        return "".join(self.pieces) + ("</think>" if self.is_thinking else "")


def event_frames(
    event: AnswerEvent, ids: dict[str, str], *, has_datasets: bool, has_timings: bool = False
) -> Iterator[dict[str, Any]]:
    """The frames of an event: deltas, to be joined by the client. ids: of question and session."""
    more: dict[str, Any] = {}
    if not has_datasets:  # RAGFlow sends these two along, and no final frame that has them
        more = {"prompt": "", "created_at": time.time()}
    match event:
        case Text() | ThinkingText():
            yield _delta(event.text, more | ids)
        case Failed():
            yield _delta(event.answer_text, more | ids)
        case ThinkingStarted():
            yield _delta("", {"start_to_think": True} | more | ids)
        case ThinkingEnded():
            yield _delta("", {"end_to_think": True} | more | ids)
        case Done():
            timings = {"timings": timings_reply(event)} if has_timings else {}
            yield {"code": 0, "data": _final(event) | timings | ids}


def _delta(text: str, more: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {"answer": text, "reference": {"chunks": []}, "audio_binary": None, "final": False}
    return {"code": 0, "data": data | more}


def _final(done: Done) -> dict[str, Any]:
    """The last frame: no text but where nothing was found, since all of it was sent.

    cited_answer: the whole text with citations repaired, and inserted where the model wrote none.
    """
    data: dict[str, Any] = {
        "answer": done.answer if done.is_empty_response else "",
        "reference": {} if done.reference is None else reference_reply(done.reference),
        "prompt": done.prompt,
        "created_at": time.time(),
        "final": True,
        "audio_binary": None,
    }
    if done.cited_answer != done.answer:
        data["cited_answer"] = done.cited_answer
    return data


def whole_reply(done: Done, ids: dict[str, str], *, has_timings: bool = False) -> dict[str, Any]:
    """The answer in one piece: citations inserted, no reasoning."""
    timings = {"timings": timings_reply(done)} if has_timings else {}
    return (
        {
            "answer": done.cited_answer,
            "reference": {} if done.reference is None else reference_reply(done.reference),
            "prompt": done.prompt,
            "created_at": time.time(),
            "audio_binary": None,
        }
        | timings
        | ids
    )


def error_frames(message: str) -> list[dict[str, Any]]:
    """The end of a stream that failed; clients read the failure as an answer."""
    data = {"answer": f"**ERROR**: {message}", "reference": []}
    return [{"code": 500, "message": message, "data": data}, END]


def opener_reply(opener: str | None, session_id: str) -> dict[str, Any]:
    """What a request without a question gets: the opener of the session that was opened."""
    return {
        "answer": opener or "",
        "reference": {},
        "audio_binary": None,
        "id": None,
        "session_id": session_id,
    }
