"""JSON columns: compact JSON text."""

from typing import Any

import orjson

from api.errors import BadArgument

MAX_CHARACTERS = 1_000_000


def dump_column(name: str, value: Any) -> str:
    """What a client sent, as the text of a JSON column. Raises BadArgument that names the field."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError as error:  # nested deeper than the encoder goes
        raise BadArgument(f"`{name}` cannot be stored: {error}") from error
    if len(text) > MAX_CHARACTERS:
        raise BadArgument(
            f"`{name}` must have at most {MAX_CHARACTERS:,} characters as JSON, got {len(text):,}"
        )
    return text
