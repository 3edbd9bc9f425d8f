"""Bodies and replies of the model routes."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.http import LooseBody, LooseQuery, Reply

Name = Annotated[str, StringConstraints(max_length=128, strip_whitespace=True)]
ModelId = Annotated[str, StringConstraints(max_length=128)]
Address = Annotated[str, StringConstraints(max_length=1024, strip_whitespace=True)]
Key = Annotated[str, StringConstraints(max_length=8192, strip_whitespace=True)]


class SetApiKey(LooseBody):
    """Body of POST /v1/llm/set_api_key."""

    llm_factory: Name | None = Field(None, description="required: a provider's name")
    api_key: Key | None = Field(None, description="required")
    base_url: Address | None = Field(None, description="unset: the provider's own")
    verify: bool = Field(False, description="only try it, store nothing")
    model_type: str | None = None
    llm_name: Name | None = Field(
        None, description="the model to try; unset: well-known ones of the provider"
    )


class AddModel(LooseBody):
    """Body of POST /v1/llm/add_llm."""

    llm_factory: Name | None = Field(None, description="required: a provider's name")
    llm_name: Name | None = Field(None, description="required")
    model_type: str | None = Field(
        None, description="required: chat, embedding, rerank, image2text, speech2text or tts"
    )
    api_base: Address | None = Field(None, description="required for providers without a public address")
    api_key: Key | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        8192, description="tokens that prompt and reply may have together"
    )
    verify: bool = Field(False, description="only try it, store nothing")
    api_version: Name | None = Field(None, description="Azure-OpenAI")
    ark_api_key: Key | None = Field(None, description="VolcEngine, in place of api_key")
    endpoint_id: Name | None = Field(None, description="VolcEngine: the inference endpoint, `ep-...`")


class NamedModel(LooseBody):
    """Body of POST /v1/llm/delete_llm and enable_llm."""

    llm_factory: Name | None = Field(None, description="required")
    llm_name: Name | None = Field(None, description="required")
    status: Any = Field("1", description='enable_llm: "1" on, "0" off')


class NamedFactory(LooseBody):
    """Body of POST /v1/llm/delete_factory."""

    llm_factory: Name | None = Field(None, description="required")


class TenantDefaults(LooseBody):
    """Body of POST /v1/user/set_tenant_info."""

    tenant_id: str | None = Field(None, description="required: the caller's own")
    llm_id: ModelId | None = Field(None, description="required: chat model, `name@provider`; may be empty")
    embd_id: ModelId | None = Field(None, description="required; may be empty")
    asr_id: ModelId | None = Field(None, description="required; may be empty")
    img2txt_id: ModelId | None = Field(None, description="required; may be empty")
    rerank_id: ModelId | None = None
    tts_id: ModelId | None = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


class MineQuery(LooseQuery):
    """Query of GET /v1/llm/my_llms."""

    include_details: bool = False


class ListQuery(LooseQuery):
    """Query of GET /v1/llm/list."""

    model_type: str | None = Field(None, description="part of a kind's name")


class FactoryReply(Reply):
    """A provider whose models can be registered."""

    name: str
    logo: str
    tags: str
    rank: int
    status: str
    model_types: list[str]


class TenantReply(Reply):
    """The caller's tenant and the models it uses when a request names none."""

    tenant_id: str
    name: str
    llm_id: str
    embd_id: str
    rerank_id: str
    asr_id: str
    img2txt_id: str
    tts_id: str
    parser_ids: str
    role: str
