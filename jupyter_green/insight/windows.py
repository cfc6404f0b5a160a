"""Which windows of a session stand for a label or a run: cells and spans, each once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from jupyter_green.errors import SettingError
from jupyter_green.events import ModelDescribed
from jupyter_green.insight.findings import short
from jupyter_green.sessions.model import STUDY, Cell, Metric, Session, Span

PREPARATION = frozenset({"warm-up", "baseline"})
"""Types of spans that are no repeats."""
TRIAL = "trial"
COMPARISON = "task"
"""Type of the span that holds the trials of one compare()."""
LAYERS = "layers"
"""Type of the span that holds the trials of one measure_layers()."""
INFERENCE = "inference"
"""Type of the span that holds the trials of one measure_inference()."""

Place = tuple[str, int]
"""``cell`` or ``span``, and its number."""
Key = tuple[str, str, int]
"""Id of the session, and the place in it."""


def place_of(window: Cell | Span) -> Place:
    return ("span", window.span) if isinstance(window, Span) else ("cell", window.number)


def cell_of(window: Cell | Span) -> int | None:
    """Number of the cell that it is, or lies in."""
    return window.cell if isinstance(window, Span) else window.number


class Logged:
    """What was logged in a session, to be found by cell and time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._metrics: dict[int | None, list[Metric]] = {}
        for metric in sorted(session.metrics, key=_logged_s):
            self._metrics.setdefault(metric.cell, []).append(metric)
        self._nested: dict[int, list[int]] = {}
        for cell in session.cells:
            if cell.parent is not None:
                self._nested.setdefault(cell.parent, []).append(cell.number)
        self._inferences: dict[int | None, Span] = {
            span.span: span for span in session.spans if span.type == INFERENCE
        }

    def cells_in(self, number: int | None) -> set[int | None]:
        """The cell and those that ran within it."""
        found, rest = {number}, [number]
        while rest:
            at = rest.pop()
            inner = () if at is None else self._nested.get(at, ())
            rest += [one for one in inner if one not in found]
            found.update(inner)
        return found

    def metrics(self, window: Cell | Span) -> list[Metric]:
        """Logged during a window, in its cell or one within that, in order.

        What was logged at the very boundary of two spans was the end of the first.
        """
        found: list[Metric] = []
        since_s, until_s = window.started_s, window.finished_s
        bisect = bisect_right if isinstance(window, Span) else bisect_left
        for cell in self.cells_in(cell_of(window)):
            own = self._metrics.get(cell, [])
            start = bisect(own, since_s, key=_logged_s)
            found += own[start : bisect_right(own, until_s, key=_logged_s)]
        return sorted(found, key=_logged_s)

    def worth(self, window: Cell | Span) -> list[Metric]:
        """What was said of the model whose inference a trial measures."""
        if not isinstance(window, Span) or window.parent not in self._inferences:
            return []
        study = self._inferences[window.parent]
        return [one for one in self.metrics(study) if one.source != STUDY]


def _logged_s(metric: Metric) -> float:
    return metric.logged_s


@dataclass(frozen=True)
class Window:
    """A cell or a span of a session."""

    logged: Logged
    window: Cell | Span

    @property
    def session(self) -> Session:
        return self.logged.session

    @property
    def key(self) -> Key:
        return self.session.id, *place_of(self.window)

    @cached_property
    def metrics(self) -> list[Metric]:
        """Logged during it, in it or in a cell within its cell; in the order of time. Trials of a
        measure_inference() have the metrics that were given to the whole."""
        return [*self.logged.metrics(self.window), *self.logged.worth(self.window)]

    @cached_property
    def models(self) -> list[ModelDescribed]:
        """Described during it, or for a run that logged in it."""
        if not self.session.models:
            return []
        cells = self.logged.cells_in(cell_of(self.window))
        runs = {metric.run for metric in self.metrics if metric.run is not None}
        since, until = self.window.started_s, self.window.finished_s
        return [
            model
            for model in self.session.models
            if model.run in runs or (model.cell in cells and since <= model.t <= until)
        ]


def by_label(
    sessions: Iterable[Session],
    spans: Collection[int] | None,
    *,
    of_any: bool,
    of_studies: bool = True,
) -> dict[str, list[Window]]:
    """By label its windows in the order of time, each of which counts once.

    Args:
        spans: numbers of the only spans that count, and no cells; None: whatever has a label.
        of_any: of nested windows only the outermost counts, whatever their labels; else the
            outermost of each label.
        of_studies: with the trials of studies.
    """
    found: dict[str, list[Window]] = {}
    for session in sessions:
        logged = Logged(session)
        for window in _outermost(session, spans, of_any):
            if of_studies or not is_trial(window):
                found.setdefault(window.tags.label or "", []).append(Window(logged, window))
    return found


def is_trial(window: Cell | Span) -> bool:
    """It is a run of a study, or a study."""
    return isinstance(window, Span) and window.type in (TRIAL, LAYERS, INFERENCE)


def comparisons(session: Session) -> list[tuple[Span, list[Span]]]:
    """The finished studies of compare(), each with its trials in the order of time."""
    trials: dict[int | None, list[Span]] = {}
    for span in session.spans:
        if span.type == TRIAL and span.tags.label:
            trials.setdefault(span.parent, []).append(span)
    return [
        (span, sorted(trials[span.span], key=lambda one: one.started_s))
        for span in session.spans
        if span.type == COMPARISON and span.span in trials
    ]


def _outermost(session: Session, spans: Collection[int] | None, of_any: bool) -> list[Cell | Span]:
    """Windows with a label. What holds trials is left to these: they are its repeats."""
    windows: list[Cell | Span] = [] if spans is not None else [*session.cells]
    windows += [one for one in session.spans if spans is None or one.span in spans]
    labelled = {place_of(one): one for one in windows if one.tags.label}
    around = _Around(session)
    of_studies = {
        above
        for place, one in labelled.items()
        if isinstance(one, Span) and one.type == TRIAL
        for above in around.of(place)
    }
    kept = {
        place: one
        for place, one in labelled.items()
        if place not in of_studies and not (isinstance(one, Span) and one.type in PREPARATION)
    }

    def is_nested(place: Place, label: str | None) -> bool:
        outer = (kept[above] for above in around.of(place) if above in kept)
        return any(of_any or one.tags.label == label for one in outer)

    outermost = [one for place, one in kept.items() if not is_nested(place, one.tags.label)]
    return sorted(outermost, key=lambda one: one.started_s)


class _Around:
    """What lies around a cell or a span, from the nearest on."""

    def __init__(self, session: Session) -> None:
        self._spans = {span.span: span for span in session.spans}
        self._parents = {cell.number: cell.parent for cell in session.cells}
        self._parents |= {cell.number: cell.parent for cell in session.open_cells}

    def of(self, place: Place) -> list[Place]:
        found: list[Place] = []
        kind, number = place
        cell: int | None = number
        if kind == "span":
            parent, cell = self._spans[number].parent, self._spans[number].cell
            while parent in self._spans and ("span", parent) not in found:
                found.append(("span", parent))
                parent = self._spans[parent].parent
            if cell is not None:
                found.append(("cell", cell))
        while cell is not None and (cell := self._parents.get(cell)) is not None:
            if ("cell", cell) in found:
                break
            found.append(("cell", cell))
        return found


def _batches_of(sessions: Iterable[Session], run: str) -> str:
    """What else a user may have meant: measure_inference() has a label for each batch size."""
    labels = {
        span.tags.label
        for session in sessions
        for span in session.spans
        if span.type == TRIAL and (span.tags.label or "").endswith(f", {run}")
    }
    named = ", ".join(sorted(repr(short(label)) for label in labels if label)[:8])
    return f"; measured were {named}" if named else ""


def of_run(sessions: Sequence[Session], run: str) -> list[Window]:
    """The largest windows that hold all values of the run in their cell and none of another run.

    Raises:
        SettingError: there is no such window, or the run went on in different cells.
    """
    found, cells = [], set()
    for session in sessions:
        logged = Logged(session)
        groups: dict[int | None, list[Metric]] = {}
        for metric in session.metrics:
            if metric.run == run:
                groups.setdefault(metric.cell, []).append(metric)
        cells |= {cell.cell for cell in session.cells if cell.number in groups}
        windows = (_window_of(logged, cell, own, run) for cell, own in groups.items())
        found += [window for window in windows if window is not None]
    if len(cells) > 1:
        raise SettingError(
            f"run {short(run)!r} was logged in {len(cells)} different cells, so that what it took "
            "is no single window: give what is to be compared a label, as %%energy --label NAME"
        )
    if not found:
        raise SettingError(
            f"run {short(run)!r} has no window of its own: measure() it, or give it a cell and a "
            f"label of its own{_batches_of(sessions, run)}"
        )
    return found


@dataclass(frozen=True)
class Taken:
    """What a run took: windows that do not overlap."""

    windows: tuple[Cell | Span, ...]
    shared: bool
    """Some are cells in which other runs went on as well: the run took that much at most."""


def taken_by(session: Session, runs: Iterable[str]) -> dict[str, Taken]:
    """Where runs went on in a session: by run its spans, else the windows of its metrics.

    Spans with the name of the run are its own (those of callbacks, trackers and measure()). In a
    cell where it logged outside them it is the largest window with all of its values and none of
    another run, and where there is no such window the cell.
    """
    logged, around = Logged(session), _Around(session)
    return {run: _taken_by(logged, around, run) for run in runs}


def _taken_by(logged: Logged, around: _Around, run: str) -> Taken:
    session = logged.session
    found: list[Cell | Span] = [
        span for span in session.spans if span.name == run and span.type not in PREPARATION
    ]
    cells = {cell.number: cell for cell in session.cells}
    ends = [(span.started_s, span.finished_s) for span in found]
    groups: dict[int | None, list[Metric]] = {}
    for metric in session.metrics:
        if metric.run == run:
            groups.setdefault(metric.cell, []).append(metric)
    shared = set()
    for number, own in groups.items():
        if all(any(since < one.logged_s <= until for since, until in ends) for one in own):
            continue
        window = _window_of(logged, number, own, run)
        if window is not None:
            found.append(window.window)
        elif number in cells:
            found.append(cells[number])
            shared.add(place_of(cells[number]))
    places = {place_of(window) for window in found}
    outermost = [one for one in found if not places.intersection(around.of(place_of(one)))]
    return Taken(tuple(outermost), any(place_of(one) in shared for one in outermost))


def _window_of(logged: Logged, cell: int | None, own: Sequence[Metric], run: str) -> Window | None:
    session = logged.session
    candidates: list[Cell | Span] = [one for one in session.cells if one.number == cell]
    candidates += [one for one in session.spans if one.cell == cell and one.type not in PREPARATION]
    since, until = own[0].logged_s, own[-1].logged_s
    for candidate in sorted(candidates, key=lambda one: one.duration_s, reverse=True):
        if candidate.started_s <= since and until <= candidate.finished_s:
            window = Window(logged, candidate)
            if {metric.run for metric in window.metrics if metric.run is not None} <= {run}:
                return window
    return None
