"""Takes the ``%%energy`` line away, so that the body runs as if it were not there.

A cell magic that ran its body in a nested ``run_cell`` would answer *ok* for a cell that
failed, break top-level ``await``, print tracebacks twice and fire every hook twice. So the line
is cut by an input transformer, and the hooks read its options from the raw cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from jupyter_green.notebook.options import Options, parse_cell_line

_ENERGY = re.compile(r"%%energy(?:\s+(?P<options>.*))?$")


def energy_options(raw_cell: str) -> Options | None:
    """Options of a cell that begins with ``%%energy``; None for any other cell.

    One that asks for help measures nothing, and is such another cell.

    Raises:
        UsageError: the options cannot be used.
    """
    for line in raw_cell.splitlines():
        if line.strip():
            match = _ENERGY.match(line.strip())
            options = parse_cell_line(match["options"] or "") if match is not None else None
            return None if options is not None and options.help else options
    return None


class EnergyLine:
    """The input transformer. It keeps no state: IPython may run it several times a cell.

    Args:
        on_seen: told whenever an ``%%energy`` line has been cut.
    """

    has_side_effects = True
    """Else terminal IPython takes a lone ``%%energy`` for a complete cell."""

    def __init__(self, on_seen: Callable[[], None]) -> None:
        self._on_seen = on_seen

    def __call__(self, lines: list[str]) -> list[str]:
        first = next((i for i, line in enumerate(lines) if line.strip()), None)
        if first is None:
            return lines
        match = _ENERGY.match(lines[first].strip())
        if match is None:
            return lines
        if parse_cell_line(match["options"] or "").help:
            return ["%energy --help\n"]
        self._on_seen()
        body = next((i for i in range(first + 1, len(lines)) if lines[i].strip()), len(lines))
        if body < len(lines) and lines[body].startswith("%%"):
            # Cell magics are recognised on the first line only.
            return lines[body:]
        # A blank line in its place keeps the line numbers of tracebacks.
        return [*lines[:first], "\n", *lines[first + 1 :]]
