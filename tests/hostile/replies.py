"""What every refusal must look like, whatever was sent."""

import re
from typing import Any

import httpx

LEAK = re.compile(
    r'Traceback|Error\(|peewee|sqlite|pydantic|orjson|site-packages|File "|\.py\b|/home/|/root/|/tmp/'
    r"|object has no attribute|NoneType|object is not|not JSON serializable|0x[0-9a-f]{8}",
    re.IGNORECASE,
)
"""Words of an interpreter, a library or the machine, which are nobody's business."""


def check(response: httpx.Response, said: str) -> dict[str, Any]:
    """No 5xx, no leak, a code that is a number, and words where it is not 0; returns the envelope."""
    shown = f"{said}: {response.status_code} {response.text[:400]}"
    assert response.status_code < 500, shown
    leak = LEAK.search(response.text)
    assert leak is None, f"{leak and leak.group()} in {shown}"
    if "event-stream" in response.headers["content-type"]:
        return {"code": 0}
    assert response.headers["content-type"] == "application/json", shown
    reply: dict[str, Any] = response.json()
    if "error" in reply and isinstance(reply["error"], dict):  # OpenAI's shape
        assert reply["error"]["message"], shown
        assert response.status_code >= 400, shown
        return {"code": int(reply["error"]["code"]), "message": reply["error"]["message"]}
    if reply.get("object") in ("chat.completion", "list"):  # its successes have no envelope
        return {"code": 0}
    assert type(reply["code"]) is int, shown
    if reply["code"]:
        assert isinstance(reply["message"], str), shown
        assert reply["message"], shown
        assert len(reply["message"]) < 20_000, shown
    return reply
