"""The pictures of a merged report, in the style of those of one session."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from jupyter_green.insight.stages import Stage
from jupyter_green.report import vega_parts as parts
from jupyter_green.report.fragment import COLOURS
from jupyter_green.report.merged.table import file_name
from jupyter_green.report.merged.values import Group, Merged
from jupyter_green.report.vega_parts import Row, Spec
from jupyter_green.sessions.summary import Summary

MOST_PROJECTS = 6
"""Projects with a colour of their own."""
MOST_PERIODS = 60
"""Months or days, the last ones."""
NO_PROJECT = "no project"
OTHER_PROJECTS = "other projects"


def over_time(merged: Merged) -> Spec:
    """Energy by month or day, by project."""
    periods = merged.groups[merged.period_name][-MOST_PERIODS:]
    unit, size = parts.energy_unit(group.totals.summed.total_uj for group in periods)
    names = _project_names(merged)
    rows = [
        {"when": period.name, "project": name, "energy": parts.rounded(uj / size), "order": order}
        for period in periods
        for order, (name, uj) in enumerate(_by_project(period, names))
        if uj
    ]
    colours = dict(zip(dict.fromkeys(names.values()), _COLOURS, strict=False))
    axis = {"labelAngle": 0, "labelOverlap": True, "ticks": False}
    bars = parts.layer(
        rows,
        {"type": "bar", "size": round(min(36.0, 560 / max(1, len(periods))), 1)},
        x=parts.text("when") | {"title": merged.period_name, "sort": None, "axis": axis},
        y=parts.value("energy", f"energy ({unit})") | {"stack": "zero"},
        color=parts.by_name("project", colours, "project" if len(colours) > 1 else ""),
        order=parts.value("order"),
        tooltip=[
            parts.text("when"),
            parts.text("project"),
            parts.value("energy", f"energy ({unit})"),
        ],
    )
    return parts.finished([bars], parts.HEIGHT, f"Energy by {merged.period_name}")


_COLOURS = (parts.ACCENT, parts.SOURCES["package"], *parts.OTHERS)


def _project_names(merged: Merged) -> dict[str | None, str]:
    """What each project is called in the picture: of many, the rest together."""
    own = parts.Names()
    names: dict[str | None, str] = {}
    groups = merged.groups["project"]
    for index, group in enumerate(groups):
        if index < MOST_PROJECTS or len(groups) == MOST_PROJECTS + 1:
            names[group.name] = own.unique(parts.name(group.name) if group.name else NO_PROJECT)
        else:
            names[group.name] = OTHER_PROJECTS
    return names


def _by_project(period: Group, names: dict[str | None, str]) -> Iterable[tuple[str, int]]:
    found = dict.fromkeys(names.values(), 0)
    for one in period.members:
        found[names[one.summary.project]] += one.session.total.total_uj or 0
    return found.items()


def sessions(merged: Merged) -> Spec:
    """Energy of the sessions that cost most."""
    known = [one.summary for one in merged.members if one.summary.energy.total_uj]
    dearest = sorted(known, key=lambda one: one.energy.total_uj or 0, reverse=True)[
        : parts.MOST_BARS
    ]
    names = parts.Names()
    return _one_each(
        [
            (names.unique(_session(one)), one.energy.total_uj or 0, _group(one.energy.provenance))
            for one in dearest
        ],
        "provenance",
        {
            "measured": parts.ACCENT,
            "integrated": parts.SOURCES["package"],
            "modelled": parts.OTHERS[0],
        },
        "Energy of the dearest sessions",
    )


def _session(one: Summary) -> str:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.started_wall_s))
    return parts.name(f"{began} {file_name(one.title)}")


def _group(provenance: Sequence[str]) -> str:
    """What is least certain in it."""
    return next((one for one in ("modelled", "integrated") if one in provenance), "measured")


def ledger(merged: Merged) -> Spec:
    """Where the sum of the sessions went."""
    used = [share for share in merged.ledger if share.total_uj]
    rows = [(share.name or "", share.total_uj, share.name or "") for share in used]
    return _one_each(rows, "", COLOURS, "The ledgers of all sessions")


def stages(merged: Merged) -> Spec:
    """Energy by lifecycle stage."""
    names = parts.Names()
    used = [stage for stage in merged.stages if stage.total_uj][: parts.MOST_BARS]
    rows = [(names.unique(_stage(stage)), stage.total_uj, stage.how) for stage in used]
    return _one_each(rows, "", parts.STAGED, "Energy by lifecycle stage")


def _stage(stage: Stage) -> str:
    return "no stage" if stage.name is None else parts.name(stage.label)


def _one_each(
    bars: Sequence[tuple[str, int, str]], title: str, colours: dict[str, str], description: str
) -> Spec:
    """Bars of names, microjoules and groups."""
    unit, size = parts.energy_unit(uj for _, uj, _ in bars)
    rows: list[Row] = [
        {"name": name, "energy": parts.rounded(uj / size), "group": group}
        for name, uj, group in bars
    ]
    known = {
        **colours,
        **{row["group"]: parts.SHADE for row in rows if row["group"] not in colours},
    }
    return parts.finished(
        [parts.bars(rows, unit, known, title)], parts.ROW * len(rows), description
    )
