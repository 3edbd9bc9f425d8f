"""JSON from clients, parsed within bounds: what a body costs is bounded by more than its length."""

from typing import Any

import orjson

from api.errors import BadArgument

MAX_VALUES = 1_000_000
"""16 MB of `[],` would take seconds and hundreds of megabytes; a million values take a third of a second."""

MAX_ITEMS = 65_536
"""In one list or object: each may be wrong, and every wrong one costs the validation far more than a right one."""

MAX_DEPTH = 100
"""Far below what Python's own recursion and orjson's encoder (254) go, which meet the value later."""

_KINDS: dict[type, str] = {
    list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null",
}  # fmt: skip


def parse_json(data: bytes) -> Any:
    """The value. Raises orjson.JSONDecodeError, and BadArgument when it has too many values or levels."""
    # What stands within strings is counted as well: texts hold far fewer.
    openings = data.count(b"[") + data.count(b"{")
    values = openings + data.count(b",")
    if values > MAX_VALUES:
        raise BadArgument(f"The body has too many values: at most {MAX_VALUES} are taken.")
    content = orjson.loads(data)
    if openings > MAX_DEPTH or values > MAX_ITEMS:
        _check_shape(content)
    return content


def kind_of(value: Any) -> str:
    """What a parsed value is in JSON's words: `an array`, `null`, ..."""
    return _KINDS.get(type(value), "an object")


def _check_shape(content: Any) -> None:
    depth = 0
    level = [content] if isinstance(content, list | dict) else []
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadArgument(f"The body is nested too deeply: at most {MAX_DEPTH} levels are taken.")
        deeper: list[Any] = []
        for value in level:
            if len(value) > MAX_ITEMS:
                raise BadArgument(
                    f"A list or object of the body has {len(value)} items: at most {MAX_ITEMS} are taken."
                )
            inner = value.values() if isinstance(value, dict) else value
            deeper += [one for one in inner if isinstance(one, list | dict)]
        level = deeper
