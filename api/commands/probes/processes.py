"""Probes of what runs: port, running server, workers."""

import asyncio
import tempfile
from pathlib import Path

import httpx

from api.commands.probes.result import Finding, failed, ok
from api.executor.children import ForkFailed, ForkServer
from api.executor.executor import worker_count
from api.server import CannotStart, RunningServer, listen_on
from api.settings import Settings

TIMEOUT_S = 30.0


async def probe_port(settings: Settings, server: RunningServer | None) -> Finding:
    """Whether the port is free; with a running server, whether that answers there."""
    if server is not None:
        return await _probe_server(settings, server)
    try:
        for listener in listen_on(settings.http.host, settings.http.port):
            listener.close()
    except CannotStart as error:
        return failed("port", str(error), "stop that program, or set another http.port")
    return ok("port", f"{settings.http.port} on {settings.http.host} is free")


async def _probe_server(settings: Settings, server: RunningServer) -> Finding:
    process, url = server.process or "?", server.address or _address_of(settings)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            reply = await client.get(f"{url}/v1/system/ping")
    except httpx.HTTPError as error:
        return failed(
            "server",
            f"process {process} runs on this data folder but does not answer at {url} ({type(error).__name__})",
            "look at its log; it may still be starting or be overloaded",
        )
    if reply.text != "pong":
        return failed(
            "server",
            f"{url} is answered by another program",
            "stop that program, or start the server on another port",
        )
    return ok("server", f"process {process} answers at {url}")


def _address_of(settings: Settings) -> str:
    """Where the settings say that it is, for a server that has not written its address down."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http.host, settings.http.host)
    return f"http://[{host}]:{settings.http.port}" if ":" in host else f"http://{host}:{settings.http.port}"


async def probe_workers(settings: Settings) -> Finding:
    """Whether a worker process can be started; on a folder of its own, since a worker opens the chunk store."""
    with tempfile.TemporaryDirectory(prefix="ragd-check-") as folder:
        return await _probe_workers(settings.model_copy(update={"data_dir": Path(folder)}))


async def _probe_workers(settings: Settings) -> Finding:
    forks = ForkServer(settings)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            child = await forks.fork()
            born = await child.receive()
            child.kill()
    except TimeoutError:
        return failed(
            "workers", f"a worker did not start within {TIMEOUT_S:g} s", "is the machine overloaded?"
        )
    except (ForkFailed, OSError) as error:
        return failed(
            "workers", str(error), "look at the messages above; memory or process limits are usual causes"
        )
    finally:
        await forks.stop()
    if born is None:
        return failed("workers", "a worker ended at once", "look at the messages above")
    return ok("workers", f"a worker starts; `ragd serve` runs {worker_count(settings)}")
