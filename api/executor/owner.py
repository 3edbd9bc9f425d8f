"""Who holds a lease: a process, named so that its neighbours can see whether it still lives."""

import os
import socket
from functools import cache
from pathlib import Path


def owner_name() -> str:
    """`host/boot:pid:start` of this process."""
    pid = os.getpid()
    return f"{_machine()}:{pid}:{_start_of(pid)}"


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine and has ended; False where nobody can tell."""
    try:
        machine, pid, start = owner.rsplit(":", 2)
        host, boot = machine.rsplit("/", 1)
        our_host, our_boot = _machine().rsplit("/", 1)
        if host != our_host:
            return False
        return boot != our_boot or _start_of(int(pid)) != start
    except ValueError:
        return False


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()[:100]}/{boot}"


def _start_of(pid: int) -> str:
    """When the process was started, in the kernel's ticks; "" when there is none.

    A number is used again, a number and a start are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat[stat.rindex(")") + 2 :].split()
        return "" if fields[0] == "Z" else fields[19]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    except (OSError, ValueError):
        return ""
    try:  # no /proc: a number must do
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "alive"
