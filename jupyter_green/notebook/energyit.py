"""``%energyit`` and ``%%energyit``: options, the repeated code, and the display."""

from __future__ import annotations

import re
import timeit
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_green.errors import JupyterGreenError
from jupyter_green.notebook import display
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.studies.repeat import RUNS, repeat

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

USAGE = """\
%energyit [-n LOOPS] [-r RUNS] [-q] [-o VAR] STATEMENT
%%energyit [-n LOOPS] [-r RUNS] [-q] [-o VAR] [SETUP STATEMENT]"""

_OPTION = re.compile(r"\s*(-[nro]|--?[A-Za-z]+)[=\s]*([^\s=-]\S*)?")
"""A number may touch its letter, as in ``-n100``."""
_FLAGS = {"--loops": "-n", "--runs": "-r", "--quiet": "-q", "--output": "-o"}


@dataclass(frozen=True)
class Options:
    """What stands behind ``%energyit``."""

    loops: int | None = None
    runs: int = RUNS
    quiet: bool = False
    output: str | None = None


def run(shell: InteractiveShell, tracker: Tracker, line: str, cell: str | None) -> None:
    """Repeat the statement, or the cell after the line's set-up, and show what it costs."""
    options, rest = parse(line)
    statement, setup = (rest, "") if cell is None else (cell, rest)
    if not statement.strip():
        raise UsageError(f"%energyit needs something to repeat\n{USAGE}")
    timer = _timer(shell, statement, setup)
    name = next(text for text in statement.splitlines() if text.strip()).strip()[:120]
    try:
        result = repeat(tracker, timer.timeit, name=name, loops=options.loops, runs=options.runs)
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
        flag = _FLAGS.get(flag, flag)
        if flag == "-q":
            options, rest = replace(options, quiet=True), rest[match.end(1) :]
            continue
        options = _with(options, flag, value)
        rest = rest[match.end() :]
    return options, rest.strip()


def _with(options: Options, flag: str, value: str | None) -> Options:
    if flag == "-o" and value is not None and value.isidentifier():
        return replace(options, output=value)
    if flag in ("-n", "-r") and value is not None and value.isdigit() and int(value) > 0:
        number = int(value)
        return replace(options, loops=number) if flag == "-n" else replace(options, runs=number)
    raise UsageError(f"{flag} {value or ''} is no option of %energyit\n{USAGE}")


def _timer(shell: InteractiveShell, statement: str, setup: str) -> timeit.Timer:
    """The same loop as that of ``%timeit``; names are those of the notebook."""
    namespace: dict[str, Any] = shell.user_ns
    return timeit.Timer(
        shell.transform_cell(statement), shell.transform_cell(setup) or "pass", globals=namespace
    )
