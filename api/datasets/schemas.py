"""Bodies, queries and replies of the dataset routes."""

import re
import uuid
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from api.datasets.parser_config import ParserConfig
from api.http import Body, Query, Reply

ChunkMethod = Literal[
    "naive",
    "book",
    "email",
    "laws",
    "manual",
    "one",
    "paper",
    "picture",
    "presentation",
    "qa",
    "table",
    "tag",
]
DatasetName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
LongText = Annotated[str, StringConstraints(max_length=65535)]


def normal_id(value: str) -> str:
    """A version-1 UUID in any notation, as 32 hex digits. Raises ValueError."""
    try:
        parsed = uuid.UUID(value)
    except ValueError as error:
        raise ValueError("Invalid UUID1 format") from error
    if parsed.version != 1:
        raise ValueError("Invalid UUID1 format")
    return parsed.hex


def _avatar(value: str | None) -> str | None:
    if value is None:
        return None
    if "," not in value:
        raise ValueError("Missing MIME prefix. Expected format: data:<mime>;base64,<data>")
    prefix = value.split(",", 1)[0]
    if not prefix.startswith("data:"):
        raise ValueError("Invalid MIME prefix format. Must start with 'data:'")
    allowed = ["image/jpeg", "image/png"]
    if prefix[5:].split(";", 1)[0] not in allowed:
        raise ValueError(f"Unsupported MIME type. Allowed: {allowed}")
    return value


def _model_id(value: str | None) -> str | None:
    if value is None:
        return None
    if "@" not in value:
        raise ValueError("Embedding model identifier must follow <model_name>@<provider> format")
    name, provider = value.split("@", 1)
    if not name or not provider:
        raise ValueError("Both model_name and provider must be non-empty strings")
    if not name.strip() or not provider.strip():
        raise ValueError("Model name and provider cannot be whitespace-only strings")
    return value


def _pipeline_id(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise ValueError("pipeline_id must be hexadecimal")
    return value.lower() if value is not None else None


Avatar = Annotated[LongText | None, AfterValidator(_avatar)]
EmbeddingModelId = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)] | None, AfterValidator(_model_id)
]
PipelineId = Annotated[
    Annotated[str, StringConstraints(min_length=32, max_length=32)] | None, AfterValidator(_pipeline_id)
]


class _DatasetFields(Body):
    name: DatasetName
    avatar: Avatar = None
    description: LongText | None = None
    embedding_model: EmbeddingModelId = Field(None, description="`model@provider`; unset: the default")
    permission: Literal["me", "team"] = "me"
    chunk_method: ChunkMethod = "naive"
    parse_type: Annotated[int, Field(ge=0, le=64)] | None = None
    pipeline_id: PipelineId = None
    parser_config: ParserConfig | None = None

    @field_validator("parser_config")
    @classmethod
    def _config_size(cls, config: ParserConfig | None) -> ParserConfig | None:
        if config is not None:
            size = len(config.model_dump_json())
            if size > 65535:
                raise ValueError(
                    f"Parser config exceeds size limit (max 65,535 characters). Current size: {size:,}"
                )
        return config

    @model_validator(mode="after")
    def _method_or_pipeline(self) -> "_DatasetFields":
        given = {"parse_type": self.parse_type, "pipeline_id": self.pipeline_id}
        present = [name for name, value in given.items() if value is not None]
        if "chunk_method" in self.model_fields_set:
            if present:
                raise ValueError(f"parser_id provided → disallowed fields present: {', '.join(present)}")
        elif len(present) == 1:
            missing = next(name for name in given if name not in present)
            raise ValueError(f"parser_id omitted → required fields missing: {missing}")
        return self


class DatasetCreate(_DatasetFields):
    """Body of POST /api/v1/datasets."""


class DatasetUpdate(_DatasetFields):
    """Body of PUT /api/v1/datasets/{dataset_id}; only what is sent changes."""

    dataset_id: SkipJsonSchema[Annotated[str, AfterValidator(normal_id)]]  # comes from the path
    name: DatasetName = Field("", validate_default=False)
    pagerank: int = Field(0, ge=0, le=100, description="added to the similarity of the dataset's chunks")


def _ids(values: list[str] | None) -> list[str] | None:
    if values is None:
        return None
    ids = [normal_id(value) for value in values]
    twice = (
        [value for value in dict.fromkeys(ids) if ids.count(value) > 1] if len(set(ids)) < len(ids) else []
    )
    if twice:
        raise ValueError(f"Duplicate ids: '{', '.join(twice)}'")
    return ids


class DatasetDelete(Body):
    """Body of DELETE /api/v1/datasets; null deletes all of the caller's datasets."""

    ids: Annotated[list[str] | None, AfterValidator(_ids)]


class DatasetListQuery(Query):
    """Query of GET /api/v1/datasets."""

    page: int = Field(1, ge=1)
    page_size: int = Field(30, ge=1, description="more than 1000 is taken as 1000")
    orderby: Literal["create_time", "update_time"] = "create_time"
    desc: bool = True
    id: Annotated[str, AfterValidator(normal_id)] | None = None
    name: Annotated[str | None, BeforeValidator(lambda name: name or None)] = None


class DatasetReply(Reply):
    """A dataset as clients see it."""

    id: str
    name: str
    avatar: str | None
    description: str | None
    language: str
    tenant_id: str
    created_by: str
    permission: str
    embedding_model: str
    chunk_method: str
    pipeline_id: str | None
    parser_config: dict[str, Any]
    pagerank: int
    document_count: int
    chunk_count: int
    token_num: int
    similarity_threshold: float
    vector_similarity_weight: float
    graphrag_task_id: str | None
    graphrag_task_finish_at: str | None
    raptor_task_id: str | None
    raptor_task_finish_at: str | None
    mindmap_task_id: str | None
    mindmap_task_finish_at: str | None
    status: str
    create_time: int = Field(description="milliseconds since the epoch, UTC")
    update_time: int
    create_date: str
    update_date: str
