"""Liveness, health, figures, version, API description."""

from typing import Literal

import orjson
from quart import Blueprint, Response, current_app

from api.auth import require_api_key
from api.errors import RouteNotFound
from api.http import LooseQuery, json_response, read_query, web_ok
from api.metrics import CONTENT_TYPE, Metrics
from api.openapi import describe_api, operation
from api.runtime import services
from api.system.docs import ASSETS, HEADERS, PAGE, as_openapi_3_0, read_asset
from api.system.figures import read_figures
from api.system.health import try_parts
from api.system.schemas import HealthReply

blueprint = Blueprint("system", __name__)

TAG = "system"


@blueprint.get("/")
@operation("Go to the documentation", tag=TAG, auth=False, produces="text/html", status=302)
async def root() -> Response:
    """Redirects to `/docs`; relative, since a proxy may put a prefix before it."""
    return Response("", 302, content_type="text/html; charset=utf-8", headers={"Location": "docs"})


@blueprint.get("/v1/system/ping")
@operation("Answer `pong`", tag=TAG, auth=False, produces="text/html")
async def ping() -> Response:
    """Whether the server answers at all."""
    return Response("pong", content_type="text/html; charset=utf-8")


@blueprint.get("/v1/system/healthz")
@operation("Try every part", tag=TAG, auth=False, reply=HealthReply)
async def healthz() -> Response:
    """Status 500, with what is wrong in `_meta`, when a part does not work. `redis` is the task queue."""
    is_ok, reply = await try_parts(services().parts)
    return json_response(reply, 200 if is_ok else 500)


@blueprint.get("/v1/system/version")
@operation("The server's version", tag=TAG, data={"type": "string"}, extra={"message": {"type": "string"}})
async def version() -> Response:
    """The version as text."""
    await require_api_key()
    return web_ok(current_app.config["RAGD_VERSION"])


@blueprint.get("/v1/system/config")
@operation(
    "What a client may show before login",
    tag=TAG,
    auth=False,
    data={
        "type": "object",
        "properties": {"registerEnabled": {"type": "integer"}},
        "required": ["registerEnabled"],
    },
    extra={"message": {"type": "string"}},
)
async def config() -> Response:
    """`registerEnabled` is 0: accounts are made with `ragd user create`."""
    return web_ok({"registerEnabled": 0})


@blueprint.get("/metrics")
@operation("Figures for Prometheus", tag=TAG, auth=False, produces="text/plain")
async def metrics() -> Response:
    """Requests, tasks, models, rows and the process, in Prometheus' text form."""
    figures: Metrics = current_app.extensions["ragd.metrics"]
    figures.show(await read_figures(services()))
    return Response(figures.render(), content_type=CONTENT_TYPE)


class DescriptionQuery(LooseQuery):
    """Query of GET /openapi.json."""

    version: Literal["3.0", "3.1"] = "3.1"


@blueprint.get("/openapi.json")
@operation("This description", tag=TAG, auth=False, query=DescriptionQuery, reply={"type": "object"})
async def openapi() -> Response:
    """OpenAPI 3.1; `version=3.0` for readers that do not know it yet."""
    wanted = read_query(DescriptionQuery).version
    made: dict[str, bytes] = current_app.extensions.setdefault("ragd.openapi", {})
    if wanted not in made:  # 50 ms of work that anybody may ask for
        description = describe_api(current_app, current_app.config["RAGD_VERSION"])
        made[wanted] = orjson.dumps(description if wanted == "3.1" else as_openapi_3_0(description))
    return Response(made[wanted], content_type="application/json")


@blueprint.get("/docs")
@operation("The API's documentation", tag=TAG, auth=False, produces="text/html")
async def docs() -> Response:
    """A page that shows this description and sends requests."""
    return Response(PAGE, content_type="text/html; charset=utf-8", headers=HEADERS)


@blueprint.get("/docs/<asset>")
@operation("A file of the documentation page", tag=TAG, auth=False, produces="text/javascript")
async def docs_asset(asset: str) -> Response:
    """From the installed package."""
    if asset not in ASSETS:
        raise RouteNotFound(f"Not Found: /docs/{asset}")
    headers = HEADERS | {"Cache-Control": "public, max-age=86400"}
    return Response(read_asset(asset), content_type=ASSETS[asset], headers=headers)
