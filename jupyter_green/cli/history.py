"""``jupyter green history``: all sessions, with totals."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm
from traitlets import Bool, Enum, Unicode

from jupyter_green.cli.ages import since
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.report import history as view
from jupyter_green.sessions import library
from jupyter_green.sessions.history import read_history


class History(Command):
    """Shows all sessions with their totals, or groups of them."""

    name = "jupyter-green history"
    description = """Show what all recorded sessions have cost, and their totals.

    Two totals are shown. The sum of sessions counts for each session what the machine drew while
    it ran. The union in time counts every joule once, also where sessions ran at the same time
    on one machine; there a measured figure counts before a modelled one. A session belongs to
    the month in which it began.
    """
    examples = """
        jupyter green history                          # the newest sessions, totals of all
        jupyter green history --by month
        jupyter green history --by project --since 2026-01-01
        jupyter green history --since 90d --all
        jupyter green history --format csv --output history.csv
    """
    aliases = options("History", by="by", since="since", format="format", output="output")
    flags = switches("History", all=("everything", "Show every session."))

    by = Enum(("", *view.GROUPS), "", help="Group by notebook, project or month.").tag(config=True)
    since = Unicode("", help="Sessions since a date or of an age: 2026-01-31, 90d.").tag(
        config=True
    )
    format = Enum(("text", "json", "csv"), "text", help="text, json or csv.").tag(config=True)
    output = Unicode("", help="Write to this file instead of stdout.").tag(config=True)
    everything = Bool(False, help="Show every session.").tag(config=True)

    def run(self) -> None:
        """Print the history, or write it."""
        begin_s = since(self.since) if self.since else -math.inf
        data_dir = self.settings().data_dir
        history = read_history(data_dir, _shown).since(begin_s)
        if self.format == "json":
            self._deliver(view.as_json(history, self.by))
        elif self.format == "csv":
            self._deliver(view.as_csv(history, self.by))
        elif history.sessions:
            self._deliver(view.as_text(history, self.by, everything=self.everything))
        elif self.since:
            print(f"No session has begun since {self.since}.")
        else:
            print(f"No session is recorded in {library.sessions_dir(data_dir)}.")

    def _deliver(self, content: str) -> None:
        if not self.output:
            sys.stdout.write(content)
            return
        try:
            Path(self.output).write_text(content, encoding="utf-8", newline="\n")
        except (OSError, UnicodeError) as error:
            raise usage(f"{self.output} cannot be written: {error}") from error


def _shown(journals: Sequence[Path]) -> Iterable[Path]:
    """The first time takes a while: a bar in a terminal, if it does."""
    bar: Iterable[Path] = tqdm(
        journals, "reading sessions", file=sys.stderr, leave=False, delay=1, disable=None
    )
    return bar
