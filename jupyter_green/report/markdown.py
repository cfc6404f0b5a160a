"""A session as Markdown (GitHub's flavour), for a pull request, an issue or a README.

Figures come twice: as a person reads them, with their interval, and in full: joules to the
microjoule, kWh and grams with every digit, so that they add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from jupyter_green.events import Refusal
from jupyter_green.insight import compare
from jupyter_green.insight.stages import by_stage
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.lines import fact, grid
from jupyter_green.report.statement import generator, hardware
from jupyter_green.report.statement import render as statement
from jupyter_green.report.studies import compared, studied
from jupyter_green.report.table import Row, Saving, Table, no_stage
from jupyter_green.report.words import share_words
from jupyter_green.sessions.model import Energy, Entry, Session
from jupyter_green.units import UJ_PER_J, format_duration, format_number, format_share, uj_to_kwh

Line = Sequence[str]


def render(session: Session, *, everything: bool = False) -> str:
    """The report as Markdown.

    Args:
        everything: all cells, spans and notes, however many there are.
    """
    table = Table.of(session, everything=everything)
    parts = (
        (f"# Energy of {fact(table.title)}", _facts(table.facts)),
        ("## To cite", statement(session)),
        ("## Where it went", _ledger(session)),
        ("## By stage of the lifecycle", _stages(session)),
        (f"## {table.heading}", _cells(table)),
        ("## Metrics beside energy", _metrics(session)),
        ("## Labels compared", _labels(session)),
        ("## Studies", studied.markdown(session)),
        ("## Models", _models(session)),
        ("## Where energy could be saved", _savings(table.savings)),
        ("## Method", _method(session)),
        ("## Notes", _bullets(table.notes)),
    )
    sections = [f"{heading}\n\n{body}" for heading, body in parts if body]
    return "\n\n".join([*sections, f"Written by {markdown(generator())}."])


# --- pieces -------------------------------------------------------------------------------


def _bullets(notes: Iterable[str]) -> str:
    return "\n".join(f"- {fact(note)}" for note in notes)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{markdown(name)}:** {fact(text)}" for name, text in facts)


def joules(energy_uj: int) -> str:
    """Joules to the microjoule."""
    return f"{energy_uj // UJ_PER_J}.{energy_uj % UJ_PER_J:06d}"


# --- figures ------------------------------------------------------------------------------


def _ledger(session: Session) -> str:
    if session.total.total_uj is None or session.is_script:
        return ""
    entries = session.ledger.entries.items()
    lines = [_amounts(session, name, entry, entry.seconds) for name, entry in entries]
    name = "total, at least" if session.total.at_least else "total"
    total = _amounts(session, name, session.total, session.duration_s)
    return grid(("", "Share", "Time", "Joules", "kWh", "gCO2e"), [*lines, total])


def _amounts(session: Session, name: str, energy: Energy | Entry, seconds: float) -> Line:
    share, grams = session.share(energy), session.co2_g(energy)
    energy_uj = energy.total_uj or 0
    return (
        name,
        "" if share is None else format_share(share),
        format_duration(seconds),
        joules(energy_uj),
        _full(uj_to_kwh(energy_uj)),
        "" if grams is None else _full(grams),
    )


def _stages(session: Session) -> str:
    """As they are tagged, or as cells without a tag seem to be; the rest last."""
    *named, rest = (stage for stage in by_stage(session))
    if not any(stage.total_uj for stage in named):
        return ""
    whole_uj = session.total.total_uj or 1
    lines = [
        (
            no_stage(session) if stage.name is None else short(stage.label),
            share_words(stage.total_uj / whole_uj),
            format_duration(stage.seconds),
            joules(stage.total_uj),
        )
        for stage in (*named, rest)
    ]
    return grid(("Stage", "Share", "Time", "Joules"), lines)


def _full(value: float) -> str:
    """Every digit of a number, without an exponent."""
    return format(Decimal(repr(value)), "f")


def _cells(table: Table) -> str:
    columns = (table.unit, "Energy", "Share", "Time", "CO2e", "Metric", "Remarks")
    return grid(columns, map(_cell, table.rows), left=(0, 5, 6)) or table.nothing


def _cell(row: Row) -> Line:
    label = " ".join(filter(None, ("↳ " * row.depth, row.number, row.label)))
    remarks = ", ".join(row.marks)
    return (label, row.energy, row.share, row.duration, row.co2, row.metric, remarks)


def _metrics(session: Session) -> str:
    """The last value of each metric of each run, and what the session had cost by then."""
    last = {(metric.run, metric.name): metric for metric in session.results}
    lines = [
        (
            metric.run or "",
            metric.name,
            f"{metric.value:.6g}",
            metric.direction or "",
            "" if metric.session_uj is None else joules(metric.session_uj),
        )
        for metric in last.values()
    ]
    columns = ("Run", "Metric", "Last value", "Better", "Joules until then")
    return grid(columns, lines, left=(0, 1))


def _labels(session: Session) -> str:
    return "\n\n".join(map(compared.render_markdown, compare.contests(session)))


def _models(session: Session) -> str:
    lines = [
        (
            model.run or "",
            model.name or "",
            _count(model.parameters),
            _count(model.flops),
            _count(model.size_bytes),
            model.precision or "",
        )
        for model in session.models
    ]
    return grid(("Run", "Model", "Parameters", "FLOPs", "Bytes", "Precision"), lines, left=(0, 1))


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _savings(savings: Iterable[Saving]) -> str:
    return _bullets(
        f"{one.title} ({', '.join(filter(None, (one.energy, one.share)))}): "
        f"{'; '.join(short(fact) for fact in one.evidence)}. {one.remedy} {one.note}"
        for one in savings
    )


# --- method -------------------------------------------------------------------------------


def _method(session: Session) -> str:
    words = hardware(session)
    about = f"Hardware: {markdown(words)}." if words else ""
    blocks = (about, _counters(session), _intensities(session), _refused(session.refused))
    return "\n\n".join(filter(None, blocks))


def _counters(session: Session) -> str:
    lines = [
        (
            info.name,
            info.device,
            info.source,
            info.provenance,
            f"every {format_duration(info.resolution_s)}",
            f"± {format_share(info.band)}" if info.band else "",
            "yes" if info.counted else f"no, part of {info.part_of}" if info.part_of else "no",
            joules(session.total.uj[name]) if name in session.total.uj else "not known",
        )
        for name, info in session.counters.items()
    ]
    columns = (
        *("Counter", "Device", "Source", "How", "Updates", "Band", "In the total", "Joules"),
    )
    return grid(columns, lines, left=range(7))


def _intensities(session: Session) -> str:
    lines = []
    for period in session.periods:
        one = period.intensity
        if one is not None:
            lines.append(
                (
                    format_duration(period.since_s),
                    f"{one.place}{', estimated' if one.estimated else ''}",
                    "" if one.year is None else str(one.year),
                    one.basis,
                    format_number(one.g_per_kwh, 6),
                    format_number(period.pricing.pue, 6),
                    one.source,
                    period.reason,
                )
            )
    columns = ("From", "Place", "Year", "Basis", "g/kWh", "PUE", "Source", "Why")
    return grid(columns, lines, left=(1, 3, 6, 7))


def _refused(refused: Iterable[Refusal]) -> str:
    lines = [
        (
            f"{one.source} {one.counter or ''}",
            one.reason,
            "nothing is wrong with it" if one.by_choice else one.remedy,
        )
        for one in refused
    ]
    return grid(("Not used", "Why", "Remedy"), lines, left=range(3))
