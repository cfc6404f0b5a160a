"""Facts about processes and the machine that tell a live session from an orphan."""

from __future__ import annotations

import os
import platform
import socket
from functools import cache
from pathlib import Path


@cache
def host_name() -> str:
    """The machine's name on its network."""
    return socket.gethostname()


@cache
def boot_id() -> str:
    """Changes at every boot on Linux; empty elsewhere, where the start time has to do."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def process_started(pid: int) -> float:
    """When a process started: clock ticks since boot on Linux, else seconds since the epoch.

    Together with the pid it names a process for good, because pids are used again.

    Raises:
        ProcessLookupError: there is no such process.
    """
    if platform.system() == "Linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError as error:
            raise ProcessLookupError(pid) from error
        # The command name, field 2, may hold spaces and parentheses; starttime is field 22.
        fields = stat[stat.rindex(b")") + 2 :].split()
        if fields[0] in (b"Z", b"X"):
            raise ProcessLookupError(pid)
        return float(fields[19])
    import psutil  # noqa: PLC0415  (only off Linux, and slow to load)

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error as error:
        raise ProcessLookupError(pid) from error


def is_alive(pid: int, started: float) -> bool:
    """Whether the process that had ``pid`` and began at ``started`` still runs."""
    try:
        return abs(process_started(pid) - started) < 1.0
    except ProcessLookupError:
        return False


def own_identity() -> tuple[int, float]:
    """Pid and start time of this process."""
    pid = os.getpid()
    return pid, process_started(pid)
