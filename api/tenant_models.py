"""The models that a tenant may use: its own, then those of the settings, then the built-in ones."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from api.db import tenant_models
from api.db.accounts import find_tenant
from api.db.database import Database
from api.db.models import TenantModel
from api.errors import AppError
from api.secrets import Vault
from rag.models.catalog import ModelCatalog, ModelSpec
from rag.models.factories import KINDS, ModelKind
from rag.retrieval.result import Rerank

log = logging.getLogger(__name__)

CACHE_S = 2.0
"""How long a tenant's models are remembered: a change by another process is seen after this time."""

CACHE_SIZE = 1024
FLUSH_EVERY_S = 2.0


class TenantModels:
    """One catalog for each tenant, all on the same connections."""

    def __init__(self, db: Database, vault: Vault, catalog: ModelCatalog) -> None:
        self._db = db
        self._vault = vault
        self._catalog = catalog
        self._known: OrderedDict[str, tuple[float, ModelCatalog]] = OrderedDict()

    @property
    def shared(self) -> ModelCatalog:
        """What every tenant may use."""
        return self._catalog

    async def of(self, tenant_id: str) -> ModelCatalog:
        """The tenant's catalog, at most `CACHE_S` old."""
        view = self._remembered(tenant_id)
        return view if view is not None else await self._db.read(self.of_now, tenant_id)

    def of_now(self, tenant_id: str) -> ModelCatalog:
        """The same, on the database's thread. There only `find` and the defaults may be used."""
        view = self._remembered(tenant_id)
        if view is None:
            rows = [row for row in tenant_models.list_models(tenant_id) if row.is_enabled]
            specs = [spec for row in rows if (spec := self._spec(row)) is not None]
            tenant = find_tenant(tenant_id)
            defaults: dict[ModelKind, str] = {}
            if tenant is not None:
                defaults = {
                    "chat": tenant.llm_id, "embedding": tenant.embd_id, "rerank": tenant.rerank_id,
                    "image2text": tenant.img2txt_id, "speech2text": tenant.asr_id, "tts": tenant.tts_id,
                }  # fmt: skip
            view = self._catalog.for_tenant(specs, defaults)
            self._known[tenant_id] = (time.monotonic() + CACHE_S, view)
            while len(self._known) > CACHE_SIZE:
                self._known.popitem(last=False)
        return view

    async def reranker(self, tenant_id: str, model_id: str) -> Rerank:
        """A rerank model as retrieval takes it. Raises ModelNotFound."""
        model = (await self.of(tenant_id)).rerank(model_id)

        async def rerank(question: str, texts: Sequence[str]) -> Sequence[float]:
            scores: list[float] = (await model.rerank(question, texts)).values.tolist()
            return scores

        return rerank

    def forget(self, tenant_id: str) -> None:
        """The tenant's models were changed by this process."""
        self._known.pop(tenant_id, None)

    def _remembered(self, tenant_id: str) -> ModelCatalog | None:
        known = self._known.get(tenant_id)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def _spec(self, row: TenantModel) -> ModelSpec | None:
        key = self._vault.unseal(row.sealed_key) if row.sealed_key else ""
        if key is None:
            log.warning("a model's key was sealed with another secret", extra={"model_row": row.id})
            return None
        options = orjson.loads(row.options)
        kind = next(kind for kind in KINDS if kind == row.kind)
        return ModelSpec(
            name=row.name,
            provider=row.provider,
            kind=kind,
            base_url=row.base_url,
            api_key=key,
            remote=options.get("remote", ""),
            query=tuple(options.get("query", {}).items()),
            context_tokens=row.context_tokens,
            is_guarded=bool(row.base_url),
            row_id=row.id,
        )


class UsedTokens:
    """Gathers the tokens that tenants' models use, and adds them to their rows now and then."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: dict[str, int] = {}

    def count(self, spec: ModelSpec, tokens: int) -> None:
        """See `api.observed_models.CountTokens`."""
        self._counts[spec.row_id] = self._counts.get(spec.row_id, 0) + tokens

    async def flush(self) -> None:
        """Write what was gathered; it is kept when that fails."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._db.transaction(tenant_models.add_used_tokens, counts)
        except AppError as error:  # busy or full: later
            log.warning("used tokens could not be stored yet: %s", error)
            for row_id, count in counts.items():
                self._counts[row_id] = self._counts.get(row_id, 0) + count

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Flush now and then, and at the end."""
        running = asyncio.create_task(self._run(), name="used tokens")
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()
