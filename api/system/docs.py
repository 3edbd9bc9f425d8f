"""The pages of `/docs`: Swagger UI from its package, so that a browser needs no other server."""

from functools import cache
from pathlib import Path
from typing import Any

ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript; charset=utf-8",
}

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ragd API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Relative, so that the page works behind a proxy that serves it under another path.
START = """SwaggerUIBundle({
  url: "openapi.json?version=3.0",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: true,
  docExpansion: "none",
  tryItOutEnabled: true,
});
"""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@cache
def read_asset(name: str) -> bytes:
    """A file of the page; name is one of ASSETS."""
    if name == "start.js":
        return START.encode()
    from swagger_ui_bundle import swagger_ui_path

    return (Path(str(swagger_ui_path)) / name).read_bytes()


def as_openapi_3_0(description: dict[str, Any]) -> dict[str, Any]:
    """The description for readers that know only OpenAPI 3.0, as the packaged Swagger UI (4.15) does.

    It shows nothing at all of a 3.1 description. What 3.0 has no word for is widened, never narrowed.
    """
    converted: dict[str, Any] = _convert(description)
    converted["openapi"] = "3.0.3"
    converted["info"].get("license", {}).pop("identifier", None)
    return converted


def _convert(node: Any) -> Any:
    if isinstance(node, list):
        return [_convert(item) for item in node]
    if not isinstance(node, dict):
        return node
    is_example = {"example"} & node.keys()
    result = {name: value if name in is_example else _convert(value) for name, value in node.items()}
    if isinstance(result.get("examples"), list):  # of a schema; those of a media type are by name
        examples = result.pop("examples")
        if examples:
            result["example"] = examples[0]
    if "const" in result and not isinstance(result["const"], dict):
        result["enum"] = [result.pop("const")]
    if isinstance(result.get("prefixItems"), list):
        del result["prefixItems"]
        result.setdefault("items", {})
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(result.get(bound), (int, float)) and not isinstance(result.get(bound), bool):
            result[limit] = result[bound]
            result[bound] = True
    _widen_types(result)
    _drop_null(result)
    return result


def _widen_types(schema: dict[str, Any]) -> None:
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return
    del schema["type"]
    others = [kind for kind in kinds if kind != "null"]
    if len(others) == 1:
        schema["type"] = others[0]
    elif others:
        schema["anyOf"] = [{"type": kind} | ({"items": {}} if kind == "array" else {}) for kind in others]
    if "null" in kinds:
        schema["nullable"] = True


def _drop_null(schema: dict[str, Any]) -> None:
    if schema.get("type") == "null":
        del schema["type"]
        schema["nullable"] = True
    for word in ("anyOf", "oneOf"):
        options = schema.get(word)
        if not isinstance(options, list):
            continue
        rest = [option for option in options if option != {"nullable": True}]
        if len(rest) == len(options):
            continue
        schema["nullable"] = True
        if len(rest) == 1:
            del schema[word]
            if "$ref" in rest[0]:
                schema["allOf"] = rest  # 3.0 ignores what stands beside a $ref
            else:
                for name, value in rest[0].items():
                    schema.setdefault(name, value)
        else:
            schema[word] = rest
