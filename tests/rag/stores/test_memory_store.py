import pytest

from tests.rag.stores.memory import MemoryChunkStore
from tests.rag.stores.suite import ChunkStoreSuite


class TestMemory(ChunkStoreSuite):
    @pytest.fixture
    async def store(self):
        return MemoryChunkStore()
