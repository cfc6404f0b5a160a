"""``jupyter green report``: shows a recorded session."""

from __future__ import annotations

import sys
from pathlib import Path

from traitlets import Bool, Enum, Float, Unicode

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.report import tabular, text
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session


class Report(Command):
    """Shows a session: its id or the beginning of it, its journal, or the notebook's name."""

    name = "jupyter-green report"
    description = """Show a recorded session.

    SESSION is its id or the beginning of it, the path of its journal, or the name of its
    notebook; default: the newest. The figures can be valued for another place or PUE than the
    one that was in force; the recorded session stays as it is.
    """
    examples = """
        jupyter green report                              # the newest session
        jupyter green report train.ipynb --all            # with every cell
        jupyter green report 20261120T19 --place DE --pue 1.54
        jupyter green report --format csv --output cells.csv
    """
    most_arguments = 1
    aliases = options("Report", format="format", output="output", place="place", pue="pue")
    flags = switches("Report", all=("everything", "Show every cell and span."))

    format = Enum(("text", "json", "csv"), "text", help="text, json or csv.").tag(config=True)
    output = Unicode("", help="Write to this file instead of stdout.").tag(config=True)
    everything = Bool(False, help="Show every cell and span.").tag(config=True)
    place = Unicode("", help="Country to value the energy for (FR).").tag(config=True)
    pue = Float(0.0, help="Power usage effectiveness to value the energy for.").tag(config=True)

    def run(self) -> None:
        """Print the report, or write it."""
        session = library.load(library.find(self.settings().data_dir, self.argument))
        self._deliver(self._rendered(self._valued(session)))

    def _valued(self, session: Session) -> Session:
        if self.place:
            session = session.with_intensity(intensity_of(self.place))
        if not self.pue:
            return session
        if not 1.0 <= self.pue < float("inf"):
            raise usage(f"--pue must be at least 1.0 (no overhead), not {self.pue:g}")
        return session.with_pue(self.pue)

    def _rendered(self, session: Session) -> str:
        if self.format == "json":
            return tabular.as_json(session) + "\n"
        if self.format == "csv":
            return tabular.as_csv(session)
        width = text.USUAL_WIDTH if self.output else None
        return text.render(session, width=width, everything=self.everything) + "\n"

    def _deliver(self, content: str) -> None:
        if not self.output:
            sys.stdout.write(content)
            return
        try:
            Path(self.output).write_text(content, encoding="utf-8", newline="\n")
        except (OSError, UnicodeError) as error:
            raise usage(f"{self.output} cannot be written: {error}") from error
