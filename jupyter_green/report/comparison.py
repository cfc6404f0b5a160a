"""Two sessions beside each other, before and after a change: what became less, and what more.

Cells are matched by their label, without one by the identity that reruns share, else by their
first line where it is that of one cell only; all runs of a cell count, failed and superseded ones
included. The bound of a difference is the sum of both bounds, which holds however their errors
hang together. How much a program varies from run to run is not in it, and the notes say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_green.events import Intensity
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.lines import cut, display_width, grid
from jupyter_green.report.statement import counted
from jupyter_green.report.table import MOST_CELLS
from jupyter_green.report.words import metric_words
from jupyter_green.sessions.frames import in_order, last_metrics
from jupyter_green.sessions.model import Cell, Energy, Metric, Session
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_energy_with_bound,
    format_share,
)

COLUMNS = ("", "Before", "After", "Difference", "Change", "Time", "CO2e", "Metric", "Remarks")
LABEL_MOST = 30


@dataclass(frozen=True)
class Side:
    """What one session spent on one thing."""

    name: str
    energies: tuple[Energy, ...]
    seconds: float
    grams: float | None
    metric: Metric | None
    runs: int

    @property
    def uj(self) -> int | None:
        """Microjoules; None: of a part nothing is known."""
        known = [one.total_uj for one in self.energies if one.total_uj is not None]
        return sum(known) if len(known) == len(self.energies) else None

    @property
    def bound_uj(self) -> float:
        return sum(one.bound_uj for one in self.energies)

    @property
    def at_least(self) -> bool:
        return any(one.at_least for one in self.energies)

    @property
    def modelled(self) -> bool:
        return any("modelled" in one.provenance for one in self.energies)


@dataclass(frozen=True)
class Comparison:
    """Lines that are ready to show, and what limits the trust in them."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    """One per cell below the whole session, with a text for each of ``COLUMNS``."""
    notes: tuple[str, ...]

    @classmethod
    def of(cls, before: Session, after: Session) -> Comparison:
        """What has changed from one session to the other."""
        pairs = _pairs(before, after)
        shown = pairs[: MOST_CELLS + 1]
        same_sources = _sources(before) == _sources(after)
        same_grams = _conditions(before) == _conditions(after)
        return cls(
            title=f"{short(before.id)} before, {short(after.id)} after",
            lines=tuple(_line(*sides, same_sources, same_grams) for sides in shown),
            notes=tuple(_notes(before, after, len(pairs) - len(shown))),
        )


def render(before: Session, after: Session) -> str:
    """The comparison as text."""
    compared = Comparison.of(before, after)
    rows = [COLUMNS, *((cut(line[0], LABEL_MOST), *line[1:]) for line in compared.lines)]
    widths = [max(display_width(row[index]) for row in rows) for index in range(len(COLUMNS))]
    table = (_aligned(row, widths) for row in rows)
    return "\n".join([compared.title, "", *table, "", *compared.notes])


def render_markdown(before: Session, after: Session) -> str:
    """The comparison as Markdown, for a pull request."""
    compared = Comparison.of(before, after)
    table = grid(COLUMNS, compared.lines, left=(0, 7, 8))
    heading = f"## Energy: {markdown(compared.title)}"
    return "\n\n".join([heading, table, *map(markdown, compared.notes)])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    texts = []
    for index, (text, width) in enumerate(zip(row, widths, strict=True)):
        blank = " " * (width - display_width(text))
        texts.append(text + blank if index in (0, 7, 8) else blank + text)
    return "  ".join(texts).rstrip()


# --- sides --------------------------------------------------------------------------------

Pair = tuple[Side | None, Side | None]


def _pairs(before: Session, after: Session) -> list[Pair]:
    """The whole session, then every cell, those that cost most first."""
    old, new = _sides(before), _sides(after)
    by_name = _by_name(old, new)
    cells: list[Pair] = [(side, new.get(by_name.get(key, key))) for key, side in old.items()]
    taken = {by_name.get(key, key) for key in old}
    cells += [(None, side) for key, side in new.items() if key not in taken]
    return [(_whole(before), _whole(after)), *sorted(cells, key=_cost, reverse=True)]


def _by_name(old: dict[str, Side], new: dict[str, Side]) -> dict[str, str]:
    """What is in one session only, and has a name that nothing else of it has.

    A front end knows a cell by an id of its own, and a headless run by its source: the same
    notebook has other identities in each.
    """
    rest = [_unique_names(one, other) for one, other in ((old, new), (new, old))]
    return {key: rest[1][name] for name, key in rest[0].items() if name in rest[1]}


def _unique_names(sides: dict[str, Side], other: dict[str, Side]) -> dict[str, str]:
    names = Counter(side.name for side in sides.values())
    return {
        side.name: key for key, side in sides.items() if key not in other and names[side.name] == 1
    }


def _cost(pair: Pair) -> int:
    return max(side.uj or 0 for side in pair if side is not None)


def _whole(session: Session) -> Side:
    results = session.results
    last = results[-1] if results else None
    total = session.total
    grams = session.co2_g(total)
    return Side("whole session", (total,), session.duration_s, grams, last, len(session.cells))


def _sides(session: Session) -> dict[str, Side]:
    """What each cell has cost, by what it is matched with."""
    groups: dict[str, list[Cell]] = {}
    for cell in in_order(session.cells):
        if cell.owns_time:
            label = cell.tags.label
            key = f"label {label}" if label else f"cell {cell.cell}"
            groups.setdefault(key, []).append(cell)
    last = last_metrics(session.results)
    return {key: _side(session, cells, last) for key, cells in groups.items()}


def _side(session: Session, cells: Sequence[Cell], last: dict[int, Metric]) -> Side:
    grams = [session.co2_g(cell.energy) for cell in cells]
    metrics = [last[cell.number] for cell in cells if cell.number in last]
    return Side(
        name=short(cells[-1].label) or "(no text)",
        energies=tuple(cell.energy for cell in cells),
        seconds=sum(cell.duration_s for cell in cells),
        grams=None if None in grams else sum(one for one in grams if one is not None),
        metric=metrics[-1] if metrics else None,
        runs=len(cells),
    )


# --- lines --------------------------------------------------------------------------------


def _line(
    before: Side | None, after: Side | None, same_sources: bool, same_grams: bool
) -> tuple[str, ...]:
    known = after or before
    assert known is not None
    both = before is not None and after is not None
    delta = _delta(before, after) if same_sources else None
    return (
        known.name,
        _energy(before),
        _energy(after),
        _difference(delta),
        _change(before, delta),
        _arrow(_time(before), _time(after)),
        _arrow(_grams(before), _grams(after)) if same_grams or not both else "",
        _arrow(_metric(before), _metric(after)),
        ", ".join(_remarks(before, after)),
    )


def _energy(side: Side | None) -> str:
    if side is None:
        return ""
    if side.uj is None:
        return "not known"
    words = format_energy_with_bound(side.uj, side.bound_uj)
    return f"≥ {words.partition(' ±')[0]} {words.rpartition(' ')[2]}" if side.at_least else words


Delta = tuple[int, float]
"""Microjoules that the second side has more, and the bound of that."""


def _difference(delta: Delta | None) -> str:
    if delta is None:
        return ""
    return f"{'+' if delta[0] > 0 else ''}{format_energy_with_bound(*delta)}"


def _delta(before: Side | None, after: Side | None) -> Delta | None:
    """None: a part of either is missing."""
    if before is None or after is None or before.at_least or after.at_least:
        return None
    if before.uj is None or after.uj is None:
        return None
    return after.uj - before.uj, after.bound_uj + before.bound_uj


def _change(before: Side | None, delta: Delta | None) -> str:
    if delta is None or before is None or not before.uj:
        return ""
    if abs(delta[0]) <= delta[1]:
        return "no difference seen"
    return f"{'+' if delta[0] > 0 else '-'}{format_share(abs(delta[0]) / before.uj)}"


def _arrow(before: str, after: str) -> str:
    if not before and not after:
        return ""
    return f"{before or 'none'} → {after or 'none'}"


def _time(side: Side | None) -> str:
    return "" if side is None else format_duration(side.seconds)


def _grams(side: Side | None) -> str:
    return "" if side is None or side.grams is None else format_co2(side.grams)


def _metric(side: Side | None) -> str:
    return "" if side is None or side.metric is None else short(metric_words(side.metric), 40)


def _remarks(before: Side | None, after: Side | None) -> Iterable[str]:
    if before is None:
        yield "only after"
    elif after is None:
        yield "only before"
    elif before.runs != after.runs:
        yield f"{before.runs} → {after.runs} runs"
    sides = [side for side in (before, after) if side is not None]
    if any(side.at_least for side in sides):
        yield "a lower bound"
    if any(side.modelled for side in sides):
        yield "modelled"


# --- notes --------------------------------------------------------------------------------


def _notes(before: Session, after: Session, rest: int) -> Iterable[str]:
    if rest:
        yield f"{rest} cells that cost less are not shown."
    if _sources(before) != _sources(after):
        yield "The sessions read different sources, so that their energies are not subtracted."
    if before.machine != after.machine:
        yield "The machines differ, or something on them: it is not the program's change alone."
    if _conditions(before) != _conditions(after):
        yield (
            "Place, carbon intensity or PUE differ, so that CO2e is not compared; "
            "`--place` values both anew."
        )
    if any("modelled" in session.total.provenance for session in (before, after)):
        yield (
            "Modelled figures are time multiplied by assumed watts: they do not show that one "
            "technique saves energy over another."
        )
    for name, session in (("before", before), ("after", after)):
        if session.overlaps:
            yield f"Another session used the machine {name}; its energy is in the figures."
    yield (
        "± is the sum of both bounds, which come from the counters. How much runs vary is not in "
        "it: repeat both before you conclude."
    )


def _sources(session: Session) -> set[tuple[str, str, str]]:
    """What the energy is read with. Whether a device is used is a part of the program."""
    used = (info for info in counted(session) if info.scope != "device")
    return {(info.name, info.source, info.provenance) for info in used}


def _conditions(session: Session) -> set[tuple[Intensity | None, float]]:
    """Everything that turns energy into grams."""
    return {(period.intensity, period.pricing.pue) for period in session.periods}
