"""Repeated measurements as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.subjects import OURS


@dataclass
class Series:
    """One quantity of one tool, measured again and again."""

    what: str
    tool: str
    unit: str
    aim: float | None = None
    note: int | None = None
    """Number of the footnote that says what differs."""
    values: list[float] = field(default_factory=list)
    problem: str = ""
    """Why there is no value."""

    @property
    def median(self) -> float | None:
        return median(self.values) if self.values else None


@dataclass
class Table:
    """All series of one benchmark."""

    title: str
    reference: str = OURS
    """What all others are put in relation to."""
    series: list[Series] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, what: str, tool: str, unit: str, **fields: object) -> Series:
        """The series of a quantity and a tool; it is made where it is new."""
        for series in self.series:
            if (series.what, series.tool) == (what, tool):
                return series
        series = Series(what, tool, unit, **fields)  # type: ignore[arg-type]
        self.series.append(series)
        return series

    def add(self, what: str, tool: str, value: float, unit: str, **fields: object) -> None:
        """One more value."""
        self.row(what, tool, unit, **fields).values.append(value)

    def note(self, text: str) -> int:
        """The number of a footnote."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    def markdown(self) -> str:
        """The table; each tool is put in relation to the reference for the same quantity."""
        ones = {one.what: one.median for one in self.series if one.tool == self.reference}
        reference = "ours" if self.reference == OURS else self.reference
        lines = [f"### {self.title}", ""]
        lines += _markdown_table(
            ("what", "tool", "median", "lowest - highest", f"{reference} = 1", "aim"),
            (_cells(one, ones.get(one.what)) for one in sorted(self.series, key=self._order)),
        )
        if self.notes:
            lines.append("")
        lines += [f"{number}. {note}" for number, note in enumerate(self.notes, 1)]
        return "\n".join(lines)

    def _order(self, series: Series) -> int:
        """Series of the same quantity stay together, in the order of the first."""
        return next(i for i, one in enumerate(self.series) if one.what == series.what)


def _cells(series: Series, one: float | None) -> tuple[str, ...]:
    note = f" ({series.note})" if series.note else ""
    name = f"**{series.tool}**" if series.tool == OURS else series.tool
    value = series.median
    if value is None:
        return (series.what, name + note, series.problem or "no value", "", "", "")
    ratio = f"{value / one:.3g}" if one and one > 0 else ""
    return (
        series.what,
        name + note,
        f"{_number(value)} {series.unit}",
        f"{_number(min(series.values))} - {_number(max(series.values))}",
        ratio,
        f"{'missed' if value > series.aim else 'met'}: {series.aim:g}" if series.aim else "",
    )


def _number(value: float) -> str:
    """Three digits, and never an exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.5f}"


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    everything = [head, *rows]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return [line(head), rule, *map(line, everything[1:])]
