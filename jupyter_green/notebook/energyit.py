"""``%energyit`` and ``%%energyit``: options, the repeated code, and the display."""

from __future__ import annotations

import re
import timeit
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_green.errors import JupyterGreenError
from jupyter_green.notebook import display
from jupyter_green.notebook.options import HELP
from jupyter_green.recorder import gpu_sync
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.studies.repeat import RUNS, repeat

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

USAGE = """\
%energyit [-n LOOPS] [-r RUNS] [-q] [-o VAR] [--no-sync] STATEMENT
%%energyit [-n LOOPS] [-r RUNS] [-q] [-o VAR] [--no-sync] [SETUP STATEMENT]

  -n, --loops LOOPS      loops in each run; by default as many as the counters need
  -r, --runs RUNS        runs, after one for warming up (7)
  -q, --quiet            show nothing
  -o, --output VAR       keep the result (energy_j, deviation_j, net_j ...) in a variable
  --sync, --no-sync      wait for the GPU's work at the end of each run, as by default, or not
  -h, --help             show this, and run nothing"""

_OPTION = re.compile(r"\s*(-[nro]|--?[A-Za-z][\w-]*)[=\s]*([^\s=-]\S*)?")
"""A number may touch its letter, as in ``-n100``."""
_FLAGS = {"--loops": "-n", "--runs": "-r", "--output": "-o"}
_SWITCHES: dict[str, dict[str, Any]] = {
    "-q": {"quiet": True},
    "--quiet": {"quiet": True},
    "--sync": {"sync": True},
    "--no-sync": {"sync": False},
}


@dataclass(frozen=True)
class Options:
    """What stands behind ``%energyit``."""

    loops: int | None = None
    runs: int = RUNS
    quiet: bool = False
    output: str | None = None
    sync: bool = True
    """Wait for GPUs at the end of every run."""
    help: bool = False
    """The usage was asked for, and nothing runs."""


def run(shell: InteractiveShell, tracker: Tracker, line: str, cell: str | None) -> None:
    """Repeat the statement, or the cell after the line's set-up, and show what it costs."""
    options, rest = parse(line)
    if options.help:
        print(USAGE)
        return
    statement, setup = (rest, "") if cell is None else (cell, rest)
    if not statement.strip():
        raise UsageError(f"%energyit needs something to repeat\n{USAGE}")
    timer = _timer(shell, statement, setup)

    def work(loops: int) -> None:
        timer.timeit(loops)
        if options.sync:
            gpu_sync.synchronize(tracker.problems)

    name = next(text for text in statement.splitlines() if text.strip()).strip()[:120]
    try:
        result = repeat(tracker, work, name=name, loops=options.loops, runs=options.runs)
    except JupyterGreenError as error:
        print(f"energyit: {error}")
        return
    if options.output is not None:
        shell.push({options.output: result})
    if not options.quiet:
        display.show(result)


def parse(line: str) -> tuple[Options, str]:
    """Options and the rest of a line, which is Python and stays as it is.

    Raises:
        UsageError: an unknown option, or a value that cannot be used.
    """
    options, rest = Options(), line.strip()
    while (match := _OPTION.match(rest)) is not None:
        flag, value = match.groups()
        if flag in HELP:
            return Options(help=True), ""
        if flag in _SWITCHES:
            options, rest = replace(options, **_SWITCHES[flag]), rest[match.end(1) :]
            continue
        options = _with(options, _FLAGS.get(flag, flag), value)
        rest = rest[match.end() :]
    return options, rest.strip()


def _with(options: Options, flag: str, value: str | None) -> Options:
    if flag == "-o" and value is not None and value.isidentifier():
        return replace(options, output=value)
    if flag in ("-n", "-r") and value is not None and value.isdigit() and int(value) > 0:
        number = int(value)
        return replace(options, loops=number) if flag == "-n" else replace(options, runs=number)
    if flag in ("-n", "-r"):
        raise UsageError(f"{flag} needs a number of 1 or more\n{USAGE}")
    raise UsageError(f"{flag} {value or ''} is no option of %energyit\n{USAGE}")


def _timer(shell: InteractiveShell, statement: str, setup: str) -> timeit.Timer:
    """The same loop as that of ``%timeit``; names are those of the notebook."""
    namespace: dict[str, Any] = shell.user_ns
    return timeit.Timer(
        shell.transform_cell(statement), shell.transform_cell(setup) or "pass", globals=namespace
    )
