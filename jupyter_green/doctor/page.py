"""What the doctor says, as strings that are ready to show; shared by plain text and HTML.

All text that comes from the machine or from configuration goes through :func:`clean` here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jupyter_green.doctor.findings import Check, Examination, Recipe, Step, Watched
from jupyter_green.events import CounterInfo, Machine, Refusal
from jupyter_green.units import (
    UJ_PER_J,
    format_duration,
    format_energy,
    format_power,
    format_share,
)

COLUMNS = ("Counter", "Power", "Moves every", "Stated", "Step", "1 s cell", "In total")
"""Of the table of counters; the first is a name, the others are figures."""
_VIRTUAL = {"vm": "virtual machine", "container": "container"}


@dataclass(frozen=True)
class Row:
    """One counter."""

    cells: tuple[str, ...]
    """One text a column."""
    detail: str


@dataclass(frozen=True)
class Refused:
    """What is not measured, for one reason."""

    what: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Page:
    """A whole examination in words."""

    title: str
    machine: str
    rows: tuple[Row, ...]
    total: str
    refused: tuple[Refused, ...]
    unused: str
    """What is left alone because another source serves, or as the settings want it."""
    recipes: tuple[Recipe, ...]
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, found: Examination) -> Page:
        """The words for an examination."""
        return cls(
            title=f"jupyter_green {clean(found.jupyter_green)} doctor",
            machine=_machine(found.machine),
            rows=tuple(_row(watched, found.gpus_counted) for watched in found.counters),
            total=_total(found),
            refused=tuple(_refused(found.refused)),
            unused=_unused(found.refused),
            recipes=tuple(map(_recipe, found.recipes)),
            checks=tuple(map(_check, found.checks)),
        )


def clean(text: str) -> str:
    """Text on one line, without anything that steers a terminal or turns the reading order."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _machine(machine: Machine) -> str:
    cores = f"{machine.cores} CPU{'s' * (machine.cores != 1)}"
    parts = (machine.system, machine.cpu, cores, _VIRTUAL.get(machine.virtual, ""))
    return " · ".join(clean(part) for part in parts if part)


# --- what is measured ---------------------------------------------------------------------


def _row(watched: Watched, gpus_counted: str) -> Row:
    info = watched.counter
    missing = watched.power_w is None
    cells = (
        clean(info.name),
        "missing" if watched.power_w is None else format_power(watched.power_w),
        _moves(watched),
        format_duration(info.resolution_s),
        "" if watched.step_uj is None else format_energy(watched.step_uj),
        "" if watched.bound_j is None else f"± {format_energy(watched.bound_j * UJ_PER_J)}",
        _in_total(info, gpus_counted),
    )
    return Row(cells, " ".join(_detail(watched, missing)))


def _in_total(info: CounterInfo, gpus_counted: str) -> str:
    if not info.counted:
        return "no"
    return f"if {gpus_counted}" if info.scope == "device" else "yes"


def _moves(watched: Watched) -> str:
    if watched.update_s is None:
        return "not seen"
    return "reading" if watched.every_reading else format_duration(watched.update_s)


def _detail(watched: Watched, missing: bool) -> Iterator[str]:
    info = watched.counter
    device = clean(info.device) or "no name"
    inside = f", inside {clean(info.part_of)}" if info.part_of else ""
    band = f" (± {format_share(info.band)})" if info.band else ""
    what = f"{device} ({clean(info.domain)}{inside})"
    yield f"{what}, {clean(info.provenance)}{band} by {clean(info.source)}."
    if info.assumption:
        yield f"Assumes {clean(info.assumption)}."
    if info.accuracy and not missing:
        yield f"The sensor's own error comes on top: {clean(info.accuracy)}."
    if missing or watched.problem:
        yield f"{clean(watched.problem)}."


def _total(found: Examination) -> str:
    if found.power_w is None or found.bound_j is None:
        return "Nothing is measured here."
    least = "At least " if found.missing else ""
    left_out = f" Missing: {', '.join(map(clean, found.missing))}." if found.missing else ""
    share = f" ({format_share(found.bound_j / found.power_w)})" if found.power_w else ""
    return (
        f"Total: {least}{format_power(found.power_w)} over {format_duration(found.watched_s)}. "
        f"A cell of 1 s at this power is known to ± {format_energy(found.bound_j * UJ_PER_J)}"
        f"{share}.{left_out}"
    )


# --- what is not --------------------------------------------------------------------------


def _refused(refused: Iterable[Refusal]) -> Iterator[Refused]:
    """One entry a source and remedy: a machine has many zones, and they are closed together."""
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refused:
        if not refusal.by_choice:
            # Without a remedy, each reason stands for itself.
            key = (refusal.source, refusal.remedy or refusal.reason)
            groups.setdefault(key, []).append(refusal)
    for (source, _), group in groups.items():
        names = ", ".join(clean(one.counter) for one in group if one.counter)
        more = f" (and {len(group) - 1} more like it)" if len(group) > 1 else ""
        yield Refused(
            what=f"{clean(source)}: {names}" if names else clean(source),
            reason=f"{clean(group[0].reason)}{more}.",
            remedy=clean(group[0].remedy),
        )


def _unused(refused: Iterable[Refusal]) -> str:
    texts = (f"{clean(r.source)} ({clean(r.reason)})" for r in refused if r.by_choice)
    return ", ".join(texts)


def _recipe(recipe: Recipe) -> Recipe:
    steps = (
        Step(text=clean(step.text), lines=tuple(_printable(line) for line in step.lines))
        for step in recipe.steps
    )
    return Recipe(title=clean(recipe.title), opens=clean(recipe.opens), steps=tuple(steps))


def _check(check: Check) -> Check:
    return Check(
        about=clean(check.about),
        verdict=check.verdict,
        text=clean(check.text),
        remedy=clean(check.remedy),
    )
