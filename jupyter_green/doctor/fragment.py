"""An examination as an HTML fragment, for the output of a notebook cell.

As the report's: no script, no external resource, no style sheet; colours of text are inherited,
so that it reads in light and dark themes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jupyter_green.doctor.findings import NOTE, OK, PROBLEM, Check, Examination, Recipe
from jupyter_green.doctor.page import COLUMNS, Page, Refused, Row
from jupyter_green.doctor.text import CHECKS, MEASURED, NOT_MEASURED, NOTHING_REFUSED

COLOURS = {OK: "#2f9e68", NOTE: "#d6a63d", PROBLEM: "#c0504d"}

_ROOT = "font-size:13px;line-height:1.4;max-width:60em;font-variant-numeric:tabular-nums"
_TABLE = "border-collapse:collapse;margin:4px 0;font-size:inherit;color:inherit"
_RULE = "border-top:1px solid rgba(128,128,128,.35)"
_LEFT = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
_RIGHT = "padding:2px 12px 2px 0;text-align:right;white-space:nowrap"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace"
_DIM = "opacity:.75"
_LINES = (
    f"{_MONO};font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 6px;"
    "padding:4px 8px;border-left:3px solid rgba(128,128,128,.35);background:none;color:inherit"
)


def render(found: Examination) -> str:
    """The examination as HTML."""
    page = Page.of(found)
    parts = (
        f'<div style="font-size:16px;font-weight:600">{_text(page.title)}</div>',
        f'<div style="{_DIM}">{_text(page.machine)}</div>',
        _heading(MEASURED),
        _table(page.rows),
        f"<div>{_text(page.total)}</div>",
        _heading(NOT_MEASURED),
        *map(_refused, page.refused),
        "" if page.refused else f"<div>{NOTHING_REFUSED}</div>",
        f'<div style="{_DIM}">Not used: {_text(page.unused)}.</div>' if page.unused else "",
        *(_recipe(number, recipe) for number, recipe in enumerate(page.recipes, 1)),
        _heading(CHECKS),
        _checks(page.checks),
    )
    return f'<div style="{_ROOT}">{"".join(parts)}</div>'


def _text(text: str) -> str:
    """Escaped, and kept from turning the text around it in right-to-left scripts."""
    return f"<bdi>{escape(text)}</bdi>"


def _heading(text: str) -> str:
    return f'<div style="font-weight:600;margin-top:12px">{escape(text)}</div>'


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(
        f'<th scope="col" style="{_RIGHT if index else _LEFT};font-weight:600">{title}</th>'
        for index, title in enumerate(COLUMNS)
    )
    return (
        f'<table style="{_TABLE}"><thead><tr style="background:none">{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, rows))}</tbody></table>"
    )


def _row(row: Row) -> str:
    name, *figures = row.cells
    cells = f'<td style="{_LEFT};{_MONO}">{_text(name)}</td>' + "".join(
        f'<td style="{_RIGHT}">{escape(figure)}</td>' for figure in figures
    )
    detail = f'<td colspan="{len(COLUMNS)}" style="{_LEFT};{_DIM}">{_text(row.detail)}</td>'
    return (
        f'<tr style="background:none;{_RULE}">{cells}</tr><tr style="background:none">{detail}</tr>'
    )


def _refused(refused: Refused) -> str:
    remedy = f'<pre style="{_LINES}">{escape(refused.remedy)}</pre>' if refused.remedy else ""
    return (
        f'<div style="margin-top:4px"><b>{_text(refused.what)}</b>: {_text(refused.reason)}'
        f"{remedy}</div>"
    )


def _recipe(number: int, recipe: Recipe) -> str:
    opens = f"<div>What it opens: {_text(recipe.opens)}.</div>" if recipe.opens else ""
    steps = "".join(
        f"<div>{_text(step.text)}</div>"
        + (f'<pre style="{_LINES}">{escape(chr(10).join(step.lines))}</pre>' if step.lines else "")
        for step in recipe.steps
    )
    return (
        f'<div style="margin-top:10px"><b>{number}. {_text(recipe.title)}</b>'
        f'<div style="padding-left:18px">{opens}{steps}</div></div>'
    )


def _checks(checks: Sequence[Check]) -> str:
    rows = "".join(map(_check, checks))
    return f'<table style="{_TABLE}"><tbody>{rows}</tbody></table>'


def _check(check: Check) -> str:
    square = (
        "display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:5px;"
        f"background:{COLOURS[check.verdict]}"
    )
    remedy = f'<div style="{_DIM}">→ {_text(check.remedy)}</div>' if check.remedy else ""
    return (
        f'<tr style="background:none;{_RULE}"><td style="{_LEFT};white-space:nowrap">'
        f'<span style="{square}"></span>{escape(check.verdict)}</td>'
        f'<td style="{_LEFT};white-space:nowrap">{_text(check.about)}</td>'
        f'<td style="{_LEFT}">{_text(check.text)}.{remedy}</td></tr>'
    )
