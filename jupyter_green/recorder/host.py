"""Facts about the machine for the session's first line. Cheap: two small files on Linux."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from jupyter_green.events import Machine
from jupyter_green.settings import Settings


def describe_machine(settings: Settings) -> Machine:
    """The machine in words."""
    cpuinfo = _read(Path(settings.procfs_root) / "cpuinfo")
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cpu=_field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 0,
        memory_bytes=_memory_bytes(settings),
        python=platform.python_version(),
        virtual=_virtual(cpuinfo),
    )


def _memory_bytes(settings: Settings) -> int:
    total_kib = _field(_read(Path(settings.procfs_root) / "meminfo"), "MemTotal").split()
    return int(total_kib[0]) * 1024 if total_kib and total_kib[0].isdigit() else 0


def _virtual(cpuinfo: str) -> str:
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        return "container"
    return "vm" if " hypervisor" in _field(cpuinfo, "flags") else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    """The value behind the first ``name   : value``."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
