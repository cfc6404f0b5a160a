"""A second opinion on the same counters: pyRAPL reads them beside our own reading of RAPL.

Both read at the same moments, so that they differ by an update of the counter at most.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_green.doctor.findings import Compared, SecondOpinion
from jupyter_green.doctor.watch import Seen, Watch
from jupyter_green.sources import pyrapl, rapl
from jupyter_green.sources.counter import Source
from jupyter_green.sources.pyrapl import PyRapl


def second_reader(
    sources: Iterable[Source], sysfs_root: str
) -> tuple[Source | None, SecondOpinion]:
    """pyRAPL, where RAPL is among the ``sources``; else None, and why."""
    names = {source.name for source in sources}
    if pyrapl.NAME in names:
        return None, SecondOpinion(missing="pyRAPL itself is what measures here")
    if rapl.NAME not in names:
        return None, SecondOpinion(missing="RAPL's files are not what is read here")
    source, refused = PyRapl.find(sysfs_root)
    if source is not None:
        return source, SecondOpinion()
    # Its other remedies are for those who want it as their source.
    remedy = refused[0].remedy if refused[0].remedy.startswith("pip ") else ""
    return None, SecondOpinion(missing=refused[0].reason, remedy=remedy)


def compare(seen: Iterable[Seen], other: Watch) -> SecondOpinion:
    """What the other reader saw of the counters that were seen."""
    compared: list[Compared] = []
    for one in seen:
        theirs = other.seen.get(one.info.name)
        if theirs is None or one.info.source != rapl.NAME:
            continue
        ours_w, theirs_w = one.power_w, theirs.power_w
        if ours_w and theirs_w is not None:
            name, difference = one.info.name, theirs_w / ours_w - 1
            compared.append(
                Compared(counter=name, ours_w=ours_w, theirs_w=theirs_w, difference=difference)
            )
    if not compared:
        return SecondOpinion(missing="no counter could be read in both ways")
    duration_s = max(one.duration_s for one in other.seen.values())
    return SecondOpinion(duration_s=duration_s, compared=tuple(compared))
