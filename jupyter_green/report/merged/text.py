"""A merged report as plain text and as Markdown: the same words, laid out for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_green.report.history import aligned
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.lines import grid as pipes
from jupyter_green.report.merged.table import Grid, Line, MergedTable, Saving
from jupyter_green.report.merged.values import Merged
from jupyter_green.report.statement import generator

NEWEST = 20
"""Sessions in the text, unless all are asked for."""
OVERLAPPING = "What could be saved (findings overlap and are never added)"

_TITLES = (
    *("Session", "Started", "Notebook", "Project", "Machine", ">Time", ">Energy", "Origin"),
    *(">CO₂e", "Metric", ">Failed cells", "State"),
)


# --- text ---------------------------------------------------------------------------------


def render(merged: Merged, *, everything: bool = False) -> str:
    """The report as plain text.

    Args:
        everything: all sessions and all groups, however many there are.
    """
    told = MergedTable.of(merged, everything=everything, most_sessions=NEWEST)
    blocks = [
        [told.title, told.subtitle],
        [f"{fact.name}: {_fact(fact.figure, fact.note)}" for fact in told.facts],
        [f"Left out: {one}" for one in told.left_out],
        [*aligned([_titles(), *map(_line, told.lines)]), *filter(None, [told.rest])],
        *(_grid(grid) for grid in _grids(told)),
        _savings(told.savings),
        [f"Not read: {one}" for one in told.refused],
        list(told.notes),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _titles() -> tuple[str, ...]:
    return tuple(title.upper() for title in _TITLES)


def _fact(figure: str, note: str) -> str:
    return f"{figure} ({note})" if figure and note else figure or note


def _line(line: Line) -> tuple[str, ...]:
    return (
        *(line.id, line.started, line.notebook, line.project, line.machine, line.duration),
        *(line.energy, line.origin, line.co2, line.metric, line.failed, line.state),
    )


def _grids(told: MergedTable) -> Iterable[Grid]:
    yield from told.groups.values()
    yield from filter(None, (told.ledger, told.stages, told.machines, told.counters))


def _grid(grid: Grid) -> list[str]:
    titles = tuple(title.upper() for title in grid.columns)
    lines = aligned([titles, *grid.rows])
    return [grid.caption, *lines, *filter(None, [grid.rest])]


def _savings(savings: Sequence[Saving]) -> list[str]:
    lines = [
        line
        for one in savings
        for line in (f"- {one.title}", f"    {one.told}", f"    To try: {one.remedy}")
    ]
    return [OVERLAPPING, *lines] if lines else []


# --- Markdown -----------------------------------------------------------------------------


def render_markdown(merged: Merged, *, everything: bool = False) -> str:
    """The report as Markdown.

    Args:
        everything: all sessions and all groups, however many there are.
    """
    told = MergedTable.of(merged, everything=everything)
    facts = [f"- **{f.name}:** {_escaped(_fact(f.figure, f.note))}" for f in told.facts]
    parts = (
        (f"# Energy of {_escaped(told.title)}", "\n".join([_escaped(told.subtitle), "", *facts])),
        ("## Left out", _bullets(told.left_out)),
        ("## To cite", " ".join(map(markdown, told.sentences))),
        ("## Sessions", _session_pipes(told)),
        *((f"## {grid.title}", _pipes(grid)) for grid in _grids(told)),
        ("## Where energy could be saved", _bullets(map(_saving, told.savings))),
        ("## Not read", _bullets(told.refused)),
        ("## Notes", _bullets(told.notes)),
    )
    sections = [f"{heading}\n\n{body}" for heading, body in parts if body]
    return "\n\n".join([*sections, f"Written by {markdown(generator())}."])


LONGEST = 1000
"""Characters of a sentence; names in it are shorter."""


def _escaped(words: str) -> str:
    return markdown(short(words, LONGEST))


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(one)}" for one in sentences)


def _saving(saving: Saving) -> str:
    return f"{saving.title}. {saving.told} To try: {saving.remedy}"


def _session_pipes(told: MergedTable) -> str:
    rows = [_line(line) for line in told.lines]
    return _table(_TITLES, rows, told.rest)


def _pipes(grid: Grid) -> str:
    return f"{_escaped(grid.caption)}\n\n{_table(grid.columns, grid.rows, grid.rest)}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], rest: str) -> str:
    """Empty columns are left out."""
    used = [index for index in range(len(titles)) if not index or any(row[index] for row in rows)]
    columns = [titles[index].removeprefix(">") for index in used]
    left = [place for place, index in enumerate(used) if not titles[index].startswith(">")]
    lines = [[row[index] for index in used] for row in rows]
    return pipes(columns, lines, left) + (f"\n\n{_escaped(rest)}" if rest else "")
