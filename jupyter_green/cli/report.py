"""``jupyter green report``: shows a recorded session."""

from __future__ import annotations

import os
import sys

from traitlets import Bool, Enum, Float, Unicode

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.report import forms, text
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session

_FORMS = "; ".join(f"{form.name}: {form.told}" for form in forms.FORMS)


NO_PRICE = -1.0
"""Nothing was asked for; 0 is a price."""


class Report(Command):
    """Shows a session: its id or the beginning of it, its journal, or the notebook's name."""

    name = "jupyter-green report"
    description = """Show a recorded session.

    SESSION is its id or the beginning of it, the path of its journal, or the name of its
    notebook; default: the newest. The figures can be valued for another place, basis, PUE or price
    than the one that was in force; the recorded session stays as it is. Markdown and text show
    the cells that cost most, unless --all is given.
    """
    examples = """
        jupyter green report                              # the newest session
        jupyter green report train.ipynb --all            # with every cell
        jupyter green report 20261120T19 --place DE --pue 1.54
        jupyter green report --place gcp:europe-west9 --basis direct --price 0.31
        jupyter green report --output report.md           # the form follows from the ending
        jupyter green report --format codecarbon --output emissions.csv
    """
    most_arguments = 1
    aliases = options(
        "Report",
        format="format",
        output="output",
        place="place",
        basis="basis",
        pue="pue",
        price="price",
        currency="currency",
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

    def run(self) -> None:
        """Print the report, or write it."""
        session = library.load(library.find(self.settings().data_dir, self.argument))
        session = self._valued(session)
        if self.output:
            forms.save(session, self.output, self._form(), everything=self.everything)
        else:
            self._print(session)

    def _valued(self, session: Session) -> Session:
        if self.place or self.basis:
            session = session.with_intensity(intensity_of(self._placed(session), self.basis))
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

    def _print(self, session: Session) -> None:
        form = forms.form_of(self._form() or "text")
        if form.name == "text":
            sys.stdout.write(text.render(session, everything=self.everything) + "\n")
        elif form.binary:
            self._print_bytes(form, session)
        else:
            sys.stdout.write(str(form.render(session, everything=self.everything)))

    def _print_bytes(self, form: forms.Form, session: Session) -> None:
        if sys.stdout.isatty():
            raise usage(f"{form.name} is no text: give a file with --output")
        made = form.render(session)
        assert isinstance(made, bytes)
        sys.stdout.buffer.write(made)
