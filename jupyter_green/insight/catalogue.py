"""Techniques of Green AI: what each is, what it saved and at which price, and who says so.

By the stages of the lifecycle of Mehlin et al. (arXiv 2303.01980) and the four categories of
Xu et al. (arXiv 2111.05193). Figures are those of the sources, on the sources' machines: a reason
to try a technique, and no promise of what it saves here. They stand in ``data/techniques.json``;
``data/README.md`` says how they were checked.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from jupyter_green.errors import SettingError

STAGES = ("infrastructure", "data", "modeling", "training", "deployment", "evaluation")
"""Of the lifecycle, in their order."""

CATEGORIES = (
    "compact networks",
    "energy-efficient training",
    "energy-efficient inference",
    "efficient data usage",
)
"""Of the survey. What concerns the machine and not the model has none."""

EVIDENCE = {
    "measured energy": "a source measured energy or power",
    "estimated energy": "a source computed energy from other figures",
    "reported energy": "a source gives energy, and what we read does not say how it was obtained",
    "proxy": "time, FLOPs, parameters, steps or examples, and not energy",
    "single study": "one work, not repeated by others as far as we know",
    "survey": "an account of the works of others",
    "documentation": "the makers of the software say so",
}
"""What a figure rests on, and what that means."""

CHECKED = ("abstract", "text", "data", "documentation")
"""What of a source was read for the entry."""

NO_FIGURE = "No figure found that we could verify."

FINDING_KINDS = (
    "superseded",
    "failed",
    "past the knee",
    "dominating cell",
    "evaluation",
    "idle device",
    "waiting device",
    "full precision",
    "modelled",
)
"""Of :class:`jupyter_green.insight.findings.Finding`."""

WITHOUT_TECHNIQUE = {
    "modelled": "it is about how energy is counted, and no technique mends that: see doctor",
}
"""Kinds of findings that no technique answers, and why."""


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who says so."""

    authors: str
    year: int
    """Of publication; of documentation, which changes, the year in which it was looked at."""
    title: str
    link: str
    """To arXiv, a DOI or the publisher's page."""
    checked: str
    """One of :data:`CHECKED`."""

    @property
    def short(self) -> str:
        """``Yarally et al. 2023``."""
        return f"{self.authors} {self.year}"


class Technique(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the catalogue."""

    name: str
    """The tag: ``%%energy --technique mixed-precision``."""
    stage: str
    """One of :data:`STAGES`."""
    category: str | None
    """One of :data:`CATEGORIES`, or none."""
    what: str
    saving: str
    """As the sources state it, or :data:`NO_FIGURE` and what is known."""
    trade_off: str
    """What it costs, as the sources state it."""
    conditions: str
    """Where it helps, and what limits the figures."""
    evidence: tuple[str, ...]
    """Keys of :data:`EVIDENCE`, first what the figure is."""
    sources: tuple[Source, ...]
    findings: tuple[str, ...]
    """Kinds of findings that it may answer."""
    notebook: str | None
    """Of the project's ``notebooks/``, the one that measures it; its cells have the tag."""

    @property
    def has_figure(self) -> bool:
        """Whether a saving in figures could be verified."""
        return not self.saving.startswith(NO_FIGURE)

    @property
    def basis(self) -> str:
        """What the figure is: measured, estimated or reported (energy), proxy, or no figure."""
        return self.evidence[0].removesuffix(" energy") if self.has_figure else "no figure"

    def __repr__(self) -> str:
        kind = f"{self.stage}, {self.category}" if self.category else self.stage
        return f"<Technique {self.name}: {kind}; {', '.join(self.evidence)}>"


@cache
def techniques() -> tuple[Technique, ...]:
    """All entries, by stage."""
    table = files("jupyter_green").joinpath("data", "techniques.json").read_bytes()
    entries = msgspec.json.decode(table, type=tuple[Technique, ...])
    return tuple(sorted(entries, key=lambda entry: STAGES.index(entry.stage)))


def technique(name: str) -> Technique:
    """The entry of a tag; case, blanks and underscores do not matter.

    Raises:
        SettingError: there is no such entry.
    """
    entries = {entry.name: entry for entry in techniques()}
    tag = "-".join(name.casefold().replace("_", " ").replace("-", " ").split())
    if tag not in entries:
        raise SettingError(f"no technique is called {name[:60]!r}; {_instead(tag, list(entries))}")
    return entries[tag]


def for_stage(stage: str) -> tuple[Technique, ...]:
    """The entries of a stage of the lifecycle.

    Raises:
        SettingError: there is no such stage.
    """
    _check("stage", stage, STAGES)
    return tuple(entry for entry in techniques() if entry.stage == stage)


def for_finding(kind: str) -> tuple[Technique, ...]:
    """The entries that may answer a kind of finding; :data:`WITHOUT_TECHNIQUE` says why none.

    Raises:
        SettingError: there is no such kind.
    """
    _check("kind of finding", kind, FINDING_KINDS)
    return tuple(entry for entry in techniques() if kind in entry.findings)


def _check(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise SettingError(f"no {what} is called {name[:60]!r}; there are {', '.join(known)}")


def _instead(tag: str, names: list[str]) -> str:
    near = get_close_matches(tag[:60], names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "jupyter green techniques lists them"
