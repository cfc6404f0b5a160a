"""A process with a shell and one tool in it, which does what it is told.

Each line of standard input is ``{"call": "module:function", ...}``; the function gets the
process's :class:`Inside` and the rest as arguments, and its result goes back as one line.
A child that ``multiprocessing`` spawns imports this file again, so it imports little.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from tests.benchmarks import subjects
from tests.benchmarks.subjects import Step, Subject


@dataclass
class Inside:
    """What the functions find in the process."""

    shell: Any
    name: str
    sysfs: str
    made: Subject | None = None
    end_of_cell: Step | None = None
    """Ends the cell that is open."""
    page: Any = None
    """The panel that looks."""

    @property
    def subject(self) -> Subject:
        assert self.made is not None
        return self.made


def start(inside: Inside) -> None:
    """Start the tool."""
    inside.made = subjects.make(inside.name, inside.sysfs)


def main(name: str, sysfs: str) -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the tools print is no answer
    # What every kernel has loaded before a user's first line.
    import ipykernel.ipkernel  # noqa: F401
    from IPython.core.interactiveshell import InteractiveShell

    inside = Inside(InteractiveShell.instance(), name, sysfs)
    for line in sys.stdin:
        print(json.dumps(_answer(inside, json.loads(line))), file=answers, flush=True)
    if inside.made is not None:
        inside.made.close()
    return 0


def _answer(inside: Inside, request: dict[str, Any]) -> dict[str, Any]:
    module, _, function = request.pop("call").partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), function)(inside, **request)}
    # A tool that fails is reported, and the others go on. Some call sys.exit.
    except (Exception, SystemExit):
        return {"error": traceback.format_exc()}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
