"""Liveness, version, API description."""

from quart import Blueprint, Response, current_app

from api.auth import require_api_key
from api.http import json_response, web_ok
from api.openapi import describe_api, operation

blueprint = Blueprint("system", __name__)


@blueprint.get("/v1/system/ping")
@operation("Answer `pong`", tag="system", auth=False, produces="text/html")
async def ping() -> Response:
    """Whether the server answers at all."""
    return Response("pong", content_type="text/html; charset=utf-8")


@blueprint.get("/v1/system/version")
@operation(
    "The server's version", tag="system", data={"type": "string"}, extra={"message": {"type": "string"}}
)
async def version() -> Response:
    """The version as text."""
    await require_api_key()
    return web_ok(current_app.config["RAGD_VERSION"])


@blueprint.get("/v1/system/config")
@operation(
    "What a client may show before login",
    tag="system",
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


@blueprint.get("/openapi.json")
@operation("This description", tag="system", auth=False, reply={"type": "object"})
async def openapi() -> Response:
    """OpenAPI 3.1."""
    return json_response(describe_api(current_app, current_app.config["RAGD_VERSION"]))
