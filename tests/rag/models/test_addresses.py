"""Addresses that tenants give are not those of the server's own network."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rag.models.addresses import AddressGuard
from rag.models.errors import AddressRefused, ModelUnreachable
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_endpoint import Endpoint
from tests.rag.models.stub_openai import API_KEY, Fault, StubOpenAI, open_stub
from tests.rag.models.suite_chat import ask, read

PUBLIC = "93.184.216.34"


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with open_stub() as stub:
        yield stub


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9380/v1",
        "http://127.1/v1",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0.0.0.0/",
        "http://localhost/v1",
        "http://[::1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://[::ffff:10.0.0.1]/v1",
        "http://[64:ff9b::7f00:1]/v1",
        "http://[2002:7f00:1::]/v1",
        "http://[fe80::1]/v1",
        "http://[fd00::1]/v1",
        "http://10.1.2.3/v1",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://224.0.0.1/",
        "http://user:password@127.0.0.1/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http:///v1",
        "http://[/v1",
        "http://example.com:99999/",
        "not a url",
        "",
    ],
)
async def test_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        await AddressGuard().check(url)


@pytest.mark.parametrize(
    "url", [f"https://{PUBLIC}/v1", "http://[2606:2800:220:1::1]:8080/", "http://no-such-host.invalid/"]
)
async def test_passes(url: str) -> None:
    await AddressGuard().check(url)


@pytest.mark.parametrize(
    ("entry", "url", "passes"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1", True),
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1", True),
        ("127.0.0.1:11434", "http://127.0.0.1:80/v1", False),
        ("127.0.0.0/8:11434", "http://127.9.9.9:11434/v1", True),
        ("10.0.0.0/8", "http://10.1.2.3/v1", True),
        ("10.0.0.0/8", "http://192.168.0.1/v1", False),
        ("LocalHost:11434", "http://localhost:11434/v1", True),
        ("localhost:11434", "http://localhost/v1", False),
        ("localhost", "http://127.0.0.1/v1", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("::1", "http://[::1]:8080/", True),
    ],
)
async def test_allowed(entry: str, url: str, passes: bool) -> None:
    guard = AddressGuard([entry])
    if passes:
        await guard.check(url)
    else:
        with pytest.raises(AddressRefused, match="allow_private_hosts"):
            await guard.check(url)


def open_chat(base_url: str, guard: AddressGuard) -> OpenAIChat:
    endpoint = Endpoint(
        provider="T", base_url=base_url, api_key=API_KEY, attempts=1, timeout_s=3, guard=guard
    )
    return OpenAIChat(endpoint, "m", "m@T")


async def test_a_private_address_is_not_connected_to(stub: StubOpenAI) -> None:
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1 is not a public address"):
        await read(open_chat(stub.base_url, AddressGuard()), ask())
    assert stub.requests == []


async def test_an_allowed_one_is(stub: StubOpenAI) -> None:
    model = open_chat(stub.base_url, AddressGuard(["127.0.0.0/8"]))
    assert (await read(model, ask()))[-1].finish_reason == "stop"


async def test_a_name_that_changes_its_meaning(stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public when it was looked at, private when it is connected to."""
    asked: list[str] = []

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = PUBLIC if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    guard = AddressGuard()
    port = stub.base_url.rsplit(":", 1)[1]
    base_url = f"http://rebinding.example:{port}"
    await guard.check(base_url)
    with pytest.raises(AddressRefused):
        await read(open_chat(base_url, guard), ask())
    assert stub.requests == []
    # The connection goes to the address itself: the second look-up is the last one.
    assert [host for host in asked if host == "rebinding.example"] == ["rebinding.example"] * 2


async def test_one_private_address_among_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in (PUBLIC, "10.0.0.1")]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    with pytest.raises(AddressRefused):
        await AddressGuard().check("http://two.example/")


async def test_redirects_are_looked_at(stub: StubOpenAI) -> None:
    """From an allowed address to one that is not."""
    stub.faults.append(Fault(status=307, headers={"Location": "http://127.0.0.2:1/v1/chat/completions"}))
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2"):
        await read(open_chat(stub.base_url, AddressGuard(["127.0.0.1"])), ask())


async def test_a_relative_redirect_keeps_the_name(stub: StubOpenAI) -> None:
    stub.faults.append(Fault(status=307, headers={"Location": "/v1/chat/completions"}))
    base_url = stub.base_url.replace("127.0.0.1", "localhost")
    model = open_chat(base_url, AddressGuard(["localhost"]))
    assert (await read(model, ask()))[-1].finish_reason == "stop"
    assert len(stub.requests) == 2


async def test_proxies_of_the_environment_are_not_asked(
    stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    model = open_chat(stub.base_url, AddressGuard(["127.0.0.1"]))
    assert (await read(model, ask()))[-1].finish_reason == "stop"


async def test_a_host_that_is_not_found() -> None:
    with pytest.raises(ModelUnreachable):
        await read(open_chat("http://no-such-host.invalid/v1", AddressGuard()), ask())
