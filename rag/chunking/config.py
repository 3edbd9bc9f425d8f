"""`parser_config` as chunk methods read it: missing, null and unusable values become defaults."""

from collections.abc import Mapping
from typing import Any

from deepdoc.errors import UnsupportedFile

PLAIN_DELIMITERS = "\n!?。；！？"
_LARGEST_LIMIT = 8192


def token_limit(config: Mapping[str, Any], default: int = 128) -> int:
    """`chunk_token_num`, at least 1."""
    value = config.get("chunk_token_num")
    # `not >=` refuses NaN as well.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        return default
    return int(min(value, _LARGEST_LIMIT))


def text_of(config: Mapping[str, Any], key: str, default: str = "") -> str:
    """A string, or the default."""
    value = config.get(key)
    return value if isinstance(value, str) and value else default


def page_ranges(config: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """`pages`: 1-based start, exclusive end; None when all pages are meant."""
    value = config.get("pages")
    if not isinstance(value, list) or not value:
        return None
    ranges = [
        (max(1, int(pair[0])), int(pair[1]))
        for pair in value
        if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(n, int) for n in pair)
    ]
    return ranges or None


def uses_geometry(config: Mapping[str, Any]) -> bool:
    """`layout_recognize`: True for DeepDOC (text with boxes), False for Plain Text (text alone).

    Raises UnsupportedFile for an engine that is not there.
    """
    value = config.get("layout_recognize", "DeepDOC")
    if value is True or (isinstance(value, str) and value.strip().lower() in ("deepdoc", "true")):
        return True
    if value is None or value is False or (isinstance(value, str) and not value.strip()):
        return False
    if isinstance(value, str) and value.strip().lower() in ("plain text", "plaintext", "naive"):
        return False
    raise UnsupportedFile(
        f"layout_recognize '{value}' is not available in this version; available: DeepDOC, Plain Text. "
        "Change it in the document's parser settings and parse again."
    )
