"""Which addresses the program may call for somebody else: not those of its own network (SSRF)."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rag.models.errors import AddressRefused

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    Address = IPv4Address | IPv6Address

# Addresses in which another one is hidden: NAT64, 6to4, Teredo.
_WRAPPING = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


class AddressGuard:
    """Lets public addresses through, and the private ones that were allowed by name.

    allowed: host names, addresses or networks (`10.0.0.0/8`), each with or without `:port`.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._hosts: set[tuple[str, int | None]] = set()
        self._networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
        for entry in allowed:
            host, port = _split_port(entry.strip().lower())
            try:
                self._networks.append((ipaddress.ip_network(host, strict=False), port))
            except ValueError:
                self._hosts.add((host, port))

    async def resolve(self, host: str, port: int) -> str:
        """The address to connect to, looked up once. Raises AddressRefused, OSError (no such host).

        One bad address among several refuses the host: which one would be taken is up to whoever answers.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not self._permits(host, address, port):
                raise AddressRefused(
                    f"{host} is not a public address. Models on private addresses must be allowed by the server's "
                    f'setting models.allow_private_hosts, for example ["{host}:{port}"]'
                )
        return str(addresses[0])

    async def check(self, url: str) -> None:
        """Refuse a URL before anything is sent to it. Raises AddressRefused; a host that is not found passes."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise AddressRefused(f"{url[:128]!r} is not a valid URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AddressRefused(f"{url[:128]!r} is not a valid URL: it must begin with http:// or https://")
        try:
            await self.resolve(parts.hostname, port)
        except (OSError, UnicodeError):
            return

    def _permits(self, host: str, address: "Address", port: int) -> bool:
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_global and not address.is_multicast and not any(address in one for one in _WRAPPING):
            return True
        if {(host.lower(), None), (host.lower(), port)} & self._hosts:
            return True
        return any(address in network and only in (None, port) for network, only in self._networks)


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, int(rest[1:]) if rest[1:].isdigit() else None
    host, colon, port = entry.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() and ":" not in host else (entry, None)
