"""The lines of a document's `progress_msg`, as clients know them."""

import time

MAX_CHARACTERS = 3000
PAGES = "Page(1~100000001): "
"""Pages of a task as RAGFlow writes them for a whole file; our tasks are always whole files."""


def progress_line(text: str, *, has_pages: bool = True) -> str:
    """`HH:MM:SS Page(1~100000001): text`, UTC."""
    return f"{time.strftime('%H:%M:%S', time.gmtime())} {PAGES if has_pages else ''}{text}"


def error_line(text: str) -> str:
    """A line that says why it failed."""
    return progress_line(f"[ERROR]{text}")


def with_lines(message: str, *lines: str) -> str:
    """The message with lines added; its oldest lines go where it becomes longer than clients expect."""
    text = "\n".join((message, *lines)) if message else "\n".join(lines)
    if len(text) <= MAX_CHARACTERS:
        return text
    text = text[-MAX_CHARACTERS:]
    start = text.find("\n") + 1
    return text[start:] if 0 < start < len(text) else text
