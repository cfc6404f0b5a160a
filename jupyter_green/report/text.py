"""A session as plain text, for a terminal or the text form of a notebook's output."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_green.insight import compare
from jupyter_green.report.lines import cut, display_width
from jupyter_green.report.studies import compared, studied
from jupyter_green.report.table import Part, Row, Saving, Table
from jupyter_green.sessions.model import Session

USUAL_WIDTH = 100
NARROWEST = 40
GAP = "  "
LABEL_MIN, LABEL_GOOD = 12, 24
METRIC_MAX = 18
MARKS_GOOD = 24


def render(session: Session, *, width: int | None = None, everything: bool = False) -> str:
    """The report as text.

    Args:
        width: columns to fill; default: the terminal's, or 100.
        everything: all cells and spans, however many there are, and figures of all labels.
    """
    table = Table.of(session, everything=everything)
    width = max(NARROWEST, width or shutil.get_terminal_size((USUAL_WIDTH, 24)).columns)
    blocks = [
        [table.title, *(f"{name}: {text}" for name, text in table.facts)],
        _cells(table, width),
        _parts(table.ledger, width),
        _stages(table, width),
        _labels(session, everything),
        studied.lines(session, width, everything),
        _savings(table.savings),
        list(table.notes),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def on_a_page(session: Session, *, everything: bool = False) -> str:
    """The report as text for a file, whatever terminal it is made in."""
    return render(session, width=USUAL_WIDTH, everything=everything)


# --- widths -------------------------------------------------------------------------------


def _padded(text: str, width: int, right: bool) -> str:
    blank = " " * (width - display_width(text))
    return blank + text if right else text + blank


# --- cells --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    name: str
    """Of the field in Row."""
    title: str
    right: bool = True
    width: int = 0


_COLUMNS = (
    _Column("number", ""),
    # The widest title that it may have.
    _Column("label", "Window", right=False),
    _Column("energy", "Energy"),
    _Column("share", "Share"),
    _Column("duration", "Time"),
    _Column("co2", "CO₂e"),
    _Column("metric", "Metric", right=False),
)
_DISPENSABLE = ("co2", "metric", "share", "number")
"""What goes first where the window is narrow."""


def _cells(table: Table, width: int) -> list[str]:
    rows = table.rows
    if not rows:
        return [table.nothing]
    columns = _fitted(rows, width)
    titles = {column.name: column.title for column in columns}
    header = _line(columns, {**titles, "label": table.unit})
    return [header.rstrip(), *(line for row in rows for line in _row(row, columns, width))]


def _fitted(rows: Sequence[Row], width: int) -> list[_Column]:
    """The columns with their widths; empty ones, and those that find no room, are left out."""
    columns = [_Column(c.name, c.title, c.right, _natural(c, rows)) for c in _COLUMNS]
    columns = [column for column in columns if column.width]
    marks = max((display_width(_marks(row)) for row in rows), default=0)
    for name in ("", *_DISPENSABLE):
        columns = [column for column in columns if column.name != name]
        room = width - sum(c.width + len(GAP) for c in columns if c.name != "label")
        if room >= LABEL_GOOD:
            break
    wanted = next(column.width for column in columns if column.name == "label")
    room_for_label = max(LABEL_GOOD, room - min(marks + len(GAP), MARKS_GOOD))
    label = max(LABEL_MIN, min(wanted, room_for_label, room))
    return [
        _Column(c.name, c.title, c.right, label if c.name == "label" else c.width) for c in columns
    ]


def _natural(column: _Column, rows: Sequence[Row]) -> int:
    """The width that shows a column whole; 0 where it is empty."""
    widths = [display_width(_cell(row, column.name)) for row in rows if row.kind in _TABULAR]
    widest = max(widths, default=0)
    if column.name == "label":
        return max(widest, len(column.title))
    return max(widest, display_width(column.title)) if widest else 0


_TABULAR = ("cell", "running", "span")


def _cell(row: Row, name: str) -> str:
    text: str = getattr(row, name)
    if name == "label":
        return "  " * row.depth + text
    return cut(text, METRIC_MAX) if name == "metric" else text


def _row(row: Row, columns: Sequence[_Column], width: int) -> Iterable[str]:
    if row.kind not in _TABULAR:
        yield cut(_indent(columns, row.depth) + row.label, width)
        return
    line = _line(columns, {column.name: _cell(row, column.name) for column in columns})
    marks = _marks(row)
    if display_width(line) + len(GAP) + display_width(marks) <= width:
        yield f"{line}{GAP}{marks}".rstrip()
        return
    yield line.rstrip()
    yield cut(_indent(columns, row.depth + 1) + marks, width)


def _line(columns: Sequence[_Column], texts: dict[str, str]) -> str:
    cells = (_padded(cut(texts[c.name], c.width), c.width, c.right) for c in columns)
    return GAP.join(cells)


def _indent(columns: Sequence[_Column], depth: int) -> str:
    """Blanks up to where labels begin."""
    numbers = sum(column.width + len(GAP) for column in columns if column.name == "number")
    return " " * (numbers + 2 * depth)


def _marks(row: Row) -> str:
    return ", ".join(row.marks)


# --- ledger -------------------------------------------------------------------------------


def _parts(parts: Sequence[Part], width: int) -> list[str]:
    if not parts:
        return []
    longest = max(LABEL_MIN, width // 2)
    names = min(longest, max(display_width(part.name) for part in parts))
    energies = max(len(part.energy) for part in parts)
    shares = max(len(part.share) for part in parts)
    return [
        f"{_padded(cut(part.name, names), names, right=False)}{GAP}"
        f"{part.energy:>{energies}}{GAP}{part.share:>{shares}}"
        for part in parts
    ]


# --- stages -------------------------------------------------------------------------------

STAGES = "By stage of the lifecycle"


def _stages(table: Table, width: int) -> list[str]:
    if not table.stages:
        return []
    return [cut(f"{STAGES} ({table.how_staged})", width), *_parts(table.stages, width)]


# --- labels -------------------------------------------------------------------------------

LABELS = "Labels compared"


def _labels(session: Session, everything: bool) -> list[str]:
    """The verdict, and the table where everything is asked for."""
    told = compared.in_short(session)
    if everything:
        blocks = (compared.render(contest).splitlines() for contest in compare.contests(session))
        told = [line for block in blocks for line in ("", *block)]
    return [LABELS, *told] if told else []


# --- savings ------------------------------------------------------------------------------

SAVINGS = "What could be saved (parts overlap and do not add up)"


def _savings(savings: Sequence[Saving]) -> list[str]:
    lines = [line for saving in savings for line in _saving(saving)]
    return [SAVINGS, *lines] if lines else []


def _saving(saving: Saving) -> Iterable[str]:
    note = f" ({saving.note})" if saving.note else ""
    yield f"- {saving.title}: {saving.energy}, {saving.share}{note}"
    for fact in saving.evidence:
        yield f"    {fact}"
    yield f"    To try: {saving.remedy}"
