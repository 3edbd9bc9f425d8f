"""The process that workers are forked from: everything heavy is imported and read once, and shared.

It is started by the supervisor with one end of a socket pair (`python -m api.executor.forkserver <fd>`).
Over it come first the settings, then one byte and one descriptor for every worker that is wanted; back go
messages: ready, forked (pid), exited (pid, status). At the end of the socket, which is the end of the
supervisor, however that came, all workers are killed. Should this process be killed itself, the kernel
kills the workers (PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING

from api.executor.wire import frame

if TYPE_CHECKING:
    from api.executor.tools import Preloaded

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve until the supervisor's end of the socket closes."""
    from api.executor.tools import preload  # heavy: only ever in this process

    control = socket.socket(fileno=descriptor)
    control.setblocking(True)
    (length,) = struct.unpack("!I", _read_exactly(control, 4))
    # From the supervisor, which started this process: trusted, and holds secrets that JSON would hide.
    preloaded = preload(pickle.loads(_read_exactly(control, length)))
    gc.collect()
    gc.freeze()  # the collector of a child must not touch, and so copy, shared pages
    with contextlib.suppress(BrokenPipeError):  # then the supervisor is gone, which `serve` sees as well
        control.sendall(frame({"ready": os.getpid()}))
    _Forks(control, preloaded).serve()


def _read_exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


class _Forks:
    def __init__(self, control: socket.socket, preloaded: "Preloaded") -> None:
        self._control = control
        self._preloaded = preloaded
        self._pids: set[int] = set()
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def serve(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._pipes = (woken, wake)
        try:
            while True:
                ready, _, _ = select.select([self._control.fileno(), woken], [], [])
                if woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4096)
                    self._reap()
                if self._control.fileno() in ready:
                    order, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
                    if not order:
                        break
                    self._fork(descriptors[0])
        except OSError:
            pass  # the supervisor is gone
        finally:
            for pid in self._pids:
                _kill_group(pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._pids.discard(pid)
            _kill_group(pid)  # what the worker itself may have started
            self._control.sendall(frame({"exited": pid, "status": os.waitstatus_to_exitcode(status)}))

    def _fork(self, descriptor: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(descriptor, parent)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._pids.add(pid)
        self._control.sendall(frame({"forked": pid}))

    def _become_worker(self, descriptor: int, parent: int) -> None:
        """Never returns: a worker does not run what its parent has on the stack."""
        code = 1
        try:
            os.setpgid(0, 0)
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != parent:  # it died before the kernel was asked
                    os._exit(1)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for pipe in self._pipes:
                os.close(pipe)
            self._control.close()
            from api.executor.worker import run_worker

            run_worker(socket.socket(fileno=descriptor), self._preloaded)
            code = 0
        except BaseException:  # noqa: BLE001 - the last frame of this process
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
