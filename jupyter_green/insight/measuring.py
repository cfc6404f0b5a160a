"""Figures that are only modelled, where a permission would have them measured."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_green.insight.findings import Fact, Finding, finding, matters, short
from jupyter_green.sessions.model import Session

PROCESSOR = ("rapl", "perf", "pyrapl")
"""Sources that count what a model of the processor assumes, the best first."""


def modelled(session: Session) -> Iterable[Finding]:
    """Energy that a model assumed, although the machine has a counter that may not be read.

    It saves nothing by itself; it is what one needs to know before saving anything. The bound
    is wide by nature, so it does not decide whether this matters.
    """
    names = [n for n, info in session.counters.items() if info.provenance == "modelled"]
    energy_uj = sum(session.total.uj.get(n, 0) for n in names if session.counters[n].counted)
    remedies = [
        refusal
        for source in PROCESSOR
        for refusal in session.refused
        if refusal.source == source and not refusal.by_choice and refusal.remedy
    ]
    if not remedies or not matters(session, energy_uj, 0.0):
        return
    refusal = remedies[0]
    band = max(session.counters[name].band for name in names)
    yield finding(
        session,
        kind="modelled",
        title="A permission would have the processor measured instead of modelled",
        energy_uj=energy_uj,
        bound_uj=band * energy_uj,
        evidence=[Fact(words=f"so {refusal.source} was refused", name=short(refusal.reason))],
        remedy=refusal.remedy,
        provenance=["modelled"],
    )
