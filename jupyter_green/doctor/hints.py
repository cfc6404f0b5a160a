"""An examination as short findings, for a panel: the troubles first, then what is in order."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, to_builtins

from jupyter_green.doctor.findings import NOTE, OK, PROBLEM, Examination, Recipe, Watched
from jupyter_green.doctor.page import Page, Row, clean


class Hint(Struct, frozen=True, kw_only=True):
    """One finding."""

    title: str
    detail: str
    remedy: str = ""
    commands: tuple[str, ...] = ()
    """Lines to type, in order."""
    severity: str = NOTE
    """ok, note or problem."""


def of(found: Examination) -> list[dict[str, object]]:
    """The findings of an examination as plain values."""
    ranks = {PROBLEM: 0, NOTE: 1, OK: 2}
    hints = sorted(_hints(found, Page.of(found)), key=lambda hint: ranks.get(hint.severity, 1))
    return [to_builtins(hint) for hint in hints]


def _hints(found: Examination, page: Page) -> Iterator[Hint]:
    for recipe in page.recipes:
        yield _recipe(recipe)
    for refused in page.refused:
        yield Hint(title=refused.what, detail=refused.reason, remedy=refused.remedy)
    for watched, row in zip(found.counters, page.rows, strict=True):
        yield _counter(watched, row)
    for check in page.checks:
        yield Hint(
            title=check.about, detail=check.text, remedy=check.remedy, severity=check.verdict
        )


def _counter(watched: Watched, row: Row) -> Hint:
    name, power, *_ = row.cells
    in_order = watched.power_w is not None and not watched.problem
    return Hint(
        title=f"{name}: {power}",
        detail=row.detail,
        remedy=clean(watched.remedy),
        severity=OK if in_order else PROBLEM,
    )


def _recipe(recipe: Recipe) -> Hint:
    texts = [recipe.opens, *(step.text for step in recipe.steps)]
    return Hint(
        title=recipe.title,
        detail=" ".join(filter(None, texts)),
        commands=tuple(line for step in recipe.steps for line in step.lines),
    )
