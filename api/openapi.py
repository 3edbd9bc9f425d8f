"""The OpenAPI 3.1 description, made from what each route says of itself with `@operation`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from quart import Quart

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

PREFIX = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route is: shown in the API description and checked against the routes by a test.

    body: schema of the JSON body. query: schema of the query parameters. data: schema of `data` in a
    successful reply (None: just a code). reply: schema of a whole reply without envelope. form: multipart
    fields by name. produces: another content type than JSON. errors: (code, message) that clients meet.
    """

    summary: str
    tag: str
    body: type[BaseModel] | None = None
    is_body_required: bool = True
    query: type[BaseModel] | None = None
    data: Any = None
    is_data_optional: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    reply: Any = None
    form: Mapping[str, Any] | None = None
    produces: str = "application/json"
    streams: bool = False
    auth: bool = True
    example: Any = None
    reply_example: Any = None
    errors: Sequence[tuple[int, str]] = ()
    status: int = 200


def operation(summary: str, *, tag: str, **rest: Any) -> Callable[[HandlerT], HandlerT]:
    """Describe a handler; see `Operation`."""

    def mark(handler: HandlerT) -> HandlerT:
        handler.operation = Operation(summary, tag, **rest)  # type: ignore[attr-defined]
        return handler

    return mark


def described_routes(app: Quart) -> list[tuple[str, str, Operation | None, str]]:
    """(path in OpenAPI form, method, description or None, docstring) of every route."""
    routes = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.endswith(".static"):
            continue
        handler = app.view_functions[rule.endpoint]
        path = "".join(f"{{{text}}}" if is_dynamic else text for is_dynamic, text in rule._trace).lstrip("|")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            routes.append((path, method, getattr(handler, "operation", None), handler.__doc__ or ""))
    return sorted(routes)


def _envelope(operation: Operation, data: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"code": {"const": 0, "type": "integer"}}
    required = ["code"]
    if data is not None:
        properties["data"] = data
        if not operation.is_data_optional:
            required.append("data")
    for name, schema in operation.extra.items():
        properties[name] = schema
        required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "A refusal: `code` is for programs, `message` for people.",
        "properties": {
            "code": {"type": "integer", "not": {"const": 0}},
            "message": {"type": "string"},
            "data": {"description": "null or false"},
            "error": {"type": "string"},
        },
        "required": ["code", "message"],
    }


def _openai_error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "A refusal in OpenAI's shape.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
                "required": ["message", "type", "param", "code"],
            }
        },
        "required": ["error"],
    }


def _reference(schema: Any, mode: str) -> Any:
    """`$ref` of a model; `list[Model]` and plain JSON schemas pass through."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return {"$ref": PREFIX.format(model=schema.__name__)}
    if isinstance(schema, list):
        return {"type": "array", "items": _reference(schema[0], mode)}
    return schema


def _models(operations: Sequence[Operation]) -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], str], None] = {}
    for op in operations:
        if op.body is not None:
            wanted[op.body, "validation"] = None
        for shape in (op.data, op.reply):
            inner = shape[0] if isinstance(shape, list) else shape
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                wanted[inner, "serialization"] = None
    _, definitions = models_json_schema(list(wanted), ref_template=PREFIX)  # type: ignore[arg-type]
    found: dict[str, Any] = definitions.get("$defs", {})
    return found


def _parameters(path: str, op: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for part in path.split("/")
        if part.startswith("{")
    ]
    if op.query is not None:
        schema = op.query.model_json_schema(ref_template=PREFIX)
        for name, field_schema in schema.get("properties", {}).items():
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "schema": {key: value for key, value in field_schema.items() if key != "title"},
                    **({"description": field_schema["description"]} if "description" in field_schema else {}),
                }
            )
    return parameters


def _describe(path: str, op: Operation, doc: str) -> dict[str, Any]:
    is_openai = path.startswith("/api/v1/chats_openai/")
    error = {"$ref": PREFIX.format(model="OpenAIError" if is_openai else "Error")}
    if op.reply is not None:
        success: Any = _reference(op.reply, "serialization")
    elif op.produces == "application/json":
        success = _envelope(op, _reference(op.data, "serialization"))
    else:
        success = {"type": "string"}
    content: dict[str, Any] = {}
    if op.produces == "application/json":
        content["application/json"] = {
            "schema": success if is_openai or not op.auth else {"anyOf": [success, error]}
        }
        if op.reply_example is not None:
            content["application/json"]["example"] = op.reply_example
    else:
        content[op.produces] = {"schema": success}
        if op.auth:
            content["application/json"] = {"schema": error}
    if op.streams:
        content["text/event-stream"] = {
            "schema": {"type": "string", "description": "`data: ` and JSON, blank line"}
        }
    described: dict[str, Any] = {
        "summary": op.summary,
        "description": doc.strip(),
        "tags": [op.tag],
        "responses": {
            str(op.status): {"description": "Done, or refused with a code other than 0", "content": content},
            "default": {"description": "Refused", "content": {"application/json": {"schema": error}}},
        },
        "security": [{"key": []}] if op.auth else [],
    }
    if op.errors:
        table = "\n".join(f"| {code} | {text} |" for code, text in op.errors)
        described["description"] += f"\n\n| code | message |\n|---|---|\n{table}"
    parameters = _parameters(path, op)
    if parameters:
        described["parameters"] = parameters
    if op.body is not None:
        body: dict[str, Any] = {"schema": _reference(op.body, "validation")}
        if op.example is not None:
            body["example"] = op.example
        described["requestBody"] = {"required": op.is_body_required, "content": {"application/json": body}}
    if op.form is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": {"type": "object", "properties": dict(op.form)}}},
        }
    return described


def describe_api(app: Quart, version: str) -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, Any] = {}
    operations = []
    for path, method, op, doc in described_routes(app):
        if op is None:
            continue
        operations.append(op)
        described = _describe(path, op, doc)
        words = [part.strip("{}") for part in path.split("/") if part and part not in ("api", "v1")]
        described["operationId"] = "_".join([method.lower(), *(words or ["root"])])
        paths.setdefault(path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ragd",
            "version": version,
            "description": "Knowledge base server. Speaks RAGFlow's HTTP API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _models(operations)
            | {"Error": _error_schema(), "OpenAIError": _openai_error_schema()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}},
        },
    }
