"""Shows results in a notebook: HTML and plain text in one bundle, each complete in itself."""

from __future__ import annotations

import threading
from contextlib import suppress
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


def show_cell(tracker: Tracker, number: int) -> None:
    """Show a cell that has just ended, at once; a later line of it replaces this one.

    A GPU's energy at the cell's end is known a few ticks later, and nobody should wait for that.
    """
    try:
        session, provisional = tracker.glimpse()
        result = Result.of(session, session.cell(number))
    except (JupyterGreenError, KeyError):
        print(NOT_YET)
        return
    if not provisional:
        show(result)
        return
    handle = display(_twins(result), raw=True, display_id=True)
    threading.Thread(
        target=_refine, args=(tracker, number, handle), name="jupyter_green refine", daemon=True
    ).start()


def _refine(tracker: Tracker, number: int, handle: Any) -> None:
    result = cell_result(tracker, number)
    if result is not None:
        # The front end may be gone by now, and nobody hears of it then.
        with suppress(Exception):
            handle.update(_twins(result), raw=True)


def show(shown: Any) -> None:
    """Display an object that has both a text and an HTML form."""
    display(_twins(shown), raw=True)


def bundle(text: str, html: str) -> None:
    """Display a text and its HTML twin."""
    display({"text/plain": text, "text/html": html}, raw=True)


def _twins(shown: Any) -> dict[str, str]:
    return {"text/plain": repr(shown), "text/html": shown._repr_html_()}
