"""A connection to an OpenAI-compatible server: one client, retries, and its errors as ours."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rag.errors import ModelBroken, ModelBusy, ModelError
from rag.models.errors import (
    ContentFiltered,
    KeyRefused,
    ModelTimedOut,
    ModelUnreachable,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFailed,
)

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import APIError, APIStatusError, AsyncOpenAI, Omit

    from rag.models.addresses import AddressGuard

Reply = TypeVar("Reply")

_CONNECT_TIMEOUT_S = 10.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 8.0
# A caller that waits longer is better told when to come back.
_LONGEST_RETRY_AFTER_S = 30.0
_LONGEST_DETAIL = 300
_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|api)[-_][A-Za-z0-9*_\-]{6,}|\bBearer\s+\S+")


class Endpoint:
    """Calls to one address of a provider. Importing `openai` takes a second, so it happens at the first call.

    attempts: tries of a call that fails in passing (rate limit, server error, no connection), the first
        one included. A time-out is not tried again: it has taken long enough.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        api_key: str = "",
        timeout_s: float = 600.0,
        attempts: int = 5,
        concurrency: int = 16,
        stream_concurrency: int = 512,
        auth: str = "bearer",
        query: Mapping[str, str] | None = None,
        guard: "AddressGuard | None" = None,
    ) -> None:
        self.provider = provider
        self.timeout_s = timeout_s
        self.running = 0
        self._concurrency = concurrency
        self._stream_concurrency = stream_concurrency
        self._slots: dict[tuple[str, bool], asyncio.Semaphore] = {}
        self._auth = auth
        self._query = dict(query or {})
        self._guard = guard
        self._base_url = base_url
        self._api_key = api_key
        self._attempts = max(1, attempts)
        self._client: AsyncOpenAI | None = None

    @property
    def client(self) -> "AsyncOpenAI":
        """The one client of this provider, with its pool of connections."""
        if self._client is None:
            from openai import AsyncOpenAI, Omit, Timeout

            # The client would send what it finds in OPENAI_ORG_ID and OPENAI_PROJECT_ID to any server.
            headers: dict[str, Any] = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
            if self._auth != "bearer" and self._api_key:
                headers[self._auth] = self._api_key
            self._client = AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._api_key or "none",
                timeout=Timeout(self.timeout_s, connect=min(_CONNECT_TIMEOUT_S, self.timeout_s)),
                max_retries=0,
                default_headers=headers,  # Omit is how openai removes a header
                default_query=self._query,
                http_client=self._http_client(),
            )
        return self._client

    @property
    def extra_headers(self) -> "dict[str, str | Omit]":
        """To be given with each request: without a key no `Authorization` is sent."""
        from openai import Omit

        return {} if self._api_key and self._auth == "bearer" else {"Authorization": Omit()}

    @asynccontextmanager
    async def slot(self, model: str, *, is_stream: bool = False) -> AsyncIterator[None]:
        """Wait until the model has room for one more call, and hold it."""
        key = (model, is_stream)
        if key not in self._slots:
            limit = self._stream_concurrency if is_stream else self._concurrency
            self._slots[key] = asyncio.Semaphore(limit)
        async with self._slots[key]:
            self.running += 1
            try:
                yield
            finally:
                self.running -= 1

    async def post(self, model: str, path: str, body: Mapping[str, Any]) -> Any:
        """What a provider answers to JSON in a shape of its own. path: added to the address. Raises ModelError."""

        async def send() -> Any:
            return await self.client.post(
                path, cast_to=object, body=dict(body), options={"headers": self.extra_headers}
            )

        async with self.slot(model):
            return await self.call(model, send)

    async def call(self, model: str, send: Callable[[], Awaitable[Reply]]) -> Reply:
        """Run `send`, again after passing failures. Raises ModelError."""
        for attempt in range(1, self._attempts + 1):
            try:
                with self.errors(model):
                    return await send()
            except ModelTimedOut:
                raise
            except ModelBusy as busy:
                delay_s = _delay_s(attempt, busy.retry_after_s)
                if attempt == self._attempts or delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def errors(self, model: str) -> Iterator[None]:
        """Turn what the client raises into ModelError; the text names the model and holds no key."""
        import httpx2
        from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, OpenAIError

        try:
            yield
        except ModelError:
            raise
        except (APITimeoutError, httpx2.TimeoutException, TimeoutError):
            raise ModelTimedOut(f"{model} gave no reply within {self.timeout_s:g} s") from None
        except (APIConnectionError, httpx2.TransportError) as error:
            if isinstance(error.__cause__, ModelError):  # the guard of addresses
                raise error.__cause__ from None
            cause = type(error.__cause__ or error).__name__
            raise ModelUnreachable(f"{model} cannot be reached ({cause})") from None
        except APIStatusError as error:
            raise self._from_status(model, error) from None
        except APIError as error:  # an error object inside a stream
            raise self._from_stream(model, error) from None
        except (OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelBroken(f"{model} sent a malformed reply ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _http_client(self) -> "AsyncClient | None":
        if self._guard is None:
            return None
        import httpx2

        from rag.models.guarded_transport import GuardedTransport

        # A proxy of the environment would look names up itself, out of the guard's sight.
        return httpx2.AsyncClient(
            transport=GuardedTransport(self._guard), trust_env=False, follow_redirects=True
        )

    def _from_status(self, model: str, error: "APIStatusError") -> ModelError:
        status = error.status_code
        detail = self._detail(error)
        code = str(error.code or "")
        if status in (401, 403):
            return KeyRefused(f"{model} refused the API key (HTTP {status}){detail}")
        if status == 402 or code == "insufficient_quota":
            return QuotaExhausted(f"The account behind {model} has no quota left (HTTP {status}){detail}")
        if status == 429:
            return RateLimited(f"{model} is over its rate limit{detail}", _retry_after_s(error))
        if status == 408:
            return ModelTimedOut(f"{model} timed out (HTTP 408){detail}")
        if status >= 500:
            return ServerFailed(f"{model} failed (HTTP {status}){detail}", _retry_after_s(error))
        if code == "content_filter":
            return ContentFiltered(f"{model} refused the content{detail}")
        return RequestRefused(f"{model} refused the request (HTTP {status}){detail}")

    def _from_stream(self, model: str, error: "APIError") -> ModelError:
        code = str(error.code or error.type or "")
        detail = self._detail(error)
        if "rate_limit" in code:
            return RateLimited(f"{model} is over its rate limit{detail}")
        if "content_filter" in code:
            return ContentFiltered(f"{model} refused the content{detail}")
        return ServerFailed(f"{model} broke off its reply{detail}")

    def _detail(self, error: "APIError") -> str:
        """`: what the provider said`, short and without anything that looks like a key."""
        body = error.body
        said = (body.get("message") or body.get("detail")) if isinstance(body, dict) else body
        if not isinstance(said, str) or not said.strip() or "<html" in said.lower():
            return ""
        text = " ".join(said.split())
        if self._api_key:
            text = text.replace(self._api_key, "***")
        return ": " + _KEY_LIKE.sub("***", text)[:_LONGEST_DETAIL]


def _retry_after_s(error: "APIStatusError") -> float | None:
    """Seconds of `Retry-After`; its date form is rare enough to be ignored."""
    text = error.response.headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None


def _delay_s(attempt: int, retry_after_s: float | None) -> float | None:
    """How long to wait after this attempt (1, 2, ...); None: longer than a caller should wait."""
    # Jitter: many callers that failed together must not come back together.
    jitter = random.uniform(0.5, 1.0)
    if retry_after_s is None:
        return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** (attempt - 1)) * jitter
    if retry_after_s > _LONGEST_RETRY_AFTER_S:
        return None
    return retry_after_s + jitter * 0.1
