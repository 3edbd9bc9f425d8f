"""The routes that tell about the server, and what holds for every route."""

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from api.app import create_app
from api.openapi import describe_api
from api.settings import load_settings
from api.system.docs import ASSETS, as_openapi_3_0
from tests.api.server.wire import wait_for
from tests.conftest import StartServer
from tests.live import LiveServer


class TestSystem:
    def test_ping(self, live_server: LiveServer) -> None:
        reply = httpx.get(live_server.url + "/v1/system/ping")
        assert (reply.status_code, reply.text) == (200, "pong")
        assert reply.headers["content-type"] == "text/html; charset=utf-8"

    def test_healthz(self, live_server: LiveServer) -> None:
        reply = httpx.get(live_server.url + "/v1/system/healthz")
        assert reply.status_code == 200
        assert reply.json() == {
            "db": "ok", "redis": "ok", "doc_engine": "ok", "storage": "ok", "status": "ok",
        }  # fmt: skip

    def test_healthz_names_the_part_that_does_not_work(self, start_server: StartServer) -> None:
        server = start_server(executor__workers=0)
        files = server.data_dir / "files"
        files.rename(server.data_dir / "moved")
        files.write_text("not a folder")
        reply = httpx.get(server.url + "/v1/system/healthz")
        content = reply.json()
        assert (reply.status_code, content["status"], content["storage"], content["db"]) == (
            500,
            "nok",
            "nok",
            "ok",
        )
        assert list(content["_meta"]) == ["storage"]
        assert float(content["_meta"]["storage"]["elapsed"]) >= 0
        assert content["_meta"]["storage"]["error"] == "Not a directory"
        assert str(server.data_dir) not in reply.text

    def test_version_needs_a_key(self, live_server: LiveServer) -> None:
        assert httpx.get(live_server.url + "/v1/system/version").status_code == 401
        reply = httpx.get(live_server.url + "/v1/system/version", headers=live_server.headers).json()
        assert (reply["code"], reply["message"]) == (0, "success")
        assert reply["data"]

    def test_config(self, live_server: LiveServer) -> None:
        reply = httpx.get(live_server.url + "/v1/system/config").json()
        assert reply == {"code": 0, "data": {"registerEnabled": 0}, "message": "success"}

    def test_metrics(self, live_server: LiveServer) -> None:
        httpx.get(live_server.url + "/v1/system/ping")
        httpx.get(live_server.url + "/no/such/route/ragflow-0123456789")
        text = httpx.get(live_server.url + "/metrics").text
        assert 'ragd_http_requests_total{method="GET",route="/v1/system/ping",status="200"}' in text
        assert 'route="unmatched",status="404"' in text
        assert "ragflow-" not in text
        for name in ("ragd_queue_depth", "ragd_documents", "ragd_chunks", "process_resident_memory_bytes"):
            assert f"\n{name} " in text


class TestDocs:
    def test_the_page_needs_no_other_server(self, live_server: LiveServer) -> None:
        page = httpx.get(live_server.url + "/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "http" not in page.text
        for asset, content_type in ASSETS.items():
            reply = httpx.get(f"{live_server.url}/docs/{asset}")
            assert (reply.status_code, reply.headers["content-type"]) == (200, content_type)
            assert reply.content
        assert "openapi.json" in httpx.get(live_server.url + "/docs/start.js").text

    @pytest.mark.parametrize("asset", ["..%2F..%2Fetc%2Fpasswd", "index.html", "swagger-ui.css.map", "%00"])
    def test_only_its_own_files_are_served(self, live_server: LiveServer, asset: str) -> None:
        assert httpx.get(f"{live_server.url}/docs/{asset}").status_code == 404

    def test_the_packaged_page_reads_the_description(self) -> None:
        """Swagger UI 4 shows nothing of 3.1, so what it gets must be valid 3.0."""
        import schemathesis

        description = describe_api(create_app(load_settings(environment={})), "1")
        converted = as_openapi_3_0(description)
        assert converted["openapi"] == "3.0.3"
        assert set(converted["paths"]) == set(description["paths"])
        schemathesis.openapi.from_dict(converted).validate()

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
            ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
            (
                {"anyOf": [{"$ref": "#/x"}, {"type": "null"}], "description": "d"},
                {"allOf": [{"$ref": "#/x"}], "nullable": True, "description": "d"},
            ),
            ({"const": 0, "type": "integer"}, {"enum": [0], "type": "integer"}),
            (
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            ),
            ({"type": "null"}, {"nullable": True}),
        ],
    )
    def test_words_that_3_0_does_not_know(self, new: dict[str, Any], old: dict[str, Any]) -> None:
        def wrap(schema: dict[str, Any]) -> dict[str, Any]:
            return {"openapi": "3.1.0", "info": {}, "components": {"schemas": {"A": schema}}}

        assert as_openapi_3_0(wrap(new))["components"]["schemas"]["A"] == old


class TestEveryRoute:
    def test_request_ids(self, live_server: LiveServer) -> None:
        url = live_server.url + "/v1/system/ping"
        assert httpx.get(url, headers={"X-Request-ID": "my-id.1"}).headers["x-request-id"] == "my-id.1"
        first, second = (httpx.get(url).headers["x-request-id"] for _ in range(2))
        assert first != second
        for bad in ("a" * 65, "a b", "a;b", '"', ""):
            assert httpx.get(url, headers={"X-Request-ID": bad}).headers["x-request-id"] != bad
        assert (
            httpx.get(live_server.url + "/nope", headers={"X-Request-ID": "my-id.2"}).headers["x-request-id"]
            == "my-id.2"
        )
        wait_for(lambda: "GET /nope status=404" in live_server.log)  # it is written after the reply
        assert "request_id=my-id.2" in live_server.log

    def test_the_log_has_the_tenant_but_no_query_and_no_key(self, live_server: LiveServer) -> None:
        httpx.get(
            live_server.url + "/api/v1/datasets?page_size=7&token=topsecret",
            headers=live_server.headers | {"X-Request-ID": "log-1"},
        )
        [line] = wait_for(lambda: [x for x in live_server.log.splitlines() if "request_id=log-1" in x])
        assert "GET /api/v1/datasets status=200" in line
        assert "tenant_id=" in line
        assert "topsecret" not in live_server.log
        assert live_server.key not in live_server.log

    def test_unknown_route(self, live_server: LiveServer) -> None:
        reply = httpx.get(live_server.url + "/api/v1/nothing?a=b")
        assert reply.status_code == 404
        assert reply.json() == {
            "code": 404,
            "data": None,
            "error": "Not Found",
            "message": "Not Found: /api/v1/nothing",
        }

    def test_wrong_method(self, live_server: LiveServer) -> None:
        reply = httpx.patch(live_server.url + "/api/v1/datasets")
        assert (reply.status_code, reply.json()["code"]) == (405, 100)

    def test_head_is_served_where_get_is(self, live_server: LiveServer) -> None:
        reply = httpx.head(live_server.url + "/api/v1/datasets", headers=live_server.headers)
        assert (reply.status_code, reply.content) == (200, b"")
        assert int(reply.headers["content-length"]) > 2

    def test_options_needs_no_key(self, live_server: LiveServer) -> None:
        reply = httpx.options(live_server.url + "/api/v1/datasets")
        assert (reply.status_code, reply.content) == (200, b"")
        assert {"GET", "HEAD", "POST", "DELETE", "OPTIONS"} <= set(reply.headers["allow"].split(", "))

    @pytest.mark.parametrize("path", ["/v1/system/ping/", "/api/v1/datasets/"])
    def test_a_trailing_slash_is_accepted(self, live_server: LiveServer, path: str) -> None:
        assert httpx.get(live_server.url + path, headers=live_server.headers).status_code == 200

    def test_a_doubled_slash_is_redirected_with_method_and_body(self, live_server: LiveServer) -> None:
        url = live_server.url + "/api//v1/datasets"
        reply = httpx.get(url + "?page=1&name=a%26b")
        assert (reply.status_code, reply.headers["location"]) == (308, "/api/v1/datasets?page=1&name=a%26b")
        made = requests.post(
            url, json={"name": "doubled slash"}, headers=live_server.headers, timeout=10
        ).json()
        assert made["data"]["name"].startswith("doubled slash")

    def test_the_base_url_of_a_client_may_end_in_a_slash(self, live_server: LiveServer) -> None:
        url = live_server.url + "//api/v1/datasets"
        made = requests.post(
            url, json={"name": "leading slash"}, headers=live_server.headers, timeout=10
        ).json()
        assert made["data"]["name"].startswith("leading slash")

    def test_a_redirect_stays_on_this_server(self, live_server: LiveServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", live_server.port, timeout=5)
        connection.request("GET", "//evil.example//v1/system/ping")
        reply = connection.getresponse()
        assert "evil.example" not in (reply.getheader("Location") or "")
        connection.close()


class TestCors:
    def test_without_an_origin(self, live_server: LiveServer) -> None:
        reply = httpx.get(live_server.url + "/v1/system/ping")
        assert reply.headers["vary"] == "Origin"
        assert not [name for name in reply.headers if name.startswith("access-control")]

    @pytest.mark.parametrize("path", ["/v1/system/ping", "/api/v1/datasets", "/nope"])
    def test_with_an_origin(self, live_server: LiveServer, path: str) -> None:
        reply = httpx.get(live_server.url + path, headers={"Origin": "https://app.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-expose-headers"] == '""'
        assert "access-control-allow-credentials" not in reply.headers

    def test_preflight(self, live_server: LiveServer) -> None:
        reply = httpx.options(
            live_server.url + "/api/v1/datasets",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        )
        assert (reply.status_code, reply.content) == (200, b"")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-headers"] == "authorization, content-type"
        assert reply.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS, PUT, PATCH, DELETE"

    def test_only_configured_origins(self, start_server: StartServer) -> None:
        server = start_server(executor__workers=0, http__cors_origins=["https://a.example"])
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            reply = httpx.get(server.url + "/v1/system/ping", headers={"Origin": origin})
            assert reply.headers.get("access-control-allow-origin") == allowed
            assert reply.headers["vary"] == "Origin"


def test_node_reads_the_start_script(live_server: LiveServer, tmp_path: Path) -> None:
    """The page's own script is valid and asks for the 3.0 description."""
    script = httpx.get(live_server.url + "/docs/start.js").text
    file = tmp_path / "start.js"
    file.write_text(
        f"let asked; const SwaggerUIBundle = o => {{ asked = o }};\n{script}\nconsole.log(JSON.stringify(asked));"
    )
    try:
        done = subprocess.run(["node", str(file)], check=True, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("node is not installed")
    assert json.loads(done.stdout)["url"] == "openapi.json?version=3.0"


def test_the_root_leads_to_the_documentation(live_server: LiveServer) -> None:
    reply = httpx.get(live_server.url)
    assert (reply.status_code, reply.headers["location"]) == (302, "docs")
    followed = httpx.get(live_server.url, follow_redirects=True)
    assert (followed.status_code, followed.url.path) == (200, "/docs")
