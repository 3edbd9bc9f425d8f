"""Logging: one line per request, the request's id in every line, no credentials in any."""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson

from api.settings import LogSettings


@dataclass(slots=True)
class RequestInfo:
    """What is known of the running request. tenant_id: set once the caller is known, "" before."""

    request_id: str
    tenant_id: str = ""


current_request: ContextVar[RequestInfo | None] = ContextVar("current_request", default=None)
"""The request that the running task works for; copied into the tasks it starts."""

access_log = logging.getLogger("api.access")

_QUIET = ("httpx", "httpcore", "openai", "asyncio", "hypercorn", "uvicorn.access", "python_multipart")
"""Libraries whose INFO lines tell an operator nothing, or repeat ours."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

_SECRETS = re.compile(
    r"""(?P<key>\b(?:ragflow|sk)-)[A-Za-z0-9_-]{8,}
      | (?P<header>\bauthorization\b[\\"'\s]*[:=,][\\"'\s(]*(?:b["'])?(?:(?:bearer|basic)\s+)?)[^\\\s"',)]+
      | (?P<scheme>\b(?:bearer|basic)\s+)(?=[^\s"',)]*[0-9_.~+/=-])[^\s"',)]{8,}""",
    re.IGNORECASE | re.VERBOSE,
)

_SECRET_WORDS = ("ragflow-", "sk-", "authorization", "bearer", "basic")


def request_id() -> str:
    """The running request's id; "" outside of requests."""
    info = current_request.get()
    return "" if info is None else info.request_id


def tell_tenant(tenant_id: str) -> None:
    """From here on the request's lines name the tenant that it works for."""
    info = current_request.get()
    if info is not None:
        info.tenant_id = tenant_id


def redact(text: str) -> str:
    """Blot out API keys and `Authorization` values."""
    folded = text.lower()
    # The expression is 20 times as slow as looking for the words that it needs.
    if not any(word in folded for word in _SECRET_WORDS):
        return text
    return _SECRETS.sub(lambda match: f"{match['key'] or match['header'] or match['scheme']}***", text)


def _tell_request(record: logging.LogRecord) -> bool:
    """Put the request into the record while the task that logs is still the running one."""
    info = current_request.get()
    if info is not None:
        values = record.__dict__
        values.setdefault("request_id", info.request_id)
        if info.tenant_id:
            values.setdefault("tenant_id", info.tenant_id)
    return True


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


class _Formatter(logging.Formatter):
    _second = 0
    _second_text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """`2026-11-21T01:00:00.000Z`."""
        second = int(record.created)
        if second != self._second:
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._second_text}.{int(record.msecs):03d}Z"

    def _trace(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            return self.formatException(record.exc_info)
        return self.formatStack(record.stack_info) if record.stack_info else ""


class TextFormatter(_Formatter):
    """`2026-11-21T01:00:00.000Z INFO api.access: GET /… 200 request_id=…`; control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback on lines of its own."""
        text = f"{record.levelname} {record.name}: {record.getMessage()}"
        for name, value in _extras(record).items():
            text += f" {name}={value}"
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        trace = self._trace(record)
        return redact(f"{self.formatTime(record)} {text}" + (f"\n{trace}" if trace else ""))


class JsonFormatter(_Formatter):
    """One JSON object per line: time, level, logger, message, then what the record brings."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        content: MutableMapping[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        trace = self._trace(record)
        if trace:
            content["traceback"] = trace
        return redact(orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


def configure_logging(settings: LogSettings) -> None:
    """Send everything to standard error in the wanted form; called again it replaces what it did before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    handler.addFilter(_tell_request)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def log_request(method: str, path: str, status: int, elapsed_ms: float) -> None:
    """The request's one line. path: as sent, without the query, which may hold secrets."""
    if not access_log.isEnabledFor(logging.INFO):
        return
    # Not `access_log.info`: looking for the calling line costs more than the rest.
    record = logging.LogRecord(access_log.name, logging.INFO, __file__, 0, "%s %s", (method, path), None)
    record.__dict__["status"] = status
    record.__dict__["ms"] = round(elapsed_ms, 1)
    access_log.handle(record)
