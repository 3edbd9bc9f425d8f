"""The supervisor's side of the fork server: starting it, and having workers of it."""

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from api.executor.wire import frame, read_message
from api.settings import Settings

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[2]

_ENVIRONMENT = {
    # One core a worker: thread pools of libraries would fight, and do not survive a fork.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}

_EXIT_STATUS_S = 2.0


class ForkFailed(Exception):
    """The fork server died; a new one is started at the next try."""


class Child:
    """A worker process."""

    def __init__(
        self,
        pid: int,
        exit_status: "asyncio.Future[int | None]",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.pid = pid
        self._exit = exit_status
        self._reader = reader
        self._writer = writer

    def send(self, message: dict[str, Any]) -> None:
        """Send; a worker that is gone shows at the next receive."""
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when the worker is gone."""
        return await read_message(self._reader)

    def kill(self) -> None:
        """End it and all that it started, now."""
        if not self._exit.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._writer.close()

    async def exit_status(self) -> int | None:
        """Exit code, or minus the signal; None when nobody knows (the fork server died with it)."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(self._exit), _EXIT_STATUS_S)
        return None


class ForkServer:
    """Starts the fork server when a worker is wanted, again should it have died, and stops it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._forked: deque[asyncio.Future[int]] = deque()
        self._exits: dict[int, asyncio.Future[int | None]] = {}
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the fork server, when it runs."""
        return self._process.pid if self._process is not None else None

    async def fork(self) -> Child:
        """A new worker. Raises ForkFailed."""
        async with self._starting:
            if self._control is None:
                await self._start()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            try:
                with theirs:
                    pid, exit_status = await self._ask(theirs.fileno())
            except BaseException:
                ours.close()  # should it have been forked all the same, it ends at once
                raise
        return Child(pid, exit_status, *await asyncio.open_unix_connection(sock=ours))

    async def _ask(self, descriptor: int) -> "tuple[int, asyncio.Future[int | None]]":
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._forked.append(future)
        try:
            if self._control is None:
                raise ForkFailed("the fork server ended while it started")
            socket.send_fds(self._control, [b"f"], [descriptor])
        except OSError as error:
            raise ForkFailed("the fork server is gone") from error
        pid = await future
        return pid, self._exits[pid]

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _start_process(theirs.fileno())
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._control = ours
        settings = pickle.dumps(self._settings)
        await loop.sock_sendall(ours, struct.pack("!I", len(settings)) + settings)
        # Reads from a copy of the descriptor: writing stays with the socket, for it passes descriptors on.
        reader, writer = await asyncio.open_unix_connection(sock=ours.dup())
        self._reading = asyncio.create_task(self._read(reader, writer))
        await self._ready

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (message := await read_message(reader)) is not None:
            if "forked" in message:
                pid = message["forked"]
                self._exits[pid] = asyncio.get_running_loop().create_future()
                forked = self._forked.popleft()
                if not forked.done():
                    forked.set_result(pid)
            elif "exited" in message:
                exit_status = self._exits[message["exited"]]
                asyncio.get_running_loop().call_later(
                    _EXIT_STATUS_S, self._exits.pop, message["exited"], None
                )
                exit_status.set_result(message["status"])
            elif self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        writer.close()
        self._gone()

    def _gone(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        error = ForkFailed("the process that workers are forked from ended; see its messages above")
        waiting: list[asyncio.Future[Any]] = [*self._forked]
        if self._ready is not None:
            waiting.append(self._ready)
        self._forked.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # looked at: it may be that nobody waits any more
        for exit_status in self._exits.values():
            if not exit_status.done():
                exit_status.set_result(None)
        self._exits.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def stop(self) -> None:
        """End the fork server and, with it, every worker."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
        if self._reading is not None:
            await self._reading


def _start_process(descriptor: int) -> "subprocess.Popen[bytes]":
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: nothing is imported from the folder that the server happens to run in.
    # Its own session: a Ctrl-C at the terminal is for the server alone.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "api.executor.forkserver", str(descriptor)],
        stdin=subprocess.DEVNULL,
        pass_fds=[descriptor],
        env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )
