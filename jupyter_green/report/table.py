"""What a report says, as strings that are ready to show; shared by plain text and HTML.

All text that comes from users, notebooks or other programs is clean here (see
:mod:`jupyter_green.report.words`), so that no view has to think of it again.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jupyter_green.events import DeviceState, Intensity, Refusal
from jupyter_green.insight.findings import Fact, Finding, energy_text
from jupyter_green.insight.stages import by_stage
from jupyter_green.report.notes import notes
from jupyter_green.report.words import (
    LONGEST_NAME,
    NO_COUNTER,
    clean,
    co2_words,
    count_words,
    energy_words,
    intensity_words,
    metric_words,
    missing_words,
    plural,
    provenance_words,
    share_words,
    shared_words,
    status_words,
)
from jupyter_green.sessions.frames import identity_of, in_order, last_metrics
from jupyter_green.sessions.model import Cell, Energy, OpenCell, Session, Span
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_energy,
    format_kwh,
    format_number,
    format_power,
    format_share,
    uj_to_kwh,
)

MOST_CELLS = 40
"""A longer session shows the cells that cost most, unless all are asked for."""
MOST_SPANS = 8
"""Spans that are shown below one cell, unless all are asked for."""
MOST_SPAN_ROWS = 60
"""Spans that are shown below all cells together; each cell with spans keeps one at least."""
MOST_SAVINGS = 5
"""Findings, unless all are asked for: those about most energy."""

MOST_STAGES = 8
"""Stages of the lifecycle; the rest is one line."""


SMALLEST_KWH = 1e-6
"""Less (3.6 J) is said in joules only."""

RECORDED_WITHOUT_PLACE = "no place was set; `jupyter green report --place FR` values it anew"
NO_PLACE = "set a place with `%green place FR` (or `jupyter green place FR`)"


@dataclass(frozen=True)
class Row:
    """One line of the table of cells. Empty strings are not known or do not apply."""

    kind: str
    """cell, running, span, heading or rest (the cells or spans that are not shown)."""
    label: str
    depth: int = 0
    """Nesting below a cell."""
    number: str = ""
    energy: str = ""
    share: str = ""
    duration: str = ""
    co2: str = ""
    metric: str = ""
    marks: tuple[str, ...] = ()
    """What is special: superseded, failed, reruns, resolution, provenance."""
    category: str = ""
    """productive, superseded, failed, or empty."""
    fraction: float = 0.0
    """Share of the session's energy, of one, for a bar."""


@dataclass(frozen=True)
class Part:
    """One entry of the ledger, or one stage of the lifecycle."""

    name: str
    energy: str
    share: str
    fraction: float
    """Of one, for a bar."""


@dataclass(frozen=True)
class Saving:
    """Where energy could be saved."""

    title: str
    energy: str
    share: str
    evidence: tuple[str, ...]
    """What was seen, a line each."""
    remedy: str
    """What to try."""
    note: str
    """What limits the trust in it, or empty."""


@dataclass(frozen=True)
class Table:
    """A whole report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """The headline: name and text of each fact, the energy first."""
    is_script: bool
    """The rows are measured windows, and not cells."""
    rows: tuple[Row, ...]
    ledger: tuple[Part, ...]
    """The entries that hold energy. Empty where no energy is known."""
    stages: tuple[Part, ...]
    """By stage of the lifecycle, tagged or suggested, the rest last. Empty where there is none."""
    savings: tuple[Saving, ...]
    """Findings. They look at the same energy from several sides, and are never added."""
    notes: tuple[str, ...]
    """Plain sentences: what is doubtful or missing and what to do about it."""

    @property
    def unit(self) -> str:
        """What a row is."""
        return "Window" if self.is_script else "Cell"

    @property
    def heading(self) -> str:
        """What all rows are."""
        return "Measured windows" if self.is_script else "Cells"

    @property
    def nothing(self) -> str:
        """Where there are no rows."""
        return "Nothing has been measured yet." if self.is_script else "No cell has run yet."

    @property
    def how_staged(self) -> str:
        """Where stages come from."""
        suggested = "" if self.is_script else ", or as cells without a tag seem to be"
        return f"as tagged{suggested}"

    @classmethod
    def of(
        cls, session: Session, *, everything: bool = False, most_cells: int = MOST_CELLS
    ) -> Table:
        """The report of a session.

        Args:
            everything: all cells, spans and notes, however many there are.
            most_cells: that are shown of a longer session, those that cost most.
        """
        return cls(
            title=_title(session),
            facts=tuple(_facts(session)),
            is_script=session.is_script,
            rows=tuple(_Rows(session, everything, most_cells).all()),
            ledger=tuple(_ledger(session)),
            stages=tuple(_stages(session)),
            savings=tuple(_savings(session, everything)),
            notes=tuple(notes(session, everything)),
        )


# --- headline -----------------------------------------------------------------------------


def _title(session: Session) -> str:
    notebook = re.split(r"[\\/]", session.notebook or "")[-1]
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.started_wall_s))
    return " · ".join(filter(None, (clean(notebook), started, clean(session.id))))


def _facts(session: Session) -> Iterable[tuple[str, str]]:
    yield "Energy", _energy_fact(session)
    yield "CO2", _co2_fact(session)
    cost = session.cost(session.total)
    if cost is not None and session.total.total_uj is not None:
        yield "Cost", f"{format_number(cost)} {clean(session.pricing.currency)}"
    yield "Time", _time_fact(session)
    yield "Source", _source_fact(session)
    if session.state == "open" and session.devices:
        ago_s = max(0.0, session.duration_s - session.devices_s)
        states = " · ".join(_device_fact(*each) for each in session.devices.items())
        yield "Devices", f"{format_duration(ago_s)} ago: {states}"
    for refusal in session.refused:
        if not refusal.by_choice:
            yield "Not used", _refusal_words(refusal)


def _energy_fact(session: Session) -> str:
    total = session.total
    if total.total_uj is None:
        return f"{NO_COUNTER} could be read"
    missing = missing_words(total)
    words = energy_words(total)
    if uj_to_kwh(total.total_uj) >= SMALLEST_KWH:
        words += f" = {format_kwh(total.total_uj)}"
    return f"{words} ({missing})" if missing else words


def _co2_fact(session: Session) -> str:
    grams = session.co2_g(session.total)
    intensity = session.intensity
    if intensity is None:
        return NO_PLACE if session.state == "open" else RECORDED_WITHOUT_PLACE
    if session.total.total_uj is None:
        return "not known, because no energy is"
    if grams is None:
        return _no_grams(session)
    parts = [f"{format_co2(grams)} CO₂e", *_conditions(session, intensity)]
    return " · ".join(parts)


def _no_grams(session: Session) -> str:
    bases = sorted({period.intensity.basis for period in session.periods if period.intensity})
    if len(bases) < 2:
        return "not known, because no place was set for a part of the session"
    return (
        f"not known: its intensities have different bases ({' and '.join(map(clean, bases))}), "
        "which must not be added; --place and --basis value all of it"
    )


def _conditions(session: Session, last: Intensity) -> Iterable[str]:
    """Everything that the grams depend on."""
    intensities = list(dict.fromkeys(p.intensity for p in session.periods if p.intensity))
    if len(intensities) > 1:
        values = sorted(intensity.g_per_kwh for intensity in intensities)
        span = f"{format_number(values[0])} to {format_number(values[-1])} g/kWh"
        yield f"{len(intensities)} intensities, {span}, now {intensity_words(last)}"
    else:
        yield f"{intensity_words(last)}, {format_number(last.g_per_kwh)} g/kWh"
    yield from dict.fromkeys(clean(intensity.basis) for intensity in intensities)
    pues = sorted({period.pricing.pue for period in session.periods})
    yield "PUE " + " to ".join(format_number(pue) for pue in dict.fromkeys((pues[0], pues[-1])))
    for source in dict.fromkeys(clean(intensity.source) for intensity in intensities):
        if source:
            yield source


def _time_fact(session: Session) -> str:
    parts = [format_duration(session.duration_s), count_words(session)]
    if session.open_cells:
        parts.append(f"{len(session.open_cells)} running")
    parts.append("tracking is paused" if session.paused else session.state)
    if session.reason and session.reason != "goodbye":
        parts.append(clean(session.reason))
    return ", ".join(parts)


def _source_fact(session: Session) -> str:
    names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    unused = []
    for name, info in session.counters.items():
        if info.counted and info.scope == "device" and session.total.uj.get(name) == 0:
            unused.append(clean(name))
        elif info.counted:
            names[info.provenance, info.source].append(clean(name))
    groups = [
        f"{clean(provenance)}: {', '.join(counters)} ({clean(source)})"
        for (provenance, source), counters in names.items()
    ]
    if unused:
        few = ", ".join(unused) if len(unused) <= 3 else f"{len(unused)} GPUs"
        groups.append(f"not used: {few}")
    return " · ".join(groups) or "no energy counter; the reasons follow"


def _device_fact(name: str, state: DeviceState) -> str:
    parts = []
    if state.utilisation is not None:
        parts.append(f"{format_share(state.utilisation)} busy")
    if state.memory_bytes is not None and state.memory_total_bytes:
        used, whole = (b / 2**30 for b in (state.memory_bytes, state.memory_total_bytes))
        parts.append(f"{used:.1f} of {whole:.0f} GiB")
    if state.power_w is not None:
        parts.append(format_power(state.power_w))
    if state.temperature_c is not None:
        parts.append(f"{state.temperature_c:.0f} °C")
    return f"{clean(name)} {', '.join(parts) or 'in use'}"


def _refusal_words(refusal: Refusal) -> str:
    name = clean(refusal.source + (f" {refusal.counter}" if refusal.counter else ""))
    remedy = f"; {clean(refusal.remedy)}" if refusal.remedy else ""
    return f"{name}: {clean(refusal.reason)}{remedy}"


# --- rows ---------------------------------------------------------------------------------


class _Rows:
    """Makes the rows of one session; holds what would be slow to look up for each row."""

    def __init__(self, session: Session, everything: bool, most_cells: int) -> None:
        self._session = session
        self._everything = everything
        self._most_cells = None if everything else most_cells
        self._last = last_metrics(session.results)
        self._runs = _runs(session.cells)
        self._spans: defaultdict[int | None, list[Span]] = defaultdict(list)
        numbers = {cell.number for cell in session.cells}
        numbers |= {cell.number for cell in session.open_cells}
        for span in session.spans:
            self._spans[span.cell if span.cell in numbers else None].append(span)
        fair_share = MOST_SPAN_ROWS // max(1, len(self._spans))
        most = MOST_CELLS if session.is_script else MOST_SPANS
        self._most_spans = min(most, max(1, fair_share))

    def all(self) -> Iterable[Row]:
        shown, rest = _costliest(self._session.cells, self._most_cells)
        rows = {cell.number: self._cell(cell) for cell in shown}
        rows |= {cell.number: self._running(cell) for cell in self._session.open_cells}
        for number in sorted(rows):
            yield rows[number]
            yield from self._below(self._spans[number])
        if rest:
            yield Row("rest", _rest_words(rest))
        if self._spans[None]:
            if not self._session.is_script:
                yield Row("heading", "outside cells")
            yield from self._below(self._spans[None])

    def _cell(self, cell: Cell) -> Row:
        session, energy = self._session, cell.energy
        category = session.ledger.category_of.get(cell.number, "")
        metric = self._last.get(cell.number)
        return Row(
            kind="cell",
            label=_name(cell.label),
            depth=0 if cell.parent is None else 1,
            number=f"[{' ' if cell.execution_count is None else cell.execution_count}]",
            energy=energy_words(energy),
            share=share_words(session.share(energy)),
            duration=format_duration(cell.duration_s),
            co2=co2_words(session, energy),
            metric=metric_words(metric) if metric else "",
            marks=tuple(self._cell_marks(cell, category)),
            category=category,
            fraction=session.share(energy) or 0.0,
        )

    def _cell_marks(self, cell: Cell, category: str) -> Iterable[str]:
        status = status_words(cell.status, cell.error)
        if status:
            yield status
        if category == "superseded":
            yield category
        run, runs = self._runs.get(cell.number, (1, 1))
        if runs > 1:
            yield f"run {run} of {runs}"
        if cell.thread != "main":
            yield clean(cell.thread)
        elif cell.parent is not None:
            yield "nested"
        if cell.devices_busy:
            yield f"{', '.join(map(clean, cell.devices_busy))} still busy at its end"
        yield from shared_words(cell)
        yield from _energy_marks(cell.energy)

    def _running(self, cell: OpenCell) -> Row:
        session, energy = self._session, cell.so_far
        metric = self._last.get(cell.number)
        row = Row(
            kind="running",
            label=_name(cell.tags.label or cell.first_line),
            depth=0 if cell.parent is None else 1,
            number="[*]",
            metric=metric_words(metric) if metric else "",
            marks=("running",),
        )
        if energy.total_uj == 0:
            return row  # nothing was read since it began
        return replace(
            row,
            energy=energy_words(energy),
            share=share_words(session.share(energy)),
            duration=format_duration(max(0.0, session.duration_s - cell.started_s)),
            co2=co2_words(session, energy),
            marks=("running, so far", *_energy_marks(energy)),
            fraction=session.share(energy) or 0.0,
        )

    def _below(self, spans: Sequence[Span]) -> Iterable[Row]:
        """The spans of one cell, in their order; of many, those that cost most."""
        most = len(spans) if self._everything else self._most_spans
        shown = sorted(spans, key=lambda span: span.energy.total_uj or 0, reverse=True)[:most]
        parents = {span.span: span.parent for span in shown}
        for span in sorted(shown, key=lambda span: span.span):
            yield self._span(span, _depth(span.span, parents))
        if len(spans) > most:
            # Spans may nest, so their energies are not added.
            yield Row("rest", f"+ {plural(len(spans) - most, 'span')}", depth=1)

    def _span(self, span: Span, depth: int) -> Row:
        session, energy = self._session, span.energy
        status = status_words(span.status, span.error)
        return Row(
            kind="span",
            label=_name(span.name),
            depth=depth,
            energy=energy_words(energy),
            share=share_words(session.share(energy)),
            duration=format_duration(span.duration_s),
            co2=co2_words(session, energy),
            marks=tuple(filter(None, (status, *self._span_marks(energy)))),
            fraction=session.share(energy) or 0.0,
        )

    def _span_marks(self, energy: Energy) -> Iterable[str]:
        """Spans need not repeat what their cell and the headline say."""
        usual = self._session.total.provenance
        return _gap_marks(energy) if energy.provenance == usual else _energy_marks(energy)


def _name(label: str) -> str:
    name = clean(label[: 10 * LONGEST_NAME])
    return (name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…") or "(no text)"


def _gap_marks(energy: Energy) -> Iterable[str]:
    missing = missing_words(energy)
    if missing:
        yield missing
    if energy.below_resolution:
        yield "below resolution"


def _energy_marks(energy: Energy) -> Iterable[str]:
    yield from _gap_marks(energy)
    if set(energy.provenance) - {"measured"}:
        yield clean(provenance_words(energy))


def _runs(cells: Iterable[Cell]) -> dict[int, tuple[int, int]]:
    """Which run of how many each cell is, by its number."""
    own = [cell for cell in in_order(cells) if cell.owns_time]
    runs = Counter(identity_of(cell) for cell in own)
    seen: Counter[tuple[str, str | None]] = Counter()
    found = {}
    for cell in own:
        identity = identity_of(cell)
        seen[identity] += 1
        found[cell.number] = (seen[identity], runs[identity])
    return found


def _costliest(cells: Sequence[Cell], most: int | None) -> tuple[list[Cell], list[Cell]]:
    """The cells that cost most, and the rest."""
    if most is None or len(cells) <= most:
        return list(cells), []
    ranked = sorted(cells, key=lambda cell: cell.energy.total_uj or 0, reverse=True)
    return ranked[:most], ranked[most:]


def _rest_words(rest: Sequence[Cell]) -> str:
    energies = [cell.energy for cell in rest if cell.owns_time]
    known = [energy.total_uj for energy in energies if energy.total_uj is not None]
    if not known:
        return f"+ {plural(len(rest), 'cell')}"
    at_least = "≥ " if len(known) < len(energies) or any(e.missing for e in energies) else ""
    return f"+ {plural(len(rest), 'cell')} with {at_least}{format_energy(sum(known))}"


def _depth(span: int, parents: dict[int, int | None]) -> int:
    """How deep a span lies among those that are shown; 1 is right below the cell."""
    depth, parent = 1, parents[span]
    # A damaged journal may hold a ring of parents: its members all get to the same depth.
    while parent in parents and parent != span and depth < len(parents):
        depth, parent = depth + 1, parents[parent]
    return depth


# --- ledger -------------------------------------------------------------------------------


def _ledger(session: Session) -> Iterable[Part]:
    if session.is_script:
        return
    for name, entry in session.ledger.entries.items():
        share = session.share(entry)
        if share and entry.total_uj:
            yield Part(name, format_energy(entry.total_uj), share_words(share), share)


# --- stages -------------------------------------------------------------------------------


def no_stage(session: Session) -> str:
    """What has none."""
    return "no stage" if session.is_script else "no stage: other cells, between cells"


def _stages(session: Session) -> Iterable[Part]:
    *named, rest = by_stage(session)
    told = [(_name(stage.label), stage.total_uj) for stage in named if stage.total_uj]
    whole_uj = session.total.total_uj
    if not told or not whole_uj:
        return
    others = told[MOST_STAGES:]
    parts = [
        *told[:MOST_STAGES],
        (plural(len(others), "other stage"), sum(uj for _, uj in others)),
        (no_stage(session), rest.total_uj),
    ]
    for name, uj in parts:
        if uj:
            yield Part(name, format_energy(uj), share_words(uj / whole_uj), uj / whole_uj)


# --- savings ------------------------------------------------------------------------------


def _savings(session: Session, everything: bool) -> Iterable[Saving]:
    from jupyter_green.insight.judgement import findings_of  # noqa: PLC0415  (not at %load_ext)

    findings = findings_of(session)
    return map(_saving, findings if everything else findings[:MOST_SAVINGS])


def _saving(found: Finding) -> Saving:
    return Saving(
        title=found.title,
        energy=energy_text(found),
        share=share_words(found.share),
        evidence=tuple(map(_fact_words, found.evidence)),
        remedy=clean(found.remedy),
        note=found.note,
    )


def _fact_words(fact: Fact) -> str:
    """``in [4] fit(model): 1 earlier run, 60 J``."""
    number = f"in [{fact.count}] " if fact.count is not None else ""
    name = clean(fact.name)
    return f"{number}{name}: {fact.words}" if name else f"{number}{fact.words}"
