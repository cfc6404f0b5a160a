"""A session as an HTML fragment, for the output of a notebook cell.

It must be right wherever notebooks are shown: no script, no external resource, no style sheet
that could leak out or be stripped. Colours of text are inherited, so that it reads in light
and dark themes alike; the bar has colours of its own that stand out from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from jupyter_green.report.table import Part, Row, Saving, Table
from jupyter_green.sessions.model import Session

COLOURS = {
    "productive": "#2f9e68",
    "superseded": "#d6a63d",
    "failed": "#c0504d",
    "running": "#4c78a8",
    "between cells": "#9aa5b1",
    "paused": "#7d8590",
    "holes": "#8f6bb3",
}

_ROOT = "font-size:13px;line-height:1.4;max-width:60em;font-variant-numeric:tabular-nums"
_TABLE = "border-collapse:collapse;margin:10px 0 0;font-size:inherit;color:inherit"
_CELL = "padding:2px 12px 2px 0"
_RULE = "border-top:1px solid rgba(128,128,128,.35)"
_LEFT = f"{_CELL};text-align:left"
_RIGHT = f"{_CELL};text-align:right;white-space:nowrap"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere"
_DIM = "opacity:.7"
_SMALL = "font-size:11px;opacity:.75"

_FIGURES = (
    ("energy", "Energy"),
    ("share", "Share"),
    ("duration", "Time"),
    ("co2", "CO₂e"),
    ("metric", "Metric"),
)


def render(session: Session, *, everything: bool = False) -> str:
    """The report as HTML.

    Args:
        everything: all cells and spans, however many there are.
    """
    table = Table.of(session, everything=everything)
    parts = (
        _headline(table.title, table.facts),
        _bar(table.ledger),
        _stages(table.stages),
        _cells(table),
        _savings(table.savings),
        _notes(table.notes),
    )
    return f'<div style="{_ROOT}">{"".join(parts)}</div>'


def _text(text: str) -> str:
    """User text: escaped, and kept from turning the text around it in right-to-left scripts."""
    return f"<bdi>{escape(text)}</bdi>"


# --- headline -----------------------------------------------------------------------------


def _headline(title: str, facts: Sequence[tuple[str, str]]) -> str:
    (_, energy), *others = facts
    lines = "".join(
        f'<div><span style="{_DIM}">{escape(name)}:</span> {escape(text)}</div>'
        for name, text in others
    )
    return (
        f'<div style="{_DIM}">{_text(title)}</div>'
        f'<div style="font-size:20px;font-weight:600">{escape(energy)}</div>{lines}'
    )


# --- ledger -------------------------------------------------------------------------------


def _bar(parts: Sequence[Part]) -> str:
    if not parts:
        return ""
    words = ", ".join(f"{part.name} {part.share}" for part in parts)
    pieces = "".join(
        f'<div style="width:{100 * part.fraction:.2f}%;background:{COLOURS[part.name]}"></div>'
        for part in parts
    )
    legend = "".join(_legend(part) for part in parts)
    return (
        f'<div role="img" aria-label="{escape(words)}" style="display:flex;height:8px;'
        f'max-width:44em;border-radius:4px;overflow:hidden;margin:10px 0 4px">{pieces}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:0 16px;font-size:12px">{legend}</div>'
    )


def _legend(part: Part) -> str:
    square = (
        "display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:5px;"
        f"background:{COLOURS[part.name]}"
    )
    return (
        f'<span style="white-space:nowrap"><span style="{square}"></span>{escape(part.name)} '
        f'{escape(part.share)} <span style="{_DIM}">{escape(part.energy)}</span></span>'
    )


# --- stages -------------------------------------------------------------------------------


def _stages(parts: Sequence[Part]) -> str:
    if not parts:
        return ""
    told = "".join(
        f'<span style="white-space:nowrap">{_text(part.name)} {escape(part.share)} '
        f'<span style="{_DIM}">{escape(part.energy)}</span></span>'
        for part in parts
    )
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:0 16px;font-size:12px;margin-top:4px">'
        f'<span style="{_DIM}">By stage:</span>{told}</div>'
    )


# --- cells --------------------------------------------------------------------------------


def _cells(table: Table) -> str:
    rows = table.rows
    if not rows:
        return f'<div style="margin-top:10px;{_DIM}">{table.nothing}</div>'
    figures = [(name, title) for name, title in _FIGURES if any(getattr(r, name) for r in rows)]
    head = "".join(
        f'<th scope="col" style="{style};font-weight:600">{title}</th>'
        for title, style in (
            ("", _RIGHT),
            (table.unit, _LEFT),
            *((title, _RIGHT) for _, title in figures),
            ("", _LEFT),
        )
    )
    body = "".join(_row(row, [name for name, _ in figures]) for row in rows)
    return (
        f'<table style="{_TABLE}"><thead><tr style="background:none">{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _row(row: Row, figures: Sequence[str]) -> str:
    if row.kind in ("rest", "heading"):
        indent = f"padding-left:{1.2 * row.depth:.1f}em"
        cells = f'<td style="{_CELL}"></td>' + (
            f'<td colspan="{len(figures) + 2}" style="{_LEFT};{indent};{_DIM}">'
            f"{escape(row.label)}</td>"
        )
    else:
        cells = "".join(_columns(row, figures))
    faded = "opacity:.6;" if row.category == "superseded" else ""
    rule = _RULE if row.kind != "span" else ""
    return f'<tr style="background:none;{faded}{rule}">{cells}</tr>'


def _columns(row: Row, figures: Sequence[str]) -> Iterable[str]:
    yield f'<td style="{_RIGHT};{_DIM}">{escape(row.number)}</td>'
    indent = f"padding-left:{1.2 * row.depth:.1f}em;" if row.depth else ""
    yield f'<td style="{_LEFT};{indent}{_MONO}">{_text(row.label)}{_share_bar(row)}</td>'
    for name in figures:
        value: str = getattr(row, name)
        yield f'<td style="{_RIGHT}">{_text(value) if name == "metric" else escape(value)}</td>'
    yield f'<td style="{_LEFT};{_SMALL}">{_text(", ".join(row.marks))}</td>'


def _share_bar(row: Row) -> str:
    if row.kind == "span" or not row.fraction:
        return ""
    colour = COLOURS.get(row.category, COLOURS["running"])
    # Of a fixed length, so that the bars of all rows compare.
    width = f"{8 * min(1.0, row.fraction):.2f}em"
    return (
        f'<div style="height:3px;min-width:1px;width:{width};border-radius:2px;'
        f'background:{colour}"></div>'
    )


# --- savings ------------------------------------------------------------------------------


def _savings(savings: Sequence[Saving]) -> str:
    if not savings:
        return ""
    items = "".join(map(_saving, savings))
    return (
        '<div style="margin-top:10px"><span style="font-weight:600">What could be saved</span> '
        f'<span style="{_SMALL}">parts overlap and do not add up</span></div>'
        f'<ul style="margin:2px 0 0;padding-left:18px">{items}</ul>'
    )


def _saving(saving: Saving) -> str:
    note = f" ({saving.note})" if saving.note else ""
    figures = escape(f"{saving.energy}, {saving.share}{note}")
    evidence = "".join(f"<div>{_text(fact)}</div>" for fact in saving.evidence)
    return (
        f'<li style="margin:2px 0">{escape(saving.title)}: <b>{figures}</b>'
        f'<div style="{_SMALL}">{evidence}<div>To try: {_text(saving.remedy)}</div></div></li>'
    )


# --- notes --------------------------------------------------------------------------------


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    lines = "".join(f'<li style="margin:2px 0">{_text(note)}</li>' for note in notes)
    return f'<ul style="margin:10px 0 0;padding-left:18px;{_SMALL}">{lines}</ul>'
