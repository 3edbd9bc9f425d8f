"""The storage that other tests use keeps the promises too."""

import pytest

from tests.api.storage.memory import MemoryStorage
from tests.api.storage.suite import FileStorageSuite


class TestMemoryStorage(FileStorageSuite):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage()

    @pytest.fixture
    def full_storage(self) -> MemoryStorage:
        return MemoryStorage(capacity=1_000_000)
