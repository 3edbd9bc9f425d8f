"""A client of the tests: one tenant's key, replies as parsed JSON."""

from typing import Any

import httpx


class Api:
    """Calls `/api/v1` with a key of its own tenant."""

    def __init__(self, url: str, key: str, tenant_id: str) -> None:
        self.url = url
        self.key = key
        self.tenant_id = tenant_id
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def close(self) -> None:
        self.http.close()

    def call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """A request to `/api/v1` and `path`."""
        return self.http.request(method, f"/api/v1{path}", **rest)

    def get(self, path: str, **rest: Any) -> Any:
        return self.call("GET", path, **rest).json()

    def post(self, path: str, **rest: Any) -> Any:
        return self.call("POST", path, **rest).json()

    def put(self, path: str, **rest: Any) -> Any:
        return self.call("PUT", path, **rest).json()

    def delete(self, path: str, **rest: Any) -> Any:
        return self.call("DELETE", path, **rest).json()
