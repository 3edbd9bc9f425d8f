from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from suite import ChunkStoreSuite

from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore


class TestEmbedded(ChunkStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ChunkStore]:
        async with open_embedded_store(tmp_path / "chunks", role="owner") as store:
            yield store
