"""Models that tenants registered, and more of their defaults."""

from typing import Any

from api.db.models import TenantModel

_COLUMNS = ("rerank_id", "asr_id", "img2txt_id", "tts_id")


def up(database: Any) -> None:
    """Add what a database of the first schema lacks; a new one has it already."""
    database.create_tables([TenantModel], safe=True)
    there = {column.name for column in database.get_columns("tenant")}
    for name in _COLUMNS:
        if name not in there:
            database.execute_sql(f"ALTER TABLE tenant ADD COLUMN {name} VARCHAR(128) NOT NULL DEFAULT ''")
