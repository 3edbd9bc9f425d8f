"""A server of the small application."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer, start_process

StartTiny = Callable[..., LiveServer]


@pytest.fixture
def start_tiny(tmp_path: Path) -> Iterator[StartTiny]:
    """`start_tiny(http__header_timeout_s=1)`."""
    started: list[LiveServer] = []

    def start(**flags: Any) -> LiveServer:
        data_dir = tmp_path / f"data{len(started)}"
        settings = {"http.port": 0, "data_dir": str(data_dir)}
        settings |= {name.replace("__", "."): value for name, value in flags.items()}
        server = start_process("tests.api.server.tiny", data_dir, settings)
        started.append(server)
        return server

    yield start
    for server in started:
        with server:
            pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for the tests that only send requests."""
    data_dir = tmp_path_factory.mktemp("tiny") / "data"
    with start_process(
        "tests.api.server.tiny", data_dir, {"http.port": 0, "data_dir": str(data_dir)}
    ) as server:
        yield server
