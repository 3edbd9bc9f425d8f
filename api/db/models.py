"""The tables. Column sizes are those of the API contract; times are milliseconds since the epoch, UTC.

The database is bound when it is opened (`api.db.database`), so importing this connects to nothing.
`*_key` columns hold names folded for comparing without regard to case (`fold_name`), since engines
differ in how they compare. JSON columns hold compact JSON text.
"""

import hashlib
import unicodedata

from peewee import (
    BigIntegerField,
    BooleanField,
    CharField,
    DatabaseProxy,
    FloatField,
    IntegerField,
    Model,
    TextField,
)

database_proxy = DatabaseProxy()

_KEY_CHARACTERS = 255


def fold_name(name: str) -> str:
    """The form in which names are compared: case and accents do not count, at most 255 characters.

    What is longer ends in a digest of the whole, so that long names stay apart.
    """
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    folded = unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))
    if len(folded) <= _KEY_CHARACTERS:
        return folded
    digest = hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return folded[: _KEY_CHARACTERS - len(digest)] + digest


class Row(Model):
    """A row with an id and two times."""

    id = CharField(32, primary_key=True)
    create_time = BigIntegerField(index=True)
    update_time = BigIntegerField(index=True)

    class Meta:
        """All tables live in one database."""

        database = database_proxy
        legacy_table_names = False


class User(Row):
    """A person. Each owns the tenant with the same id."""

    email = CharField(255)
    email_key = CharField(255, unique=True)
    nickname = CharField(100)
    password_hash = CharField(255, null=True)
    language = CharField(32, default="English")
    is_active = BooleanField(default=True)
    is_superuser = BooleanField(default=False)


class Tenant(Row):
    """What a user owns, and the models it uses when a request names none."""

    name = CharField(100)
    llm_id = CharField(128, default="")
    embd_id = CharField(128, default="")
    rerank_id = CharField(128, default="")
    asr_id = CharField(128, default="")
    img2txt_id = CharField(128, default="")
    tts_id = CharField(128, default="")


class TenantModel(Row):
    """A model that a tenant registered.

    kind: chat, embedding, rerank, image2text, speech2text, tts. sealed_key: the provider's key, encrypted.
    base_url: "" for the provider's own address. options: JSON, what few providers need besides.
    """

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
        """One of each kind and name."""

        indexes = ((("tenant_id", "provider", "kind", "name"), True),)


class Membership(Row):
    """Who works in whose tenant: role is owner, admin, normal or invite."""

    tenant_id = CharField(32, index=True)
    user_id = CharField(32, index=True)
    role = CharField(32)


class ApiKey(Row):
    """A key acts as the owner of its tenant. digest: HMAC of the key; sealed: the key, encrypted."""

    tenant_id = CharField(32, index=True)
    digest = CharField(64, unique=True)
    sealed = TextField()


class Dataset(Row):
    """A collection of documents that are searched together. Counters equal the sums over its documents."""

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
        """A tenant's names are unique."""

        indexes = ((("tenant_id", "name_key"), True),)


class Document(Row):
    """A file of a dataset.

    run: 0 UNSTART, 1 RUNNING, 2 CANCEL, 3 DONE, 4 FAIL. progress: 0..1, -1 after a failure.
    location: name and folder as the API shows them; storage_key: where the bytes are.
    """

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
        """A dataset's names are unique; lists are ordered by time."""

        indexes = ((("dataset_id", "name_key"), True), (("dataset_id", "create_time", "id"), False))


class Task(Row):
    """A piece of work that survives restarts.

    kind: parse, purge, settle. state: queued, leased; a task that ends is deleted. document_id, dataset_id:
    what it works on ("" where that does not say it); size: bytes of the file; payload: JSON, the rest of what it needs.
    available_at: not before this time; lease_until: after it another executor may take the task.
    attempts: failed tries; busy_count: tries that a busy model or store put off; lease_count: leases in all.
    An executor's writes count only while it holds `lease_token` and the task is not cancelled.
    """

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
        """The queue is read by state, oldest first."""

        indexes = ((("state", "priority", "available_at"), False),)


class Chat(Row):
    """A chat assistant: datasets, a prompt and a model. status "0": deleted."""

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
    """A conversation with a chat. messages, references: JSON lists, one reference per answer."""

    chat_id = CharField(32, index=True)
    name = CharField(255)
    user_id = CharField(255, default="")
    messages = TextField(default="[]")
    references = TextField(default="[]")


TABLES: tuple[type[Row], ...] = (
    User,
    Tenant,
    TenantModel,
    Membership,
    ApiKey,
    Dataset,
    Document,
    Task,
    Chat,
    Session,
)
