"""What a merged report says, as strings that are ready to show; shared by its forms.

All text of others is made short and clean here; each form escapes what it shows.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_green.carbon.tables import ATTRIBUTION
from jupyter_green.events import CounterInfo
from jupyter_green.insight.findings import energy_text
from jupyter_green.insight.stages import Stage
from jupyter_green.report import statement
from jupyter_green.report.inert import short
from jupyter_green.report.merged import statement as merged_statement
from jupyter_green.report.merged.values import Group, Kind, Member, Merged, Share, Worth
from jupyter_green.report.table import RECORDED_WITHOUT_PLACE
from jupyter_green.report.words import (
    NO_COUNTER,
    clean,
    energy_words,
    missing_words,
    provenance_words,
    share_words,
)
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_energy,
    format_kwh,
    format_number,
    format_share,
)

MOST_SESSIONS = 40
"""A longer list shows the newest, unless all are asked for."""
MOST_GROUPS = 40
"""Rows of one table of groups, unless all are asked for: those with most energy."""
MOST_PROBLEMS = 10
LONGEST_NAME = 80
NO_NAME = {"project": "(no project)"}
NO_STAGE = "(no stage)"


@dataclass(frozen=True)
class Fact:
    """A headline figure, with what it needs to be believed."""

    name: str
    figure: str
    note: str


@dataclass(frozen=True)
class Line:
    """One session in the table of sessions. What is empty is not known or does not apply."""

    id: str
    started: str
    notebook: str
    project: str
    machine: str
    duration: str
    energy: str
    origin: str
    co2: str
    metric: str
    failed: str
    state: str
    fraction: float
    """Of the sum of the sessions, of one."""


@dataclass(frozen=True)
class Grid:
    """A table of words. The titles of columns of figures begin with ``>``."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rest: str = ""
    """What is said of rows that are not shown."""


@dataclass(frozen=True)
class Saving:
    """Findings of one kind."""

    title: str
    told: str
    remedy: str


@dataclass(frozen=True)
class MergedTable:
    """A whole merged report."""

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    lines: tuple[Line, ...]
    rest: str
    """What is said of sessions that are not shown."""
    groups: dict[str, Grid]
    """By project, notebook, machine, month or day; those with one row alone are left out."""
    ledger: Grid | None
    stages: Grid | None
    savings: tuple[Saving, ...]
    machines: Grid
    counters: Grid | None
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    sentences: tuple[str, ...]
    """To cite."""

    @classmethod
    def of(
        cls, merged: Merged, *, everything: bool = False, most_sessions: int = MOST_SESSIONS
    ) -> MergedTable:
        """What is said of some sessions.

        Args:
            everything: all sessions and all groups, however many there are.
            most_sessions: that are shown of more, the newest.
        """
        shown = merged.members if everything else merged.members[:most_sessions]
        grids = {by: _groups(merged, by, everything) for by in merged.groups}
        return cls(
            title=_title(merged),
            subtitle=_subtitle(merged),
            facts=tuple(_facts(merged)),
            lines=tuple(_line(merged, one) for one in shown),
            rest=_rest(merged.members[len(shown) :], "older session"),
            groups={by: grid for by, grid in grids.items() if len(merged.groups[by]) > 1},
            ledger=_ledger(merged),
            stages=_stages(merged),
            savings=tuple(_saving(kind, len(merged.members)) for kind in merged.findings),
            machines=_machines(merged),
            counters=_counters(merged),
            refused=tuple(_refused(merged)),
            notes=tuple(_notes(merged)),
            left_out=tuple(_left_out(merged, everything)),
            sentences=tuple(merged_statement.sentences(merged)),
        )


def plural(count: int, noun: str) -> str:
    """``1 session``, ``1,000 sessions``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


# --- headline -----------------------------------------------------------------------------


def _title(merged: Merged) -> str:
    projects = {one.summary.project for one in merged.members}
    project = next(iter(projects)) if len(projects) == 1 else None
    of = f" of {short(project, LONGEST_NAME)}" if project else ""
    return f"{plural(len(merged.members), 'session')}{of}, {_when(merged)}"


def _when(merged: Merged) -> str:
    begin, end = (time.strftime("%Y-%m-%d", time.localtime(one)) for one in merged.period)
    return begin if begin == end else f"{begin} to {end}"


def _subtitle(merged: Merged) -> str:
    count = {by: len(groups) for by, groups in merged.groups.items()}
    projects = [group.name for group in merged.groups["project"] if group.name]
    notebooks = plural(count["notebook"], "notebook")
    parts = [
        plural(count["machine"], "machine"),
        f"{notebooks} or commands" if _has_commands(merged) else notebooks,
        plural(len(projects), "project") if projects else "no project",
    ]
    return " · ".join(parts)


def _has_commands(merged: Merged) -> bool:
    return any(one.summary.front_end == "exec" for one in merged.members)


def _facts(merged: Merged) -> Iterable[Fact]:
    yield _energy_fact(merged)
    yield _carbon_fact(merged)
    if merged.cost:
        yield _cost_fact(merged)
    yield _time_fact(merged)


def _energy_fact(merged: Merged) -> Fact:
    union, summed = merged.totals.union, merged.totals.summed
    if union.total_uj is None:
        return Fact("Energy", NO_COUNTER, "no energy counter could be read")
    least = "≥ " if union.missing else ""
    parts = [energy_words(union), missing_words(union), provenance_words(union)]
    if merged.overlaps:
        parts.insert(1, f"union in time; the sum of the sessions is {energy_words(summed)}")
    return Fact("Energy", f"{least}{format_kwh(union.total_uj)}", " · ".join(filter(None, parts)))


def _carbon_fact(merged: Merged) -> Fact:
    if not merged.carbon:
        return Fact("Carbon", "", RECORDED_WITHOUT_PLACE)
    without = _without(merged, merged.carbon, "no place on one basis, or no energy")
    parts = [f"{short(each.unit)} basis, {_of_sessions(merged, each)}" for each in merged.carbon]
    if len(merged.carbon) > 1:
        parts.append("different bases are never added")
    figure = " and ".join(carbon_words(each, merged) for each in merged.carbon)
    return Fact("Carbon", figure, " · ".join(filter(None, (*parts, without))))


def carbon_words(worth: Worth, merged: Merged) -> str:
    """``≥ 12 g CO₂e``, and the basis where there are several."""
    least = "≥ " if worth.at_least else ""
    basis = f" {short(worth.unit, 40)}" if len(merged.carbon) > 1 else ""
    return f"{least}{format_co2(worth.value)} CO₂e{basis}"


def _cost_fact(merged: Merged) -> Fact:
    figure = " and ".join(
        f"{'≥ ' if each.at_least else ''}{format_number(each.value)} {short(each.unit, 20)}"
        for each in merged.cost
    )
    parts = [_of_sessions(merged, each) for each in merged.cost]
    parts.append(_without(merged, merged.cost, "no price, or no energy"))
    return Fact("Cost", figure, " · ".join(filter(None, dict.fromkeys(parts))))


def _of_sessions(merged: Merged, worth: Worth) -> str:
    count = len(merged.members)
    which = f"{worth.sessions:,} of {plural(count, 'session')}"
    told = plural(count, "session") if worth.sessions == count else which
    return f"{told}, of their sum" if worth.union is None else told


def _without(merged: Merged, worths: Sequence[Worth], why: str) -> str:
    count = len(merged.members) - sum(each.sessions for each in worths)
    return f"{count:,} without ({why})" if count else ""


def _time_fact(merged: Merged) -> Fact:
    runs = sum(one.runs for one in merged.members)
    failed = sum(one.failed for one in merged.members)
    parts = [plural(len(merged.members), "session"), plural(runs, "run") + " of cells"]
    if failed:
        parts.append(f"{failed:,} failed")
    not_closed = sum(one.summary.state != "closed" for one in merged.members)
    if not_closed:
        parts.append(f"{not_closed:,} open or ended without goodbye")
    return Fact("Time", format_duration(merged.totals.duration_s), " · ".join(parts))


# --- sessions -----------------------------------------------------------------------------


def _line(merged: Merged, one: Member) -> Line:
    summary, session = one.summary, one.session
    failed = session.ledger.failed.total_uj
    reason = summary.reason if summary.reason != "goodbye" else ""
    total = merged.ledger_sum_uj
    return Line(
        id=short(summary.id, LONGEST_NAME),
        started=time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.started_wall_s)),
        notebook=file_name(summary.title),
        project=short(summary.project or "", LONGEST_NAME),
        machine=short(session.host, LONGEST_NAME) if len(merged.groups["machine"]) > 1 else "",
        duration=format_duration(summary.duration_s),
        energy=energy_words(summary.energy),
        origin=provenance_words(summary.energy),
        co2=_grams(merged, one),
        metric="" if one.summary.metric is None else _metric(one),
        failed=format_energy(failed) if failed else "",
        state=", ".join(filter(None, (summary.state, short(reason or "", LONGEST_NAME)))),
        fraction=(summary.energy.total_uj or 0) / total if total else 0.0,
    )


_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/]|.*\.ipynb$", re.DOTALL)


def file_name(title: str) -> str:
    """Of a notebook or script its name, of a command all of it."""
    name = re.split(r"[\\/]", title)[-1] if _PATH.match(title[:10_000]) else title
    return short(name, LONGEST_NAME) or "(no name)"


def _grams(merged: Merged, one: Member) -> str:
    grams = one.summary.co2_g
    if grams is None:
        return ""
    several = len(merged.carbon) > 1
    basis = f" ({short(one.summary.co2_basis or '', 40)})" if several else ""
    return f"{'≥ ' if one.summary.energy.at_least else ''}{format_co2(grams)}{basis}"


def _metric(one: Member) -> str:
    assert one.summary.metric is not None
    return f"{short(one.summary.metric.name, 40)} {one.summary.metric.value:.6g}"


def _rest(hidden: Sequence[Member], noun: str) -> str:
    if not hidden:
        return ""
    known = [one.session.total for one in hidden if one.session.total.total_uj is not None]
    least = "≥ " if len(known) < len(hidden) or any(one.missing for one in known) else ""
    energy = format_energy(sum(one.total_uj or 0 for one in known))
    return f"+ {plural(len(hidden), noun)} with {least}{energy}"


# --- groups -------------------------------------------------------------------------------


def _groups(merged: Merged, by: str, everything: bool) -> Grid:
    groups = merged.groups[by]
    shown = groups if everything else groups[:MOST_GROUPS]
    if by == merged.period_name and not everything:
        shown = groups[-MOST_GROUPS:]
    hidden = [one for group in groups if group not in shown for one in group.members]
    caption = "Rows add up to the sum of the sessions"
    if merged.overlaps:
        caption += "; unions do not where sessions of several rows ran at once"
    return Grid(
        title=f"By {by}",
        caption=f"By {by}. {caption}.",
        columns=(
            *(by.capitalize(), ">Sessions", ">Time"),
            *(">Sum of sessions" if merged.overlaps else ">Energy", ">Share"),
            *(">Union in time", "Origin", ">CO₂e"),
        ),
        rows=tuple(
            (_group_name(by, group, groups), *_group_figures(merged, group)) for group in shown
        ),
        rest=_rest(hidden, "session"),
    )


def _group_name(by: str, group: Group, groups: Sequence[Group]) -> str:
    """Of a notebook its name; where several in other places have it, the end of its path."""
    if not group.name:
        return NO_NAME.get(by, "(no name)")
    if by != "notebook":
        return short(group.name, LONGEST_NAME)
    name = file_name(group.name)
    path = clean(group.name)
    if sum(file_name(other.name or "") == name for other in groups) == 1:
        return name
    return path if len(path) <= LONGEST_NAME else f"…{path[1 - LONGEST_NAME :]}"


def _group_figures(merged: Merged, group: Group) -> tuple[str, ...]:
    totals, whole_uj = group.totals, merged.ledger_sum_uj
    share = (totals.summed.total_uj or 0) / whole_uj if whole_uj else None
    return (
        f"{totals.sessions:,}",
        format_duration(totals.duration_s),
        energy_words(totals.summed),
        share_words(share),
        energy_words(totals.union) if merged.overlaps else "",
        provenance_words(totals.union),
        "; ".join(_group_carbon(merged, group, each) for each in group.carbon),
    )


def _group_carbon(merged: Merged, group: Group, worth: Worth) -> str:
    least = "≥ " if worth.at_least or worth.sessions < len(group.members) else ""
    basis = f" ({short(worth.unit, 40)})" if len(merged.carbon) > 1 else ""
    return f"{least}{format_co2(worth.value)}{basis}"


# --- what it was good for -----------------------------------------------------------------


def _ledger(merged: Merged) -> Grid | None:
    of = "the sum of the sessions"
    more = ", which counts twice what sessions at once have told of" if merged.overlaps else ""
    rows = _shares(merged, merged.ledger)
    caption = f"The ledgers of all sessions: they add up to {of}{more}."
    return Grid("Where it went", caption, ("Part", *_SHARES), rows) if rows else None


def _stages(merged: Merged) -> Grid | None:
    if not any(stage.name is not None and stage.total_uj for stage in merged.stages):
        return None
    rows = _shares(merged, merged.stages)
    caption = (
        "As cells and spans are tagged, or as cells without a tag seem to be; rows add up to the "
        "sum of the sessions."
    )
    return Grid("Lifecycle stages", caption, ("Stage", *_SHARES), rows)


_SHARES = (">Energy", ">Share", ">Time")


def _shares(merged: Merged, shares: Iterable[Share | Stage]) -> tuple[tuple[str, ...], ...]:
    whole_uj = merged.ledger_sum_uj
    return tuple(
        (
            short(one.label if isinstance(one, Stage) else one.name, LONGEST_NAME) or NO_STAGE,
            format_energy(one.total_uj),
            share_words(one.total_uj / whole_uj) if whole_uj else "",
            format_duration(one.seconds),
        )
        for one in shares
        if one.total_uj
    )


def _saving(kind: Kind, sessions: int) -> Saving:
    found, where = kind.largest, kind.where
    note = f" ({found.note})" if found.note else ""
    return Saving(
        title=f"{kind.kind.capitalize()}: in {kind.sessions:,} of {plural(sessions, 'session')}",
        told=(
            f"The largest, {energy_text(found)} or {share_words(found.share)} of its session "
            f"{short(where.id, LONGEST_NAME)} ({file_name(where.title)}): "
            f"{short(found.title, 300)}{note}."
        ),
        remedy=short(found.remedy, 600),
    )


# --- how it is known ----------------------------------------------------------------------


def _machines(merged: Merged) -> Grid:
    rows = []
    for group in merged.groups["machine"]:
        kinds = dict.fromkeys(statement.hardware(one.session) for one in group.members)
        systems = dict.fromkeys(short(one.session.machine.system, 60) for one in group.members)
        rows.append(
            (
                short(group.name or "(no name)", LONGEST_NAME),
                f"{len(group.members):,}",
                "; ".join(filter(None, list(kinds)[:3])),
                "; ".join(filter(None, list(systems)[:3])),
            )
        )
    shown = tuple(rows[:MOST_GROUPS])
    rest = f"+ {plural(len(rows) - len(shown), 'machine')}" if len(rows) > len(shown) else ""
    columns = ("Machine", ">Sessions", "Hardware", "System")
    return Grid("Machines", "Machines, by the names of their hosts", columns, shown, rest)


def _counters(merged: Merged) -> Grid | None:
    """How each machine was read: of one kind of counter, a row."""
    found: defaultdict[tuple[str, str, str, str, float], set[tuple[str, str, str]]]
    found = defaultdict(set)
    every: dict[tuple[str, str, str, str, float], float] = {}
    for one in merged.members:
        for info in statement.counted(one.session):
            key = _method(one, info)
            found[key].add(one.identity)
            every[key] = info.resolution_s
    if not found:
        return None
    rows = [
        (
            short(host, LONGEST_NAME),
            short(name, LONGEST_NAME),
            short(source, LONGEST_NAME),
            short(provenance, LONGEST_NAME),
            format_duration(every[key]),
            f"± {format_share(band)}" if band else "",
            f"{len(members):,}",
        )
        for key, members in found.items()
        for host, name, source, provenance, band in [key]
    ]
    shown = tuple(rows[:MOST_GROUPS])
    rest = f"+ {plural(len(rows) - len(shown), 'row')}" if len(rows) > len(shown) else ""
    columns = (
        *("Machine", "Counter", "Read through", "Provenance"),
        *(">Updates every", ">Band", ">Sessions"),
    )
    return Grid("Counters", "What each machine was read with", columns, shown, rest)


def _method(one: Member, info: CounterInfo) -> tuple[str, str, str, str, float]:
    return one.session.host, info.name, info.source, info.provenance, info.band


def _refused(merged: Merged) -> Iterable[str]:
    """What nobody chose to leave out."""
    told: dict[str, None] = {}
    for one in merged.members:
        for refusal in one.session.refused:
            if not refusal.by_choice:
                name = " ".join(filter(None, (refusal.source, refusal.counter)))
                host = f"{short(one.session.host, 40)}: " if _many_machines(merged) else ""
                told[f"{host}{short(name, 80)}: {short(refusal.reason, 300)}"] = None
        if len(told) > MOST_PROBLEMS:
            break
    return list(told)[:MOST_PROBLEMS]


def _many_machines(merged: Merged) -> bool:
    return len(merged.groups["machine"]) > 1


# --- notes --------------------------------------------------------------------------------


def _notes(merged: Merged) -> Iterable[str]:
    yield from _union_notes(merged)
    if merged.totals.summed.missing:
        missing = ", ".join(short(one, 40) for one in merged.totals.summed.missing[:MOST_PROBLEMS])
        yield f"≥: a part is missing ({missing}), so that the true figure is this or more."
    if any(one.unit and one.union is None for one in merged.carbon):
        yield (
            "Sessions that ran at once have different carbon intensities, so that their CO2e is "
            "that of the sum; `--place` values all of them alike."
        )
    if merged.repeated:
        once = "1 session was" if merged.repeated == 1 else f"{merged.repeated:,} sessions were"
        yield f"{once} given more than once, and count once."
    yield from _damage(merged)
    if merged.totals.union.total_uj is not None:
        yield (
            "The ± is the 95 % interval that follows from the counters' updates, with the band of "
            "models."
        )
    if "modelled" in merged.totals.summed.provenance:
        yield (
            "Modelled figures compare hours of machines; they do not show that one technique "
            "saves energy over another."
        )
    if any("Our World in Data" in one.source for one in merged_statement.intensities(merged)):
        yield ATTRIBUTION


def _union_notes(merged: Merged) -> Iterable[str]:
    if merged.overlaps:
        yield (
            "Sessions ran at the same time on one machine, and each has told of all that it drew. "
            "The union in time counts every joule once; the sum of the sessions does not."
        )
    if merged.strangers:
        count = len(merged.strangers)
        yield (
            f"{plural(count, 'session')} that {'is' if count == 1 else 'are'} not among these ran "
            "at the same time on one of the machines; what went into it is in the figures, too."
        )


def _damage(merged: Merged) -> Iterable[str]:
    lines = sum(one.session.bad_lines for one in merged.members)
    if lines:
        yield f"{plural(lines, 'line')} of the journals could not be read and were skipped."
    gaps = [gap for one in merged.members for gap in one.session.gaps]
    if gaps:
        seconds = sum(gap.until_s - gap.since_s for gap in gaps)
        yield f"No samples were taken for {format_duration(seconds)} of the time."
    told = dict.fromkeys(clean(each) for one in merged.members for each in one.session.problems)
    yield from (short(problem, 300) for problem in list(told)[:MOST_PROBLEMS])


def _left_out(merged: Merged, everything: bool) -> Iterable[str]:
    most = len(merged.problems) if everything else MOST_PROBLEMS
    yield from (f"{short(one, 600)}." for one in merged.problems[:most])
    if len(merged.problems) > most:
        yield f"{len(merged.problems) - most:,} more journals."
