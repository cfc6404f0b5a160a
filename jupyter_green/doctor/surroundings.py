"""What the machine around us is: virtual or contained, its closed energy counters, its GPUs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jupyter_green.settings import Settings
from jupyter_green.sources.cpu_table import parse_cpuinfo

POWERCAP = "class/powercap"
_ZONE = re.compile(r"intel-rapl[a-z-]*(?::\d+)+")
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # PCI's class of display controllers; NVIDIA makes others, too


@dataclass(frozen=True)
class Zones:
    """The machine's energy counters by who may read them, under the names that it has for them."""

    found: bool = False
    closed: tuple[str, ...] = ()
    """Files that this process may not read."""
    root_only: tuple[str, ...] = ()
    """Files that this process reads, and that others may not."""


@dataclass(frozen=True)
class Gpus:
    """Traces of NVIDIA GPUs."""

    on_bus: int = 0
    driver: str = ""
    """Version of the loaded kernel driver."""
    devices: tuple[str, ...] = ()
    """Device files of GPUs."""


@dataclass(frozen=True)
class Surroundings:
    """Where this process runs."""

    container: bool
    kubernetes: bool
    hypervisor: bool
    vendor: str
    """Of the processor, as cpuinfo names it; empty where there is none."""
    paranoid: int | None
    """kernel.perf_event_paranoid."""
    zones: Zones
    gpus: Gpus


def look_around(settings: Settings, environ: Mapping[str, str], root: str) -> Surroundings:
    """Where this process runs; ``root`` is that of the file system."""
    cpuinfo = parse_cpuinfo(_text(os.path.join(settings.procfs_root, "cpuinfo"), 8192))
    kubernetes = "KUBERNETES_SERVICE_HOST" in environ
    marks = (os.path.join(root, mark) for mark in _CONTAINER_MARKS)
    paranoid = _text(os.path.join(settings.procfs_root, "sys/kernel/perf_event_paranoid")).strip()
    return Surroundings(
        container=kubernetes or any(map(os.path.exists, marks)),
        kubernetes=kubernetes,
        hypervisor="hypervisor" in cpuinfo.get("flags", "").split(),
        vendor=cpuinfo.get("vendor_id", ""),
        paranoid=int(paranoid) if re.fullmatch(r"-?\d+", paranoid) else None,
        zones=_zones(settings.sysfs_root),
        gpus=_gpus(settings, root),
    )


def _zones(sysfs_root: str) -> Zones:
    """By opening each: what a mode means depends on who asks, and on security modules."""
    top = os.path.join(sysfs_root, POWERCAP)
    entries = [entry for entry in _list(top) if _ZONE.fullmatch(entry)]
    closed: list[str] = []
    root_only: list[str] = []
    for entry in sorted(entries, key=_numbers):
        path = os.path.realpath(os.path.join(top, entry, "energy_uj"))
        named = _as_named(path, sysfs_root)
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
        except PermissionError:
            closed.append(named)
        except OSError:
            continue
        else:
            if not mode & 0o044:
                root_only.append(named)
    return Zones(bool(entries), tuple(closed), tuple(root_only))


def _numbers(entry: str) -> tuple[str, list[int]]:
    interface, *numbers = entry.split(":")
    return interface, [int(number) for number in numbers]


def _as_named(path: str, sysfs_root: str) -> str:
    """The path as the machine itself has it, wherever its sysfs is mounted here."""
    return os.path.join("/sys", os.path.relpath(path, os.path.realpath(sysfs_root)))


def _gpus(settings: Settings, root: str) -> Gpus:
    bus = os.path.join(settings.sysfs_root, "bus/pci/devices")
    version = _text(os.path.join(settings.procfs_root, "driver/nvidia/version"), 4096)
    number = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", version)
    return Gpus(
        on_bus=sum(_is_gpu(os.path.join(bus, device)) for device in _list(bus)),
        driver=number[0] if number else version.strip()[:60],
        devices=tuple(
            f"/dev/{name}"
            for name in sorted(_list(os.path.join(root, "dev")))
            if re.fullmatch(r"nvidia\d+", name)
        ),
    )


def _is_gpu(device: str) -> bool:
    vendor, kind = (_text(os.path.join(device, name)) for name in ("vendor", "class"))
    return vendor.strip() == _NVIDIA and kind.startswith(_DISPLAY)


def _list(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _text(path: str, most: int = 64) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""
