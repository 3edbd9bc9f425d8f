"""The first schema."""

from typing import Any

from api.db.models import TABLES


def up(database: Any) -> None:
    """Create all tables."""
    database.create_tables(TABLES, safe=False)
