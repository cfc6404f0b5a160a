"""Every form in which sessions can be carried away: its name, its file, and what makes it.

A form is a module with a function that takes a Session and returns text or bytes; some forms have
another that takes several sessions, as one :class:`~jupyter_green.report.merged.values.Merged`. The
modules are imported on use, because some need packages that are slow to load or not there at all.
"""

from __future__ import annotations

import os
import re
import time
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from jupyter_green.errors import ReportError
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Session

if TYPE_CHECKING:
    from jupyter_green.report.merged.values import Merged


class Form(NamedTuple):
    """One way to write sessions down."""

    name: str
    suffix: str
    """How the names of its files end."""
    media_type: str
    told: str
    """What it is, for a list of forms."""
    maker: str
    """``module:function`` in this package."""
    limited: bool = False
    """Long sessions are cut to the cells that cost most, unless ``everything`` is asked for."""
    binary: bool = False
    merger: str = ""
    """``module:function`` that makes it of several sessions; empty: it is of one alone."""

    def render(self, told: Session | Merged, *, everything: bool = True) -> str | bytes:
        """A session, or several that are merged, in this form.

        Args:
            everything: all cells and spans (all sessions), however many there are.

        Raises:
            ReportError: the form asks for a figure that the session does not have, or tells of
                one session alone.
            MissingPackage: an optional package is needed; the message names the pip line.
        """
        module, _, function = self._maker_of(told).partition(":")
        make = getattr(import_module(f"jupyter_green.report.{module}"), function)
        made: str | bytes = make(told, everything=everything) if self.limited else make(told)
        return made if isinstance(made, bytes) else f"{made.rstrip()}\n"

    def _maker_of(self, told: Session | Merged) -> str:
        if isinstance(told, Session):
            return self.maker
        self.check_merging()
        return self.merger

    def check_merging(self) -> None:
        """Several sessions can be merged in this form.

        Raises:
            ReportError: it tells of one session alone.
        """
        if not self.merger:
            raise ReportError(
                f"{self.name} tells of one session alone; several are merged as {', '.join(MERGED)}"
            )


FORMS = (
    Form(
        "html",
        ".html",
        "text/html",
        "a page with charts, in one file",
        "html.page:render",
        merger="merged.html:render",
    ),
    Form(
        "html_light",
        ".light.html",
        "text/html",
        "the page without any script, a tenth of the size",
        "html.page:render_light",
        merger="merged.html:render_light",
    ),
    Form(
        "text",
        ".txt",
        "text/plain",
        "plain text",
        "text:on_a_page",
        limited=True,
        merger="merged.text:render",
    ),
    Form(
        "markdown",
        ".md",
        "text/markdown",
        "Markdown",
        "markdown:render",
        limited=True,
        merger="merged.text:render_markdown",
    ),
    Form(
        "statement",
        ".statement.md",
        "text/markdown",
        "a paragraph to cite, in Markdown",
        "statement:render",
        merger="merged.statement:render",
    ),
    Form(
        "latex",
        ".tex",
        "text/x-tex",
        "a paragraph to cite, in LaTeX",
        "statement:render_latex",
        merger="merged.statement:render_latex",
    ),
    Form(
        "csv",
        ".csv",
        "text/csv",
        "one row a cell",
        "exports.tabular:as_csv",
        merger="merged.tabular:as_csv",
    ),
    Form(
        "json",
        ".json",
        "application/json",
        "everything",
        "exports.tabular:as_json",
        merger="merged.tabular:as_json",
    ),
    Form(
        "parquet",
        ".parquet",
        "application/vnd.apache.parquet",
        "one row a cell, with types",
        "exports.parquet:render",
        binary=True,
    ),
    Form(
        "codecarbon",
        ".emissions.csv",
        "text/csv",
        "CodeCarbon's columns",
        "exports.codecarbon:render",
        merger="merged.tabular:as_codecarbon",
    ),
    Form(
        "model_card",
        ".model-card.md",
        "text/markdown",
        "co2_eq_emissions for a model card of Hugging Face",
        "exports.model_card:render",
    ),
    Form(
        "boamps", ".boamps.json", "application/json", "BoAmps of Boavizta", "exports.boamps:render"
    ),
)
NAMES = tuple(form.name for form in FORMS)
MERGED = tuple(form.name for form in FORMS if form.merger)
"""Forms of several sessions."""


def form_of(name: str) -> Form:
    """The form with this name.

    Raises:
        ReportError: there is none.
    """
    for form in FORMS:
        if form.name == name:
            return form
    raise ReportError(f"a session is exported as {', '.join(NAMES)}, not as {name!r:.60}")


def form_for(path: str) -> Form:
    """The form that a file's name asks for: the longest suffix decides.

    ``emissions.csv`` is CodeCarbon's own name for its file.

    Raises:
        ReportError: no form has such a name.
    """
    name = f".{os.path.basename(path).lower()}"
    fitting = [form for form in FORMS if name.endswith(form.suffix)]
    if not fitting:
        suffixes = ", ".join(f"{form.suffix} ({form.name})" for form in FORMS)
        raise ReportError(f"{short(path)}: the name tells no form; it may end in {suffixes}")
    return max(fitting, key=lambda form: len(form.suffix))


def save(
    told: Session | Merged, path: str = "", name: str | None = None, *, everything: bool = True
) -> str:
    """Write a session, or several that are merged, into a file; return its absolute path.

    Args:
        told: what is written.
        path: where to; default: named after notebook and session, in the working directory.
        name: the form; default: what the path's ending says.
        everything: all cells and spans (all sessions), however many there are.

    Raises:
        ReportError: there is no such form, it tells of one session alone, or the file cannot be
            written.
    """
    form = form_of(name) if name else form_for(path) if path else DEFAULT
    target = os.path.abspath(os.path.expanduser(path or file_name(told, form)))
    _check_place(target)
    made = form.render(told, everything=everything)
    try:
        with open(target, "wb") as file:
            file.write(made if isinstance(made, bytes) else encoded(made))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ReportError(f"{short(target)} cannot be written: {why}") from error
    return target


def _check_place(target: str) -> None:
    """A page takes seconds to make: what cannot be written is said before.

    Raises:
        ReportError: there is no such directory, or the target is one.
    """
    directory = os.path.dirname(target)
    if os.path.isdir(target):
        raise ReportError(f"{short(target)} cannot be written: it is a directory")
    if not os.path.isdir(directory):
        raise ReportError(f"{short(target)} cannot be written: there is no {short(directory)}")


def encoded(text: str) -> bytes:
    """Text as UTF-8. Names may hold halves of characters, which no encoding has."""
    return text.encode("utf-8", "replace")


def file_name(told: Session | Merged, form: Form) -> str:
    """``train-20261120T190000-abcdef.html``: a name that every file system takes."""
    return (_name_of_one(told) if isinstance(told, Session) else _name_of(told)) + form.suffix


def _name_of(merged: Merged) -> str:
    """``12-sessions-20261101-20261120``."""
    days = (time.strftime("%Y%m%d", time.localtime(wall_s)) for wall_s in merged.period)
    return "-".join([f"{len(merged.members)}-sessions", *dict.fromkeys(days)])


def _name_of_one(session: Session) -> str:
    notebook = re.split(r"[\\/]", session.notebook or "")[-1].removesuffix(".ipynb")
    # A file system takes 255 bytes, and a character may be three of them.
    parts = (_plain(notebook)[:50], _plain(session.id)[:30])
    return "-".join(filter(None, parts))


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")


DEFAULT = form_of("html")
"""What a report is if nobody says."""
