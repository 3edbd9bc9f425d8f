from collections.abc import Callable
from pathlib import Path

import pytest

from deepdoc.blocks import Block
from deepdoc.parsers import parse

Read = Callable[..., list[Block]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Parse bytes (or text, as UTF-8) as if they had been uploaded under a name."""

    def read(name: str, content: bytes | str, **options: object) -> list[Block]:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(parse(path, name, **options))

    return read
