"""The options of ``%%energy`` and ``%energy``.

Parsed by hand, because what follows the options of ``%energy`` is a statement that must reach
Python untouched, quotes and all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any

from IPython.core.error import UsageError

from jupyter_green.events import Tags

USAGE = """\
%%energy [--label NAME] [--stage STAGE] [--technique NAME] [-q] [-o VAR] [--no-sync]
%energy [options] STATEMENT

  -l, --label NAME       what the cell is called; runs with another label are no reruns
  -s, --stage STAGE      stage of the lifecycle: infrastructure, data, modeling, training,
                         deployment, evaluation
  -t, --technique NAME   technique that is tried: mixed-precision, pruning, early-stopping ...
  -q, --quiet            measure without showing anything
  -o, --output VAR       keep the result (energy_j, bound_j, duration_s ...) in a variable
  --sync, --no-sync      wait for the GPU's work before the end is measured, as by default, or
                         leave it to whatever comes after
  -h, --help             show this, and run nothing"""

_OPTION = re.compile(r"\s*(?P<flag>--?[A-Za-z][\w-]*)(?P<equals>=)?")
_VALUE = re.compile(
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"']+))(?=\s|$)"""
)

_FLAGS = {
    "-l": "label",
    "--label": "label",
    "-s": "stage",
    "--stage": "stage",
    "-t": "technique",
    "--technique": "technique",
    "-o": "output",
    "--output": "output",
}
_SWITCHES: dict[str, dict[str, Any]] = {
    "-q": {"quiet": True},
    "--quiet": {"quiet": True},
    "--sync": {"sync": True},
    "--no-sync": {"sync": False},
}
HELP = frozenset({"-h", "--help"})


@dataclass(frozen=True)
class Options:
    """What stands behind ``%%energy``."""

    label: str | None = None
    stage: str | None = None
    technique: str | None = None
    quiet: bool = False
    output: str | None = None
    sync: bool = True
    """Wait for GPUs before the end is stamped."""
    help: bool = False
    """The usage was asked for, and nothing runs."""

    @property
    def tags(self) -> Tags:
        return Tags(label=self.label, stage=self.stage, technique=self.technique)


def parse(line: str) -> tuple[Options, str]:
    """Options and the rest of a line.

    Raises:
        UsageError: an unknown option, a missing value, or a name that is no variable.
    """
    options, rest = Options(), line.strip()
    while (match := _OPTION.match(rest)) is not None:
        flag = match["flag"]
        if flag in HELP:
            return Options(help=True), ""
        rest = rest[match.end() :]
        if flag in _SWITCHES:
            options = replace(options, **_SWITCHES[flag])
            continue
        name = _FLAGS.get(flag)
        if name is None:
            raise UsageError(f"unknown option {flag}\n{USAGE}")
        value, rest = _value(flag, rest)
        options = _with(options, name, value)
    if options.output is not None and not _is_name(options.output):
        raise UsageError(f"-o needs the name of a variable, not {options.output!r}\n{USAGE}")
    return options, rest.removeprefix("-- ").strip()


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def _with(options: Options, name: str, value: str) -> Options:
    changes: dict[str, Any] = {name: value}
    return replace(options, **changes)


def parse_cell_line(line: str) -> Options:
    """Options of a cell's ``%%energy`` line, on which nothing else may stand.

    Raises:
        UsageError: as of :func:`parse`, or a statement on the line.
    """
    options, rest = parse(line)
    if rest:
        raise UsageError(
            f"%%energy measures the lines below it; {rest!r} stands on its own line. "
            f"To measure one statement: %energy {rest}\n{USAGE}"
        )
    return options


def _value(flag: str, rest: str) -> tuple[str, str]:
    match = _VALUE.match(rest)
    if match is None:
        raise UsageError(f"{flag} needs a value\n{USAGE}")
    value = next(group for group in match.groups() if group is not None)
    return value, rest[match.end() :]
