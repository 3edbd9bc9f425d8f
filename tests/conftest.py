"""Fixtures that every room may use."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer
from tests.live import start_server as _start_server

StartServer = Callable[..., LiveServer]


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One real server for the whole run, with an API key; tests share it, so they use names of their own."""
    with _start_server(tmp_path_factory.mktemp("live") / "data", executor__workers=1) as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start a server of the test's own: `start_server(http__header_timeout_s=1)`; all are ended after the test."""
    started: list[LiveServer] = []
    numbers = itertools.count()

    def start(data_dir: Path | None = None, **flags: Any) -> LiveServer:
        server = _start_server(data_dir or tmp_path / f"data{next(numbers)}", **flags)
        started.append(server)
        return server

    yield start
    for server in started:
        with server:
            pass
