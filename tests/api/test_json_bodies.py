"""What a JSON body may cost."""

import json
import time

import pytest

from api.errors import BadArgument
from api.json_bodies import MAX_DEPTH, MAX_ITEMS, MAX_VALUES, kind_of, parse_json


@pytest.mark.parametrize("item", [b"1", b"[]", b"{}", b'{"a":[1]}'])
def test_too_many_values_are_refused_without_parsing(item: bytes) -> None:
    body = b"[" + (item + b",") * (MAX_VALUES + 1) + b"1]"
    start = time.perf_counter()
    with pytest.raises(BadArgument, match="too many values"):
        parse_json(body)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("wrap", ["%s", '{"ids": %s}', '{"a": [1, {"b": [%s]}]}'])
@pytest.mark.parametrize("extra", [0, 1])
def test_a_list_has_a_limit_wherever_it_stands(wrap: str, extra: int) -> None:
    body = (wrap % json.dumps([0] * (MAX_ITEMS + extra))).encode()
    if extra:
        with pytest.raises(BadArgument, match=f"has {MAX_ITEMS + 1} items: at most {MAX_ITEMS}"):
            parse_json(body)
    else:
        assert parse_json(body) == json.loads(body)


def test_an_object_too() -> None:
    with pytest.raises(BadArgument, match="items"):
        parse_json(json.dumps({f"f{n}": n for n in range(MAX_ITEMS + 1)}).encode())


def test_a_long_text_of_commas_is_no_list() -> None:
    text = "a, b, [c], {d}, " * 50_000
    assert parse_json(json.dumps({"content": text}).encode()) == {"content": text}


def test_kinds() -> None:
    kinds = [kind_of(value) for value in ([], {}, "", 1, 1.5, True, None)]
    assert kinds == ["an array", "an object", "a string", "a number", "a number", "a boolean", "null"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    assert parse_json(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 1000):
        with pytest.raises(BadArgument, match=f"at most {MAX_DEPTH} levels"):
            parse_json(nested(depth))
