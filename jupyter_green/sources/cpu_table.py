"""Watts per thread by micro-architecture, and which of these a processor is.

The watts are those of whole servers (memory, fans and losses included) divided by their threads,
from SPECpower_ssj2008 results as Cloud Carbon Footprint condenses them; the file
``data/cpu_power_per_thread.csv`` names its source row by row. Family and model numbers: Linux
``arch/x86/include/asm/intel-family.h`` and ``arch/x86/kernel/cpu/amd.c``, Arm's MIDR part numbers
(``arch/arm64/include/asm/cputype.h``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

_FILE = Path(__file__).parent.parent / "data" / "cpu_power_per_thread.csv"

_CORE_AND_XEON = 6
_INTEL = {
    "Sandy Bridge": (0x2A, 0x2D),
    "Ivy Bridge": (0x3A, 0x3E),
    "Haswell": (0x3C, 0x3F, 0x45, 0x46),
    "Broadwell": (0x3D, 0x47, 0x4F, 0x56),
    "Skylake": (0x4E, 0x5E),
    "Ice Lake": (0x6A, 0x6C, 0x7D, 0x7E),
    "Sapphire Rapids": (0x8F,),
    "Emerald Rapids": (0xCF,),
    "Granite Rapids": (0xAD, 0xAE),
}
_INTEL_BY_STEPPING = {
    # One model number, several generations: name by model and range of steppings. Kaby Lake
    # (below stepping 10 of 0x8E and 0x9E) and Cooper Lake (0x55 from 10 on) have no row.
    0x55: (("Skylake", range(5)), ("Cascade Lake", range(5, 10))),
    0x8E: (("Coffee Lake", range(10, 11)),),
    0x9E: (("Coffee Lake", range(10, 14)),),
}
_AMD = {
    # Family, models. The fifth generation (family 0x1A) is absent on purpose: see `_BAD_ROWS`.
    "EPYC 1st Gen": ((0x17, range(0x10)),),
    "EPYC 2nd Gen": ((0x17, range(0x30, 0x40)),),
    "EPYC 3rd Gen": ((0x19, range(0x10)),),
    "EPYC 4th Gen": ((0x19, range(0x10, 0x20)), (0x19, range(0xA0, 0xB0))),
}
_ARM = {"0xd0c": "Graviton2", "0xd40": "Graviton3", "0xd4f": "Graviton4"}
_ARM_LTD = "0x41"

_BAD_ROWS = ("EPYC 5th Gen",)  # its group holds desktop processors, and is an outlier


class Row(NamedTuple):
    """Whole-server watts per thread."""

    idle_w: float
    max_w: float
    remark: str = ""


def rows() -> dict[str, Row]:
    """The usable rows by micro-architecture."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {
            row["microarchitecture"]: Row(
                float(row["idle_w_per_thread"]), float(row["max_w_per_thread"]), row["note"] or ""
            )
            for row in csv.DictReader(file)
            if row["microarchitecture"] not in _BAD_ROWS
        }


def median_row(table: Iterable[Row]) -> Row:
    """The guess for an unknown processor: the median of the rows that were measured."""
    measured = [row for row in table if not row.remark.startswith("proxy")]
    idle_w = median(row.idle_w for row in measured)
    max_w = median(row.max_w for row in measured)
    return Row(idle_w, max_w, f"median of {len(measured)} server processors")


def parse_cpuinfo(text: str) -> dict[str, str]:
    """The first processor of ``/proc/cpuinfo``, from key to value."""
    pairs = (line.partition(":") for line in text.strip().partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def microarchitecture(cpuinfo: Mapping[str, str]) -> str | None:
    """The table's name of the processor that ``/proc/cpuinfo`` describes; None: not in it."""
    if cpuinfo.get("CPU implementer") == _ARM_LTD:
        return _ARM.get(cpuinfo.get("CPU part", ""))
    try:
        family, model = int(cpuinfo["cpu family"]), int(cpuinfo["model"])
        stepping = int(cpuinfo.get("stepping", "0"))
    except (KeyError, ValueError):
        return None
    vendor = cpuinfo.get("vendor_id")
    if vendor == "AuthenticAMD":
        return _amd(family, model)
    if vendor == "GenuineIntel" and family == _CORE_AND_XEON:
        return _intel(model, stepping)
    return None


def _amd(family: int, model: int) -> str | None:
    for name, ranges in _AMD.items():
        if any(family == known and model in models for known, models in ranges):
            return name
    return None


def _intel(model: int, stepping: int) -> str | None:
    for name, steppings in _INTEL_BY_STEPPING.get(model, ()):
        if stepping in steppings:
            return name
    return next((name for name, models in _INTEL.items() if model in models), None)
