"""Telling reasoning from answer in a model's stream of pieces."""

from collections.abc import Iterator

from rag.answering.events import Text, ThinkingEnded, ThinkingStarted, ThinkingText

ThinkingEvent = ThinkingStarted | ThinkingText | ThinkingEnded | Text

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkingSplitter:
    """Pieces of text and of reasoning in, events out: every start has its end, no piece is lost.

    `<think>` tags may be cut anywhere by piece borders. A `</think>` that nothing opened is dropped.
    """

    def __init__(self) -> None:
        self._is_thinking = False
        self._is_in_block = False  # inside a <think> block of the text
        self._held = ""  # may be the beginning of a tag
        self._skip_space = True  # models put line breaks between reasoning and answer

    def reasoning(self, text: str) -> Iterator[ThinkingEvent]:
        """A piece that the provider marks as reasoning."""
        if text:
            yield from self._think(text)

    def text(self, text: str) -> Iterator[ThinkingEvent]:
        """A piece of the reply's text."""
        text = self._held + text
        self._held = ""
        while text:
            tag, start = _first_tag(text)
            if tag is None:
                cut = _partial_tag_start(text)
                self._held = text[cut:]
                yield from self._plain(text[:cut])
                return
            yield from self._plain(text[:start])
            text = text[start + len(tag) :]
            if tag == _OPEN:
                self._is_in_block = True
            else:
                self._is_in_block = False
                self._skip_space = True

    def end(self) -> Iterator[ThinkingEvent]:
        """The reply is over."""
        held, self._held = self._held, ""
        yield from self._plain(held)
        yield from self._stop_thinking()

    def _plain(self, text: str) -> Iterator[ThinkingEvent]:
        if self._is_in_block:
            if text:
                yield from self._think(text)
            return
        if self._skip_space:
            text = text.lstrip()
        if not text:
            return
        self._skip_space = False
        yield from self._stop_thinking()
        yield Text(text)

    def _think(self, text: str) -> Iterator[ThinkingEvent]:
        if not self._is_thinking:
            self._is_thinking = True
            yield ThinkingStarted()
        yield ThinkingText(text)

    def _stop_thinking(self) -> Iterator[ThinkingEvent]:
        if self._is_thinking:
            self._is_thinking = False
            yield ThinkingEnded()


def _first_tag(text: str) -> tuple[str | None, int]:
    found = [(start, tag) for tag in (_OPEN, _CLOSE) if (start := text.find(tag)) >= 0]
    if not found:
        return None, -1
    start, tag = min(found)
    return tag, start


def _partial_tag_start(text: str) -> int:
    """Where the longest beginning of a tag at the text's end starts; the text's length if there is none."""
    for length in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
        tail = text[-length:]
        if _OPEN.startswith(tail) or _CLOSE.startswith(tail):
            return len(text) - length
    return len(text)
