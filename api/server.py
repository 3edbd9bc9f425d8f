"""The server process: one event loop that serves the application until it is told to stop."""

import asyncio
import errno
import fcntl
import logging
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Self

import uvloop
from peewee import PeeweeException
from quart import Quart
from uvicorn.config import Config
from uvicorn.server import ServerState

from api import exit_codes
from api.http_protocol import BoundedProtocol, bounded_protocol
from api.logs import configure_logging
from api.settings import HttpSettings, Settings, SettingsError
from rag.errors import RagError

log = logging.getLogger(__name__)

BACKLOG = 2048

SPARE_FILES = 512
"""Open files beside connections: database, indexes, uploads, pipes to workers."""

REQUESTS_SHARE = 0.6
"""Share of the shutdown time that requests get before they are cancelled; the rest is for their clean-up
and for closing the services."""


class CannotStart(Exception):
    """Why the server does not start, in words for an operator, and the exit code for scripts."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Application:
    """What is served. closing: set as soon as the server is told to stop."""

    app: Quart
    closing: asyncio.Event


OpenApplication = Callable[[], AbstractAsyncContextManager[Application]]


def serve(
    settings: Settings, *, on_ready: Callable[[str], None], on_held: Callable[[], None] = lambda: None
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    on_ready: gets the address once requests are answered. on_held: called before anything is opened, once
    no other server can have the data folder; what it raises ends the start.

    What keeps it from starting is written to the log: the address is taken, the data folder is in use by
    another server or cannot be written, a setting does not work.
    """
    from api.app import attach, create_app
    from api.wiring import open_services

    @asynccontextmanager
    async def open_application() -> AsyncIterator[Application]:
        async with AsyncExitStack() as stack:
            try:
                services = await stack.enter_async_context(open_services(settings))
            except (OSError, PeeweeException, RagError) as error:
                raise CannotStart(
                    f"Cannot open the data folder {settings.data_dir.absolute()}: {error}",
                    exit_codes.DATA_FOLDER,
                ) from error
            app = create_app(settings)
            attach(app, services)
            yield Application(app, services.closing)

    configure_logging(settings.log)
    try:
        with data_folder(settings.data_dir) as tell_address:

            def ready(address: str) -> None:
                tell_address(address)
                on_ready(address)

            on_held()
            return run(open_application, settings.http, on_ready=ready)
    except CannotStart as error:
        log.error("%s", error)
        return error.exit_code
    except SettingsError as error:
        log.error("%s", error)
        return exit_codes.SETTINGS


@contextmanager
def data_folder(folder: Path) -> Iterator[Callable[[str], None]]:
    """Hold the data folder for this process; yields what writes its address down for `server_of`.

    Raises CannotStart when another server has it or it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the secret
        handle = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise CannotStart(
            f"Cannot write to the data folder {folder.absolute()}: {error.strerror}. "
            "Name another with --data, or give this user the right to write there.",
            exit_codes.DATA_FOLDER,
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(handle).process
            raise CannotStart(
                f"The data folder {folder.absolute()} is in use by another server"
                f"{f' (process {holder})' if holder else ''}. Stop it, or name another folder with --data.",
                exit_codes.DATA_FOLDER,
            ) from error
        os.ftruncate(handle, 0)
        process = f"{os.getpid()}\n".encode()
        os.pwrite(handle, process, 0)

        def tell_address(address: str) -> None:
            os.pwrite(handle, f"{address}\n".encode(), len(process))

        yield tell_address
    finally:
        os.close(handle)  # gives up the lock


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Who holds a data folder. process: its id; address: where it answers; both "" while unknown."""

    process: str
    address: str


def server_of(folder: Path) -> RunningServer | None:
    """The server that runs on a data folder, None if none does."""
    try:
        handle = os.open(folder / "server.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(handle)
    else:
        return None
    finally:
        os.close(handle)


def _holder(handle: int) -> RunningServer:
    process, _, address = os.pread(handle, 512, 0).decode("ascii", "replace").partition("\n")
    return RunningServer(process.strip(), address.strip())


def listen_on(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, not yet listening, one for each address of the host. Raises CannotStart."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotStart(
            f"http.host {host!r} is not an address of this machine: {error}", exit_codes.ADDRESS
        ) from error
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port == 0 and sockets:  # the same free port for every address
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            listener.bind(address)
        except OSError as error:
            listener.close()
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and (sockets or len(found) > 1):
                continue
            for other in sockets:
                other.close()
            raise CannotStart(_cannot_bind(host, port, error), exit_codes.ADDRESS) from error
        sockets.append(listener)
    if not sockets:
        raise CannotStart(f"http.host {host!r} is not an address of this machine", exit_codes.ADDRESS)
    return sockets


def _cannot_bind(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. Stop it, or name another port with --port "
            "(0 takes a free one)."
        )
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}. Name a port above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}"


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_files(settings: HttpSettings) -> None:
    """Each connection is an open file, and the usual limit of 1024 is reached first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning("at most %d files may be open: http.max_connections cannot be reached", allowed)


def run(open_application: OpenApplication, settings: HttpSettings, *, on_ready: Callable[[str], None]) -> int:
    """Serve an application until a signal; returns the exit code. Raises CannotStart, and what opening raises."""
    _allow_files(settings)
    sockets = listen_on(settings.host, settings.port)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Server(open_application, settings, sockets, on_ready).main())
    finally:
        for listener in sockets:
            listener.close()


class _Server:
    """The life of one server: open, listen, wait for a signal, let requests end, close."""

    def __init__(
        self,
        open_application: OpenApplication,
        settings: HttpSettings,
        sockets: list[socket.socket],
        on_ready: Callable[[str], None],
    ) -> None:
        self._open_application = open_application
        self._settings = settings
        self._sockets = sockets
        self._on_ready = on_ready
        self._state = ServerState()
        self._stop = asyncio.Event()
        self._stopped_at_s = 0.0

    async def main(self) -> int:
        """Run to the end; the exit code."""
        self._loop = asyncio.get_running_loop()
        with _Watchdog(self._settings.shutdown_timeout_s) as self._watchdog, self._signals():
            serving = self._loop.create_task(self._serve())
            stopping = self._loop.create_task(self._stop.wait())
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done() and not self._state.default_headers:
                serving.cancel()  # told to stop before it was ready
            stopping.cancel()
            try:
                await serving
            except asyncio.CancelledError:
                if not self._stop.is_set():
                    raise
        return exit_codes.OK

    @contextmanager
    def _signals(self) -> Iterator[None]:
        # Python's own handlers and not the loop's: they run, and start the watchdog, also while something
        # blocks the loop.
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, self._on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self._stopped_at_s:
            os._exit(128 + number)
        self._stopped_at_s = time.monotonic()
        self._watchdog.start_time()
        self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        log.info("stopping")
        self._stop.set()

    async def _serve(self) -> None:
        async with self._open_application() as application:
            app = application.app
            await app.startup()
            config = Config(
                app,
                interface="asgi3",
                http=bounded_protocol(self._settings),
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=self._settings.keep_alive_s,  # type: ignore[arg-type]
            )
            config.load()
            self._tell_date()
            servers = [await self._listen(config, listener) for listener in self._sockets]
            ticking = asyncio.create_task(self._tick())
            try:
                self._on_ready(_address(self._sockets[0]))
                await self._stop.wait()
            finally:
                ticking.cancel()
                application.closing.set()
                for server in servers:
                    server.close()
                await self._end_requests()
                await app.shutdown()

    async def _listen(self, config: Config, listener: socket.socket) -> asyncio.AbstractServer:
        def connect() -> BoundedProtocol:
            protocol: BoundedProtocol = config.http_protocol_class(  # type: ignore[call-arg,assignment]
                config=config, server_state=self._state, app_state={}
            )
            return protocol

        loop = asyncio.get_running_loop()
        return await loop.create_server(connect, sock=listener, backlog=BACKLOG)

    def _tell_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._tell_date()

    async def _end_requests(self) -> None:
        """Idle connections go at once; requests may end; what is left after its time is cancelled, then cut off."""
        for connection in list(self._state.connections):
            connection.shutdown()
        patience_s = self._settings.shutdown_timeout_s * REQUESTS_SHARE
        left_s = max(0.0, self._stopped_at_s + patience_s - time.monotonic())
        tasks = set(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=left_s)
            if late:
                log.warning("%d requests did not end in time and are cancelled", len(late))
                for task in late:
                    task.cancel()
                await asyncio.wait(late, timeout=self._settings.shutdown_timeout_s * 0.15)
        await asyncio.sleep(0)
        for connection in list(self._state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.leave()


class _Watchdog:
    """Ends the process when its end takes too long, whatever hangs: what was acknowledged is on disk.

    A thread and a pipe, since a signal handler may interrupt anything, also what holds a lock.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s * 0.95
        self._ear, self._mouth = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._mouth)
        self._thread.join()
        os.close(self._ear)

    def start_time(self) -> None:
        """The time runs from now."""
        os.write(self._mouth, b"!")

    def _watch(self) -> None:
        if not os.read(self._ear, 1):
            return  # ended without a signal
        is_ended, _, _ = select.select([self._ear], [], [], self._timeout_s)
        if not is_ended:
            text = "not everything ended within http.shutdown_timeout_s: ending now"
            # What hangs may be the log itself, when nobody reads it.
            last_word = threading.Thread(target=log.error, args=(text,), daemon=True)
            last_word.start()
            last_word.join(0.1)
            os._exit(exit_codes.FAILED)
