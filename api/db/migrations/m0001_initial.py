"""The first schema, as it was: it does not follow `api.db.models`."""

from typing import Any

from peewee import BigIntegerField, BooleanField, CharField, FloatField, IntegerField, Model, TextField


class Row(Model):
    id = CharField(32, primary_key=True)
    create_time = BigIntegerField(index=True)
    update_time = BigIntegerField(index=True)

    class Meta:
        legacy_table_names = False


class User(Row):
    email = CharField(255)
    email_key = CharField(255, unique=True)
    nickname = CharField(100)
    password_hash = CharField(255, null=True)
    language = CharField(32, default="English")
    is_active = BooleanField(default=True)
    is_superuser = BooleanField(default=False)


class Tenant(Row):
    name = CharField(100)
    llm_id = CharField(128, default="")
    embd_id = CharField(128, default="")


class Membership(Row):
    tenant_id = CharField(32, index=True)
    user_id = CharField(32, index=True)
    role = CharField(32)


class ApiKey(Row):
    tenant_id = CharField(32, index=True)
    digest = CharField(64, unique=True)
    sealed = TextField()


class Dataset(Row):
    tenant_id = CharField(32, index=True)
    created_by = CharField(32)
    name = CharField(128)
    name_key = CharField(255)
    avatar = TextField(null=True)
    description = TextField(null=True)
    language = CharField(32, default="English")
    permission = CharField(16, default="me")
    embedding_model = CharField(128)
    chunk_method = CharField(32, default="naive")
    pipeline_id = CharField(32, null=True)
    parser_config = TextField(default="{}")
    pagerank = IntegerField(default=0)
    document_count = IntegerField(default=0)
    chunk_count = IntegerField(default=0)
    token_count = IntegerField(default=0)
    similarity_threshold = FloatField(default=0.2)
    vector_similarity_weight = FloatField(default=0.3)

    class Meta:
        indexes = ((("tenant_id", "name_key"), True),)


class Document(Row):
    dataset_id = CharField(32)
    created_by = CharField(32)
    name = CharField(255)
    name_key = CharField(255)
    type = CharField(16)
    suffix = CharField(32, default="")
    size = BigIntegerField(default=0)
    location = CharField(1024)
    storage_key = CharField(255)
    content_hash = CharField(64, default="")
    source_type = CharField(32, default="local")
    thumbnail = TextField(default="")
    chunk_method = CharField(32)
    pipeline_id = CharField(32, null=True)
    parser_config = TextField(default="{}")
    run = CharField(1, default="0")
    progress = FloatField(default=0)
    progress_msg = TextField(default="")
    process_begin_at = BigIntegerField(null=True)
    process_duration = FloatField(default=0)
    chunk_count = IntegerField(default=0)
    token_count = IntegerField(default=0)
    is_enabled = BooleanField(default=True)
    meta_fields = TextField(default="{}")

    class Meta:
        indexes = ((("dataset_id", "name_key"), True), (("dataset_id", "create_time", "id"), False))


class Task(Row):
    kind = CharField(32)
    document_id = CharField(32, index=True, default="")
    dataset_id = CharField(32, index=True, default="")
    size = BigIntegerField(default=0)
    payload = TextField(default="{}")
    state = CharField(16, default="queued")
    attempts = IntegerField(default=0)
    busy_count = IntegerField(default=0)
    lease_count = IntegerField(default=0)
    priority = IntegerField(default=0)
    available_at = BigIntegerField(default=0)
    lease_owner = CharField(255, default="")
    lease_token = CharField(32, default="")
    lease_until = BigIntegerField(default=0)
    is_cancelled = BooleanField(default=False)

    class Meta:
        indexes = ((("state", "priority", "available_at"), False),)


class Chat(Row):
    tenant_id = CharField(32, index=True)
    name = CharField(255)
    name_key = CharField(255)
    description = TextField(default="A helpful Assistant")
    avatar = TextField(default="")
    language = CharField(32, default="English")
    llm_id = CharField(128)
    llm_setting = TextField(default="{}")
    prompt_type = CharField(16, default="simple")
    prompt_config = TextField(default="{}")
    meta_data_filter = TextField(default="{}")
    similarity_threshold = FloatField(default=0.2)
    vector_similarity_weight = FloatField(default=0.3)
    top_n = IntegerField(default=6)
    top_k = IntegerField(default=1024)
    do_refer = CharField(1, default="1")
    rerank_id = CharField(128, default="")
    dataset_ids = TextField(default="[]")
    status = CharField(1, default="1")


class Session(Row):
    chat_id = CharField(32, index=True)
    name = CharField(255)
    user_id = CharField(255, default="")
    messages = TextField(default="[]")
    references = TextField(default="[]")


TABLES = (User, Tenant, Membership, ApiKey, Dataset, Document, Task, Chat, Session)


def up(database: Any) -> None:
    """Create all tables."""
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
