"""What limits the trust in a session's figures, in sentences: holes, other sessions, models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from jupyter_green.carbon.tables import ATTRIBUTION
from jupyter_green.report.words import clean, plural
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_duration, format_share

MOST_NOTES = 6
"""Sentences of one kind, unless all are asked for."""


def notes(session: Session, everything: bool) -> Iterable[str]:
    """One sentence each; of one kind a few, unless all are asked for."""
    most = None if everything else MOST_NOTES
    yield from _limited(list(_holes(session)), most)
    yield from _gaps(session)
    yield from _limited(list(_overlaps(session)), most)
    yield from _limited([clean(problem) for problem in session.problems], most)
    yield from _limited(list(_stand_ins(session)), most)
    yield from _damage(session)
    yield from _assumptions(session)
    yield from _accuracies(session)
    intensities = [period.intensity for period in session.periods if period.intensity]
    if any("Our World in Data" in intensity.source for intensity in intensities):
        yield ATTRIBUTION


def _limited(notes: list[str], most: int | None) -> list[str]:
    if most is None or len(notes) <= most:
        return notes
    return [*notes[:most], f"... and {len(notes) - most} more of this kind."]


def _stand_ins(session: Session) -> Iterable[str]:
    """Where a live carbon intensity was asked for and could not be had."""
    grouped: defaultdict[str, list[float]] = defaultdict(list)
    for period in session.periods:
        if period.stands_in:
            grouped[period.reason].append(period.since_s)
    for reason, since_s in grouped.items():
        times = f" ({len(since_s)} times)" if len(since_s) > 1 else ""
        since = format_duration(since_s[0])
        yield f"No live carbon intensity from {since} on{times}: {clean(reason)}."


def _holes(session: Session) -> Iterable[str]:
    grouped: defaultdict[tuple[str, str, str, bool], list[tuple[float, float | None]]]
    grouped = defaultdict(list)
    for hole in session.holes:
        key = (hole.counter, hole.reason, hole.remedy, hole.lost)
        grouped[key].append((hole.since_s, hole.until_s))
    for (counter, reason, remedy, lost), stretches in grouped.items():
        told = f" ({clean(reason)})" if reason else ""
        effect = (
            "its energy then is not known, so totals with it are lower bounds"
            if lost
            else "its energy then is in the total, but no cell or window can be given it"
        )
        todo = f": {clean(remedy)}" if remedy else ""
        yield f"{clean(counter)} could not be read {_when(stretches)}{told}; {effect}{todo}."


def _when(stretches: Sequence[tuple[float, float | None]]) -> str:
    since, until = stretches[-1]
    if len(stretches) > 1:
        seconds = sum(end - start for start, end in stretches if end is not None)
        still = ", and has not come back" if until is None else ""
        return f"{len(stretches)} times, for {format_duration(seconds)} in all{still}"
    if until is None:
        return f"from {format_duration(since)} on, and has not come back"
    return f"from {format_duration(since)} to {format_duration(until)}"


def _gaps(session: Session) -> Iterable[str]:
    if not session.gaps:
        return
    seconds = sum(gap.until_s - gap.since_s for gap in session.gaps)
    reasons = dict.fromkeys(clean(gap.reason) for gap in session.gaps if gap.reason)
    told = f" ({'; '.join(reasons)})" if reasons else ""
    times = "once" if len(session.gaps) == 1 else f"{len(session.gaps)} times"
    yield (
        f"The recorder was restarted {times}, and no samples were taken for "
        f"{format_duration(seconds)}{told}; the power line has gaps there, and the figures of "
        "cells hold unless they are marked."
    )


def _overlaps(session: Session) -> Iterable[str]:
    for overlap in session.overlaps:
        notebook = clean(overlap.notebook or "") or f"process {overlap.pid}"
        yield (
            f"{notebook} (session {clean(overlap.session)}) read the same counters, seen at "
            f"{format_duration(overlap.seen_s)}: what both did is in the figures of both. Run "
            "one at a time to compare them, and do not add them up."
        )


def _damage(session: Session) -> Iterable[str]:
    if session.bad_lines:
        lines = "1 line" if session.bad_lines == 1 else f"{session.bad_lines} lines"
        yield (
            f"{lines} of the journal could not be read and were skipped; what they told is "
            "missing here. A kill or a full disk does that: check the space that is left."
        )
    if session.unknown_events:
        yield (
            f"{plural(session.unknown_events, 'event')} of a newer version were skipped; to "
            "see all of it: pip install --upgrade jupyter-green."
        )
    if session.samples_dropped:
        yield (
            f"{plural(session.samples_dropped, 'power sample')} could not be written because "
            "the disk was too slow or full; the figures of cells are whole. Put the data "
            "directory on a local disk (JupyterGreen.data_dir)."
        )


def _assumptions(session: Session) -> Iterable[str]:
    told: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
    for name, info in session.counters.items():
        if info.assumption:
            told[clean(info.assumption), info.band].append(clean(name))
    for (assumption, band), names in told.items():
        margin = f" (± {format_share(band)})" if band else ""
        how = session.counters[names[0]].provenance
        yield f"{', '.join(names)} {clean(how)}{margin}: {assumption}."


def _accuracies(session: Session) -> Iterable[str]:
    """Of the sensors that have counted something."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    for name, info in session.counters.items():
        if info.accuracy and session.total.uj.get(name):
            told[clean(info.accuracy)].append(clean(name))
    for accuracy, names in told.items():
        yield f"{', '.join(names)}: the sensor's own error comes on top of the ±: {accuracy}."
