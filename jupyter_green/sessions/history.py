"""All recorded sessions together: their summaries, and totals of any of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_green.errors import JournalError
from jupyter_green.sessions import index, library
from jupyter_green.sessions.index import Entry
from jupyter_green.sessions.model import Energy
from jupyter_green.sessions.summary import Summary, summarize
from jupyter_green.sessions.union import union

Watch = Callable[[Sequence[Path]], Iterable[Path]]
"""Passes the journals on that are folded now, and may show how far it is."""


@dataclass(frozen=True)
class History:
    """The sessions of one data directory."""

    sessions: tuple[Summary, ...]
    """The newest first."""
    problems: tuple[str, ...] = ()
    """Journals that cannot be read, one sentence each."""

    def since(self, wall_s: float) -> History:
        """Only the sessions that began at this wall time or later."""
        later = tuple(one for one in self.sessions if one.started_wall_s >= wall_s)
        return History(later, self.problems)


def read_history(data_dir: str | Path, watch: Watch = iter) -> History:
    """Every session of a data directory. A finished journal is folded once, and then indexed.

    Args:
        watch: gets the journals that must be folded, before any is, and passes them on.
    """
    stats = dict(library.journals(data_dir))
    known = index.read(data_dir)
    entries = {
        path.name: entry
        for path, stat in stats.items()
        if (entry := known.get(path.name)) is not None and entry.is_of(stat)
    }
    unknown = [path for path in stats if path.name not in entries]
    live: list[Summary] = []
    problems: list[str] = []
    try:
        for path in watch(unknown):
            try:
                summary = summarize(library.load(path))
            except JournalError as error:
                problems.append(str(error))
                continue
            if summary.state == "open":
                live.append(summary)
            else:
                stat = stats[path]
                entries[path.name] = Entry(stat.st_size, stat.st_mtime_ns, summary)
    finally:
        # What was folded until somebody lost patience need not be folded again.
        if entries != known:
            index.write(data_dir, entries)
    sessions = [*live, *(entry.summary for entry in entries.values())]
    newest_first = sorted(sessions, key=lambda one: (one.started_wall_s, one.id), reverse=True)
    return History(tuple(newest_first), tuple(problems))


# --- totals -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """Several sessions together."""

    sessions: int
    duration_s: float
    """Sum of their durations."""
    summed: Energy
    """Sum of the sessions: what ran at the same time counts for each."""
    union: Energy
    """What the machines drew while any of the sessions ran: no joule counts twice."""
    co2_g: float | None
    """Sum over the sessions whose place was set; None: none, or of bases that must not mix."""
    co2_sessions: int
    """Sessions in that sum."""


def totals(sessions: Sequence[Summary]) -> Totals:
    """The totals of some sessions."""
    known = [one for one in sessions if one.co2_g is not None]
    basis = {one.co2_basis for one in known}
    summed = _sum([one.energy for one in sessions])
    return Totals(
        sessions=len(sessions),
        duration_s=sum(one.duration_s for one in sessions),
        summed=summed,
        union=_union(sessions, summed),
        co2_g=sum(one.co2_g or 0.0 for one in known) if len(basis) == 1 else None,
        co2_sessions=len(known),
    )


def _sum(energies: Sequence[Energy]) -> Energy:
    """The lags of sessions are independent of each other; the bands of models are not."""
    known = [energy for energy in energies if energy.total_uj is not None]
    lag_uj = math.sqrt(sum(energy.lag_uj**2 for energy in known))
    band_uj = sum(energy.bound_uj - energy.lag_uj for energy in known)
    missing = {name for energy in energies for name in energy.missing}
    if unknown := len(energies) - len(known):
        missing.add("a whole session" if unknown == 1 else f"{unknown} whole sessions")
    return Energy(
        uj={},
        total_uj=sum(energy.total_uj or 0 for energy in known) if known else None,
        lag_uj=lag_uj,
        bound_uj=lag_uj + band_uj,
        missing=tuple(sorted(missing)) if known else (),
        provenance=tuple(sorted({kind for energy in known for kind in energy.provenance})),
    )


def _union(sessions: Iterable[Summary], summed: Energy) -> Energy:
    """Cuts lie within sessions, so its bound is at most that of the sum, and of the cuts."""
    joint = union(curve for one in sessions for curve in one.curves)
    lag_uj = summed.lag_uj + joint.cut_uj
    return Energy(
        uj={},
        total_uj=None if summed.total_uj is None else joint.total_uj,
        lag_uj=lag_uj,
        bound_uj=lag_uj + joint.band_uj,
        missing=summed.missing,
        provenance=tuple(sorted(joint.provenance)),
    )
