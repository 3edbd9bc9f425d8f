"""Reading requests and writing replies: bodies, queries, envelopes."""

import re
from typing import Any, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from quart import Response, request

from api.errors import AppError, BadArgument
from api.json_bodies import kind_of, parse_json
from api.uploads import read_form

BodyT = TypeVar("BodyT", bound="Body")
QueryT = TypeVar("QueryT", bound="Query")

JSON_OPTIONS = orjson.OPT_NON_STR_KEYS

MAX_PROBLEMS = 100
"""Validation errors that are told; what is wrong is clear by then."""

MAX_MESSAGE_CHARACTERS = 16_384
"""Of a refusal: messages repeat what was sent, which may be megabytes."""


class Body(BaseModel):
    """A JSON body whose schema is enforced: no coercion, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LooseBody(BaseModel):
    """A JSON body of the endpoints that ignore what they do not know; types are still enforced."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Query(BaseModel):
    """Query parameters: text is read as the type wanted; the first of a repeated key counts."""

    model_config = ConfigDict(extra="forbid")


class LooseQuery(BaseModel):
    """Query parameters of the endpoints that ignore unknown ones; an empty value is as good as absent."""

    model_config = ConfigDict(extra="ignore")


class Reply(BaseModel):
    """What a client sees; every key is always sent."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


def json_response(content: Any, status: int = 200) -> Response:
    """A JSON reply; orjson, since Quart's own encoder costs more than the rest of a request."""
    return Response(orjson.dumps(content, option=JSON_OPTIONS), status, content_type="application/json")


def sdk_ok(data: Any = None, **extra: Any) -> Response:
    """Success as most of `/api/v1` sends it: `code`, and `data` unless there is none; never a message."""
    content: dict[str, Any] = {"code": 0}
    if data is not None:
        content["data"] = data
    return json_response(content | extra)


def web_ok(data: Any = None) -> Response:
    """Success as the `/v1` family sends it: `code`, `message` and `data`, always."""
    return json_response({"code": 0, "message": "success", "data": data})


def shown(value: Any) -> str:
    """A value in a message: Python's text form, at most 128 characters."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 128 else text[:125] + "..."


_WORDING = {
    "model_type": "Input should be a valid dictionary or instance of {class_name}",
    "dict_type": "Input should be a valid dictionary",
}


def _message(problem: Any) -> str:
    if problem["type"] == "model_type":
        return _WORDING["model_type"].format(class_name=problem["ctx"]["class_name"])
    if problem["type"] in ("value_error", "assertion_error"):
        return str(problem["msg"]).split(", ", 1)[1]
    return str(problem["msg"])


def refuse_invalid(error: ValidationError, schema: type[BaseModel]) -> NoReturn:
    """Say every validation error on a line of its own: `Field: <…> - Message: <…> - Value: <…>`.

    Declared fields first, in their order, then unknown keys as received.
    """
    order = {field.alias or name: place for place, (name, field) in enumerate(schema.model_fields.items())}
    problems = sorted(
        error.errors(include_url=False),
        key=lambda p: (
            p["type"] == "extra_forbidden",
            order.get(str(p["loc"][0]), 999) if p["loc"] else 1000,
        ),
    )
    lines = [
        f"Field: <{'.'.join(str(part) for part in p['loc'])}> - Message: <{_message(p)}> - Value: <{shown(p['input'])}>"
        for p in problems[:MAX_PROBLEMS]
    ]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"... and {len(problems) - MAX_PROBLEMS} more")
    raise BadArgument("\n".join(lines)) from error


async def _whole_body() -> bytes:
    data = await request.get_data()
    assert isinstance(data, bytes)
    return data


async def read_body(schema: type[BodyT], **extra: Any) -> BodyT:
    """The body by the strict rules of dataset create, update and delete. Raises BadArgument."""
    if request.mimetype != "application/json":
        raise BadArgument(
            f"Unsupported content type: Expected application/json, got {request.headers.get('Content-Type')}"
        )
    try:
        content = parse_json(await _whole_body())
    except orjson.JSONDecodeError as error:
        raise BadArgument("Malformed JSON syntax: Missing commas/brackets or invalid encoding") from error
    if not content:
        content = {}
    if not isinstance(content, dict):
        raise BadArgument(f"Invalid request payload: expected object, got {type(content).__name__}")
    try:
        return schema.model_validate(content | extra)
    except ValidationError as error:
        refuse_invalid(error, schema)


async def read_object() -> dict[str, Any]:
    """The body by the lenient rules of most endpoints: empty is `{}`, forms are flat objects of strings.

    Raises BadArgument when it is neither a JSON object nor a form.
    """
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return dict(await read_form())
    data = await _whole_body()
    if not data.strip():
        return {}
    if request.mimetype != "application/json":
        raise BadArgument(
            f"Expected a JSON object with Content-Type application/json, got Content-Type "
            f"{request.headers.get('Content-Type')}"
        )
    try:
        content = parse_json(data)
    except orjson.JSONDecodeError as error:
        raise BadArgument(f"Malformed JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadArgument(f"The body must be a JSON object, got {kind_of(content)}")
    return content


LooseT = TypeVar("LooseT", bound=BaseModel)


async def read_loose(schema: type[LooseT]) -> LooseT:
    """The lenient body, checked by a schema. Raises BadArgument that names field and value."""
    content = await read_object()
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        refuse_invalid(error, schema)


def read_query(schema: type[LooseT]) -> LooseT:
    """The query parameters, checked by a schema; fields that are lists take repeated keys. Raises BadArgument."""
    content: dict[str, Any] = {}
    is_loose = issubclass(schema, LooseQuery)
    for key in request.args:
        field = schema.model_fields.get(key)
        values = request.args.getlist(key)
        if is_loose:
            values = [value for value in values if value != ""]
            if not values:
                continue
        content[key] = values if field is not None and "list" in str(field.annotation) else values[0]
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        refuse_invalid(error, schema)


_DOWNLOAD_PATH = re.compile(r"/api/v1/datasets/[^/]+/documents/[^/]+/?")
"""RAGFlow's SDK takes a reply of `code` and `message` for a refusal, and any other for the file."""


def error_content(error: AppError, path: str) -> dict[str, Any]:
    """The body of a refusal, in the shape of the family that the path belongs to."""
    message = error.message
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = f"{message[:MAX_MESSAGE_CHARACTERS]}... ({len(message)} characters)"
    if path.startswith("/api/v1/chats_openai/"):
        kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}.get(
            error.status, "server_error" if error.status >= 500 else "invalid_request_error"
        )
        return {"error": {"message": message, "type": kind, "param": None, "code": str(error.reply_code)}}
    content: dict[str, Any] = {"code": error.reply_code, "message": message}
    if error.is_status_sent and not _DOWNLOAD_PATH.fullmatch(path):
        content["data"] = False if error.status == 401 else None
    if error.status == 404 and "data" in content:
        content["error"] = "Not Found"
    return content


def error_response(error: AppError, path: str, *, is_semantic: bool) -> Response:
    """Render a refusal."""
    sends_status = error.is_status_sent or is_semantic or path.startswith("/api/v1/chats_openai/")
    response = json_response(error_content(error, path), error.status if sends_status else 200)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return response
