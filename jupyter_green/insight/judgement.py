"""All that is worth saying about a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jupyter_green.insight import devices, measuring, training, waste
from jupyter_green.insight.findings import Finding
from jupyter_green.sessions.model import Session

Judge = Callable[[Session], Iterable[Finding]]

JUDGES: tuple[Judge, ...] = (
    devices.held_devices,
    devices.full_precision,
    waste.superseded,
    waste.failed,
    training.past_the_knee,
    training.evaluation,
    training.dominating_cell,
    measuring.modelled,
)
"""A new kind of finding is one more of these, or a part of one."""


def findings_of(session: Session) -> tuple[Finding, ...]:
    """The findings of a session, open or closed, those about most energy first.

    They look at the same energy from several sides: never add them.
    """
    if not session.total.total_uj:
        return ()
    found = [finding for judge in JUDGES for finding in judge(session)]
    return tuple(sorted(found, key=lambda finding: finding.energy_uj, reverse=True))
