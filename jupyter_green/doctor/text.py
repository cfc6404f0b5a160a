"""An examination as plain text, for a terminal or the text form of a notebook's output."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence

from jupyter_green.doctor.findings import PROBLEM, Check, Examination, Recipe
from jupyter_green.doctor.page import COLUMNS, Page, Refused, Row

USUAL_WIDTH, NARROWEST, WIDEST = 80, 60, 100
MEASURED = "What is measured"
NOT_MEASURED = "What is not, and how to get it"
CHECKS = "Checks"
NOTHING_REFUSED = "No source of energy was refused."
DISPENSABLE = ("Step", "Stated")
"""What goes first where the window is narrow."""
COMMAND = "sudo "
"""A remedy that begins so is a line to type."""
GAP = "  "

_FIGURE = re.compile(r"(?<=[\d±]) (?=[\d%]|[µmkM]?[WJsB]\b)")
"""The blank between a number and its unit, where no line is broken."""


def render(found: Examination, *, width: int | None = None) -> str:
    """The examination as text. Lines to type are never broken, however long they are.

    Args:
        width: columns to fill, 60 to 100; default: the terminal's, or 80.
    """
    page = Page.of(found)
    columns = width or shutil.get_terminal_size((USUAL_WIDTH, 24)).columns
    columns = max(NARROWEST, min(WIDEST, columns))
    blocks = (
        [page.title, *_wrapped(page.machine, columns)],
        [MEASURED, *_table(page.rows, columns), *_wrapped(page.total, columns, "  ")],
        [NOT_MEASURED, *_not_measured(page, columns)],
        *(list(_recipe(number, each, columns)) for number, each in enumerate(page.recipes, 1)),
        [CHECKS, *_checks(page.checks, columns)],
    )
    return "\n\n".join("\n".join(block) for block in blocks)


def _wrapped(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    lines = textwrap.wrap(
        _FIGURE.sub("\u00a0", text),
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        # A path or an option that is broken cannot be copied.
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]


def _table(rows: Sequence[Row], width: int) -> Iterator[str]:
    if not rows:
        return
    lines = _fitted([COLUMNS, *(row.cells for row in rows)], width)
    for number, line in enumerate(lines):
        yield line
        if number:
            yield from _wrapped(rows[number - 1].detail, width, "    ")


def _fitted(lines: Sequence[Sequence[str]], width: int) -> list[str]:
    """The lines of the table, without the columns that find no room."""
    kept = list(COLUMNS)
    widths = {
        title: max(map(len, column))
        for title, column in zip(COLUMNS, zip(*lines, strict=True), strict=True)
    }
    for title in DISPENSABLE:
        if sum(len(GAP) + widths[one] for one in kept) > width:
            kept.remove(title)
    return [
        GAP
        + GAP.join(
            text.rjust(widths[title]) if title != COLUMNS[0] else text.ljust(widths[title])
            for title, text in zip(COLUMNS, line, strict=True)
            if title in kept
        ).rstrip()
        for line in lines
    ]


def _not_measured(page: Page, width: int) -> Iterator[str]:
    for refused in page.refused:
        yield from _refused(refused, width)
    if not page.refused:
        yield from _wrapped(NOTHING_REFUSED, width, "  ")
    if page.unused:
        yield from _wrapped(f"Not used: {page.unused}.", width, "  ", "    ")


def _refused(refused: Refused, width: int) -> Iterator[str]:
    yield from _wrapped(refused.what, width, "  ", "    ")
    yield from _wrapped(refused.reason, width, "    ")
    if refused.remedy.startswith(COMMAND):
        yield f"    -> {refused.remedy}"
    elif refused.remedy:
        yield from _wrapped(f"-> {refused.remedy}", width, "    ", "       ")


def _recipe(number: int, recipe: Recipe, width: int) -> Iterator[str]:
    yield from _wrapped(f"{number}. {recipe.title}", width, "  ", "     ")
    if recipe.opens:
        yield from _wrapped(f"What it opens: {recipe.opens}.", width, "     ")
    for step in recipe.steps:
        yield from _wrapped(step.text, width, "     - ", "       ")
        yield from (f"         {line}" for line in step.lines)


def _checks(checks: Sequence[Check], width: int) -> Iterator[str]:
    names = max((len(check.about) for check in checks), default=0)
    for check in checks:
        verdict = check.verdict.upper() if check.verdict == PROBLEM else check.verdict
        head = f"  {verdict:<7}{GAP}{check.about:<{names}}{GAP}"
        hanging = " " * len(head)
        yield from _wrapped(f"{check.text}.", width, head, hanging)
        if check.remedy:
            yield from _wrapped(f"-> {check.remedy}", width, hanging, f"{hanging}   ")
