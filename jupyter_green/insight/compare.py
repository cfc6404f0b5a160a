"""Labels, runs and callables of one or more sessions, compared by energy and by quality.

A label's repeats are the cells (``%%energy --label``) and spans (``measure(label=)``, the trials
of studies) that carry it; a run's are the windows in which its metrics were logged. One window
counts once, windows that overlap do not count, and energies are only subtracted where the same
machine was read with the same counters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jupyter_green.errors import SettingError
from jupyter_green.insight import verdict
from jupyter_green.insight import windows as windows_of
from jupyter_green.insight.contest import Contest, Pair, Repeat, Side
from jupyter_green.insight.findings import short
from jupyter_green.insight.repeated import items_of, loops_of
from jupyter_green.insight.statistics import Contrast, contrast, together
from jupyter_green.insight.windows import Key, Window, cell_of
from jupyter_green.sessions.model import STUDY, Cell, Metric, Session, Span

AT_ONCE = "another run of this comparison was going on at the same time"
SHARED = "another session used the machine"
NO_COUNTER = "no energy counter could be read"
TOO_SHORT = "too short for the counters"

MOST_SIDES = 40
"""Labels that are compared where none is named; of more, the first ones."""
MOST_NAMED = 8
"""Labels that an error names."""
FEWEST_ALONE = 3
"""Runs a side that must be left when those beside another session are left out."""


@dataclass(frozen=True)
class How:
    """What is compared beside energy, and by what rule."""

    metric: str | None = None
    """Name of the metric; None: the last that was logged and should be high, else the last."""
    direction: str | None = None
    """higher or lower is better; None: as it was logged."""
    value: str = "last"
    """The last or the best value of each run."""
    spans: Collection[int] | None = None
    """Numbers of the only spans that count, and no cells; None: whatever carries the label."""
    seed: int = 0
    """Of permutations at random."""
    of_studies: bool = True
    """With the trials of studies that carry the label."""

    def __post_init__(self) -> None:
        if self.direction not in ("higher", "lower", None):
            raise SettingError(f"direction must be 'higher' or 'lower', it is {self.direction!r}")
        if self.value not in ("last", "best"):
            raise SettingError(f"value must be 'last' or 'best', it is {self.value!r}")


def contest(
    sessions: Session | Sequence[Session], names: Sequence[str] = (), how: How | None = None
) -> Contest:
    """Compare labels or runs of one or more sessions; the first is the baseline.

    Args:
        sessions: where they were measured; each counts once.
        names: labels, or names of runs; none: the labels of outermost windows, in their order.
        how: default: the metric that was logged last and should be high.

    Raises:
        SettingError: fewer than two names, the same one twice, one that nothing carries, or the
            best value of a metric of which nobody knows what is better.
    """
    known = [sessions] if isinstance(sessions, Session) else list(sessions)
    known = list({session.id: session for session in known}.values())
    how = how or How()
    labelled = windows_of.by_label(known, how.spans, of_any=not names, of_studies=how.of_studies)
    wanted = list(names) or list(labelled)[:MOST_SIDES]
    _check_names(wanted, labelled, known)
    windows = {name: labelled.get(name) or windows_of.of_run(known, name) for name in wanted}
    metric, lower = _metric(windows, how)
    is_logged = any(one.name == metric for one in _logged_in(windows))
    if how.value == "best" and metric is not None and is_logged and lower is None:
        raise SettingError(
            f"nobody knows which {short(metric)!r} is better: say direction='higher' or 'lower'"
        )
    shared = _shared(known)
    sides = _disturbed(
        [_side(name, own, metric, lower, how.value) for name, own in windows.items()],
        _overlapping([window for own in windows.values() for window in own]),
        shared,
    )
    pairs = _pairs(sides, how.seed)
    told = metric, lower
    return Contest(
        sides=tuple(sides),
        pairs=pairs,
        metric=metric,
        lower=lower,
        sentences=(*verdict.sentences(pairs, told), *_beside_others(sides, shared)),
        notes=(
            *verdict.notes(sides, pairs, told),
            *_not_logged(windows, sides, metric),
            *_other_grams(sides, known),
        ),
    )


def labels(session: Session) -> tuple[str, ...]:
    """The labels that are compared where nobody asks, in the order of their first.

    Those of studies are not among them: what a study measured is compared within it. Where two
    labels or more have run twice, these; else all.
    """
    found = windows_of.by_label([session], None, of_any=True, of_studies=False)
    repeated = [label for label, windows in found.items() if len(windows) > 1]
    return tuple(repeated if len(repeated) > 1 else found)


def contests(session: Session) -> tuple[Contest, ...]:
    """Whatever may be compared in a session: each compare() by itself, and the other labels."""
    found = []
    for _, trials in windows_of.comparisons(session):
        names = list(dict.fromkeys(trial.tags.label or "" for trial in trials))
        if len(names) > 1:
            how = How(spans=frozenset(trial.span for trial in trials))
            found.append(contest(session, names, how))
    names = list(labels(session))
    if len(names) > 1:
        found.append(contest(session, names[:MOST_SIDES], How(of_studies=False)))
    return tuple(found)


def _check_names(
    names: Sequence[str], labelled: Mapping[str, object], sessions: Iterable[Session]
) -> None:
    if len(names) < 2:
        raise SettingError(f"a comparison needs two labels or runs at least, not {len(names)}")
    if len(set(names)) < len(names):
        raise SettingError("a label is named twice: nothing differs from itself")
    runs = {metric.run: None for session in sessions for metric in session.metrics if metric.run}
    for name in names:
        if name in labelled:
            continue
        if name in runs:
            continue
        there = ", ".join(repr(short(one)) for one in [*labelled, *runs][:MOST_NAMED])
        raise SettingError(
            f"no finished cell, span or run is called {short(name)!r}: "
            + (f"there are {there}" if there else "give cells a label, as %%energy --label NAME")
        )


# --- repeats ------------------------------------------------------------------------------


def _metric(windows: Mapping[str, Sequence[Window]], how: How) -> tuple[str | None, bool | None]:
    """The metric that is compared, and whether lower is better."""
    logged = _logged_in(windows)
    name = how.metric
    if name is None:
        higher = [metric for metric in logged if metric.direction == "higher"]
        in_order = sorted(higher or logged, key=lambda metric: metric.logged_s)
        name = in_order[-1].name if in_order else None
    told = (metric.direction for metric in logged if metric.name == name and metric.direction)
    direction = how.direction or next(told, None)
    return name, None if direction is None else direction == "lower"


def _logged_in(windows: Mapping[str, Sequence[Window]]) -> list[Metric]:
    """What the user logged in any of them."""
    return [
        metric
        for own in windows.values()
        for window in own
        for metric in window.metrics
        if metric.source != STUDY
    ]


def _not_logged(
    windows: Mapping[str, Sequence[Window]], sides: Iterable[Side], metric: str | None
) -> Iterable[str]:
    """A metric that nobody logged is most often misspelt: it is said what there is."""
    if metric is None or any(side.logged for side in sides):
        return
    names = [short(name) for name in dict.fromkeys(one.name for one in _logged_in(windows))]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    there = f"logged were: {', '.join(names[:MOST_NAMED])}{more}" if names else "nothing was logged"
    yield f"No value of {short(metric)!r} was logged; {there}."


def _side(
    name: str, windows: Sequence[Window], metric: str | None, lower: bool | None, value: str
) -> Side:
    repeats = [_repeat(window, metric, lower) for window in windows]
    complete = [one for one in repeats if _is_complete(one)]
    if len(complete) >= 2:
        # What lacks a counter would only blur what the others tell.
        repeats = [
            replace(one, energy_left_out=f"{', '.join(map(short, one.missing))} missing")
            if one.missing and not one.energy_left_out
            else one
            for one in repeats
        ]
    models = [model for window in windows for model in window.models]
    models += [
        model
        for session in {window.session.id: window.session for window in windows}.values()
        for model in session.models
        if model.run == name
    ]
    return Side(name, tuple(repeats), models[-1] if models else None, uses_best=value == "best")


def _is_complete(repeat: Repeat) -> bool:
    return not (repeat.left_out or repeat.energy_left_out or repeat.missing)


def _repeat(found: Window, metric: str | None, lower: bool | None) -> Repeat:
    session, window = found.session, found.window
    logged = found.metrics
    values = [one.value for one in logged if one.name == metric and one.source != STUDY]
    finite = [value for value in values if math.isfinite(value)]
    # Of batches of different sizes it is the single inference that compares.
    loops = loops_of(logged) * items_of(logged)
    energy, grams = window.energy, session.co2_g(window.energy)
    return Repeat(
        session=session.id,
        cell=cell_of(window),
        span=window.span if isinstance(window, Span) else None,
        started_s=window.started_s,
        status=window.status,
        error=window.error,
        loops=loops,
        duration_s=window.duration_s / loops,
        energy_j=None if energy.energy_j is None else energy.energy_j / loops,
        bound_j=energy.bound_j / loops,
        missing=energy.missing,
        provenance=energy.provenance,
        grams=None if grams is None or energy.missing else grams / loops,
        last=values[-1] if values else None,
        best=None if lower is None or not finite else (min if lower else max)(finite),
        measured_by=_measured_by(session),
        left_out="" if window.status == "ok" else window.error or window.status,
        energy_left_out=_unusable(window),
    )


def _unusable(window: Cell | Span) -> str:
    if window.energy.total_uj is None:
        return NO_COUNTER
    return TOO_SHORT if window.energy.below_resolution else ""


def _measured_by(session: Session) -> tuple[str, ...]:
    """The machine and its counters. Whether a device is used is a part of the technique."""
    machine = session.machine
    counters = (
        f"{info.name} {info.source} {info.provenance}"
        for info in session.counters.values()
        if info.counted and info.scope != "device"
    )
    return (
        session.host,
        machine.cpu,
        f"{machine.cores} cores",
        f"{machine.memory_bytes} bytes",
        *sorted(counters),
    )


# --- what disturbed them ------------------------------------------------------------------


def _overlapping(windows: Iterable[Window]) -> set[Key]:
    """Windows of one machine during which another one of the comparison ran."""
    found: set[Key] = set()
    machines: dict[tuple[str, str], list[tuple[float, float, Key]]] = {}
    for one in windows:
        session, window = one.session, one.window
        times = session.wall_at(window.started_s), session.wall_at(window.finished_s)
        machines.setdefault((session.host, session.boot_id), []).append((*times, one.key))
    for own in machines.values():
        until, latest = -math.inf, None
        for began, ended, key in sorted(own):
            if began < until and latest is not None:
                found |= {key, latest}
            if ended > until:
                until, latest = ended, key
    return found


def _shared(sessions: Iterable[Session]) -> dict[str, float]:
    """By session, when another one was first seen on its counters."""
    return {
        session.id: min(overlap.seen_s for overlap in session.overlaps)
        for session in sessions
        if session.overlaps
    }


def _disturbed(
    sides: Sequence[Side], at_once: Collection[Key], shared: Mapping[str, float]
) -> list[Side]:
    """The sides without the runs that others disturbed.

    Runs beside a session that nobody asked for are left out where enough remain on each side;
    else they all count, and the verdict says so.
    """
    sides = [_without(side, AT_ONCE, lambda one: _key(one) in at_once) for side in sides]
    alone = [_without(side, SHARED, lambda one: _beside(one, shared)) for side in sides]
    return alone if all(len(side.measured) >= FEWEST_ALONE for side in alone) else sides


def _without(side: Side, reason: str, which: Callable[[Repeat], bool]) -> Side:
    repeats = (
        replace(one, left_out=one.left_out or reason) if which(one) else one for one in side.repeats
    )
    return replace(side, repeats=tuple(repeats))


def _beside(repeat: Repeat, shared: Mapping[str, float]) -> bool:
    since_s = shared.get(repeat.session)
    return since_s is not None and since_s < repeat.ended_s


def _key(repeat: Repeat) -> Key:
    if repeat.span is not None:
        return repeat.session, "span", repeat.span
    return repeat.session, "cell", repeat.cell or 0


def _beside_others(sides: Iterable[Side], shared: Mapping[str, float]) -> Iterable[str]:
    """Said with the verdict, where such runs count."""
    if any(_beside(one, shared) for side in sides for one in side.compared):
        yield "Another session used the machine at the time: what it took is in these figures."


def _other_grams(sides: Iterable[Side], sessions: Iterable[Session]) -> Iterable[str]:
    """What turns energy into grams was not the same for all of them."""
    measured_in = {one.session for side in sides for one in side.measured if one.grams is not None}
    conditions = {
        (period.intensity, period.pricing.pue)
        for session in sessions
        if session.id in measured_in
        for period in session.periods
        if period.intensity is not None
    }
    if len(conditions) > 1:
        yield "Carbon intensity or PUE changed between runs: CO2e differs by that as well."


# --- pairs --------------------------------------------------------------------------------


def _pairs(sides: Sequence[Side], seed: int) -> tuple[Pair, ...]:
    """The first side with every other one; p-values corrected for the number of pairs.

    Energy, time and quality are three questions, each with a correction of its own.
    """
    baseline, *others = sides
    doubts = [_doubt(baseline, other) for other in others]
    energies = _contrasts(
        [
            None if doubt else (baseline.energies_j, other.energies_j)
            for doubt, other in zip(doubts, others, strict=True)
        ],
        seed,
    )
    times = _contrasts([(baseline.durations_s, other.durations_s) for other in others], seed)
    values = _contrasts([(baseline.values, other.values) for other in others], seed)
    drafts = [
        Pair(baseline, other, energy, time, quality, doubt)
        for other, energy, time, quality, doubt in zip(
            others, energies, times, values, doubts, strict=True
        )
    ]
    return tuple(map(_carried, drafts))


def _contrasts(
    samples: Sequence[tuple[tuple[float, ...], tuple[float, ...]] | None], seed: int
) -> list[Contrast | None]:
    """None where a side has fewer than two values."""
    usable = [pair if pair and min(map(len, pair)) > 1 else None for pair in samples]
    judged = iter(together([contrast(*pair, seed=seed) for pair in usable if pair]))
    return [next(judged) if pair else None for pair in usable]


def _doubt(baseline: Side, other: Side) -> str:
    """Why their energies are not held against each other."""
    both = (baseline, other)
    if len({one.measured_by for side in both for one in side.compared}) > 1:
        return "elsewhere"
    if any(side.compared and _unread(side) for side in both):
        return "no counter"
    if any("modelled" in side.provenance for side in both):
        return "modelled"
    if any(len(side.measured) < 2 for side in both):
        return "few"
    return "lower bounds" if baseline.at_least and other.at_least else ""


def _unread(side: Side) -> bool:
    return all(one.energy_j is None for one in side.compared)


def _carried(pair: Pair) -> Pair:
    """A lower bound carries a claim to one side only: without it, energy is not judged."""
    if not (pair.baseline.at_least or pair.other.at_least) or pair.doubt:
        return pair
    return pair if pair.least_saving is not None else replace(pair, doubt="lower bounds")
