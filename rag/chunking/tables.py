"""Tables as chunks."""

from collections.abc import Iterator

from deepdoc.tables import joined, row_lines
from rag.chunking.drafts import ChunkDraft
from rag.chunking.merge import CUSTOM_LIMIT, hard_limit
from rag.chunking.splitting import split_long
from rag.chunks import Position
from rag.text.tokens import count_tokens


def table_chunks(html: str, limit: int, positions: list[Position] | None = None) -> Iterator[ChunkDraft]:
    """One chunk per table; one that is far too long is cut between rows, its first row repeated.

    Far too long: over the largest `chunk_token_num` that can be set. A row that is longer still is cut
    as text is.
    """
    most = max(CUSTOM_LIMIT, hard_limit(limit))
    places = positions or []
    if len(html) <= most or count_tokens(html) <= most:
        yield ChunkDraft(html, places, "table")
        return
    opening, rows = row_lines(html)
    header = rows[:1] if rows and count_tokens(opening + rows[0]) * 4 <= most else []
    frame = count_tokens(joined(opening, header))
    open_rows: list[str] = []
    open_tokens = frame
    for row in rows[len(header) :]:
        tokens = count_tokens(row) + 1
        if open_rows and open_tokens + tokens > most:
            yield ChunkDraft(joined(opening, header + open_rows), places, "table")
            open_rows, open_tokens = [], frame
        if frame + tokens > most:
            for part in split_long(row, most):
                if part.strip():
                    yield ChunkDraft(part.strip(), places)
            continue
        open_rows.append(row)
        open_tokens += tokens
    if open_rows:
        yield ChunkDraft(joined(opening, header + open_rows), places, "table")
