from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag.stores.embedded import open_embedded_store
from rag.stores.protocol import ChunkStore
from tests.rag.stores.suite import ChunkStoreSuite


class TestEmbedded(ChunkStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ChunkStore]:
        async with open_embedded_store(tmp_path / "chunks", role="owner") as store:
            yield store
