"""Streams: not cut, kept alive, ended with their client and with the server; a fast one waits for its reader."""

import json
import time

import httpx
import pytest

from tests.api.server.wire import connect, wait_for
from tests.live import LiveServer


def ended(server: LiveServer) -> list[str]:
    reply: list[str] = httpx.get(server.url + "/ended").json()
    return reply


def test_frames(tiny: LiveServer) -> None:
    reply = httpx.get(tiny.url + "/stream/frames?count=3&wait=0")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    *events, done, end = reply.text.split("\n\n")
    assert [json.loads(event.removeprefix("data: "))["n"] for event in events] == [0, 1, 2]
    assert (done, end) == ("data: [DONE]", "")
    # str.splitlines, which clients use, splits at more than line feeds
    assert len(reply.text.splitlines()) == 8
    assert json.loads(events[0].removeprefix("data: "))["text"] == "a\u2028b\u2029c\u0085d"


def test_events_are_sent_when_they_happen(tiny: LiveServer) -> None:
    with httpx.stream("GET", tiny.url + "/stream/paced?count=4&wait=0.2") as reply:
        times = [time.monotonic() for line in reply.iter_lines() if line]
    assert times[3] - times[0] > 0.4


def test_silence_is_filled_with_comments(tiny: LiveServer) -> None:
    reply = httpx.get(tiny.url + "/stream/silent?count=1&wait=0.7&heartbeat=0.2")
    assert reply.text.count(": keep-alive\n\n") == 3
    assert reply.text.endswith("data: [DONE]\n\n")


def test_a_client_that_leaves_ends_the_work(tiny: LiveServer) -> None:
    with httpx.stream("GET", tiny.url + "/stream/left?wait=30") as reply:
        assert next(reply.iter_lines()).startswith("data: ")
    wait_for(lambda: "left" in ended(tiny), 2)


def test_a_client_that_leaves_ends_a_request_without_a_stream(tiny: LiveServer) -> None:
    with connect(tiny) as sock:
        sock.sendall(b"GET /sleep/asleep HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
    wait_for(lambda: "asleep" in ended(tiny), 2)
    wait_for(lambda: "GET /sleep/asleep status=499" in tiny.log)


@pytest.mark.parametrize(("end", "last"), [("openai", "data: [DONE]"), ("session", '"data":true}')])
def test_a_client_that_leaves_after_the_end_got_its_reply(tiny: LiveServer, end: str, last: str) -> None:
    path = f"/stream/whole-{end}?count=1&wait=0&linger=30&end={end}"
    with httpx.stream("GET", tiny.url + path) as reply:
        assert any(line.endswith(last) for line in reply.iter_lines())
    wait_for(lambda: f"GET /stream/whole-{end} status=" in tiny.log)
    assert f"GET /stream/whole-{end} status=200" in tiny.log


def test_a_client_that_leaves_before_the_end_is_told_apart(tiny: LiveServer) -> None:
    with httpx.stream("GET", tiny.url + "/stream/cut?wait=30") as reply:
        assert next(reply.iter_lines()).startswith("data: ")
    wait_for(lambda: "GET /stream/cut status=499" in tiny.log)


def test_a_client_that_leaves_with_requests_in_its_pipeline(tiny: LiveServer) -> None:
    with connect(tiny) as sock:
        sock.sendall(
            b"GET /sleep/piped HTTP/1.1\r\nHost: x\r\n\r\nGET /sleep/never HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        time.sleep(0.1)
    wait_for(lambda: "piped" in ended(tiny), 2)
    assert "never" not in ended(tiny)


def test_head_of_a_stream_starts_no_work(tiny: LiveServer) -> None:
    reply = httpx.head(tiny.url + "/stream/head?wait=30")
    assert (reply.status_code, reply.text) == (200, "")
    assert "head" not in ended(tiny)


def test_a_failure_is_the_last_event_and_in_the_log(tiny: LiveServer) -> None:
    reply = httpx.get(tiny.url + "/broken-stream", headers={"X-Request-ID": "broken-1"})
    assert reply.text == 'data: {"n":0}\n\ndata: {"code":100,"message":"RuntimeError"}\n\n'
    wait_for(lambda: "a stream failed request_id=broken-1" in tiny.log)
    wait_for(lambda: "ragflow-*** broke" in tiny.log)
    assert "secret-secret" not in tiny.log


def test_a_client_that_does_not_read_stops_the_work(tiny: LiveServer) -> None:
    """200 MB are not made for a client that reads nothing."""
    with connect(tiny) as sock:
        sock.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1)
    made = wait_for(lambda: [name for name in ended(tiny) if name.startswith("flood")], 5)
    assert int(made[0].split()[1]) < 50_000
