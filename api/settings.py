"""Typed settings: defaults < conf/ragd.yaml < RAGD_* environment < command line.

Every field says what it does; `docs/settings.md` is written from here (docs/generate.py).
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from rag.models.factories import factories


class SettingsError(Exception):
    """A setting is unknown or has an impossible value; the text names it and what would be right."""


class Section(BaseModel):
    """A group of settings: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(Section):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(9380, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    status_codes: Literal["ragflow", "semantic"] = Field(
        "ragflow",
        description="status of refusals: `ragflow` sends 200 with a code in the body, as RAGFlow's clients "
        "expect; `semantic` sends 400, 403, 404, 409, ...",
    )
    max_body_bytes: int = Field(1_073_741_824, ge=1024, description="largest request body, in bytes")
    max_json_bytes: int = Field(
        16_777_216, ge=1024, description="largest request body that is not a file upload, in bytes"
    )
    max_header_bytes: int = Field(65_536, ge=1024, description="largest request head, in bytes")
    header_timeout_s: float = Field(10, gt=0, description="seconds in which a request head must arrive")
    body_timeout_s: float = Field(60, gt=0, description="seconds that may pass between two pieces of a body")
    keep_alive_s: float = Field(75, gt=0, description="seconds that an idle connection is kept")
    shutdown_timeout_s: float = Field(5, gt=0, description="seconds in which open requests must end at exit")
    max_connections: int = Field(2048, ge=1, description="open connections; more are answered 503")
    rate_limit_per_minute: int = Field(0, ge=0, description="requests a minute for each API key; 0: no limit")
    cors_origins: list[str] = Field(["*"], description="origins that browsers may call from")


class LogSettings(Section):
    """Logging."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe level shown"
    )
    format: Literal["text", "json"] = Field("text", description="`json`: one object per line")


class DatabaseSettings(Section):
    """Rows: accounts, datasets, documents, chats."""

    queue_limit: int = Field(512, ge=1, description="database calls that may wait; more are answered 503")


class StorageSettings(Section):
    """Uploaded files."""

    reserve_mb: int = Field(
        100,
        ge=0,
        description="megabytes left free on the disk: uploads are refused before rows and indexes fail",
    )
    max_files_per_user: int = Field(0, ge=0, description="documents that a tenant may hold; 0: no limit")


class ExecutorSettings(Section):
    """Workers that parse documents."""

    workers: int | None = Field(None, ge=0, le=64, description="worker processes; unset: cores, at most 4")
    attempts: int = Field(3, ge=1, le=10, description="tries for each task before its document is FAIL")
    lease_s: float = Field(
        30, gt=1, description="seconds without a sign of life after which a task is given on"
    )
    time_limit_s: float = Field(1800, gt=0, description="seconds that one document may take")
    memory_limit_mb: int = Field(2048, ge=256, description="address space that parsing one document may take")
    max_file_bytes: int = Field(134_217_728, ge=1, description="largest file that is parsed, in bytes")
    queue_limit: int = Field(100_000, ge=1, description="documents that may wait; more are answered 503")


class EmbeddingSettings(Section):
    """How chunks become vectors."""

    batch_size: int = Field(64, ge=1, le=2048, description="texts per embedding call")
    cache_mb: int = Field(
        256,
        ge=0,
        description="megabytes of remote models' vectors that are remembered, so that parsing a document again "
        "embeds only what changed; 0: none",
    )


class ProviderSettings(Section):
    """A provider of models that every tenant may use."""

    name: str = Field(
        description="provider part of its model ids: `model@name`", pattern=r"^[^@\s]{1,64}$", max_length=64
    )
    base_url: str = Field(description="address up to and including /v1", pattern=r"^https?://[^\s]+$")
    api_key: SecretStr = Field(SecretStr(""), description="sent as Bearer key")
    chat_models: list[str] = Field([], description="names of its chat models")
    embedding_models: list[str] = Field([], description="names of its embedding models")
    rerank_models: list[str] = Field([], description="names of its rerank models")
    speech_to_text_models: list[str] = Field([], description="names of its transcription models")
    text_to_speech_models: list[str] = Field([], description="names of its speaking models")
    protocol: str = Field(
        "",
        description="provider whose protocol it speaks (`HuggingFace` for TEI, `Jina`, `Cohere`, ...); unset: "
        "that of its own name, else OpenAI's",
    )
    context_tokens: int = Field(8192, ge=512, description="tokens that prompt and reply may have together")
    timeout_s: float = Field(120, gt=0, description="seconds until the first byte of a reply")
    concurrency: int = Field(
        16, ge=1, le=1024, description="calls of one embedding or rerank model at a time; more wait"
    )

    @field_validator("protocol")
    @classmethod
    def _protocol_is_known(cls, protocol: str) -> str:
        known = [name for name in factories() if name != "Builtin"]
        if protocol and protocol not in known:
            raise ValueError(f"no provider {protocol!r} is known{_nearest(protocol, known)}")
        return protocol


class ModelSettings(Section):
    """Models."""

    default_chat: str = Field("builtin-extractive@Builtin", description="chat model of new chats")
    default_embedding: str = Field("wordllama-256@Builtin", description="embedding model of new datasets")
    providers: list[ProviderSettings] = Field(
        [], description="providers that every tenant may use (a list; in the environment: JSON)"
    )
    allow_private_hosts: list[str] = Field(
        [],
        description="private hosts that tenants' own models may be on (a list of names, addresses or networks, "
        "each with or without `:port`; in the environment: JSON), for example `localhost:11434`",
    )

    @field_validator("providers")
    @classmethod
    def _names_are_unique(cls, providers: list[ProviderSettings]) -> list[ProviderSettings]:
        names = ["Builtin", *(provider.name for provider in providers)]
        if taken := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"the name {', '.join(sorted(taken))} is taken: each provider needs one of its own"
            )
        return providers


class RetrievalSettings(Section):
    """Searching."""

    threads: int | None = Field(None, ge=1, le=64, description="threads that search; unset: cores")
    queue_limit: int = Field(512, ge=1, description="searches that may wait; more are answered 503")


class AnsweringSettings(Section):
    """Answers of chats."""

    prompts_dir: Path | None = Field(
        None, description="folder with prompts that replace the built-in ones of the same file names"
    )
    step_timeout_s: float = Field(
        30,
        gt=0,
        description="seconds that one model call before the answer may take (rewriting, keywords, ...)",
    )
    research_timeout_s: float = Field(
        180, gt=0, description="seconds that deep research may take before the answer is written"
    )
    web_search_url: str = Field(
        "https://api.tavily.com",
        description="address of Tavily's search API, for chats that have a key for it",
        pattern=r"^https?://[^\s]+$",
    )


class Settings(Section):
    """Everything that can be set."""

    data_dir: Path = Field(Path("ragd-data"), description="folder for database, files, indexes and secret")
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="signs and encrypts (32 characters or more); unset: made once, kept in the data folder",
    )
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    executor: ExecutorSettings = ExecutorSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    models: ModelSettings = ModelSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answering: AnsweringSettings = AnsweringSettings()


def setting_fields(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, pydantic field) for every setting, in order of declaration."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from setting_fields(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def env_name(path: str) -> str:
    """`http.port` -> `RAGD_HTTP_PORT`."""
    return "RAGD_" + path.upper().replace(".", "_")


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *groups, leaf = path.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
    tree[leaf] = value


def _flatten(
    tree: Mapping[str, Any], known: list[str], source: Path, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    groups = {path.rsplit(".", 1)[0] for path in known if "." in path}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if path in known:
            yield path, value
        elif path in groups:
            if value is not None and not isinstance(value, Mapping):
                raise SettingsError(f"{source}: {path} must hold settings by name, got {value!r}")
            yield from _flatten(value or {}, known, source, f"{path}.")
        else:
            raise SettingsError(f"{source}: unknown setting {path}{_nearest(path, known)}")


def _from_file(file: Path, known: list[str]) -> Iterator[tuple[str, Any]]:
    try:
        tree = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"Cannot read the settings in {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid YAML: {error}") from error
    if tree is None:
        return
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{file} must hold settings by name")
    yield from _flatten(tree, known, file)


def _from_environment(environment: Mapping[str, str], fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    by_name = {env_name(path): path for path in fields}
    for name, text in environment.items():
        if not name.startswith("RAGD_") or name == "RAGD_CONFIG":
            continue
        if name not in by_name:
            raise SettingsError(f"Unknown environment variable {name}{_nearest(name, list(by_name))}")
        path = by_name[name]
        if str(fields[path].annotation).startswith("list"):
            try:
                yield path, json.loads(text)
            except ValueError as error:
                # The text is not shown: models.providers holds API keys.
                raise SettingsError(f"{name} must be a JSON list: {error}") from None
        else:
            yield path, None if text == "" and fields[path].default is None else text


def load_settings(
    config: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Put the settings together; later sources win: file, environment, flags.

    config: the file; unset: `RAGD_CONFIG`, else `conf/ragd.yaml` if there is one.
    flags: dotted path to value; None values are left out. Raises SettingsError.
    """
    environment = os.environ if environment is None else environment
    fields = dict(setting_fields())
    tree: dict[str, Any] = {}
    if config is None and environment.get("RAGD_CONFIG"):
        config = Path(environment["RAGD_CONFIG"])
    default = Path("conf/ragd.yaml")
    if config is not None or default.is_file():
        for path, value in _from_file(config or default, list(fields)):
            _put(tree, path, value)
    for path, value in _from_environment(environment, fields):
        _put(tree, path, value)
    for path, value in (flags or {}).items():
        if value is not None:
            _put(tree, path, value)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from error
    secret = settings.secret_key.get_secret_value()
    if secret and len(secret) < 32:
        raise SettingsError(f"secret_key must have 32 characters or more, got {len(secret)}")
    return settings


def _explain(problem: Any) -> str:
    leaf = problem["loc"][-1] if problem["loc"] else ""
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":  # of a list's items; other names were looked at before
        return f"Setting {path} is unknown{_nearest(str(leaf), list(ProviderSettings.model_fields))}"
    # Providers hold keys, and a key may have been put in a wrong place among them.
    is_shown = not path.startswith(("models.providers", "secret_key")) and isinstance(
        problem["input"], str | int | float
    )
    return f"Setting {path}: {problem['msg']}" + (f", got {problem['input']!r}" if is_shown else "")


def settings_table() -> str:
    """The settings as a Markdown table: name, environment variable, default, meaning."""
    rows = [(path, f"`{env_name(path)}`", field) for path, field in setting_fields()]
    return _table(("setting", "environment", "default", "meaning"), rows)


def providers_table() -> str:
    """What an item of `models.providers` holds, as a Markdown table."""
    rows = [(name, field) for name, field in ProviderSettings.model_fields.items()]
    return _table(("key", "default", "meaning"), rows)


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, *more, field in rows:
        cells = [f"`{name}`", *more, _default_text(field), field.description or ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _default_text(field: Any) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None or default == "":
        return "unset"
    return f"`{json.dumps(default) if isinstance(default, list) else default}`"
