"""Models and providers as clients see them."""

from collections.abc import Iterable, Sequence
from typing import Any

from api.db.models import Tenant, TenantModel
from rag.models.builtin_embedding import BUILTIN_EMBEDDING
from rag.models.catalog import ModelInfo
from rag.models.factories import BUILTIN, factories, factory_of

PARSER_IDS = (
    "naive:General,qa:Q&A,resume:Resume,manual:Manual,table:Table,paper:Paper,book:Book,laws:Laws,"
    "presentation:Presentation,picture:Picture,one:One,audio:Audio,email:Email,tag:Tag"
)

# Names that RAGFlow's clients know at `Builtin`. The embedder that serves them is told in the listing.
_BUILTIN_NAMES = ("BAAI/bge-small-en-v1.5", "BAAI/bge-m3", "Qwen/Qwen3-Embedding-0.6B")


def factory_replies() -> list[dict[str, Any]]:
    """Providers whose models can be registered, the best known first."""
    shown = [factory for factory in factories().values() if factory.name != BUILTIN]
    return [
        {
            "name": factory.name,
            "logo": "",
            "tags": factory.tags,
            "rank": factory.rank,
            "status": "1",
            "model_types": sorted(factory.apis),
        }
        for factory in sorted(shown, key=lambda factory: -factory.rank)
    ]


def own_models_reply(rows: Iterable[TenantModel], *, has_details: bool) -> dict[str, Any]:
    """A tenant's models by provider. Keys are never shown."""
    reply: dict[str, Any] = {}
    for row in rows:
        model: dict[str, Any] = {
            "type": row.kind,
            "name": row.name,
            "used_token": row.used_tokens,
            "status": "1" if row.is_enabled else "0",
        }
        if has_details:
            model |= {"api_base": row.base_url, "max_tokens": row.context_tokens}
        entry = reply.setdefault(row.provider, {"tags": factory_of(row.provider).tags, "llm": []})
        entry["llm"].append(model)
    return reply


def usable_models_reply(
    rows: Sequence[TenantModel], shared: Iterable[ModelInfo], kind_part: str
) -> dict[str, list[dict[str, Any]]]:
    """Every model that a request of the tenant may name, by provider."""
    reply: dict[str, list[dict[str, Any]]] = {}

    def add(
        provider: str, name: str, kind: str, tokens: int, tags: str = "", *, is_enabled: bool = True
    ) -> None:
        if kind_part not in kind:
            return
        models = reply.setdefault(provider, [])
        if any((one["llm_name"], one["model_type"]) == (name, kind) for one in models):
            return
        models.append(
            {
                "llm_name": name,
                "model_type": kind,
                "fid": provider,
                "available": is_enabled,
                "status": "1" if is_enabled else "0",
                "max_tokens": tokens,
                "tags": tags or factory_of(provider).tags,
                "is_tools": False,
            }
        )

    for row in rows:
        if row.is_enabled:
            add(row.provider, row.name, row.kind, row.context_tokens)
    for info in shared:
        add(info.provider, info.name, info.kind, info.context_tokens)
    for name in _BUILTIN_NAMES:
        add(BUILTIN, name, "embedding", 0, f"TEXT EMBEDDING,served by {BUILTIN_EMBEDDING}")
    return reply


def tenant_reply(tenant: Tenant) -> dict[str, str]:
    """A tenant as its owner sees it."""
    return {
        "tenant_id": tenant.id,
        "name": tenant.name,
        "llm_id": tenant.llm_id,
        "embd_id": tenant.embd_id,
        "rerank_id": tenant.rerank_id,
        "asr_id": tenant.asr_id,
        "img2txt_id": tenant.img2txt_id,
        "tts_id": tenant.tts_id,
        "parser_ids": PARSER_IDS,
        "role": "owner",
    }
