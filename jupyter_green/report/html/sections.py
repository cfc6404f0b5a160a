"""What the HTML report tells, section by section. A section with nothing to tell is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jupyter_green import __version__
from jupyter_green.events import ModelDescribed
from jupyter_green.insight import windows
from jupyter_green.insight.frontier import Curve
from jupyter_green.insight.stages import by_stage
from jupyter_green.report import series, statement, vega, vega_parts
from jupyter_green.report.curves import (
    best_curve,
    chosen_metric,
    cost_words,
    curves,
    knee_words,
    run_name,
)
from jupyter_green.report.fragment import COLOURS
from jupyter_green.report.html.parts import (
    DASH,
    Column,
    Pictures,
    bar,
    bullets,
    code,
    facts,
    framed,
    number,
    section,
    square,
    table,
    text,
)
from jupyter_green.report.studies import compared, studied
from jupyter_green.report.table import (
    NO_PLACE,
    RECORDED_WITHOUT_PLACE,
    Row,
    Saving,
    Table,
    no_stage,
)
from jupyter_green.report.words import (
    count_words,
    energy_words,
    missing_words,
    provenance_words,
    share_words,
)
from jupyter_green.sessions.model import Energy, Entry, Session
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_energy,
    format_kwh,
    format_number,
    uj_to_j,
)

MOST_RUNS = 40
"""Rows of a table of runs."""
MOST_LISTED = 40
"""Refusals and other lists that a machine can make long."""


def sections(session: Session, told: Table, pictures: Pictures) -> str:
    """The body of the page."""
    return "".join(
        (
            _head(session, told),
            section("What to try", *map(_saving, told.savings)),
            _power(session, pictures),
            _ledger(session, pictures),
            _cells(session, told, pictures),
            _sources(session, pictures),
            _stages(session, pictures),
            _accuracy(session, pictures),
            compared.section(session, pictures),
            studied.section(session),
            _measures(session),
            _method(session, told),
            _citing(session),
            f'<p class="dim">Made with jupyter_green {__version__} from the journal of the '
            "session.</p>\n",
        )
    )


# --- summary ------------------------------------------------------------------------------


def _head(session: Session, told: Table) -> str:
    subtitle = [f"project {session.project}" if session.project else "", session.machine.cpu]
    below = " · ".join(text(part) for part in subtitle if part)
    return (
        f"<header><h1>{text(told.title)}</h1>"
        + (f'<p class="dim">{below}</p>' if below else "")
        + f'<dl class="tiles">{"".join(_tiles(session))}</dl></header>\n'
    )


def _tiles(session: Session) -> Iterable[str]:
    yield _tile("Energy", *_energy_tile(session))
    yield _tile("Carbon", *_carbon_tile(session))
    cost = session.cost(session.total)
    if cost is not None and session.total.total_uj is not None:
        price = f"{format_number(session.pricing.price_per_kwh or 0)} a kWh"
        yield _tile("Cost", text(f"{format_number(cost)} {session.pricing.currency}"), text(price))
    yield _tile("Time", format_duration(session.duration_s), _time_words(session))
    curve = best_curve(curves(session))
    if curve is not None and curve.best is not None:
        yield _tile("Best result" if curve.lower is not None else "Last result", *_best(curve))


def _tile(name: str, figure: str, note: str) -> str:
    return f'<div><dt>{name}</dt><dd class="figure">{figure}</dd><dd>{note}</dd></div>'


def _energy_tile(session: Session) -> tuple[str, str]:
    total = session.total
    if total.total_uj is None:
        return "no counter", "no energy counter could be read"
    least = "≥ " if total.at_least else ""
    words = " · ".join(filter(None, (energy_words(total), missing_words(total))))
    return f"{least}{format_kwh(total.total_uj)}", f"{text(words)} {_chip(total)}"


def _chip(energy: Energy) -> str:
    doubt = next((name for name in ("modelled", "integrated") if name in energy.provenance), "")
    words = provenance_words(energy)
    return f'<span class="chip {doubt}">{text(words)}</span>' if words else ""


def _carbon_tile(session: Session) -> tuple[str, str]:
    grams = session.co2_g(session.total)
    if session.intensity is None:
        return DASH, code(NO_PLACE if session.state == "open" else RECORDED_WITHOUT_PLACE)
    if grams is None:
        return DASH, "not known: energy, or the place of a part of the session, is missing"
    least = "≥ " if session.total.at_least else ""
    return f"{least}{format_co2(grams)} CO₂e", text(statement.conditions(session.periods))


def _time_words(session: Session) -> str:
    running = f"{len(session.open_cells)} running" if session.open_cells else ""
    reason = session.reason if session.reason != "goodbye" else ""
    parts = (count_words(session), running, session.state, reason)
    return " · ".join(text(part) for part in parts if part)


def _best(curve: Curve) -> tuple[str, str]:
    assert curve.best is not None
    note = [
        f"{curve.metric} at {format_energy(curve.best.uj)}",
        f"{cost_words(curve)} gained" if cost_words(curve) else "",
    ]
    return _metric(curve.best.value), " · ".join(text(part) for part in note if part)


def _metric(value: float) -> str:
    """Values of any size, so with an exponent where it is needed."""
    return f"{value:.6g}"


def _saving(saving: Saving) -> str:
    figures = ", ".join(part for part in (saving.energy, saving.share) if part)
    note = f'<p class="dim">{text(saving.note)}</p>' if saving.note else ""
    return (
        f'<article class="finding"><h3>{text(saving.title)}: {text(figures)}</h3>'
        f"{bullets(text(line) for line in saving.evidence)}"
        f"<p>To try: {text(saving.remedy)}</p>{note}</article>"
    )


# --- where the energy went ----------------------------------------------------------------


def _power(session: Session, pictures: Pictures) -> str:
    if session.total.total_uj is None or session.duration_s <= 0:
        return ""
    every = format_duration(session.duration_s / series.STRETCHES)
    few = len(series.owners(session)) > series.MOST_BANDS
    which = f"the {series.MOST_BANDS} cells that cost most" if few else "cells"
    shaded = f"Shaded: {which}, with their part of the ledger in the strip above. "
    caption = f"Means over {every}. {'' if session.is_script else shaded}Gaps: not known."
    return section("Power", pictures.figure(vega.power(session), caption))


def _ledger(session: Session, pictures: Pictures) -> str:
    entries = {name: e for name, e in session.ledger.entries.items() if e.total_uj}
    if not entries or session.is_script:
        return ""
    rows = [
        (
            square(COLOURS[name]) + name,
            format_energy(entry.total_uj),
            share_words(session.share(entry)),
            format_duration(entry.seconds),
            _grams(session, entry),
        )
        for name, entry in entries.items()
    ]
    return section(
        "Where it went",
        pictures.figure(vega.ledger(session), "Every joule of the session, once."),
        table("The ledger: its entries add up to the session", _columns("Part"), rows),
    )


def _columns(name: str) -> tuple[Column, ...]:
    return Column(name), *map(number, ("Energy", "Share", "Time", "CO₂e"))


def _grams(session: Session, window: Energy | Entry) -> str:
    grams = session.co2_g(window)
    return "" if grams is None else format_co2(grams)


def _cell_columns(unit: str) -> tuple[Column, ...]:
    return (
        number("", "order"),
        Column(unit, "name"),
        number("Energy", "energy"),
        *map(number, ("Share", "Time", "CO₂e")),
        Column("Metric"),
        Column("Notes"),
    )


def _cells(session: Session, told: Table, pictures: Pictures) -> str:
    if not told.rows:
        return section(told.heading, f"<p>{told.nothing}</p>")
    known = any(cell.energy.total_uj for cell in session.cells)
    count = min(len(session.cells), vega_parts.MOST_BARS)
    caption = f"The {count} that cost most; the line is the bound." if count > 1 else ""
    shown = [_contents(row) for row in told.rows]
    unit = told.unit.lower()
    columns = [
        column
        for column in _cell_columns(told.unit)
        if any(each.get(column.title) for each in shown)
    ]
    bodies = "".join(
        _body(group, order, columns) for order, group in enumerate(_grouped(told.rows))
    )
    return section(
        told.heading,
        pictures.figure(vega.cells(session), caption) if known else "",
        framed(f"Energy by {unit}; spans below the {unit} they ran in", columns, bodies, "cells"),
    )


def _grouped(rows: Iterable[Row]) -> list[list[Row]]:
    """Each cell with what stands below it."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.kind in ("cell", "running") or row.depth == 0 or not groups:
            groups.append([])
        groups[-1].append(row)
    return groups


def _body(rows: Sequence[Row], order: int, columns: Sequence[Column]) -> str:
    first = rows[0]
    moves = first.kind in ("cell", "running")
    keys = f' data-order="{order}" data-energy="{first.fraction:.6g}"' if moves else ""
    return f"<tbody{keys}>{''.join(_row(row, columns) for row in rows)}</tbody>"


def _row(row: Row, columns: Sequence[Column]) -> str:
    if row.kind in ("rest", "heading"):
        wide = f'<td class="name" colspan="{len(columns) - 1}">{text(row.label)}</td>'
        return f'<tr class="span"><td></td>{wide}</tr>'
    contents = _contents(row)
    style = "span" if row.kind == "span" else row.category
    cells = "".join(column.cell(contents.get(column.title, "")) for column in columns)
    return f'<tr class="{style}">{cells}</tr>'


def _contents(row: Row) -> dict[str, str]:
    """What stands in the columns of a cell's row, by their titles."""
    if row.kind in ("rest", "heading"):
        return {}
    bars = bar(row.fraction, COLOURS.get(row.category, COLOURS["running"]))
    figures = {
        "": row.number,
        "Energy": row.energy,
        "Share": row.share,
        "Time": row.duration,
        "CO₂e": row.co2,
        "Metric": row.metric,
        "Notes": ", ".join(row.marks),
    }
    name = f'<span class="code">{text(row.label)}</span>{bars if row.kind != "span" else ""}'
    # What a row is called is known to the columns alone: they have one of the two.
    return {
        "Cell": name,
        "Window": name,
        **{title: text(words) for title, words in figures.items() if words},
    }


def _sources(session: Session, pictures: Pictures) -> str:
    rows = [
        (
            text(name),
            text(info.device or info.domain),
            format_energy(uj),
            share_words(uj / session.total.total_uj) if session.total.total_uj else "",
            text(info.provenance),
            text(_counted(info.counted, info.part_of)),
        )
        for name, info in list(session.counters.items())[:MOST_RUNS]
        if (uj := session.total.uj.get(name)) is not None
    ]
    if not rows:
        return ""
    columns = (
        *(Column("Counter"), Column("Of"), number("Energy"), number("Share")),
        *(Column("Provenance"), Column("In the total")),
    )
    return section(
        "Sources",
        pictures.figure(vega.sources(session), "By counter; the colour says how it is known."),
        table("Energy by source", columns, rows),
    )


def _counted(counted: bool, part_of: str | None) -> str:
    if counted:
        return "yes"
    return f"no: part of {part_of}" if part_of else "no: detail"


def _stages(session: Session, pictures: Pictures) -> str:
    found = [stage for stage in by_stage(session) if stage.total_uj]
    if not any(stage.name is not None for stage in found):
        return ""
    total = session.total.total_uj or 0
    rows = [
        (
            no_stage(session) if stage.name is None else text(stage.label),
            format_energy(stage.total_uj),
            share_words(stage.total_uj / total) if total else "",
            format_duration(stage.seconds),
            str(stage.runs or ""),
        )
        for stage in found[:MOST_RUNS]
    ]
    columns = Column("Stage"), *map(number, ("Energy", "Share", "Time", "Cells and spans"))
    return section(
        "Lifecycle stages",
        pictures.figure(
            vega.stages(session),
            "As tagged (stage=)."
            if session.is_script
            else "As cells and spans are tagged (--stage), or as cells without a tag seem to be.",
        ),
        table("Energy by stage", columns, rows),
    )


# --- what it bought -----------------------------------------------------------------------


def _accuracy(session: Session, pictures: Pictures) -> str:
    names = list(dict.fromkeys(metric.name for metric in session.results))
    found = [curve for name in names for curve in curves(session, name)]
    if not found:
        return ""
    chosen = chosen_metric(session)
    own = curves(session, chosen)
    drawn = max((len(curve.points) for curve in own), default=0) > 1
    caption = "One line a run; the ring is its best value. Grey: past the knee of the last run."
    columns = (
        *(Column("Metric"), Column("Run"), number("Values"), number("First"), number("Best")),
        *(
            number("Energy to best"),
            number("Energy per point"),
            Column("Diminishing returns", "name"),
        ),
    )
    rows = (_curve_row(session, curve) for curve in found[-MOST_RUNS:])
    return section(
        "Accuracy beside energy",
        pictures.figure(vega.accuracy(session, chosen), caption) if drawn else "",
        table("Every run of every metric; a point is a hundredth of a fraction", columns, rows),
        _more(len(found), MOST_RUNS, "earlier runs"),
    )


def _curve_row(session: Session, curve: Curve) -> Sequence[str]:
    best = curve.best
    assert best is not None
    return (
        text(curve.metric, 80),
        text(run_name(session, curve), 80),
        str(len(curve.points)),
        _metric(curve.points[0].value),
        _metric(best.value) if curve.lower is not None else "",
        format_energy(best.uj) if curve.lower is not None else "",
        text(cost_words(curve)),
        text(knee_words(curve)),
    )


def _more(count: int, most: int, what: str) -> str:
    return f'<p class="dim">+ {count - most} {what}</p>' if count > most else ""


def _measures(session: Session) -> str:
    """Time, carbon, model size and FLOPs: the four by which the survey compares models."""
    columns = (
        *(Column("Model"), Column("Run", "name"), number("Time"), number("Energy"), number("CO₂e")),
        *(number("Parameters"), number("Size"), number("FLOPs"), Column("Precision")),
    )
    described = session.models[:MOST_RUNS]
    by_run = windows.taken_by(session, {model.run for model in described if model.run is not None})
    rows = (_measure_row(session, model, _taken_by(session, model, by_run)) for model in described)
    caption = "Running time, carbon footprint, model size and FLOPs of each described model"
    of_what = (
        "Time, energy and CO₂e are those of the run's spans, or of the cells in which it logged; "
        "≤: other runs went on in them as well. Without a run, of the cell that described it, "
        "if a metric was logged or something was measured there."
    )
    return section(
        "The four measures of efficiency",
        table(caption, columns, rows),
        f'<p class="dim">{of_what}</p>' if session.models else "",
        _more(len(session.models), MOST_RUNS, "models"),
    )


def _measure_row(session: Session, model: ModelDescribed, taken: windows.Taken) -> Sequence[str]:
    seconds = sum(window.duration_s for window in taken.windows)
    return (
        text(model.name or "", 80),
        text(model.run or "", 80),
        f"{'≤ ' if taken.shared else ''}{format_duration(seconds)}" if taken.windows else "",
        *_cost_words(session, taken),
        "" if model.parameters is None else f"{model.parameters:,}",
        "" if model.size_bytes is None else f"{format_number(model.size_bytes / 1e6)} MB",
        "" if model.flops is None else _flops(model.flops),
        text(model.precision or "", 40),
    )


def _taken_by(
    session: Session, model: ModelDescribed, by_run: Mapping[str, windows.Taken]
) -> windows.Taken:
    """The windows of the model's run; without a run the cell that described it, if that was more
    than the description."""
    if model.run is not None:
        return by_run[model.run]
    worked = {metric.cell for metric in session.results} | {span.cell for span in session.spans}
    cells = (c for c in session.cells if c.number == model.cell and c.number in worked)
    return windows.Taken(tuple(cells), shared=False)


def _cost_words(session: Session, taken: windows.Taken) -> tuple[str, str]:
    """Energy and CO2e; empty where they are not known."""
    energies = [window.energy for window in taken.windows]
    known_uj = [energy.total_uj for energy in energies if energy.total_uj is not None]
    missing = any(energy.missing for energy in energies)
    if not energies or len(known_uj) < len(energies) or (missing and taken.shared):
        return "", ""
    sign = "≥ " if missing else "≤ " if taken.shared else ""
    alone = len(energies) == 1 and not taken.shared
    energy = energy_words(energies[0]) if alone else f"{sign}{format_energy(sum(known_uj))}"
    grams = [one for one in map(session.co2_g, energies) if one is not None]
    co2 = f"{sign}{format_co2(sum(grams))}" if len(grams) == len(energies) else ""
    return energy, co2


def _flops(flops: int) -> str:
    for size, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if flops >= size:
            return f"{format_number(flops / size)} {prefix}FLOPs"
    return f"{flops} FLOPs"


# --- how it is known ----------------------------------------------------------------------


def _method(session: Session, told: Table) -> str:
    return section(
        "Hardware and method",
        facts(_setting(session)),
        _counters(session),
        _part("Not read", _refusals(session)),
        _part("What limits the figures", (text(note) for note in (*_limits(session), *told.notes))),
    )


def _part(title: str, items: Iterable[str]) -> str:
    listed = bullets(items)
    return f"<h3>{title}</h3>{listed}" if listed else ""


def _setting(session: Session) -> Iterable[tuple[str, str]]:
    machine = session.machine
    yield "Hardware", text(statement.hardware(session))
    python = f"Python {machine.python}" if machine.python else ""
    yield "System", text(", ".join(filter(None, (machine.system, python))))
    yield "Session", text(f"{session.id}, {session.state}, {session.front_end}".rstrip(", "))
    yield "Recorded with", text(f"jupyter_green {session.version}, format {session.format}")
    reasons = {p.intensity: f" ({p.reason})" for p in session.periods if p.reason}
    for one in statement.intensities(session.periods):
        since = min(period.since_s for period in session.periods if period.intensity == one)
        yield (
            f"Carbon intensity{f' from {format_duration(since)} on' if since else ''}",
            text(
                f"{format_number(one.g_per_kwh)} g/kWh, {one.place}, "
                f"{one.year or 'no year given'}, {one.basis}"
                f"{', estimated' if one.estimated else ''}; {one.source or 'no source given'}"
                f"{reasons.get(one, '')}"
            ),
        )
    pues = dict.fromkeys(format_number(period.pricing.pue) for period in session.periods)
    yield "PUE", " to ".join(pues)
    for baseline in session.baselines:
        watts = ", ".join(f"{name} {watt:.3g} W" for name, watt in baseline.power_w.items())
        busy = baseline.busy if baseline.is_doubtful else None
        doubt = "" if busy is None else f", while others kept it {share_words(busy)} busy: not idle"
        yield "Idle power", text(f"{watts}, over {format_duration(baseline.duration_s)}{doubt}")


def _counters(session: Session) -> str:
    columns = (
        *(Column("Counter"), Column("Read through"), Column("Provenance"), Column("Scope")),
        *(number("Updates every"), number("Step"), number("Band")),
    )
    rows = (
        (
            text(info.name),
            text(info.source),
            text(info.provenance),
            text(info.scope),
            format_duration(info.resolution_s),
            format_energy(info.quantum_uj),
            f"± {share_words(info.band)}" if info.band else "",
        )
        for info in list(session.counters.values())[:MOST_RUNS]
    )
    return table("Counters", columns, rows)


def _refusals(session: Session) -> Iterable[str]:
    """What nobody chose to leave out comes first."""
    for one in sorted(session.refused, key=lambda one: one.by_choice)[:MOST_LISTED]:
        name = " ".join(filter(None, (one.source, one.counter)))
        yield f"{text(name)}: {text(one.reason)}" + (f"; {text(one.remedy)}" if one.remedy else "")
    if len(session.refused) > MOST_LISTED:
        yield f"and {len(session.refused) - MOST_LISTED} more"


def _limits(session: Session) -> Iterable[str]:
    if session.total.total_uj is None:
        return
    share = session.total.bound_uj / session.total.total_uj if session.total.total_uj else 0
    yield (
        f"The ± is the 95 % interval that follows from the counters' updates, with the band of "
        f"models: {share_words(share) or '0 %'} of the session's {_joules(session)}."
    )
    if "modelled" in session.total.provenance:
        yield (
            "Modelled figures compare hours of machines; they do not show that one technique "
            "saves energy over another."
        )


def _joules(session: Session) -> str:
    return f"{format_number(uj_to_j(session.total.total_uj or 0))} J"


def _citing(session: Session) -> str:
    words = " ".join(text(sentence) for sentence in statement.sentences(session))
    return section("To cite", f'<p class="statement">{words}</p>')
