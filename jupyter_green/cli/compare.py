"""``jupyter green compare``: two recorded sessions beside each other, or labels of any number."""

from __future__ import annotations

import csv
import sys

from traitlets import Enum, Unicode

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.insight.compare import How, contest
from jupyter_green.report import comparison
from jupyter_green.report.studies import compared
from jupyter_green.sessions import library
from jupyter_green.sessions.merged import journals_of
from jupyter_green.sessions.model import Session


class Compare(Command):
    """Shows what changed from one session to another, or from one label to another."""

    name = "jupyter-green compare"
    description = """Compare two recorded sessions, before and after a change, or labels.

    BEFORE and AFTER are ids or beginnings of them, paths of journals, or names of notebooks.
    Cells are matched by their labels, and without one as reruns of the same cell are.

    With --labels the repeats of techniques are compared, by energy and by quality: the cells
    (%%energy --label) and spans (measure(label=), the trials of studies) that carry these labels,
    or the runs of these names, in any number of SESSIONs or directories of journals; default: in
    the newest session. The first label is the baseline.
    """
    examples = """
        jupyter green compare 20261120T19 20261121T08
        jupyter green compare old.ipynb new.ipynb --format markdown
        jupyter green compare 20261120T19 20261121T08 --place FR
        jupyter green compare --labels baseline,quantised
        jupyter green compare --labels baseline,quantised --metric accuracy old.ipynb new.ipynb
        jupyter green compare --labels '"batch 1, int8","batch 64, int8"' serve.ipynb
    """
    most_arguments = sys.maxsize
    aliases = options("Compare", format="format", place="place", labels="labels", metric="metric")
    flags = switches("Compare")

    format = Enum(("text", "markdown"), "text", help="text or markdown.").tag(config=True)
    place = Unicode("", help="Country to value the sessions' energy for (FR).").tag(config=True)
    labels = Unicode(
        "",
        help="""Labels or names of runs, with commas between them; a name that holds a comma stands
        in quotation marks.""",
    ).tag(config=True)
    metric = Unicode(
        "",
        help="""With --labels, what quality is measured by. Default: what was logged last and
        should be high.""",
    ).tag(config=True)

    def run(self) -> None:
        """Print the comparison."""
        sys.stdout.write((self._of_labels() if self.labels else self._of_sessions()) + "\n")

    def _of_sessions(self) -> str:
        if self.metric:
            raise usage("--metric says by what --labels are compared: give these, too")
        if len(self.extra_args) != 2:
            raise usage(
                "two sessions are compared: give both, `jupyter green list` shows them; or --labels"
            )
        directory = self.settings().data_dir
        before, after = (
            self._valued(library.load(library.find(directory, name))) for name in self.extra_args
        )
        make = comparison.render if self.format == "text" else comparison.render_markdown
        return make(before, after)

    def _of_labels(self) -> str:
        directory = self.settings().data_dir
        names: list[str | None] = [*self.extra_args] or [None]
        journals = [path for name in names for path in journals_of(directory, name)]
        sessions = [self._valued(library.load(path)) for path in dict.fromkeys(journals)]
        found = contest(sessions, self._names(), How(metric=self.metric or None))
        make = compared.render if self.format == "text" else compared.render_markdown
        return make(found)

    def _names(self) -> list[str]:
        try:
            names = next(csv.reader([self.labels], skipinitialspace=True))
        except csv.Error as error:
            raise usage(f"--labels cannot be read: {error}") from error
        found = [name.strip() for name in names if name.strip()]
        if not found:
            raise usage("--labels names nothing: give two or more, with commas between them")
        return found

    def _valued(self, session: Session) -> Session:
        return session.with_intensity(intensity_of(self.place)) if self.place else session
