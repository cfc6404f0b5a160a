"""One cell or span in one line, and as the object that a user keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from jupyter_green.report.words import (
    clean,
    energy_words,
    intensity_words,
    metric_words,
    missing_words,
    provenance_words,
    shared_words,
    status_words,
)
from jupyter_green.sessions.frames import standing_for
from jupyter_green.sessions.model import Cell, Energy, Metric, OpenCell, Session, Span
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_energy,
    format_power,
    uj_to_j,
)

Window = Cell | Span | OpenCell

NAME_MAX = 60
"""Characters of a name in one line."""
TOO_SHORT = "too short for its counters"
REPEAT = "%%energyit repeats it"


def describe(session: Session, window: Window) -> str:
    """``mlp 64 · 12.4 ± 0.3 J · 2.31 s · 5.4 W · ... · measured``."""
    return " · ".join(_parts(session, window))


def describe_html(session: Session, window: Window) -> str:
    """The same as one small line of HTML, all text escaped."""
    name, energy, *others = (escape(part) for part in _parts(session, window))
    line = " · ".join((f"<bdi>{name}</bdi>", f"<b>{energy}</b>", *others))
    return f'<div style="font-size:12px;opacity:.85">{line}</div>'


@dataclass(frozen=True, repr=False)
class Result:
    """The figures of one cell or span, as ``%%energy -o`` and ``measure()`` keep them."""

    name: str
    kind: str
    """cell or span."""
    number: int
    """Of the cell or span in its session."""
    status: str
    """ok, error, interrupted, kernel died, unfinished, or running."""
    energy_j: float | None
    """Joules; None: nothing could be read."""
    bound_j: float | None
    """Half-width of the stated interval, in joules."""
    duration_s: float
    power_w: float | None
    """Mean power."""
    co2_g: float | None
    """Grams of CO2 equivalent; None: no place is set, or no energy is known."""
    at_least: bool
    """A part is missing: the true energy is this or more."""
    missing: tuple[str, ...]
    """Counters whose energy is unknown in part or whole."""
    provenance: tuple[str, ...]
    """measured, integrated, modelled."""
    below_resolution: bool
    """Too short for its counters: the bound outweighs the energy."""
    by_counter_j: dict[str, float]
    """Joules by counter. Details are among them: the values do not add up to ``energy_j``."""
    metrics: dict[str, float]
    """The last value of each metric that was logged meanwhile."""
    _line: str = field(compare=False)
    _html: str = field(compare=False)

    @classmethod
    def of(cls, session: Session, window: Window) -> Result:
        """The figures of ``window`` as far as ``session`` knows them."""
        energy = _energy(window)
        return cls(
            name=_name(window),
            kind="span" if isinstance(window, Span) else "cell",
            number=window.span if isinstance(window, Span) else window.number,
            status="running" if isinstance(window, OpenCell) else window.status,
            energy_j=energy.energy_j,
            bound_j=None if energy.energy_j is None else energy.bound_j,
            duration_s=_duration_s(session, window),
            power_w=_power_w(session, window),
            co2_g=session.co2_g(energy),
            at_least=energy.at_least,
            missing=energy.missing,
            provenance=energy.provenance,
            below_resolution=energy.below_resolution,
            by_counter_j={name: uj_to_j(uj) for name, uj in energy.uj.items()},
            metrics={metric.name: metric.value for metric in _metrics(session, window)},
            _line=describe(session, window),
            _html=describe_html(session, window),
        )

    def __repr__(self) -> str:
        return self._line

    def _repr_html_(self) -> str:
        return self._html


# --- the parts of the line ----------------------------------------------------------------


def _parts(session: Session, window: Window) -> list[str]:
    energy = _energy(window)
    name = clean(_name(window)) or "(no text)"
    short = name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1].rstrip()}…"
    parts = [short, _energy_part(window, energy), format_duration(_duration_s(session, window))]
    if not isinstance(window, OpenCell):
        parts.append(status_words(window.status, window.error))
    if isinstance(window, Cell):
        parts += shared_words(window)
    if energy.below_resolution:
        # A program that `exec` ran is repeated by whoever ran it.
        parts.append(TOO_SHORT if session.front_end == "exec" else f"{TOO_SHORT}: {REPEAT}")
    else:
        parts += _figures(session, window, energy)
    parts.append(_co2_part(session, energy))
    metrics = list(_metrics(session, window))
    if metrics:
        parts.append(metric_words(standing_for(metrics)))
    parts.append(provenance_words(energy))
    return [part for part in parts if part]


def _energy_part(window: Window, energy: Energy) -> str:
    missing = missing_words(energy)
    so_far = " so far" if isinstance(window, OpenCell) and energy.total_uj is not None else ""
    return energy_words(energy) + so_far + (f" ({missing})" if missing else "")


def _figures(session: Session, window: Window, energy: Energy) -> Iterable[str]:
    """Power and its origin, which mean nothing for what is too short."""
    power_w = _power_w(session, window)
    if power_w is not None and not energy.missing:
        yield format_power(power_w)
    counted = [name for name in energy.uj if _is_counted(session, name)]
    # A device that is not used counts nothing: it is no part of the figure.
    counted = [name for name in counted if energy.uj[name] or not _is_device(session, name)]
    if len(counted) > 1:
        yield ", ".join(
            f"{_counter_name(session, name)} {format_energy(energy.uj[name])}" for name in counted
        )


def _is_counted(session: Session, counter: str) -> bool:
    return counter in session.counters and session.counters[counter].counted


def _is_device(session: Session, counter: str) -> bool:
    return session.counters[counter].scope == "device"


def _counter_name(session: Session, counter: str) -> str:
    """Not everybody knows that the package is the CPU."""
    domain = session.counters[counter].domain
    return f"CPU {clean(counter)}" if domain == "package" else clean(counter)


def _co2_part(session: Session, energy: Energy) -> str:
    grams = session.co2_g(energy)
    if grams is None or session.intensity is None:
        return ""
    return f"{format_co2(grams)} CO₂e ({intensity_words(session.intensity)})"


# --- what the three kinds of window have in common ----------------------------------------


def _energy(window: Window) -> Energy:
    return window.so_far if isinstance(window, OpenCell) else window.energy


def _name(window: Window) -> str:
    if isinstance(window, Span):
        return window.name
    return window.tags.label or window.first_line


def _duration_s(session: Session, window: Window) -> float:
    if isinstance(window, OpenCell):
        return max(0.0, session.duration_s - window.started_s)
    return window.duration_s


def _power_w(session: Session, window: Window) -> float | None:
    if not isinstance(window, OpenCell):
        return window.power_w
    seconds = _duration_s(session, window)
    joules = window.so_far.energy_j
    return None if joules is None or seconds <= 0 else joules / seconds


def _metrics(session: Session, window: Window) -> Iterable[Metric]:
    """What was logged meanwhile, in order."""
    if not isinstance(window, Span):
        return session.metrics_of(window.number)
    return [
        metric
        for metric in session.results
        if metric.cell == window.cell and window.started_s <= metric.logged_s <= window.finished_s
    ]
