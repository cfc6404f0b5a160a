"""The building blocks of the HTML report: escaped text, tables, figures, charts.

Only :func:`text` lets words of others into the page. Everything else here takes HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from jupyter_green.report import vega_parts
from jupyter_green.report.inert import short

LONGEST_TEXT = 600
"""Characters of a sentence: assumptions of models take up to half of it."""

DASH = "\N{EN DASH}"
EMPTY = f'<span class="dim">{DASH}</span>'
"""Stands where something is not known, or does not apply."""


def text(words: str, most: int = LONGEST_TEXT) -> str:
    """Words from anywhere: in bounds, on one line, escaped, and not turning what is around."""
    known = escape(short(words, most))
    return f"<bdi>{known}</bdi>" if known else ""


def code(words: str) -> str:
    """A sentence of ours: what it has in backticks is to be typed."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words))


def section(title: str, *parts: str) -> str:
    """A section of the page; nothing if there is nothing in it."""
    body = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{body}</section>\n" if body else ""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    style: str = ""
    key: str = ""
    """What the page's script can sort by."""

    @property
    def head(self) -> str:
        key = f' data-key="{self.key}"' if self.key else ""
        title = escape(self.title) or '<span class="hidden">Number</span>'
        return f'<th scope="col"{self._class}{key}>{title}</th>'

    def cell(self, content: str) -> str:
        """One cell of it."""
        return f"<td{self._class}>{content}</td>"

    @property
    def _class(self) -> str:
        return f' class="{self.style}"' if self.style else ""


def number(title: str, key: str = "") -> Column:
    """A column of figures."""
    return Column(title, "number", key)


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing without rows, and without the columns in which nothing stands.

    What is not known is a dash.
    """
    known = list(rows)
    used = [column for index, column in enumerate(columns) if any(row[index] for row in known)]
    body = "".join(_row(columns, used, row) for row in known)
    return framed(caption, used, f"<tbody>{body}</tbody>") if known else ""


def _row(columns: Sequence[Column], used: Sequence[Column], row: Sequence[str]) -> str:
    cells = zip(columns, row, strict=True)
    shown = (column.cell(content or EMPTY) for column, content in cells if column in used)
    return f"<tr>{''.join(shown)}</tr>"


def framed(caption: str, columns: Sequence[Column], bodies: str, style: str = "plain") -> str:
    """A table around rows that are HTML already. One that is large is moved in its frame."""
    head = "".join(column.head for column in columns)
    return (
        f'<div class="frame" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="{style}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>{bodies}</table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what is known of them, in HTML; nothing without any."""
    told = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs if value)
    return f'<dl class="facts">{told}</dl>' if told else ""


def bullets(items: Iterable[str]) -> str:
    """A list of HTML; nothing without any."""
    told = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{told}</ul>" if told else ""


def bar(share: float, colour: str) -> str:
    """A share of one as a bar. A picture, because backgrounds are not printed."""
    width = min(100.0, 100 * share)
    if width <= 0:
        return ""
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width:.3g}" height="4" fill="{colour}"></rect></svg>'
    )


def square(colour: str) -> str:
    """The colour of a thing beside its name."""
    return (
        '<svg class="square" viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect width="1" height="1" fill="{colour}"></rect></svg>'
    )


def as_data(value: object) -> str:
    """JSON that cannot end the script element which holds it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


class Pictures:
    """Puts charts into the page: as drawings, or as what its script draws them from.

    Args:
        light: drawings.
    """

    def __init__(self, light: bool) -> None:
        self._light = light
        self._count = 0

    def figure(self, spec: vega_parts.Spec, caption: str) -> str:
        """A chart with what it shows in words. Its figures stand in the table beside it."""
        self._count += 1
        key = f"chart-{self._count}"
        label = escape(str(spec["description"]), quote=True)
        if self._light:
            drawn = vega_parts.svg_for_page(spec, key)
            place = f'<div class="chart drawn" role="img" aria-label="{label}">{drawn}</div>'
        else:
            place = (
                f'<div class="chart" role="img" aria-label="{label}" data-chart="{key}"></div>'
                f'<script type="application/json" id="{key}">{as_data(spec)}</script>'
            )
        return f"<figure>{place}<figcaption>{escape(caption)}</figcaption></figure>"
