"""The catalogue of techniques as text and as Markdown: a table of them, and one in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from textwrap import wrap

from jupyter_green.insight.catalogue import EVIDENCE, Source, Technique
from jupyter_green.report.inert import markdown
from jupyter_green.report.lines import cut, grid

FORMS = ("text", "markdown")
USUAL_WIDTH = 100
NARROWEST, WIDEST = 50, 120
"""Columns: nobody reads a sentence of 200."""
CAVEAT = (
    "Savings are those of the sources, on their machines. What a technique saves here, measure: "
    "%%energy --technique NAME, then jupyter green compare --labels."
)
BASES = "Published figures: energy (measured, estimated, reported) or a proxy (time, FLOPs ...)."
MORE = "jupyter green techniques NAME tells what it saves, at which price, and who says so."
COLUMNS = ("Technique", "Stage", "Category", "Published saving", "Trade-off", "Evidence", "Source")


def table(techniques: Iterable[Technique], form: str = "text", *, width: int = USUAL_WIDTH) -> str:
    """Techniques in one line each by stage (``text``), or with all columns (``markdown``)."""
    entries = tuple(techniques)
    return _markdown_table(entries) if form == "markdown" else _text_table(entries, _bounded(width))


def entry(technique: Technique, form: str = "text", *, width: int = USUAL_WIDTH) -> str:
    """One technique in full."""
    return _markdown_entry(technique) if form == "markdown" else _text_entry(technique, width)


# --- text ---------------------------------------------------------------------------------


def _text_table(entries: tuple[Technique, ...], width: int) -> str:
    longest = max((len(one.name) for one in entries), default=0)
    lines = []
    for stage, group in groupby(entries, lambda one: one.stage):
        lines.append(stage.capitalize())
        for one in group:
            first = one.what.partition(". ")[0].rstrip(".")
            lines.append(cut(f"  {one.name:<{longest}}  {one.basis:<9}  {first}", width))
        lines.append("")
    return "\n".join([*lines, *wrap(BASES, width), *wrap(MORE, width)])


def _text_entry(technique: Technique, width: int) -> str:
    lines = [f"{technique.name} ({_kind(technique)})", ""]
    facts = [*_facts(technique), *(("Source", _cited(source)) for source in technique.sources)]
    longest = max(len(label) for label, _ in facts)
    for label, words in facts:
        lines += wrap(
            words,
            _bounded(width),
            initial_indent=f"{label:<{longest}}  ",
            subsequent_indent=" " * (longest + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join([*lines, "", *wrap(CAVEAT, _bounded(width), break_on_hyphens=False)])


def _bounded(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


# --- Markdown -----------------------------------------------------------------------------


def _markdown_table(entries: tuple[Technique, ...]) -> str:
    rows = (
        (
            one.name,
            one.stage,
            one.category or "",
            one.saving,
            one.trade_off,
            ", ".join(one.evidence),
            "; ".join(source.short for source in one.sources),
        )
        for one in entries
    )
    return f"{grid(COLUMNS, rows, left=range(len(COLUMNS)))}\n\n{markdown(CAVEAT)}"


def _markdown_entry(technique: Technique) -> str:
    facts = [f"- **{label}:** {markdown(words)}" for label, words in _facts(technique)]
    sources = [f"- **Source:** {_linked(source)}" for source in technique.sources]
    head = f"### {markdown(technique.name)}\n\n{markdown(_kind(technique).capitalize())}."
    return "\n".join([head, "", *facts, *sources, "", markdown(CAVEAT)])


def _linked(source: Source) -> str:
    """With a link that can be followed: addresses in the catalogue are our own."""
    said = markdown(f"{source.short}, {source.title}")
    return f"{said}, <{source.link}> (checked: {source.checked})"


# --- both ---------------------------------------------------------------------------------


def _kind(technique: Technique) -> str:
    return ", ".join(part for part in (technique.stage, technique.category) if part)


def _facts(technique: Technique) -> Iterator[tuple[str, str]]:
    yield "What", technique.what
    yield "Published saving", technique.saving
    yield "Trade-off", technique.trade_off
    yield "Conditions", technique.conditions
    yield "Evidence", "; ".join(f"{name} ({EVIDENCE[name]})" for name in technique.evidence)
    if technique.findings:
        yield "Findings", ", ".join(technique.findings)
    if technique.notebook:
        yield "Measured in", f"notebooks/{technique.notebook}.ipynb"
    yield "Tag", f"%%energy --technique {technique.name}"


def _cited(source: Source) -> str:
    return f"{source.short}, {source.title}, {source.link} (checked: {source.checked})"
