"""The clients of the HTTP tests, for walks of several steps."""

from tests.api.conftest import api, make_api

__all__ = ["api", "make_api"]
