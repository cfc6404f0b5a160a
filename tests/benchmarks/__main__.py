"""``python -m tests.benchmarks [name ...] [--quick] [--markdown FILE]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    background,
    callbacks,
    calls,
    cells,
    detecting,
    energyit,
    feed,
    folding,
    gpus,
    history,
    panel,
    start,
    subjects,
    suggesting,
)
from tests.benchmarks.effort import QUICK, Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, place
from tests.benchmarks.subjects import NOTHING, OURS, PEERS

BENCHMARKS: dict[str, Callable[[Place, list[str], Effort], Table]] = {
    "cells": cells.run,
    "start": start.run,
    "background": background.run,
    "folding": folding.run,
    "feed": feed.run,
    "panel": panel.run,
    "history": history.run,
    "calls": calls.run,
    "detect": detecting.run,
    "energyit": energyit.run,
    "gpus": gpus.run,
    "suggesting": suggesting.run,
    "callbacks": callbacks.run,
}


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    effort = QUICK if options.quick else Effort()
    present = [name for name in PEERS if subjects.installed(name)]
    parts = [_introduction(present)]
    print(parts[0], flush=True)
    with place() as where:
        for name in options.names or BENCHMARKS:
            began = time.perf_counter()
            table = BENCHMARKS[name](where, [OURS, *present, NOTHING], effort)
            parts.append(table.markdown())
            print(f"\n{parts[-1]}", flush=True)
            print(f"({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    what = f"what to measure, of {', '.join(BENCHMARKS)} (default: all)"
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="name", help=what)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables, too")
    return parser.parse_args(arguments)


def _introduction(present: list[str]) -> str:
    tools = [f"{name} {subjects.version(name)}" for name in (OURS, *present)]
    absent = [name for name in PEERS if name not in present]
    if absent:
        tools.append(f"not installed: {', '.join(absent)}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return (
        f"{'; '.join(tools)}. Python {platform.python_version()}, {machine}.\n"
        "Medians over rounds in which the tools take turns, with the lowest and highest round; "
        "all tools read one simulated RAPL machine: one socket, four zones, ordinary files. "
        "On real hardware each read of a register costs more, for every tool alike."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
