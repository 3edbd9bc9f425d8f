"""Pages of the web for an answer, from Tavily's search API.

Only the configured address is ever called: what it answers is text for the model, and no address in it is
fetched.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

log = logging.getLogger(__name__)

MAX_PAGES = 6
WEB_TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 2_000_000
_MAX_QUERY_CHARACTERS = 400  # Tavily's limit
_MAX_CONTENT_CHARACTERS = 8000
_MAX_TITLE_CHARACTERS = 300
_MAX_URL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class WebPage:
    """A result of a web search; score: 0..1."""

    title: str
    url: str
    content: str
    score: float


class WebSearch:
    """Calls to one search endpoint; connects at the first call."""

    def __init__(self, base_url: str, timeout_s: float = WEB_TIMEOUT_S) -> None:
        self._url = base_url.rstrip("/") + "/search"
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None

    async def search(self, query: str, api_key: str) -> Sequence[WebPage]:
        """Pages for a query, best first; none when the search fails, which is logged."""
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._ask(query, api_key)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            # A status or a class of error: the request holds the key.
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else ""
            log.warning("web search failed: %s %s", type(error).__name__, status)
            return []
        return read_pages(reply)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _ask(self, query: str, api_key: str) -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=self._timeout_s)
        body = {"query": query[:_MAX_QUERY_CHARACTERS], "search_depth": "advanced", "max_results": MAX_PAGES}
        headers = {"Authorization": f"Bearer {api_key}"}
        async with self._client.stream("POST", self._url, json=body, headers=headers) as response:
            response.raise_for_status()
            data = bytearray()
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > _MAX_REPLY_BYTES:
                    raise ValueError("the reply is too long")
        return orjson.loads(data)


def read_pages(reply: Any) -> list[WebPage]:
    """The pages of a reply that are fit to be shown: at most six, with text and a public address."""
    results = reply.get("results") if isinstance(reply, dict) else None
    pages = [_page(one) for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    return [page for page in pages if page is not None][:MAX_PAGES]


def _page(result: dict[str, Any]) -> WebPage | None:
    url, content = result.get("url"), result.get("content")
    if not isinstance(url, str) or not isinstance(content, str) or not content.strip():
        return None
    if not is_public_address(url):
        return None
    title, score = result.get("title"), result.get("score")
    return WebPage(
        title=(title if isinstance(title, str) and title.strip() else url)[:_MAX_TITLE_CHARACTERS],
        url=url,
        content=content[:_MAX_CONTENT_CHARACTERS],
        score=min(1.0, max(0.0, float(score))) if isinstance(score, int | float) else 0.0,
    )


def is_public_address(url: str) -> bool:
    """Whether a link may be shown: http or https, no credentials, no address of a private network."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.username is not None or len(url) > _MAX_URL_CHARACTERS:
        return False
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        # No dot: a name of the local network. Digits at the end: an IPv4 address in an odd spelling.
        last = host.rstrip(".").rpartition(".")[2]
        is_local = "." not in host.rstrip(".") or last in ("local", "localhost", "internal")
        return not is_local and not last[:1].isdigit()
