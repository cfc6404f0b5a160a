"""``jupyter green report``: shows a recorded session, or several as one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm
from traitlets import Bool, Enum, Float, Unicode

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.cli.ages import since
from jupyter_green.cli.base import Command, complain, options, switches, usage
from jupyter_green.report import forms, text
from jupyter_green.report.merged import values as merged
from jupyter_green.report.merged.values import Merged
from jupyter_green.sessions import library
from jupyter_green.sessions.merged import choose, journals_in, journals_of
from jupyter_green.sessions.model import Session

_FORMS = "; ".join(f"{form.name}: {form.told}" for form in forms.FORMS)


NO_PRICE = -1.0
"""Nothing was asked for; 0 is a price."""


class Report(Command):
    """Shows a session: its id or the beginning of it, its journal, or the notebook's name.

    Of several names, a directory of journals, a project or an age one merged report is made.
    """

    name = "jupyter-green report"
    description = """Show a recorded session.

    SESSION is its id or the beginning of it, the path of its journal, or the name of its
    notebook; default: the newest. The figures can be valued for another place, basis, PUE or price
    than the one that was in force; the recorded session stays as it is. Markdown and text show
    the cells that cost most, unless --all is given.

    Several SESSIONs, a directory of journals (as copied from another machine), --project and
    --since make one merged report, in which no joule of a machine counts twice: as html,
    html_light, text, markdown, statement, latex, csv and codecarbon (one row a session), or json.
    --project and --since choose among what is named, and without a name among all sessions.
    """
    examples = """
        jupyter green report                              # the newest session
        jupyter green report train.ipynb --all            # with every cell
        jupyter green report 20261120T19 --place DE --pue 1.54
        jupyter green report --place gcp:europe-west9 --basis direct --price 0.31
        jupyter green report --output report.md           # the form follows from the ending
        jupyter green report --format codecarbon --output emissions.csv
        jupyter green report --project thesis --since 90d --output thesis.html
        jupyter green report 20261120T19 train.ipynb ./from-the-cluster/ --output all.html
    """
    most_arguments = sys.maxsize
    aliases = options(
        "Report",
        format="format",
        output="output",
        place="place",
        basis="basis",
        pue="pue",
        price="price",
        currency="currency",
        project="project",
        since="since",
    )
    flags = switches("Report", all=("everything", "Show every cell and span."))

    format = Enum(
        forms.NAMES,
        None,
        allow_none=True,
        help=f"""{_FORMS}. Default: what the ending of the output file says, else text.""",
    ).tag(config=True)
    output = Unicode("", help="Write to this file instead of stdout.").tag(config=True)
    everything = Bool(False, help="Show every cell and span.").tag(config=True)
    place = Unicode(
        "", help="Country (FR), state (US-CA) or cloud region (aws:eu-west-3) to value it for."
    ).tag(config=True)
    basis = Enum(
        ("lifecycle", "direct"),
        None,
        allow_none=True,
        help="Basis of the carbon intensity; default: that of the place's own figure.",
    ).tag(config=True)
    pue = Float(0.0, help="Power usage effectiveness to value the energy for.").tag(config=True)
    price = Float(NO_PRICE, help="Price of a kilowatt-hour to value the energy for.").tag(
        config=True
    )
    currency = Unicode("", help="Its currency; default: the session's.").tag(config=True)

    project = Unicode("", help="Merge the sessions of this project.").tag(config=True)
    since = Unicode("", help="Merge the sessions since a date or of an age: 2026-01-31, 90d.").tag(
        config=True
    )

    def run(self) -> None:
        """Print the report, or write it."""
        told = self._merged() if self._several() else self._one()
        if self.output:
            forms.save(told, self.output, self._form(), everything=self.everything)
        else:
            self._print(told)

    def _one(self) -> Session:
        (journal,) = journals_of(self.settings().data_dir, self.argument)
        return self._valued(library.load(journal))

    def _several(self) -> bool:
        chosen = self.project or self.since or len(self.extra_args) > 1
        return bool(chosen or journals_in(self.argument or ""))

    def _merged(self) -> Merged:
        # What cannot be made is said before a thousand journals are read.
        self._check_form()
        chosen = choose(
            self.settings().data_dir,
            self.extra_args,
            project=self.project or None,
            since_wall_s=since(self.since) if self.since else -math.inf,
        )
        made = merged.load(chosen, self._valued_among, _shown)
        for problem in made.problems:
            complain(f"left out: {problem}")
        return made

    def _check_form(self) -> None:
        name = self._form()
        form = forms.form_of(name) if name else forms.form_for(self.output)
        form.check_merging()

    def _valued_among(self, session: Session) -> Session:
        """As one alone; but on another basis only those that have a place."""
        if self.basis and not self.place and session.intensity is None:
            return self._priced(session)
        return self._valued(session)

    def _valued(self, session: Session) -> Session:
        if self.place or self.basis:
            session = session.with_intensity(intensity_of(self._placed(session), self.basis))
        return self._priced(session)

    def _priced(self, session: Session) -> Session:
        if self.pue:
            if not 1.0 <= self.pue < float("inf"):
                raise usage(f"--pue must be at least 1.0 (no overhead), not {self.pue:g}")
            session = session.with_pue(self.pue)
        if self.price != NO_PRICE:
            session = session.with_price(self._price(), self.currency or session.pricing.currency)
        elif self.currency:
            raise usage("--currency needs a --price")
        return session

    def _placed(self, session: Session) -> str:
        """The place that is asked for, else the session's."""
        if not self.place and session.intensity is None:
            raise usage("--basis needs a --place: the session has none")
        return self.place or (session.intensity.place if session.intensity else "")

    def _price(self) -> float:
        if not 0 <= self.price < float("inf"):
            raise usage(f"--price must not be negative, but is {self.price:g}")
        return self.price

    def _form(self) -> str | None:
        """The form by its name; None: the ending of the output's name says it."""
        has_ending = "." in os.path.basename(self.output)
        name: str | None = self.format
        return name or (None if has_ending else "text")

    def _print(self, told: Session | Merged) -> None:
        form = forms.form_of(self._form() or "text")
        if form.name == "text" and isinstance(told, Session):
            # As wide as the terminal.
            sys.stdout.write(text.render(told, everything=self.everything) + "\n")
        elif form.binary:
            self._print_bytes(form, told)
        else:
            sys.stdout.write(str(form.render(told, everything=self.everything)))

    def _print_bytes(self, form: forms.Form, told: Session | Merged) -> None:
        if sys.stdout.isatty():
            raise usage(f"{form.name} is no text: give a file with --output")
        made = form.render(told)
        assert isinstance(made, bytes)
        sys.stdout.buffer.write(made)


def _shown(journals: Sequence[Path]) -> Iterable[Path]:
    """Many take a while: a bar in a terminal, if they do."""
    bar: Iterable[Path] = tqdm(
        journals, "reading sessions", file=sys.stderr, leave=False, delay=1, disable=None
    )
    return bar
