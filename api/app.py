"""The application: blueprints, and errors to replies."""

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from quart import Quart, Response, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_cors import cors
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    RequestTimeout,
)
from werkzeug.routing import RequestRedirect

import deepdoc.errors
import rag.errors
from api.chats.routes import blueprint as chats
from api.chats_openai.routes import blueprint as chats_openai
from api.chunks.routes import blueprint as chunks
from api.connection import install
from api.datasets.routes import blueprint as datasets
from api.dify.routes import blueprint as dify
from api.documents.routes import blueprint as documents
from api.errors import (
    AppError,
    BadArgument,
    BodyTimeout,
    BodyTooLarge,
    DiskFull,
    RouteNotFound,
    Unexpected,
    WrongMethod,
    from_rag,
)
from api.http import error_response
from api.llm.routes import blueprint as llm
from api.logs import request_id
from api.retrieval.routes import blueprint as retrieval
from api.sessions.ask_routes import blueprint as questions
from api.sessions.routes import blueprint as sessions
from api.settings import Settings
from api.system.routes import blueprint as system
from api.wiring import Services

log = logging.getLogger(__name__)

BLUEPRINTS = (
    system, datasets, documents, chunks, retrieval, chats, sessions, chats_openai, questions, dify, llm,
)  # fmt: skip


def server_version() -> str:
    """The installed version."""
    try:
        return version("ragd")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


class _App(Quart):
    def raise_routing_exception(self, request: BaseRequestWebsocket) -> NoReturn:
        """Redirect to the path with single slashes; relative, since a proxy may speak another scheme."""
        error = request.routing_exception
        if isinstance(error, RequestRedirect):
            target = urlsplit(error.new_url)
            location = target.path + (f"?{target.query}" if target.query else "")
            raise HTTPException(response=Response("", 308, headers={"Location": location}))
        super().raise_routing_exception(request)


def create_app(settings: Settings) -> Quart:
    """The server's routes without its services; `attach` gives them."""
    app = _App("api", static_folder=None)
    app.config.update(
        RAGD_VERSION=server_version(),
        MAX_CONTENT_LENGTH=settings.http.max_body_bytes,
        BODY_TIMEOUT=None,  # api.connection bounds the wait between two pieces instead
        RESPONSE_TIMEOUT=None,  # a response time-out cuts streams short without an error
    )
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = True
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    _map_errors(app, is_semantic=settings.http.status_codes == "semantic")
    install(app, settings.http)

    _allow_origins(app, settings.http.cors_origins)
    return app


def _allow_origins(app: Quart, origins: list[str]) -> None:
    cors(
        app,
        allow_origin="*" if origins == ["*"] else origins,
        allow_headers=["*"],
        allow_methods=["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"],
    )
    answer_browser = app.after_request_funcs[None].pop()

    @app.after_request
    async def answer(response: Response) -> Response:
        if "Origin" in request.headers:
            return cast(Response, await answer_browser(response))
        # quart-cors takes a quarter of a short request's time to find out that this is all.
        response.headers.add("Vary", "Origin")
        return response


def attach(app: Quart, services: Services) -> None:
    """Give the application its services."""
    app.extensions["ragd"] = services
    app.extensions["ragd.metrics"] = services.parts.metrics


def as_app_error(error: Exception) -> AppError:
    """The refusal that a failure becomes; an unforeseen one is logged with its traceback."""
    match error:
        case AppError():
            return error
        case rag.errors.RagError() | deepdoc.errors.ParseError():
            return from_rag(error)
        case RequestEntityTooLarge():
            return BodyTooLarge("The request body is too large.")
        case RequestTimeout():
            return BodyTimeout("The request body did not arrive in time.")
        case NotFound():
            return RouteNotFound(f"Not Found: {request.path}")
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return WrongMethod(f"{request.method} is not allowed for {request.path}; allowed: {allowed}")
        case HTTPException() if (error.code or 500) < 500:
            return BadArgument(error.description or error.name)
        case OSError() if error.errno == 28:
            return DiskFull()
        case _:
            log.error("unexpected failure", exc_info=error, extra={"path": request.path})
            return Unexpected(f"Internal server error. Please report it with this id: {request_id()}")


def _map_errors(app: Quart, *, is_semantic: bool) -> None:
    async def reply(error: Exception) -> Any:
        return error_response(as_app_error(error), request.path, is_semantic=is_semantic)

    app.register_error_handler(Exception, reply)
    app.register_error_handler(HTTPException, reply)
