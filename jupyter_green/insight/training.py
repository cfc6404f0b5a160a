"""Where a training spends: past the knee of its curve, on evaluation, in one cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from jupyter_green.insight.findings import (
    MOST_FACTS,
    Fact,
    Finding,
    about_cell,
    cells_uj,
    deliberate_cells,
    finding,
    matters,
    short,
)
from jupyter_green.insight.frontier import HUNDREDTH, Curve, curves_of
from jupyter_green.insight.stages import Stage, by_stage
from jupyter_green.sessions.model import Cell, OpenCell, Session
from jupyter_green.units import format_energy, format_number, format_share

TRAINING = frozenset({"train", "training", "fit", "fitting"})
EVALUATION = frozenset({"eval", "evaluation", "validation", "test", "testing"})
"""Stages as people tag them, folded."""

MOST_OF_CELLS = 0.6
"""A cell with that share of all cells' energy dominates the session ..."""
FEWEST_CELLS = 4
"""... if there are so many others."""


def past_the_knee(session: Session) -> Iterable[Finding]:
    """Epochs after returns had clearly diminished, by every metric that the run logged.

    Runs that failed or were replaced are told of as such, and repeats on purpose not at all.
    The energy is that of the whole machine from the knee to the run's last value.
    """
    for curves in _runs(session):
        knees = [curve.knee for curve in curves]
        if not all(knees):
            continue
        spent = [_past_uj(curve) for curve in curves]
        energy_uj = min(spent)
        curve = curves[spent.index(energy_uj)]
        bound_uj = _bound_uj(session, curve, energy_uj)
        if matters(session, energy_uj, bound_uj):
            yield _knee_finding(session, curve, energy_uj, bound_uj)


def evaluation(session: Session) -> Iterable[Finding]:
    """More energy for evaluation than for training, by the stages that the user tagged."""
    rows = by_stage(session)
    trained, evaluated = _sum(rows, TRAINING), _sum(rows, EVALUATION)
    more_uj = evaluated.total_uj - trained.total_uj
    bound_uj = trained.bound_uj + evaluated.bound_uj
    if not trained.runs or not matters(session, more_uj, bound_uj):
        return
    yield finding(
        session,
        kind="evaluation",
        title="Evaluation took more energy than training",
        energy_uj=more_uj,
        bound_uj=bound_uj,
        evidence=[
            Fact(
                words=f"evaluation {format_energy(evaluated.total_uj)}, training "
                f"{format_energy(trained.total_uj)}"
            ),
        ],
        remedy=(
            "evaluate every few epochs or on a fixed part of the data while training, without "
            "gradients and in larger batches, and on all of it once at the end"
        ),
    )


def dominating_cell(session: Session) -> Iterable[Finding]:
    """One run of a cell that took most of what all took: what is saved there counts most."""
    deliberate = deliberate_cells(session)
    owners = [cell for cell in session.cells if cell.owns_time and cell.energy.total_uj]
    if len(owners) <= FEWEST_CELLS:
        return
    cell = max(owners, key=lambda cell: cell.energy.total_uj or 0)
    energy_uj, bound_uj = cell.energy.total_uj or 0, cell.energy.bound_uj
    share = energy_uj / max(1, cells_uj(session))
    is_kept = session.ledger.category_of.get(cell.number) == "productive"
    if not is_kept or cell.number in deliberate or share < MOST_OF_CELLS:
        return
    if matters(session, energy_uj, bound_uj):
        yield finding(
            session,
            kind="dominating cell",
            title="One cell took most of the energy: what is saved there counts most",
            energy_uj=energy_uj,
            bound_uj=bound_uj,
            evidence=[
                about_cell(cell, _of_the_cells(cell, share)),
                *_dearest_spans(session, cell),
            ],
            remedy=(
                "measure its parts with measure() or tags of their own, and begin with the "
                "dearest one"
            ),
            provenance=cell.energy.provenance,
        )


# --- past the knee ---


def _runs(session: Session) -> Iterable[list[Curve]]:
    """The curves with a direction, by run; of runs that are kept."""
    category, deliberate = session.ledger.category_of, deliberate_cells(session)
    groups: defaultdict[tuple[str | None, int | None], list[Curve]] = defaultdict(list)
    for curve in curves_of(session.results):
        if curve.lower is None or curve.cell in deliberate or _is_of_several(session, curve):
            continue
        if curve.cell is None or category.get(curve.cell, "productive") == "productive":
            groups[curve.run, None if curve.run else curve.cell].append(curve)
    return groups.values()


def _is_of_several(session: Session, curve: Curve) -> bool:
    """Single values of no run: one in each of several cells or labelled spans is a row of
    trainings, and none that goes on for too long."""
    if curve.run is not None or any(point.step is not None for point in curve.points):
        return False
    own = [one for one in session.results if one.name == curve.metric and one.run is None]
    labels = {span.tags.label for span in session.spans if span.cell == curve.cell}
    return len({one.cell for one in own}) > 1 or len(labels - {None}) > 1


def _past_uj(curve: Curve) -> int:
    assert curve.knee is not None
    return curve.points[-1].uj - curve.points[curve.knee.index].uj


def _bound_uj(session: Session, curve: Curve, energy_uj: int) -> float:
    """At both ends of a stretch counters lag alike: the bound of the run's cell serves.

    A model's band is a share of the energy, so that of the part is smaller in proportion.
    """
    cells = [cell.energy for cell in session.cells if cell.number == curve.cell]
    whole = cells[0] if cells else session.total
    part = energy_uj / whole.total_uj if whole.total_uj else 1.0
    return whole.lag_uj + (whole.bound_uj - whole.lag_uj) * min(1.0, part)


def _knee_finding(session: Session, curve: Curve, energy_uj: int, bound_uj: float) -> Finding:
    knee = curve.knee
    assert knee is not None
    return finding(
        session,
        kind="past the knee",
        title=(
            f"The last {format_share(knee.energy_share)} of a training's energy brought "
            f"{format_share(_gain_share(curve))} of what it gained"
        ),
        energy_uj=energy_uj,
        bound_uj=bound_uj,
        evidence=[
            Fact(words=_gain_words(curve), name=short(curve.metric)),
            *_where(session, curve),
        ],
        remedy=(
            "where that is not worth its energy, end a training when its metric has gained "
            "little over a few epochs (early stopping), and keep the best state"
        ),
    )


def _gain_share(curve: Curve) -> float:
    """What was gained after the knee, of all that was gained."""
    best = curve.best_so_far
    assert curve.knee is not None
    return curve.knee.gain / abs(best[-1].value - best[0].value)


def _gain_words(curve: Curve) -> str:
    knee = curve.knee
    assert knee is not None
    at, last = curve.best_so_far[knee.index], curve.best_so_far[-1]
    points = f", {_points(knee.gain)} more" if curve.is_fraction else ""
    step = "" if at.step is None else f" (step {format_number(at.step, 6)})"
    return (
        f"{at.value:.4g} at {format_energy(at.uj)}{step}, {last.value:.4g} at "
        f"{format_energy(last.uj)}{points}"
    )


def _points(gain: float) -> str:
    return f"{format_number(gain / HUNDREDTH, 2)} points"


def _where(session: Session, curve: Curve) -> Iterable[Fact]:
    if curve.run:
        yield Fact(words="the run's name", name=short(curve.run), cell=curve.cell)
    cells: list[Cell | OpenCell] = [*session.cells, *session.open_cells]
    for cell in cells:
        if cell.number == curve.cell:
            yield about_cell(cell, "logged there")


# --- stages and cells ---


def _sum(rows: Iterable[Stage], names: frozenset[str]) -> Stage:
    own = [row for row in rows if row.name in names and not row.suggested]
    return Stage(
        None,
        sum(row.total_uj for row in own),
        sum(row.bound_uj for row in own),
        sum(row.seconds for row in own),
        sum(row.runs for row in own),
    )


def _of_the_cells(cell: Cell, share: float) -> str:
    spent = format_energy(cell.energy.total_uj or 0)
    return f"{spent}, {format_share(share)} of what all cells took"


def _dearest_spans(session: Session, cell: Cell) -> Iterable[Fact]:
    """The parts of it that were measured: those that are worth a line."""
    own = [span for span in session.spans if span.cell == cell.number and span.energy.total_uj]
    own.sort(key=lambda span: span.energy.total_uj or 0, reverse=True)
    for span in own[: MOST_FACTS - 1]:
        spent = format_energy(span.energy.total_uj or 0)
        yield Fact(words=f"of this {spent}", name=short(span.name), cell=cell.number)
