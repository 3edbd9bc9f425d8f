"""What a tenant can do with models of its own."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from api.auth import Caller
from api.db import tenant_models
from api.db.accounts import find_tenant
from api.db.database import Database
from api.errors import BadArgument, Code, Conflict, NoPermission, Refused
from api.llm.replies import own_models_reply, tenant_reply, usable_models_reply
from api.llm.schemas import AddModel, NamedModel, SetApiKey, TenantDefaults
from api.llm.trial import try_model
from api.secrets import Vault
from api.tenant_models import TenantModels
from rag.models.catalog import ModelSpec
from rag.models.errors import AddressRefused
from rag.models.factories import BUILTIN, KINDS, Factory, ModelKind, factories

MAX_MODELS = 1000

# Kinds by which a key is tried, as RAGFlow does, and how many models of each.
_TRIED_KINDS: tuple[ModelKind, ...] = ("embedding", "chat", "rerank")
_TRIED_EACH = 2


class LlmService:
    """What a tenant can do with models of its own."""

    def __init__(self, db: Database, vault: Vault, models: TenantModels) -> None:
        self._db = db
        self._vault = vault
        self._models = models

    async def set_api_key(self, caller: Caller, body: SetApiKey) -> bool | dict[str, Any]:
        """Try a key on well-known models of a provider; store it for all of them. Raises Refused, BadArgument."""
        _require(llm_factory=body.llm_factory, api_key=body.api_key)
        factory = _factory(body.llm_factory or "")
        base_url = body.base_url or ""
        specs = self._well_known(factory, base_url, body.api_key or "")
        if body.llm_name:
            kind = _kind(body.model_type or "chat", factory)
            named = self._spec(factory, kind, body.llm_name, base_url, body.api_key or "")
            tried, specs = [named], [*(spec for spec in specs if spec.id != named.id), named]
        else:
            tried = [
                spec for kind in _TRIED_KINDS for spec in [s for s in specs if s.kind == kind][:_TRIED_EACH]
            ]
        if not specs:
            raise Refused(
                f"{factory.name} has no well-known models: register each of yours with /v1/llm/add_llm"
            )
        await self._check_address(specs[0], base_url)
        problem = await self._try_any(tried)
        if body.verify:
            return {"message": problem, "success": not problem}
        if problem:
            raise Refused(problem)
        await self._store(caller, specs)
        return True

    async def add(self, caller: Caller, body: AddModel) -> bool | dict[str, Any]:
        """Try one model and store it. Raises Refused, BadArgument."""
        _require(llm_factory=body.llm_factory, llm_name=body.llm_name, model_type=body.model_type)
        factory = _factory(body.llm_factory or "")
        kind = _kind(body.model_type or "", factory)
        name = body.llm_name or ""
        if factory.suffix and not name.endswith(factory.suffix):
            name += factory.suffix
        if len(name) > 128:
            raise BadArgument(f"`llm_name` may have {128 - len(factory.suffix)} characters")
        spec = self._spec(
            factory, kind, name, body.api_base or "", body.ark_api_key or body.api_key or "",
            remote=body.endpoint_id or "",
            query=(("api-version", body.api_version),) if body.api_version else (),
            context_tokens=body.max_tokens,
        )  # fmt: skip
        await self._check_address(spec, body.api_base or "")
        error = await try_model(self._models.shared, spec)
        problem = f"\nFail to access model({factory.name}/{spec.name}).{error}" if error else ""
        if body.verify:
            return {"message": problem, "success": not problem}
        if problem:
            raise Refused(problem)
        await self._store(caller, [spec])
        return True

    async def delete(self, caller: Caller, body: NamedModel) -> None:
        """Forget a model. One that is not there is no error. Raises BadArgument."""
        _require(llm_factory=body.llm_factory, llm_name=body.llm_name)
        await self._change(caller, tenant_models.delete_models, body.llm_factory, body.llm_name)

    async def enable(self, caller: Caller, body: NamedModel) -> None:
        """Switch a model on or off. Raises BadArgument."""
        _require(llm_factory=body.llm_factory, llm_name=body.llm_name)
        if str(body.status) not in ("0", "1"):
            raise BadArgument(f'`status` must be "1" (on) or "0" (off), got {str(body.status)[:64]!r}')
        is_enabled = str(body.status) == "1"
        await self._change(
            caller, tenant_models.enable_models, body.llm_factory, body.llm_name, is_enabled=is_enabled
        )

    async def delete_factory(self, caller: Caller, provider: str | None) -> None:
        """Forget all models of a provider. Raises BadArgument."""
        _require(llm_factory=provider)
        await self._change(caller, tenant_models.delete_models, provider)

    async def mine(self, caller: Caller, *, has_details: bool) -> dict[str, Any]:
        """The tenant's own models by provider."""
        rows = await self._db.read(tenant_models.list_models, caller.tenant_id)
        return own_models_reply(rows, has_details=has_details)

    async def usable(self, caller: Caller, kind_part: str) -> dict[str, Any]:
        """Every model that a request of the tenant may name, by provider."""
        rows = await self._db.read(tenant_models.list_models, caller.tenant_id)
        return usable_models_reply(rows, self._models.shared.list_models(), kind_part)

    async def defaults(self, caller: Caller) -> dict[str, str]:
        """The tenant and its default models. Raises Refused."""
        tenant = await self._db.read(find_tenant, caller.tenant_id)
        if tenant is None:
            raise Refused("Tenant not found!")
        return tenant_reply(tenant)

    async def set_defaults(self, caller: Caller, body: TenantDefaults) -> None:
        """Change the tenant's default models. Raises BadArgument, NoPermission for another tenant."""
        _require_given(body, ("tenant_id", "asr_id", "embd_id", "img2txt_id", "llm_id"))
        if body.tenant_id != caller.tenant_id:
            raise NoPermission("No authorization.", code=Code.AUTHENTICATION)
        values = body.model_dump(exclude_none=True, exclude={"tenant_id"})
        await self._db.transaction(tenant_models.set_defaults, caller.tenant_id, values)
        self._models.forget(caller.tenant_id)

    def _well_known(self, factory: Factory, base_url: str, api_key: str) -> list[ModelSpec]:
        return [
            self._spec(factory, kind, name, base_url, api_key, context_tokens=tokens or 8192)
            for kind, models in factory.models.items()
            for name, tokens in models.items()
        ]

    def _spec(
        self, factory: Factory, kind: ModelKind, name: str, base_url: str, api_key: str, **rest: Any
    ) -> ModelSpec:
        return ModelSpec(
            name, factory.name, kind, base_url=base_url, api_key=api_key, is_guarded=bool(base_url), **rest
        )

    async def _check_address(self, spec: ModelSpec, base_url: str) -> None:
        if not base_url and not spec.address:
            raise Refused(f"{spec.provider} has no public address: say where it is with `api_base`")
        if base_url:
            try:
                await self._models.shared.guard.check(spec.address)
            except AddressRefused as error:
                raise Refused(str(error)) from error

    async def _try_any(self, specs: Sequence[ModelSpec]) -> str:
        """ "" if one of them answers, else what each said."""
        if not specs:
            return ""
        errors = await asyncio.gather(*(try_model(self._models.shared, spec) for spec in specs))
        if "" in errors:
            return ""
        return "".join(
            f"\nFail to access embedding model({spec.name}) using this api key.{error}"
            if spec.kind == "embedding"
            else f"\nFail to access model({spec.provider}/{spec.name}) using this api key.{error}"
            for spec, error in zip(specs, errors, strict=True)
        )

    async def _store(self, caller: Caller, specs: Sequence[ModelSpec]) -> None:
        sealed = self._vault.seal(specs[0].api_key) if specs[0].api_key else ""

        def store() -> None:
            for spec in specs:
                options = {"remote": spec.remote, "query": dict(spec.query)}
                values = {
                    "sealed_key": sealed,
                    "base_url": spec.base_url,
                    "context_tokens": spec.context_tokens,
                    "options": orjson.dumps({key: value for key, value in options.items() if value}).decode(),
                    "is_enabled": True,
                }
                tenant_models.upsert_model(caller.tenant_id, spec.provider, spec.kind, spec.name, values)
            if tenant_models.count_models(caller.tenant_id) > MAX_MODELS:
                raise Conflict(f"A tenant may have {MAX_MODELS} models: delete some first")

        await self._db.transaction(store)
        self._models.forget(caller.tenant_id)

    async def _change(self, caller: Caller, work: Any, *args: Any, **kwargs: Any) -> None:
        await self._db.transaction(work, caller.tenant_id, *args, **kwargs)
        self._models.forget(caller.tenant_id)


def _require(**values: str | None) -> None:
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise BadArgument(f"required argument are missing: {','.join(missing)}; ")


def _require_given(body: TenantDefaults, names: Sequence[str]) -> None:
    missing = [name for name in names if getattr(body, name) is None]
    if missing:
        raise BadArgument(f"required argument are missing: {','.join(missing)}; ")


def _factory(name: str) -> Factory:
    factory = factories().get(name)
    if factory is None or name == BUILTIN:
        raise Refused(f"LLM factory {name} is not allowed")
    return factory


def _kind(text: str, factory: Factory) -> ModelKind:
    kind = next((kind for kind in KINDS if kind == text), None)
    if kind is None:
        raise BadArgument(f"`model_type` must be one of {', '.join(KINDS)}, got {text[:64]!r}")
    if kind not in factory.apis:
        raise Refused(f"{factory.name} has no {kind} models; it has {', '.join(sorted(factory.apis))}")
    return kind
