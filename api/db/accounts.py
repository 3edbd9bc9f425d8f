"""Queries on users, tenants, memberships and API keys."""

from dataclasses import dataclass
from typing import Any

from api.clock import new_id, now_ms
from api.db.models import ApiKey, Membership, Tenant, User, fold_name
from api.secrets import Vault, new_api_key


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as the command line lists it."""

    id: str
    tenant_id: str
    email: str
    key: str | None
    create_time: int


def _times() -> dict[str, int]:
    now = now_ms()
    return {"create_time": now, "update_time": now}


def insert_user(
    email: str, nickname: str, *, password_hash: str | None = None, is_superuser: bool = False
) -> str:
    """Store a user with the tenant that it owns; returns the id of both. Raises IntegrityError if the e-mail is taken."""
    user_id = new_id()
    User.create(
        id=user_id,
        email=email,
        email_key=fold_name(email),
        nickname=nickname,
        password_hash=password_hash,
        is_superuser=is_superuser,
        **_times(),
    )
    Tenant.create(id=user_id, name=f"{nickname}‘s Kingdom", **_times())
    Membership.create(id=new_id(), tenant_id=user_id, user_id=user_id, role="owner", **_times())
    return user_id


def find_user(email: str) -> User | None:
    """A user by e-mail, ignoring case."""
    user: User | None = User.get_or_none(User.email_key == fold_name(email))
    return user


def first_user() -> User | None:
    """The oldest user."""
    user: User | None = User.select().order_by(User.create_time, User.id).first()
    return user


def insert_key(vault: Vault, tenant_id: str) -> tuple[str, str]:
    """Store a new API key of the tenant; returns (row id, key)."""
    key = new_api_key()
    row_id = new_id()
    ApiKey.create(
        id=row_id, tenant_id=tenant_id, digest=vault.digest(key), sealed=vault.seal(key), **_times()
    )
    return row_id, key


def list_keys(vault: Vault) -> list[KeyRow]:
    """All API keys, oldest first."""
    rows: Any = (
        ApiKey.select(ApiKey, User.email)
        .join(User, on=(User.id == ApiKey.tenant_id))
        .order_by(ApiKey.create_time, ApiKey.id)
        .dicts()
    )
    return [
        KeyRow(row["id"], row["tenant_id"], row["email"], vault.unseal(row["sealed"]), row["create_time"])
        for row in rows
    ]


def find_key(vault: Vault, key_or_id: str) -> ApiKey | None:
    """An API key, named by itself or by its row id."""
    digest = vault.digest(key_or_id)
    key: ApiKey | None = ApiKey.get_or_none((ApiKey.digest == digest) | (ApiKey.id == key_or_id))
    return key


def delete_key(vault: Vault, key_or_id: str) -> int:
    """Delete an API key, named by itself or by its row id; returns how many went."""
    digest = vault.digest(key_or_id)
    count: int = ApiKey.delete().where((ApiKey.digest == digest) | (ApiKey.id == key_or_id)).execute()
    return count


def find_key_owner(digest: str) -> dict[str, Any] | None:
    """Id of the key and its tenant, if the owner is active."""
    row: dict[str, Any] | None = (
        ApiKey.select(ApiKey.id, ApiKey.tenant_id)
        .join(User, on=(User.id == ApiKey.tenant_id))
        .where((ApiKey.digest == digest) & (User.is_active == True))
        .dicts()
        .first()
    )
    return row


def find_tenant(tenant_id: str) -> Tenant | None:
    """A tenant by id."""
    tenant: Tenant | None = Tenant.get_or_none(Tenant.id == tenant_id)
    return tenant


def accessible_tenants(user_id: str) -> list[tuple[str, str]]:
    """(tenant id, role) of every tenant the user works in; invitations not yet accepted do not count."""
    rows = Membership.select(Membership.tenant_id, Membership.role).where(
        (Membership.user_id == user_id) & (Membership.role.in_(("owner", "normal", "admin")))
    )
    return [(row.tenant_id, row.role) for row in rows]
