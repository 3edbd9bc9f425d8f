"""Models that tenants registered, and more of their defaults."""

from typing import Any

from peewee import BigIntegerField, BooleanField, CharField, IntegerField, Model, TextField

COLUMNS = ("rerank_id", "asr_id", "img2txt_id", "tts_id")


class Row(Model):
    id = CharField(32, primary_key=True)
    create_time = BigIntegerField(index=True)
    update_time = BigIntegerField(index=True)

    class Meta:
        legacy_table_names = False


class TenantModel(Row):
    tenant_id = CharField(32)
    provider = CharField(128)
    name = CharField(128)
    kind = CharField(32)
    sealed_key = TextField(default="")
    base_url = CharField(1024, default="")
    context_tokens = IntegerField(default=8192)
    options = TextField(default="{}")
    is_enabled = BooleanField(default=True)
    used_tokens = BigIntegerField(default=0)

    class Meta:
        indexes = ((("tenant_id", "provider", "kind", "name"), True),)


def up(database: Any) -> None:
    """Add the table and the columns."""
    with database.bind_ctx([TenantModel]):
        database.create_tables([TenantModel], safe=False)
    for name in COLUMNS:
        database.execute_sql(f"ALTER TABLE tenant ADD COLUMN {name} VARCHAR(128) NOT NULL DEFAULT ''")
