"""Bodies that nobody should send, to every route that reads one."""

import json
from typing import Any

import httpx
import pytest

from tests.api.client import Api
from tests.hostile.replies import check
from tests.hostile.routes import BODY_ROUTES, Route, good_body, make_ids

JSON = "application/json"
DEPTH = 100_000
MB = 1_000_000

MALFORMED: dict[str, tuple[bytes, str]] = {
    "cut short": (b'{"name": "x', JSON),
    "a comma too many": (b'{"name": "x",}', JSON),
    "single quotes": (b"{'name': 'x'}", JSON),
    "two objects": (b'{"name": "x"} {"name": "y"}', JSON),
    "NaN": (b'{"page": NaN, "temperature": NaN, "pagerank": NaN}', JSON),
    "Infinity": (b'{"page": Infinity, "similarity_threshold": -Infinity}', JSON),
    "not UTF-8": (b'{"name": "\xff\xfe\xfd"}', JSON),
    "surrogates in UTF-8": (b'{"name": "\xed\xa0\x80"}', JSON),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), JSON),
    "a NUL": (b'{"name": "a\x00b"}', JSON),
    "a control character": (b'{"name": "a\nb"}', JSON),
    "deep arrays": (b"[" * DEPTH + b"]" * DEPTH, JSON),
    "deep objects": (b'{"name":' * DEPTH + b"1" + b"}" * DEPTH, JSON),
    "deep and unclosed": (b'{"name":' * DEPTH, JSON),
    "an array": (b'[{"name": "x"}]', JSON),
    "a string": (b'"name"', JSON),
    "a number": (b"17", JSON),
    "true": (b"true", JSON),
    "plain text": (b'{"name": "x"}', "text/plain"),
    "no content type": (b'{"name": "x"}', ""),
    "XML": (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "application/xml"),
    "nonsense as content type": (b'{"name": "x"}', "x" * 300),
    "a form without a boundary": (b"--x\r\n\r\n", "multipart/form-data"),
    "a form with a broken end": (b"--x\r\nno header\r\n", "multipart/form-data; boundary=x"),
}
"""Refused wherever they are sent."""

ODD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", JSON),
    "null": (b"null", JSON),
    "an empty array": (b"[]", JSON),
    "false": (b"false", JSON),
    "UTF-8 with a mark": (b'\xef\xbb\xbf{"name": "x"}', JSON),
    "twice the same key": (b'{"name": "x", "name": 5, "name": [], "name": "y"}', JSON),
    "lone surrogates": (rb'{"name": "\ud800", "question": "\udfff\ud800", "content": "a\ud800b"}', JSON),
    "escaped NUL": (rb'{"name": "a\u0000b", "question": "\u0000", "content": "a\u0000b"}', JSON),
    "unknown fields": (b'{"no_such_field": 1, "__class__": {"a": 1}, "": 2, "__proto__": null}', JSON),
    "a long unknown field": (b'{"' + b"x" * MB + b'": 1}', JSON),
    "many unknown fields": (json.dumps({f"f{n}": n for n in range(20_000)}).encode(), JSON),
    "huge numbers": (b'{"page": 1' + b"0" * 400 + b', "top_k": 1e999, "seed": -1e-999}', JSON),
    "5 MB in a field": (b'{"name": "' + b"x" * 5 * MB + b'"}', JSON),
    "5 MB of items": (b'{"ids": [' + b"1," * 2_500_000 + b"1]}", JSON),
    "60,000 wrong items": (json.dumps({"ids": [1] * 60_000, "document_ids": [{}] * 60_000}).encode(), JSON),
    "5 MB of white space": (b"{" + b" " * 5 * MB + b"}", JSON),
    "a charset that is none": (b'{"name": "x"}', f"{JSON}; charset=klingon"),
    "capitals": (b'{"name": "x"}', "APPLICATION/JSON"),
    "a large form": (b"a=1&" * 1_250_000, "application/x-www-form-urlencoded"),
    "a form": (b"name=x&name=y&question=%00%ff&=&&;", "application/x-www-form-urlencoded"),
}
"""Refused or not, depending on the route; harmless everywhere."""

every_route = pytest.mark.parametrize("route", BODY_ROUTES.values(), ids=BODY_ROUTES)


def send(api: Api, route: Route, ids: dict[str, str], content: bytes, content_type: str) -> httpx.Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return api.http.request(route.method, route.url(ids), content=content, headers=headers)


@every_route
def test_malformed(route: Route, api: Api) -> None:
    ids = make_ids(api)
    before = snapshot(api, ids)
    for name, (content, content_type) in MALFORMED.items():
        reply = check(send(api, route, ids, content, content_type), name)
        assert reply["code"] == 101, (name, reply)
    assert snapshot(api, ids) == before


@every_route
def test_odd(route: Route, api: Api) -> None:
    ids = make_ids(api)
    for name, (content, content_type) in ODD.items():
        reply = check(send(api, route, ids, content, content_type), name)
        if reply["code"] == 0 and route.method == "DELETE":
            ids = make_ids(api)


DEEP = b'{"a":[' * 505 + b"1" + b"]}" * 505
"""Not too deep for the parser, but perhaps for what comes after it."""

WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 10**9, 2**63, -(2**63), 2**64, 1.5, -0.0, 1e308, "", "x", "\x00", "١", "NaN", "x" * 70_000,
    [], [None], [[]], [{}], ["x"], ["x", "x"], [1] * 5_000, {}, {"a": {}}, {"": None}, [{"key": [], "value": {}}],
    {"logic": "nor", "conditions": [{"name": [], "comparison_operator": "~", "value": {}}]}, "DEEP",
)  # fmt: skip


@every_route
def test_every_field_with_every_type(route: Route, api: Api) -> None:
    ids = make_ids(api)
    for field in route.properties:
        for value in WRONG:
            content = json.dumps({**good_body(route, ids), field: value}).encode().replace(b'"DEEP"', DEEP)
            reply = check(send(api, route, ids, content, JSON), f"{field}={str(value)[:200]}")
            if reply["code"] == 0 and (route.method == "DELETE" or field in ("name", "dataset_ids")):
                ids = make_ids(api)


@every_route
def test_bad_ids_in_the_path(route: Route, api: Api) -> None:
    ids = make_ids(api)
    named = [name for name in ids if f"{{{name}}}" in route.path]
    odd = ("x", "0" * 32, "%00", "%FF%FE", "%2e%2e%2fdatasets", "'; DROP TABLE document;--", "*", "é", "x" * 5_000,
           "f00df00de54811f1955e02fc00000001", ids["session_id"].upper())  # fmt: skip
    for name in named:
        for one in odd:
            url = route.url({**ids, name: one})
            response = api.http.request(route.method, url, json=good_body(route, ids))
            assert check(response, url)["code"] != 0, (url, response.text[:200])


def snapshot(api: Api, ids: dict[str, str]) -> Any:
    """What would show that something was changed."""
    path = f"/datasets/{ids['dataset_id']}/documents"
    return [
        api.get("/datasets"),
        api.get(path),
        api.get(f"{path}/{ids['document_id']}/chunks"),
        api.get("/chats"),
        api.get(f"/chats/{ids['chat_id']}/sessions"),
    ]
