"""An examination as short findings, for a panel: the troubles first, then what is in order."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, to_builtins

from jupyter_green.doctor.findings import NOTE, OK, PROBLEM, Examination, Recipe
from jupyter_green.doctor.page import Page


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
    hints = sorted(_hints(Page.of(found)), key=lambda hint: ranks.get(hint.severity, 1))
    return [to_builtins(hint) for hint in hints]


def _hints(page: Page) -> Iterator[Hint]:
    for recipe in page.recipes:
        yield _recipe(recipe)
    for refused in page.refused:
        yield Hint(title=refused.what, detail=refused.reason, remedy=refused.remedy)
    for row in page.rows:
        name, power, *_ = row.cells
        yield Hint(title=f"{name}: {power}", detail=row.detail, severity=OK)
    for check in page.checks:
        yield Hint(
            title=check.about, detail=check.text, remedy=check.remedy, severity=check.verdict
        )


def _recipe(recipe: Recipe) -> Hint:
    texts = [recipe.opens, *(step.text for step in recipe.steps)]
    return Hint(
        title=recipe.title,
        detail=" ".join(filter(None, texts)),
        commands=tuple(line for step in recipe.steps for line in step.lines),
    )
