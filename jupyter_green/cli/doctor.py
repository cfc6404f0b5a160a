"""``jupyter green doctor``: what is measured on this machine, what is not, and what opens it."""

from __future__ import annotations

import sys

import msgspec
from traitlets import Bool, Float

from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.configurable import load_settings
from jupyter_green.doctor import text
from jupyter_green.doctor.examine import WATCH_S, examine

SHORTEST_S, LONGEST_S = 0.2, 60.0


class Doctor(Command):
    """Looks at the machine; changes nothing, needs no rights and no network."""

    name = "jupyter-green doctor"
    description = """Show what is measured on this machine, by what and how well; what is not, why,
    and the lines that open it; and whether recorder, journals and settings are in order.

    It takes about five seconds. It changes nothing and never asks for root: lines that need it are
    printed, for an administrator to read and type.
    """
    examples = """
        jupyter green doctor
        jupyter green doctor --seconds 10     # watch the counters' power for longer
        jupyter green doctor --json           # for programs, and to go with a report of a problem
    """
    aliases = options("Doctor", seconds="watch_s")
    flags = switches("Doctor", json=("as_json", "Print all of it as JSON."))

    watch_s = Float(WATCH_S, help="Seconds over which the power is measured (0.2 to 60).").tag(
        config=True
    )
    as_json = Bool(False, help="Print all of it as JSON.").tag(config=True)

    def run(self) -> None:
        """Examine and print. What was found is no failure of the command."""
        if not SHORTEST_S <= self.watch_s <= LONGEST_S:
            raise usage(
                f"--seconds must be from {SHORTEST_S:g} to {LONGEST_S:g}, not {self.watch_s:g}"
            )
        loaded = load_settings(self)
        found = examine(loaded.settings, problems=loaded.problems, watch_s=self.watch_s)
        if self.as_json:
            print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        else:
            sys.stdout.write(text.render(found) + "\n")
