"""How much of the machine's CPU time went to this kernel's process tree: an estimate.

Linux only reads a few files of procfs; elsewhere psutil walks the tree. Nothing here is
read more often than once a second.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""``PROC_PID_INIT_INO`` in the kernel's ``include/linux/proc_ns.h``."""


@dataclass(frozen=True)
class CpuTimes:
    """Cumulative CPU seconds."""

    tree_s: float
    """Of the kernel and everything below it."""
    busy_s: float
    """Of the machine, all CPUs together."""
    idle_s: float

    def share_since(self, earlier: CpuTimes) -> float | None:
        """Share of the machine's busy CPU time that was the tree's; None if it was idle."""
        busy_s = self.busy_s - earlier.busy_s
        if busy_s <= 0.05:
            return None
        return round(min(1.0, max(0.0, (self.tree_s - earlier.tree_s) / busy_s)), 4)

    def utilisation_since(self, earlier: CpuTimes) -> float | None:
        """Share of all CPU time that was busy; None if no time has passed."""
        busy_s = self.busy_s - earlier.busy_s
        whole_s = busy_s + self.idle_s - earlier.idle_s
        return round(min(1.0, max(0.0, busy_s / whole_s)), 4) if whole_s > 0 else None


class CpuMeter:
    """Reads the CPU times of one process tree and of the machine."""

    def __init__(self, pid: int, procfs_root: str = "/proc") -> None:
        self._pid = pid
        self._procfs = Path(procfs_root)

    def read(self) -> CpuTimes | None:
        """The times now, or None where they cannot be read (or the kernel is gone)."""
        try:
            if platform.system() == "Linux":
                return CpuTimes(self._linux_tree(self._pid), *self._linux_machine())
            return self._portable()
        except (OSError, ValueError, IndexError):
            return None

    def _linux_machine(self) -> tuple[float, float]:
        with open(self._procfs / "stat", "rb") as file:
            user, nice, system, idle, iowait, irq, softirq = map(int, file.readline().split()[1:8])
        busy = user + nice + system + irq + softirq
        return busy / TICKS_PER_S, (idle + iowait) / TICKS_PER_S

    def _linux_tree(self, pid: int) -> float:
        """CPU seconds of a process, of its dead children and of its living descendants."""
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()
        total = sum(map(int, fields[11:15])) / TICKS_PER_S
        for child in _linux_children(pid):
            try:
                total += self._linux_tree(child)
            except OSError:
                continue  # it has ended, and is counted in its parent from now on
        return total

    def _portable(self) -> CpuTimes | None:
        import psutil  # noqa: PLC0415  (only off Linux, and slow to load)

        try:
            kernel = psutil.Process(self._pid)
            tree = [kernel, *kernel.children(recursive=True)]
            used = sum(sum(p.cpu_times()[:2]) for p in tree if p.pid != os.getpid())
        except psutil.Error:
            return None
        times = psutil.cpu_times()
        return CpuTimes(used, sum(times) - times.idle, times.idle)


class ProcessTree:
    """The kernel and everything below it, by number."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def pids(self) -> set[int]:
        """Numbers of the living ones; empty when the kernel is gone."""
        try:
            if platform.system() == "Linux":
                return _linux_pids(self._pid)
            return self._portable()
        except (OSError, ValueError):
            return set()

    def is_here(self, pid: int) -> bool:
        """A process of this number can be seen here."""
        if platform.system() == "Linux":
            return os.path.exists(f"/proc/{pid}")
        import psutil  # noqa: PLC0415  (only off Linux, and slow to load)

        return bool(psutil.pid_exists(pid))

    @property
    def namespaced(self) -> bool:
        """This process does not see the host's process numbers (``pid_namespaces(7)``)."""
        try:
            return os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE
        except OSError:
            return False

    def _portable(self) -> set[int]:
        import psutil  # noqa: PLC0415  (only off Linux, and slow to load)

        try:
            kernel = psutil.Process(self._pid)
            return {kernel.pid, *(child.pid for child in kernel.children(recursive=True))}
        except psutil.Error:
            return set()


def _linux_pids(pid: int) -> set[int]:
    found = {pid}
    for child in _linux_children(pid):
        try:
            found |= _linux_pids(child)
        except OSError:
            continue  # it has ended
    return found


def _linux_children(pid: int) -> set[int]:
    found: set[int] = set()
    own = os.getpid()
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_bytes()
        except OSError:
            continue  # the thread has ended
        found.update(int(child) for child in children.split())
    # The recorder is a child of the kernel; its cost is published, not billed to the user.
    found.discard(own)
    return found
