"""A merged report for other programs: JSON with everything, CSV with one row a session.

The JSON object has these keys; units stand in the names, and null is not known:

``format``
    ``"jupyter_green merged report 1"``. The number changes when a key changes its meaning or goes.
``period``
    started_wall_s and ended_wall_s (seconds since 1970): the first start and the last end.
``total``
    As of ``jupyter green history``: sessions, duration_s; sum_j and sum_bound_j: the sum of the
    sessions; union_j and union_bound_j: the same without counting a joule twice where sessions
    ran at the same time on one machine; at_least, provenance. And missing; runs, failed_runs,
    superseded_runs of cells.
``co2``, ``cost``
    One object a basis, or a currency: basis (currency), sessions (for which it is known), summed
    (of the sum), union (of the union in time; null: it cannot be told), at_least. ``co2`` is in
    grams. Those of different bases must not be added.
``sessions``
    One object a session, the newest first, with the columns of the CSV.
``groups``
    By project, notebook, machine, and month or day: objects with group, the keys of ``total`` and
    ``co2``. The sums of each add up to that of the total.
``ledger``, ``stages``
    By part and by lifecycle stage (null: none): energy_j, duration_s, and of a stage whether it
    is only suggested. They add up to sum_j.
``findings``
    By kind: kind, sessions, and of the largest: session, title, energy_j, bound_j, share, remedy,
    note. Findings overlap and must not be added.
``problems``
    Journals that are left out.
``repeated``
    Sessions that were given more than once, and count once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from jupyter_green.insight.stages import Stage
from jupyter_green.report import statement
from jupyter_green.report.exports import codecarbon
from jupyter_green.report.exports.tabular import cell_text, finite
from jupyter_green.report.history import session_record, total_record
from jupyter_green.report.merged.values import Group, Kind, Member, Merged, Share, Worth
from jupyter_green.units import uj_to_j

FORMAT = "jupyter_green merged report 1"

Object = dict[str, Any]


def as_json(merged: Merged) -> str:
    """Everything as one JSON object; its keys are described at the top of the module."""
    # Plain ASCII, so that no terminal and no pipe can damage it.
    return json.dumps(finite(_report(merged)), indent=2, allow_nan=False)


def as_csv(merged: Merged) -> str:
    """One row a session, the newest first. What is not known is empty."""
    records = [_session(one) for one in merged.members]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(records[0])
    for record in records:
        writer.writerow(map(cell_text, record.values()))
    return file.getvalue()


def as_codecarbon(merged: Merged) -> str:
    """CodeCarbon's ``emissions.csv``, one row a session, the oldest first as it appends them."""
    whole = [codecarbon.render(one.session).partition("\n") for one in merged.members]
    head = whole[0][0]
    return "".join([f"{head}\n", *(row for _, _, row in reversed(whole))])


def _report(merged: Merged) -> Object:
    begin, end = merged.period
    return {
        "format": FORMAT,
        "period": {"started_wall_s": begin, "ended_wall_s": end},
        "total": _total(merged.whole),
        "co2": [_worth("basis", each) for each in merged.carbon],
        "cost": [_worth("currency", each) for each in merged.cost],
        "sessions": [_session(one) for one in merged.members],
        "groups": {
            by: [{"group": group.name, **_total(group), "co2": _co2(group)} for group in groups]
            for by, groups in merged.groups.items()
        },
        "ledger": _shares("part", merged.ledger),
        "stages": [_stage(stage) for stage in merged.stages],
        "findings": [_finding(kind) for kind in merged.findings],
        "problems": list(merged.problems),
        "repeated": merged.repeated,
    }


def _total(group: Group) -> Object:
    record = total_record(group.totals)
    # These mean the sum alone; what they say stands in "co2", by basis.
    del record["co2_g"], record["co2_sessions"]
    return {
        **record,
        "missing": list(group.totals.summed.missing),
        "runs": sum(one.runs for one in group.members),
        "failed_runs": sum(one.failed for one in group.members),
        "superseded_runs": sum(one.superseded for one in group.members),
    }


def _co2(group: Group) -> list[Object]:
    return [_worth("basis", each) for each in group.carbon]


def _worth(unit: str, worth: Worth) -> Object:
    return {
        unit: worth.unit,
        "sessions": worth.sessions,
        "summed": worth.summed,
        "union": worth.union,
        "at_least": worth.at_least,
    }


def _session(one: Member) -> Object:
    session = one.session
    known = session.total.total_uj is not None
    entries = session.ledger.entries.items()
    return {
        **session_record(one.summary),
        "ended_wall_s": session.ended_wall_s,
        "notebook": session.notebook,
        "hardware": statement.hardware(session),
        "version": session.version,
        "co2_basis": one.summary.co2_basis,
        "place": session.intensity.place if session.intensity else None,
        "cost": one.cost,
        "currency": session.pricing.currency,
        "failed_runs": one.failed,
        "superseded_runs": one.superseded,
        **{
            f"{name.replace(' ', '_')}_j": uj_to_j(entry.total_uj) if known else None
            for name, entry in entries
        },
    }


def _shares(key: str, shares: Iterable[Share]) -> list[Object]:
    return [
        {key: one.name, "energy_j": uj_to_j(one.total_uj), "duration_s": one.seconds}
        for one in shares
    ]


def _stage(stage: Stage) -> Object:
    return {
        "stage": stage.name,
        "suggested": stage.suggested,
        "energy_j": uj_to_j(stage.total_uj),
        "duration_s": stage.seconds,
    }


def _finding(kind: Kind) -> Object:
    found = kind.largest
    return {
        "kind": kind.kind,
        "sessions": kind.sessions,
        "session": kind.where.id,
        "title": found.title,
        "energy_j": found.energy_j,
        "bound_j": found.bound_j,
        "share": found.share,
        "remedy": found.remedy,
        "note": found.note,
    }
