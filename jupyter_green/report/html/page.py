"""The session report: one HTML file that needs nothing else, for the screen and for paper.

It asks for nothing from the network, and its policy forbids the browser to. The only script that
may run is the one named there by its hash; the light form has none.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files

from jupyter_green.report import bundle
from jupyter_green.report.html.parts import Pictures
from jupyter_green.report.html.sections import sections
from jupyter_green.report.inert import short
from jupyter_green.report.table import Table
from jupyter_green.sessions.model import Session

MOST_CELLS = 300
"""Rows of cells; the rest is summed."""


def render(session: Session, *, light: bool = False) -> str:
    """The report as a whole HTML document.

    Args:
        light: charts are drawings and there is no script: a tenth of the size, nothing to point
            at or to sort.
    """
    table = Table.of(session, most_cells=MOST_CELLS)
    body = sections(session, table, Pictures(light))
    return document(table.title, body, light=light)


def render_light(session: Session) -> str:
    """The report without any script."""
    return render(session, light=True)


def document(title: str, body: str, *, light: bool) -> str:
    """A whole document in the looks of our reports.

    Args:
        title: as plain text.
        body: as HTML; it may have classes, but no styles and no scripts of its own.
        light: without our script.
    """
    script = "" if light else _script()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(short(title))}</title>\n'
        f"<style>{_file('page.css')}</style>\n</head>\n"
        f"<body>\n{body}{f'<script>{script}</script>' if script else ''}\n</body>\n</html>\n"
    )


def _policy(script: str) -> str:
    """Nothing may be fetched, sent or run, but for what stands in the page as we wrote it."""
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src '{_hash(_file('page.css'))}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _script() -> str:
    return f"{bundle.script()}\n{_file('page.js')}"


@cache
def _file(name: str) -> str:
    return files("jupyter_green.report.html").joinpath(name).read_text(encoding="utf-8")
