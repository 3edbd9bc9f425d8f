"""Queries on the models that tenants registered."""

from collections.abc import Mapping
from typing import Any

from peewee import fn

from api.clock import new_id, now_ms
from api.db.models import Tenant, TenantModel


def list_models(tenant_id: str) -> list[TenantModel]:
    """All of a tenant's models, by provider, kind and name."""
    rows: Any = (
        TenantModel.select()
        .where(TenantModel.tenant_id == tenant_id)
        .order_by(TenantModel.provider, TenantModel.kind, TenantModel.name)
    )
    return list(rows)


def list_enabled_kinds() -> frozenset[str]:
    """The kinds of which any tenant has a model."""
    rows: Any = TenantModel.select(TenantModel.kind).where(TenantModel.is_enabled).distinct().tuples()
    return frozenset(kind for (kind,) in rows)


def count_models(tenant_id: str) -> int:
    """How many a tenant has."""
    count: int = (
        TenantModel.select(fn.COUNT(TenantModel.id)).where(TenantModel.tenant_id == tenant_id).scalar()
    )
    return count


def upsert_model(tenant_id: str, provider: str, kind: str, name: str, values: Mapping[str, Any]) -> None:
    """Store a model, or change what is stored of it; its used tokens stay."""
    now = now_ms()
    changed = (
        TenantModel.update(**values, update_time=now)
        .where(
            (TenantModel.tenant_id == tenant_id)
            & (TenantModel.provider == provider)
            & (TenantModel.kind == kind)
            & (TenantModel.name == name)
        )
        .execute()
    )
    if not changed:
        TenantModel.create(
            id=new_id(), create_time=now, update_time=now, tenant_id=tenant_id, provider=provider,
            kind=kind, name=name, **values,
        )  # fmt: skip


def delete_models(tenant_id: str, provider: str, name: str | None = None) -> None:
    """Delete a model, or all of a provider."""
    TenantModel.delete().where(_those(tenant_id, provider, name)).execute()


def enable_models(tenant_id: str, provider: str, name: str, *, is_enabled: bool) -> None:
    """Switch a model on or off."""
    TenantModel.update(is_enabled=is_enabled, update_time=now_ms()).where(
        _those(tenant_id, provider, name)
    ).execute()


def add_used_tokens(counts: Mapping[str, int]) -> None:
    """Add to the counters of rows, those that are still there."""
    for row_id, count in counts.items():
        TenantModel.update(used_tokens=TenantModel.used_tokens + count).where(
            TenantModel.id == row_id
        ).execute()


def set_defaults(tenant_id: str, values: Mapping[str, str]) -> None:
    """Change a tenant's name and the models it uses when a request names none."""
    Tenant.update(**values, update_time=now_ms()).where(Tenant.id == tenant_id).execute()


def _those(tenant_id: str, provider: str, name: str | None) -> Any:
    where = (TenantModel.tenant_id == tenant_id) & (TenantModel.provider == provider)
    return where if name is None else where & (TenantModel.name == name)
