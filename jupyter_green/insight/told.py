"""Findings as plain values, for a panel."""

from __future__ import annotations

from typing import TypedDict

from jupyter_green.insight.findings import Fact, Finding, energy_text
from jupyter_green.insight.judgement import findings_of
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_share


class Told(TypedDict):
    """One finding. Texts are single lines of plain text; a view escapes them as any other."""

    kind: str
    title: str
    detail: str
    remedy: str
    energy_j: float
    share: float
    """Of the session's energy, of one."""


def told(session: Session) -> list[Told]:
    """The findings of a session as plain values, those about most energy first."""
    return [_told(finding) for finding in findings_of(session)]


def _told(finding: Finding) -> Told:
    return Told(
        kind=finding.kind,
        title=f"{finding.title}: {energy_text(finding)}, {format_share(finding.share)}",
        detail=_detail(finding),
        remedy=_line(finding.remedy),
        energy_j=finding.energy_j,
        share=finding.share,
    )


def _detail(finding: Finding) -> str:
    parts = [*map(_fact, finding.evidence), finding.note]
    return "; ".join(part for part in parts if part)


def _fact(fact: Fact) -> str:
    number = f"in [{fact.count}] " if fact.count is not None else ""
    name = _line(fact.name)
    return f"{number}{name}: {fact.words}" if name else f"{number}{fact.words}"


def _line(text: str) -> str:
    """On one line, without anything that steers a terminal or turns the reading order."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
