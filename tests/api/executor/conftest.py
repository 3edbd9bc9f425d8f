"""An office per test: nothing of one is left to the next."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.executor.office import Office, open_office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Two workers, leases of two seconds; nothing works before `office.working()`."""
    async with open_office(tmp_path) as office:
        yield office
