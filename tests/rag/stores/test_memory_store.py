import pytest
from memory import MemoryChunkStore
from suite import ChunkStoreSuite


class TestMemory(ChunkStoreSuite):
    @pytest.fixture
    async def store(self):
        return MemoryChunkStore()
