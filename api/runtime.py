"""How a handler reaches the services that `open_services` opened."""

from typing import TYPE_CHECKING, cast

from quart import current_app

if TYPE_CHECKING:
    from api.wiring import Services


def services() -> "Services":
    """The services of the running server."""
    return cast("Services", current_app.extensions["ragd"])
