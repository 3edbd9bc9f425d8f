"""Query parameters, headers, methods and paths that nobody should send, on every route."""

import json

import httpx
import pytest

from tests.api.client import Api
from tests.hostile.replies import check
from tests.hostile.routes import ROUTES, Route, good_body, make_ids

UNKNOWN = "f00df00de54811f1955e02fc00000001"
DEEP = "[" * 900 + "]" * 900
VALUES = (
    "", " ", "-1", "0", "1e3", "1.5", "+1", "0x10", "١", "NaN", "inf", "-Infinity", "9" * 30, "9" * 400, "true", "None",
    "null", "[]", "{}", "'", '"', "%", "_", "\\", "\x00", "a\x00b", "é" * 50, "\u202e", "x" * 9_000, "1; DROP TABLE x",
    "../../etc/passwd", "\ud800", DEEP, f'{{"conditions": {DEEP}}}', '{"conditions": [{"name": [1]}], "logic": {}}',
    f'{{"conditions": [{{"name": "a", "comparison_operator": "in", "value": {DEEP}}}]}}',
)  # fmt: skip

QUERIES = {name: route for name, route in ROUTES.items() if route.query}
every_query = pytest.mark.parametrize("route", QUERIES.values(), ids=QUERIES)
every_route = pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)


def escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


@every_query
def test_every_parameter_with_every_value(route: Route, api: Api) -> None:
    ids = make_ids(api)
    for parameter in route.query:
        for value in VALUES:
            response = api.http.get(f"{route.url(ids)}?{parameter}={escaped(value)}")
            check(response, f"{parameter}={value[:100]!r}")
        for raw in ("%", "%zz", "%ff%fe", "%ed%a0%80", "%00", "1&" + parameter + "=x", "+", "%u0041"):
            check(api.http.get(f"{route.url(ids)}?{parameter}={raw}"), f"{parameter}={raw}")
    check(api.http.get(f"{route.url(ids)}?{'&'.join(f'f{n}=1' for n in range(5_000))}"), "5000 parameters")
    check(api.http.get(f"{route.url(ids)}?&&=&=1&;a;=%"), "no names")


@every_query
def test_pages_far_outside(route: Route, api: Api) -> None:
    if "page" not in route.query:
        return
    ids = make_ids(api)
    for page in ("1", "10**9", str(2**31), str(2**63 - 1), str(2**63), str(10**30)):
        for size in ("1", "1000000000", str(2**63 - 1), str(2**64)):
            response = api.http.get(route.url(ids), params={"page": page, "page_size": size})
            reply = check(response, f"{page}, {size}")
            if reply["code"] == 0 and page != "1":
                data = reply["data"]
                assert not (data if isinstance(data, list) else data.get("docs", data.get("chunks")))
    assert check(api.http.get(route.url(ids), params={"page": "-1"}), "-1")["code"] == 101
    assert check(api.http.get(route.url(ids), params={"page_size": "-1"}), "-1")["code"] == 101


@every_route
def test_headers(route: Route, api: Api) -> None:
    ids = make_ids(api)
    body = json.dumps(good_body(route, ids)).encode()
    for headers in (
        {"Authorization": "Bearer"}, {"Authorization": ""}, {"Authorization": "Bearer " + "x" * 9_000},
        {"Authorization": b"Bearer \xff\xfe"}, {"Authorization": f"Bearer {api.key}\t extra"},
        {"Content-Encoding": "gzip"}, {"Accept": b"\xff"}, {"X-Request-Id": "x" * 5_000}, {"Origin": "null"},
        {"Content-Type": b"application/json; charset=\xff"}, {"Expect": "something"}, {"Host": "a b"},
        {"Cookie": "session=" + "x" * 5_000}, {"Range": "bytes=5-1,x"}, {"If-Modified-Since": "tomorrow"},
        {"Content-Type": "multipart/form-data; boundary=" + "x" * 5_000}, {"Content-Type": ";;;="},
    ):  # fmt: skip
        content_type = {} if "Content-Type" in headers else {"Content-Type": "application/json"}
        response = api.http.request(
            route.method, route.url(ids), content=body, headers={**content_type, **headers}
        )
        if route.method == "GET" and response.status_code == 200 and route.path.endswith("{document_id}"):
            continue  # the file itself
        if response.status_code != 400 or response.headers.get("content-type") != "text/plain; charset=utf-8":
            check(response, str(headers)[:200])
        if route.method == "DELETE":
            ids = make_ids(api)


@every_route
def test_other_methods(route: Route, api: Api) -> None:
    ids = {"dataset_id": UNKNOWN, "document_id": UNKNOWN, "chunk_id": UNKNOWN[:16], "chat_id": UNKNOWN,
           "session_id": UNKNOWN}  # fmt: skip
    url = route.url(ids)
    known = {other.method for other in ROUTES.values() if other.path == route.path}
    options = api.http.request("OPTIONS", url)
    assert (options.status_code, options.content) == (200, b"")
    assert known <= set(options.headers["allow"].split(", "))
    preflight = httpx.options(
        api.url + url,
        headers={"Origin": "http://a", "Access-Control-Request-Method": route.method,
                 "Access-Control-Request-Headers": "authorization,content-type"},
    )  # fmt: skip
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert route.method in preflight.headers["access-control-allow-methods"]
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "X" * 30):
        if method in known:
            continue
        response = api.http.request(method, url)
        if response.status_code == 400:  # no method of HTTP: the parser refuses it
            continue
        assert response.status_code == 405, (method, response.text)
        check(response, method)
    head = api.http.head(url)
    assert head.content == b""
    # The OpenAI family tells true statuses: there is no such chat.
    found = 404 if route.path.startswith("/api/v1/chats_openai/") else 200
    assert head.status_code == (found if "GET" in known else 405)


@pytest.mark.parametrize(
    "path", ["/api/v1", "/api/v1/nothing", "/api/v2/datasets", "/%00", "/%FF", "/api/v1/datasets/x/y/z", "/x" * 3000,
             "/api/v1/datasets%2F..%2F..", "/api/v1/chats_openai/x", "/%2e%2e/%2e%2e/etc/passwd", "/\u00e9"],
)  # fmt: skip
def test_unknown_routes(path: str, api: Api) -> None:
    for key in (api.key, "wrong"):
        response = httpx.get(api.url + path, headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == 404
        reply = check(response, path)
        assert reply["code"] == 404


def test_semantic_statuses_where_asked_for(start_server: object) -> None:
    """The true status of each kind, for deployments without RAGFlow's clients."""
    server = start_server(http__status_codes="semantic", executor__workers=0)  # type: ignore[operator]
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers) as client:
        dataset_id = client.post("/datasets", json={"name": "d"}).json()["data"]["id"]
        for response, status in (
            (client.post("/datasets", json={"name": 5}), 400),
            (client.get(f"/datasets/{dataset_id}/documents", params={"id": UNKNOWN}), 404),
            (client.put(f"/datasets/{UNKNOWN}", json={"name": "x"}), 403),
            (client.post("/retrieval", json={}), 400),
            (client.get(f"/datasets/{dataset_id}/documents", params={"page": "-1"}), 400),
        ):
            assert response.status_code == status, response.text
            check(response, response.text)
