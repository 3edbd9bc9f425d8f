"""The transport of clients that call addresses which a tenant gave."""

import httpx2

from rag.models.addresses import AddressGuard


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Connects to the address that was looked at, so that a name cannot change its meaning in between.

    Every request passes here, those after a redirect too.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.AsyncBaseTransport`."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            address = await self._guard.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError("the host was not found", request=request) from error
        # The Host header was set from the name, and the certificate is checked for it. The request itself
        # stays as it is: redirects are read against it.
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        """See `httpx2.AsyncBaseTransport`."""
        await self._inner.aclose()
