"""``jupyter green compare``: two recorded sessions beside each other."""

from __future__ import annotations

import sys

from traitlets import Enum, Unicode

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.report import comparison
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session


class Compare(Command):
    """Shows what changed from one session to another."""

    name = "jupyter-green compare"
    description = """Compare two recorded sessions: before and after a change.

    BEFORE and AFTER are ids or beginnings of them, paths of journals, or names of notebooks.
    Cells are matched by their labels, and without one as reruns of the same cell are.
    """
    examples = """
        jupyter green compare 20261120T19 20261121T08
        jupyter green compare old.ipynb new.ipynb --format markdown
        jupyter green compare 20261120T19 20261121T08 --place FR
    """
    most_arguments = 2
    aliases = options("Compare", format="format", place="place")
    flags = switches("Compare")

    format = Enum(("text", "markdown"), "text", help="text or markdown.").tag(config=True)
    place = Unicode("", help="Country to value both sessions' energy for (FR).").tag(config=True)

    def run(self) -> None:
        """Print the comparison."""
        if len(self.extra_args) != 2:
            raise usage("two sessions are compared: give both, `jupyter green list` shows them")
        directory = self.settings().data_dir
        before, after = (self._session(directory, name) for name in self.extra_args)
        make = comparison.render if self.format == "text" else comparison.render_markdown
        sys.stdout.write(make(before, after) + "\n")

    def _session(self, directory: str, name: str) -> Session:
        session = library.load(library.find(directory, name))
        return session.with_intensity(intensity_of(self.place)) if self.place else session
