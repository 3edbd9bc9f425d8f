"""Who calls. One resolver for every kind of credential; routes say which kinds they take."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from quart import g, request

from api.db import accounts
from api.db.database import Database
from api.errors import NotAuthenticated, TooManyRequests
from api.logs import tell_tenant
from api.runtime import services
from api.secrets import Vault

CACHE_S = 2.0
"""How long a key's owner is remembered: a key deleted by another process stops working after this time."""

CACHE_SIZE = 4096


class Credential(Enum):
    """What a caller can show."""

    API_KEY = "API key"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `tenant_id` owns what is created, `team_ids` are the other tenants that the user works in."""

    user_id: str
    tenant_id: str
    team_ids: frozenset[str]
    credential: Credential
    key_id: str


class RateLimit:
    """A token bucket per key: `per_minute` requests a minute, as many at once; 0 never refuses."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key_id: str, now_s: float) -> None:
        """Take one request from the key's bucket. Raises TooManyRequests."""
        if not self._per_minute:
            return
        left, at_s = self._buckets.get(key_id, (float(self._per_minute), now_s))
        left = min(float(self._per_minute), left + (now_s - at_s) * self._per_minute / 60)
        if left < 1:
            wait_s = (1 - left) * 60 / self._per_minute
            raise TooManyRequests(
                f"This API key may send {self._per_minute} requests a minute. Try again in {wait_s:.0f} s.",
                wait_s,
            )
        self._buckets[key_id] = (left - 1, now_s)
        self._buckets.move_to_end(key_id)
        while len(self._buckets) > CACHE_SIZE:
            self._buckets.popitem(last=False)


class CallerResolver:
    """Turns an `Authorization` header into a caller; remembers keys for `CACHE_S`."""

    def __init__(self, db: Database, vault: Vault, rate_limit_per_minute: int) -> None:
        self._db = db
        self._vault = vault
        self._limit = RateLimit(rate_limit_per_minute)
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    async def resolve(self, header: str, accepts: frozenset[Credential]) -> Caller:
        """Raises NotAuthenticated, TooManyRequests.

        The scheme word is not looked at, as on RAGFlow's wire.
        """
        words = header.split()
        if not words:
            raise NotAuthenticated("`Authorization` can't be empty")
        if len(words) < 2:
            raise NotAuthenticated("Please check your authorization format.")
        caller = None
        if Credential.API_KEY in accepts:
            caller = await self._by_api_key(words[1])
        if caller is None:
            raise NotAuthenticated("Authentication error: API key is invalid!")
        self._limit.spend(caller.key_id, time.monotonic())
        return caller

    def forget(self) -> None:
        """Look every key up again: keys or memberships changed in this process."""
        self._known.clear()

    async def _by_api_key(self, key: str) -> Caller | None:
        digest = self._vault.digest(key)
        now_s = time.monotonic()
        known = self._known.get(digest)
        if known is not None and known[0] > now_s:
            return known[1]
        caller = await self._db.read(self._look_up, digest)
        if caller is not None:
            self._known[digest] = (now_s + CACHE_S, caller)
            while len(self._known) > CACHE_SIZE:
                self._known.popitem(last=False)
        return caller

    def _look_up(self, digest: str) -> Caller | None:
        row = accounts.find_key_owner(digest)
        if row is None:
            return None
        tenant_id = row["tenant_id"]
        teams = frozenset(t for t, _ in accounts.accessible_tenants(tenant_id)) - {tenant_id}
        return Caller(tenant_id, tenant_id, teams, Credential.API_KEY, row["id"])


API_KEYS = frozenset({Credential.API_KEY})


async def require_api_key() -> Caller:
    """The caller of a request that must carry an API key. Raises NotAuthenticated, TooManyRequests."""
    caller = await services().callers.resolve(request.headers.get("Authorization", ""), API_KEYS)
    g.caller = caller
    tell_tenant(caller.tenant_id)
    return caller
