"""Fixtures of the HTTP tests."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.api.client import Api
from tests.live import LiveServer
from tests.serve import make_account

_numbers = itertools.count()

MakeApi = Callable[[], Api]


@pytest.fixture
def make_api(live_server: LiveServer) -> Iterator[MakeApi]:
    """Clients of the shared server, each with a tenant of its own."""
    made: list[Api] = []

    def make() -> Api:
        account = make_account(live_server.data_dir, f"tenant{next(_numbers)}@example.com")
        made.append(Api(live_server.url, account["key"], account["user_id"]))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """A client with a tenant of its own: what others do is not seen."""
    return make_api()
