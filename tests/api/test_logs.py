"""Log lines: whole, on one line, with the request's id, without secrets."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.logs import RequestInfo, configure_logging, current_request, log_request, redact, tell_tenant
from api.secrets import new_api_key
from api.settings import LogSettings


class Written:
    """All that was written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What is written; the root logger is as before afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield Written(capsys)
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "message",
    [
        "calling with {key}",
        "headers={{'Authorization': 'Bearer {key}'}}",
        "[(b'authorization', b'Bearer {key}')]",
        "Authorization: Basic {key}",
        "authorization={key}",
        "sent Bearer {key} to the model",
    ],
)
def test_no_key_reaches_a_log(stderr: Written, form: str, message: str) -> None:
    configure_logging(LogSettings(format=form))
    log = logging.getLogger("test")
    for key in (new_api_key(), "sk-proj-0123456789abcdefABCDEF", "dXNlcjpwYXNzd29yZA=="):
        if "calling" in message and key.startswith("dX"):
            continue  # nothing tells that this is a secret
        text = message.format(key=key)
        log.warning(text)
        log.warning("%s", text, extra={"detail": text})
        try:
            raise RuntimeError(text)
        except RuntimeError:
            log.exception("failed")
        assert key not in stderr.getvalue()
    assert "***" in stderr.getvalue()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_redacting_leaves_other_text_alone(text: str) -> None:
    if not re.search("ragflow|sk-|authorization|bearer|basic", text, re.IGNORECASE):
        assert redact(text) == text


def test_ordinary_words_are_not_taken_for_secrets() -> None:
    for text in (
        "a basic understanding of it",
        "the bearer of bad news",
        "ragflow-sdk is a client",
        "risk-free",
    ):
        assert redact(text) == text


def test_a_line_of_text(stderr: Written) -> None:
    configure_logging(LogSettings())
    token = current_request.set(RequestInfo("id-1"))
    try:
        tell_tenant("t1")
        log_request("GET", "/api/v1/datasets", 200, 12.345)
    finally:
        current_request.reset(token)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO api\.access: GET /api/v1/datasets "
        r"status=200 ms=12\.3 request_id=id-1 tenant_id=t1\n",
        stderr.getvalue(),
    )


def test_a_line_of_json(stderr: Written) -> None:
    configure_logging(LogSettings(format="json"))
    token = current_request.set(RequestInfo("id-1"))
    try:
        log_request("GET", "/a", 404, 0.04)
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("x").exception("it\nbroke", extra={"path": "/a"})
    finally:
        current_request.reset(token)
    first, second = (json.loads(line) for line in stderr.getvalue().splitlines())
    assert first["message"] == "GET /a"
    assert (first["status"], first["ms"], first["request_id"], first["level"]) == (404, 0.0, "id-1", "INFO")
    assert second["message"] == "it\nbroke"
    assert second["path"] == "/a"
    assert "ValueError: no" in second["traceback"]


def test_a_message_cannot_forge_a_line(stderr: Written) -> None:
    configure_logging(LogSettings())
    logging.getLogger("x").warning("name %s", "a\n2026-01-01T00:00:00.000Z INFO forged: \x1b[31m\u202eline")
    assert len(stderr.getvalue().splitlines()) == 1
    assert stderr.getvalue().strip().isprintable()


async def test_tasks_of_a_request_carry_its_id(stderr: Written) -> None:
    configure_logging(LogSettings())

    async def work(name: str) -> None:
        current_request.set(RequestInfo(name))
        await asyncio.sleep(0)
        await asyncio.create_task(inner())

    async def inner() -> None:
        logging.getLogger("x").info("inside")

    await asyncio.gather(work("id-1"), work("id-2"))
    assert "request_id=id-1" in stderr.getvalue()
    assert "request_id=id-2" in stderr.getvalue()


def test_the_level_is_kept_and_nothing_comes_twice(stderr: Written) -> None:
    configure_logging(LogSettings(level="WARNING"))
    configure_logging(LogSettings(level="WARNING"))
    logging.getLogger("x").info("quiet")
    log_request("GET", "/", 200, 1)
    logging.getLogger("x").warning("loud")
    assert stderr.getvalue().count("loud") == 1
    assert "quiet" not in stderr.getvalue()
    assert "GET" not in stderr.getvalue()
