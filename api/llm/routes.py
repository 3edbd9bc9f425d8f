"""`/v1/llm` and a tenant's default models."""

from quart import Blueprint, Response

from api.auth import require_api_key
from api.http import read_loose, read_query, web_ok
from api.llm.replies import factory_replies
from api.llm.schemas import (
    AddModel,
    FactoryReply,
    ListQuery,
    MineQuery,
    NamedFactory,
    NamedModel,
    SetApiKey,
    TenantDefaults,
    TenantReply,
)
from api.openapi import operation
from api.runtime import services

blueprint = Blueprint("llm", __name__)

TAG = "models"
MESSAGE = {"message": {"type": "string"}}
TRUE = {"const": True}
TRIED = {
    "description": "true; with `verify` what came of it",
    "anyOf": [
        {"const": True},
        {
            "type": "object",
            "properties": {"message": {"type": "string"}, "success": {"type": "boolean"}},
            "required": ["message", "success"],
        },
    ],
}
BY_PROVIDER = {"type": "object", "description": "by provider"}
FAILURES = (
    (102, "LLM factory <name> is not allowed"),
    (102, "\nFail to access model(<factory>/<model>).<what went wrong>"),
)


@blueprint.get("/v1/llm/factories")
@operation("Providers of models", tag=TAG, data=[FactoryReply], extra=MESSAGE)
async def list_factories() -> Response:
    """Whose models can be registered, the best known first."""
    await require_api_key()
    return web_ok(factory_replies())


@blueprint.post("/v1/llm/set_api_key")
@operation(
    "Register a provider's well-known models",
    tag=TAG,
    body=SetApiKey,
    data=TRIED,
    extra=MESSAGE,
    example={"llm_factory": "OpenAI", "api_key": "sk-..."},
    errors=FAILURES,
)
async def set_api_key() -> Response:
    """The key is tried first; it is stored encrypted and never shown."""
    caller = await require_api_key()
    return web_ok(await services().llm.set_api_key(caller, await read_loose(SetApiKey)))


@blueprint.post("/v1/llm/add_llm")
@operation(
    "Register a model",
    tag=TAG,
    body=AddModel,
    data=TRIED,
    extra=MESSAGE,
    example={
        "llm_factory": "Ollama",
        "llm_name": "qwen3",
        "model_type": "chat",
        "api_base": "http://localhost:11434",
        "max_tokens": 32768,
    },
    errors=FAILURES,
)
async def add_llm() -> Response:
    """The model is tried first."""
    caller = await require_api_key()
    return web_ok(await services().llm.add(caller, await read_loose(AddModel)))


@blueprint.post("/v1/llm/delete_llm")
@operation(
    "Forget a model",
    tag=TAG,
    body=NamedModel,
    data=TRUE,
    extra=MESSAGE,
    example={"llm_factory": "Ollama", "llm_name": "qwen3"},
)
async def delete_llm() -> Response:
    """True, also when there was none."""
    caller = await require_api_key()
    await services().llm.delete(caller, await read_loose(NamedModel))
    return web_ok(True)


@blueprint.post("/v1/llm/enable_llm")
@operation(
    "Switch a model on or off",
    tag=TAG,
    body=NamedModel,
    data=TRUE,
    extra=MESSAGE,
    example={"llm_factory": "Ollama", "llm_name": "qwen3", "status": "0"},
)
async def enable_llm() -> Response:
    """True, also when there was none."""
    caller = await require_api_key()
    await services().llm.enable(caller, await read_loose(NamedModel))
    return web_ok(True)


@blueprint.post("/v1/llm/delete_factory")
@operation(
    "Forget a provider's models",
    tag=TAG,
    body=NamedFactory,
    data=TRUE,
    extra=MESSAGE,
    example={"llm_factory": "Ollama"},
)
async def delete_factory() -> Response:
    """True, also when there were none."""
    caller = await require_api_key()
    body = await read_loose(NamedFactory)
    await services().llm.delete_factory(caller, body.llm_factory)
    return web_ok(True)


@blueprint.get("/v1/llm/my_llms")
@operation("The tenant's own models", tag=TAG, query=MineQuery, data=BY_PROVIDER, extra=MESSAGE)
async def my_llms() -> Response:
    """With the tokens that each has used."""
    caller = await require_api_key()
    query = read_query(MineQuery)
    return web_ok(await services().llm.mine(caller, has_details=query.include_details))


@blueprint.get("/v1/llm/list")
@operation("Every model that can be used", tag=TAG, query=ListQuery, data=BY_PROVIDER, extra=MESSAGE)
async def list_llms() -> Response:
    """The tenant's own, those of the server's settings, and the built-in ones."""
    caller = await require_api_key()
    return web_ok(await services().llm.usable(caller, read_query(ListQuery).model_type or ""))


@blueprint.get("/v1/user/tenant_info")
@operation("The tenant and its default models", tag=TAG, data=TenantReply, extra=MESSAGE)
async def tenant_info() -> Response:
    """Of the caller; an empty id stands for the server's default."""
    caller = await require_api_key()
    return web_ok(await services().llm.defaults(caller))


@blueprint.post("/v1/user/set_tenant_info")
@operation(
    "Change the default models",
    tag=TAG,
    body=TenantDefaults,
    data=TRUE,
    extra=MESSAGE,
    example={
        "tenant_id": "3b4de7d4241d11f0a6a79f24fc270c7f",
        "llm_id": "gpt-4o-mini@OpenAI",
        "embd_id": "text-embedding-3-small@OpenAI",
        "asr_id": "",
        "img2txt_id": "",
    },
    errors=((109, "No authorization."),),
)
async def set_tenant_info() -> Response:
    """Of the caller's own tenant. Used by chats and datasets that are made afterwards."""
    caller = await require_api_key()
    await services().llm.set_defaults(caller, await read_loose(TenantDefaults))
    return web_ok(True)
