"""A fake procfs and cgroup tree, for the modelled power of a processor without sensors."""

from __future__ import annotations

from pathlib import Path

USER_HZ = 100  # what the ticks of /proc/stat are, on every Linux that Python runs on


class FakeProc:
    """Writes ``root/proc`` and ``root/sys/fs/cgroup``; each call replaces what it wrote before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.cgroup = root / "sys/fs/cgroup"

    def set_stat(  # noqa: PLR0913 - the columns of the file
        self,
        *,
        user: int = 0,
        nice: int = 0,
        system: int = 0,
        idle: int = 0,
        iowait: int = 0,
        irq: int = 0,
        softirq: int = 0,
        steal: int = 0,
        guest: int = 0,
        guest_nice: int = 0,
        cpus: int = 1,
    ) -> None:
        """The sums over all processors in ticks of 1/USER_HZ s, spread evenly over them.

        As in Linux, ``user`` holds ``guest`` already, and ``nice`` holds ``guest_nice``.
        """
        sums = (user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice)
        lines = ["cpu  " + " ".join(map(str, sums))]
        for cpu in range(cpus):
            share = (total // cpus + (cpu < total % cpus) for total in sums)
            lines.append(f"cpu{cpu} " + " ".join(map(str, share)))
        lines += ["intr 0", "ctxt 0", "btime 1700000000", "processes 1", "procs_running 1"]
        _put(self.proc / "stat", "\n".join([*lines, "procs_blocked 0"]))

    def set_cpuinfo(
        self,
        vendor: str = "GenuineIntel",
        family: int = 6,
        model: int = 85,
        model_name: str = "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
        count: int = 1,
        sockets: int = 1,
    ) -> None:
        """The x86 form: one block for each of ``count`` processors, without hyper-threads."""
        per_socket = max(count // sockets, 1)
        blocks = [
            f"processor\t: {cpu}\n"
            f"vendor_id\t: {vendor}\n"
            f"cpu family\t: {family}\n"
            f"model\t\t: {model}\n"
            f"model name\t: {model_name}\n"
            f"stepping\t: 4\n"
            f"physical id\t: {min(cpu // per_socket, sockets - 1)}\n"
            f"siblings\t: {per_socket}\n"
            f"core id\t\t: {cpu % per_socket}\n"
            f"cpu cores\t: {per_socket}\n"
            for cpu in range(count)
        ]
        _put(self.proc / "cpuinfo", "\n".join(blocks))

    def set_meminfo(self, total_kib: int, available_kib: int | None = None) -> None:
        """The machine's memory in KiB."""
        available = total_kib if available_kib is None else available_kib
        rows = (("MemTotal", total_kib), ("MemFree", available), ("MemAvailable", available))
        _put(self.proc / "meminfo", "\n".join(f"{n + ':':<16}{kib:>8} kB" for n, kib in rows))

    def set_cgroup_v2(
        self,
        usage_usec: int,
        *,
        system_usec: int = 0,
        quota_us: int | None = None,
        period_us: int = 100_000,
    ) -> None:
        """The unified hierarchy; busy time in microseconds, a quota of None is no limit."""
        parts = {"usage": usage_usec, "user": usage_usec - system_usec, "system": system_usec}
        _put(self.cgroup / "cgroup.controllers", "cpuset cpu io memory pids")
        _put(self.cgroup / "cpu.stat", "\n".join(f"{n}_usec {us}" for n, us in parts.items()))
        _put(self.cgroup / "cpu.max", f"{'max' if quota_us is None else quota_us} {period_us}")
        _put(self.proc / "self/cgroup", "0::/")

    def set_cgroup_v1(
        self, usage_ns: int, *, quota_us: int | None = None, period_us: int = 100_000
    ) -> None:
        """The old hierarchy; busy time in nanoseconds, a quota of None is no limit (-1)."""
        group = self.cgroup / "cpu,cpuacct"
        _put(group / "cpuacct.usage", str(usage_ns))
        _put(group / "cpu.cfs_quota_us", str(-1 if quota_us is None else quota_us))
        _put(group / "cpu.cfs_period_us", str(period_us))
        for alias in ("cpu", "cpuacct"):
            if not (self.cgroup / alias).is_symlink():
                (self.cgroup / alias).symlink_to(group.name)
        _put(self.proc / "self/cgroup", "4:cpu,cpuacct:/")


def _put(path: Path, text: str) -> None:
    """Write in place and not by a rename: readers may keep the file open, as with a real one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = f"{text}\n".encode()
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        # Newlines over the rest of a longer old text: none of it is seen before the cut.
        file.write(data.ljust(path.stat().st_size, b"\n"))
        file.truncate(len(data))
