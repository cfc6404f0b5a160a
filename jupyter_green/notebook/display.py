"""Shows results in a notebook: HTML and plain text in one bundle, each complete in itself."""

from __future__ import annotations

from typing import Any

from IPython.display import display

from jupyter_green.errors import JupyterGreenError
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.summary import Result

NOT_YET = "energy: the recorder has not answered yet; %green shows the cell as soon as it has"


def cell_result(tracker: Tracker, number: int) -> Result | None:
    """The figures of a cell that has just ended; None if they are not to be had in time."""
    try:
        session = tracker.session()
        return Result.of(session, session.cell(number))
    except (JupyterGreenError, KeyError):
        return None


def show(shown: Any) -> None:
    """Display an object that has both a text and an HTML form."""
    bundle(repr(shown), shown._repr_html_())


def bundle(text: str, html: str) -> None:
    """Display a text and its HTML twin."""
    display({"text/plain": text, "text/html": html}, raw=True)
