"""A dataset's `parser_config`: what may be sent, and what is stored for each chunk method."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.http import Body

RAPTOR_PROMPT = (
    "Please summarize the following paragraphs. Be careful with the numbers, do not make things up. "
    "Paragraphs as following:\n      {cluster_content}\nThe above is the content you need to summarize."
)
ENTITY_TYPES = ["organization", "person", "geo", "event", "category"]

UnitInterval = Annotated[float, Field(ge=0, le=1)]


class RaptorConfig(Body):
    """Summaries of clusters of chunks."""

    use_raptor: bool = False
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = RAPTOR_PROMPT
    max_token: int = Field(256, ge=1, le=2048)
    threshold: UnitInterval = 0.1
    max_cluster: int = Field(64, ge=1, le=1024)
    random_seed: int = Field(0, ge=0)
    auto_disable_for_structured_data: bool = True


class GraphragConfig(Body):
    """The knowledge graph."""

    use_graphrag: bool = False
    entity_types: list[str] = Field(default_factory=lambda: list(ENTITY_TYPES))
    method: Literal["light", "general"] = "light"
    community: bool = False
    resolution: bool = False


class ParserConfig(Body):
    """How documents are parsed and cut; the same keys for every chunk method."""

    auto_keywords: int = Field(0, ge=0, le=32)
    auto_questions: int = Field(0, ge=0, le=10)
    chunk_token_num: int = Field(512, ge=1, le=2048)
    delimiter: str = Field("\\n", min_length=1)
    html4excel: bool = False
    layout_recognize: str = "DeepDOC"
    tag_kb_ids: list[str] = Field(default_factory=list)
    topn_tags: int = Field(1, ge=1, le=10)
    filename_embd_weight: UnitInterval | None = 0.1
    task_page_size: Annotated[int, Field(ge=1)] | None = None
    pages: list[list[int]] | None = None
    raptor: RaptorConfig = Field(default_factory=RaptorConfig)
    graphrag: GraphragConfig = Field(default_factory=GraphragConfig)


def _naive() -> dict[str, Any]:
    return {
        "layout_recognize": "DeepDOC",
        "chunk_token_num": 512,
        "delimiter": "\n",
        "auto_keywords": 0,
        "auto_questions": 0,
        "html4excel": False,
        "topn_tags": 3,
        "raptor": {
            "use_raptor": True,
            "prompt": RAPTOR_PROMPT,
            "max_token": 256,
            "threshold": 0.1,
            "max_cluster": 64,
            "random_seed": 0,
        },
        "graphrag": {"use_graphrag": True, "entity_types": list(ENTITY_TYPES), "method": "light"},
    }


def method_defaults(chunk_method: str) -> dict[str, Any]:
    """What a dataset of this method has when nothing was sent."""
    base: dict[str, Any] = {"table_context_size": 0, "image_context_size": 0}
    if chunk_method == "naive":
        return base | _naive()
    if chunk_method in ("qa", "manual", "paper", "book", "laws", "presentation"):
        return base | {"raptor": {"use_raptor": False}, "graphrag": {"use_graphrag": False}}
    return base


def deep_merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Objects merge key by key, everything else (lists included) is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = deep_merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def config_on_create(chunk_method: str, sent: ParserConfig | None, llm_id: str) -> dict[str, Any]:
    """The stored config of a new dataset; anything sent brings the whole schema with it."""
    config = method_defaults(chunk_method)
    if sent is not None and sent.model_fields_set:
        config = deep_merge(config, sent.model_dump())
    return config | {"llm_id": llm_id}


def config_on_update(
    stored: dict[str, Any], sent: ParserConfig | None, *, new_method: str | None
) -> dict[str, Any]:
    """The stored config after an update; only the keys sent count, or a new method's defaults."""
    if sent is not None and sent.model_fields_set:
        return deep_merge(stored, sent.model_dump(exclude_unset=True))
    return stored if new_method is None else method_defaults(new_method)
