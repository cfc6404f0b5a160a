"""Main effects as sentences, as a table in plain text and as records.

No sentence claims a difference in energy from modelled figures; each says that they are modelled.
Names and levels are the user's: bounded and made harmless here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from jupyter_green.errors import JupyterGreenError
from jupyter_green.insight.factorial import Change, Effect, MainEffects
from jupyter_green.insight.factorial_front import Cell, Level, Levels, Return
from jupyter_green.insight.statistics import ALPHA, Contrast, mean
from jupyter_green.report.inert import short
from jupyter_green.report.lines import fact
from jupyter_green.report.studies.study_table import StudyTable
from jupyter_green.units import UJ_PER_J, format_duration, format_energy, format_number

UNKNOWN = "-"
DIGITS = 3
"""Of a percentage and of a difference."""
MODELLED = "joules are seconds times assumed watts, so that no saving in energy is told"
DECIDES = (
    "what is told from chance is decided, of each pair of levels, by Welch's t test and a "
    "permutation test of the means, with p-values corrected for the number of pairs (Holm); an "
    "interval is that of its pair alone; H, p and eta squared are of ranks over all levels of one "
    "factor (Kruskal-Wallis), not corrected, and for fewer than five values a level only roughly "
    "known: they describe, and decide nothing"
)
MOST_CELLS = 8
"""Cells that are named in one line."""
MOST_LINES = 40
"""Sentences, and lines of the table, that are shown: a factor may have a level for each run."""


# --- sentences ----------------------------------------------------------------------------


def sentences(result: MainEffects) -> tuple[str, ...]:
    """``conv 1 -> 4: +95.3 % energy (95 % interval +94.4 to +96.1 %), accuracy +0.79 points``."""
    return tuple(_sentences(result))


def _sentences(result: MainEffects) -> Iterator[str]:
    for factor in result.design.factors:
        effects = [effect for effect in result.effects if effect.factor == factor]
        for changes in zip(*(effect.changes for effect in effects), strict=True):
            told = ", ".join(
                _told(result, effect, change)
                for effect, change in zip(effects, changes, strict=True)
            )
            yield f"{_title(effects[0], changes[0])}: {told}"


def level_text(level: Level) -> str:
    """A level as a person writes it, in one short line."""
    if isinstance(level, float):
        return f"{level:g}"
    return short(str(level))


def _title(effect: Effect, change: Change) -> str:
    return f"{short(effect.factor)} {level_text(change.first)} -> {level_text(change.level)}"


def _told(result: MainEffects, effect: Effect, change: Change) -> str:
    if effect.response == "metric":
        return f"{short(str(result.columns.metric))} {_in_points(result, change)}"
    modelled = effect.response == "energy" and result.modelled
    what = "modelled energy" if modelled else effect.response
    if change.difference is None:
        return f"{what} not known"
    if change.percent is None:
        ends = (mean(values) for values in (change.first_values, change.values))
        return f"{what} from {' to '.join(_amount(effect, end) for end in ends)}"
    about = [_interval(change)]
    if change.contrast is not None and not change.contrast.found:
        about.append(_chance(change.contrast))
    return f"{_signed(change.percent)} % {what} ({'; '.join(about)})"


def _chance(contrast: Contrast) -> str:
    """Why nothing is claimed, also where the interval of the pair alone has no 0 in it."""
    if not _excludes_0(contrast):
        return "not told from chance"
    if contrast.pairs > 1:
        return f"of this pair alone: among {contrast.pairs} it may be chance"
    return "a permutation test takes it for chance"


def _excludes_0(contrast: Contrast) -> bool:
    low, high = contrast.welch.low, contrast.welch.high
    return low < high and not low <= 0 <= high


def _interval(change: Change) -> str:
    if change.contrast is None:
        return "fewer than two runs a side: no interval"
    ends = change.percent_interval
    if ends is None:
        return "95 % interval open"
    if ends[0] == ends[1]:
        return "all runs of a level alike"
    # Energy and time are never below 0: none falls by more than all.
    low, high = (max(-100.0, end) for end in ends)
    return f"95 % interval {_signed(low)} to {_signed(high)} %"


def _in_points(result: MainEffects, change: Change) -> str:
    """``+0.79 points``: of a fraction in hundredths, else in its own unit."""
    if change.difference is None:
        return "not known"
    points = " points" if result.is_fraction else ""
    told = f"{_signed(change.difference / result.unit)}{points}"
    if change.contrast is not None and not change.contrast.found:
        return f"{told} (not told from chance)"
    return told


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{format_number(value, DIGITS)}"


# --- notes --------------------------------------------------------------------------------


def notes(result: MainEffects) -> tuple[str, ...]:
    """What was left out, and what limits the trust in the figures."""
    return tuple(_notes(result))


def _notes(result: MainEffects) -> Iterator[str]:
    design = result.design
    for name, count in design.left_out.items():
        kind = "a level" if name in design.factors else "a finite value"
        yield f"{_rows(count)} without {kind} of {short(name)}: left out"
    for reason, count in list(design.reasons.items())[:MOST_CELLS]:
        yield f"{count:,} run{'s' * (count != 1)} without figures: {short(reason)}"
    if design.missing_count:
        unnamed = design.missing_count - len(design.missing[:MOST_CELLS])
        named = "; ".join(_cell(result, cell) for cell in design.missing[:MOST_CELLS])
        rest = f" and {unnamed:,} more" if unnamed else ""
        cells = f"{design.missing_count:,} cell{'s' * (design.missing_count != 1)}"
        yield f"{cells} of the design without a run: {named}{rest}"
    counts = Counter(run.levels for run in design.runs if run.energy_j is not None)
    least, most = min(counts.values()), max(counts.values())
    if least < most or design.missing_count or len(counts) < len(design.by_cell):
        yield "the design is not balanced: the effect of one factor holds some of the others'"
    if most == 1:
        yield "one run a cell: chance and what factors do together are not told apart"
    if _is_contested(result):
        yield DECIDES
    if result.modelled:
        yield f"energy is modelled: {MODELLED}"


def _is_contested(result: MainEffects) -> bool:
    """An interval or Kruskal and Wallis' p says otherwise than what is told from chance."""
    for effect in result.effects:
        judged = [one.contrast for one in effect.changes if one.contrast is not None]
        if any(_excludes_0(one) and not one.found for one in judged):
            return True
        found = any(one.found for one in judged)
        if judged and effect.ranks is not None and found != (effect.ranks.p < ALPHA):
            return True
    return False


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _cell(result: MainEffects, levels: Levels) -> str:
    return ", ".join(
        f"{short(name)} {level_text(level)}"
        for name, level in zip(result.design.factors, levels, strict=True)
    )


# --- the table ----------------------------------------------------------------------------


def text(result: MainEffects) -> str:
    """Sentences, a table, the front of energy and metric, and notes, as plain text."""
    told = _limited(list(sentences(result)))
    table = "\n".join(_table(result).text)
    parts = [_headline(result), "\n".join(told), table, _front(result), "\n".join(notes(result))]
    return "\n\n".join(part for part in parts if part)


def markdown(result: MainEffects) -> str:
    """The same as Markdown."""
    told = "\n".join(f"- {fact(one)}" for one in _limited(list(sentences(result))))
    front = "\n".join(f"- {fact(line.strip())}" for line in _front(result).splitlines())
    below = "\n".join(f"- {fact(one)}" for one in notes(result))
    parts = [fact(_headline(result)), told, _table(result).markdown, front, below]
    return "\n\n".join(part for part in parts if part)


def html(result: MainEffects) -> str:
    """The same for the output of a cell: no script, no style sheet, colours of text inherited."""
    told = _bullets(_limited(list(sentences(result))), "font-weight:600")
    front = "".join(f"<div>{escape(line.strip())}</div>" for line in _front(result).splitlines())
    below = _bullets(notes(result), "font-size:11px;opacity:.75")
    return (
        f'<div style="{_ROOT}"><div style="opacity:.7">{escape(_headline(result))}</div>{told}'
        f'{_table(result).html}<div style="margin-top:8px">{front}</div>{below}</div>'
    )


_ROOT = "font-size:13px;line-height:1.4;max-width:72em;font-variant-numeric:tabular-nums"


def _bullets(lines: Iterable[str], style: str) -> str:
    items = "".join(f"<li><bdi>{escape(line)}</bdi></li>" for line in lines)
    return f'<ul style="margin:8px 0 0;padding-left:18px;{style}">{items}</ul>' if items else ""


def _headline(result: MainEffects) -> str:
    design = result.design
    by = " x ".join(
        f"{short(name)} {{{', '.join(map(level_text, levels[:MOST_CELLS]))}}}"
        for name, levels in zip(design.factors, design.levels, strict=True)
    )
    modelled = ", energy modelled" if result.modelled else ""
    runs = f"{len(design.runs):,} run{'s' * (len(design.runs) != 1)}"
    return f"main effects: {by}, {runs}{modelled}"


def _table(result: MainEffects) -> StudyTable:
    titles = ("Factor", "Response", "From", "To", "Change", "H", "p", "Eta squared")
    lines = [
        (_title(effect, change), *_figures(result, effect, change))
        for effect in result.effects
        for change in effect.changes
    ]
    shown = lines[:MOST_LINES]
    more = len(lines) - len(shown)
    rest = [(f"and {more:,} more: see .dataframe()", *[""] * (len(titles) - 1))] if more else []
    return StudyTable.of(titles, [*shown, *rest], words=(0, 1))


def _limited(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more:,} more: see .dataframe()"]


def _figures(result: MainEffects, effect: Effect, change: Change) -> list[str]:
    is_metric = effect.response == "metric"
    name = short(str(result.columns.metric)) if is_metric else effect.response
    means = [
        _amount(effect, mean(values)) if values else UNKNOWN
        for values in (change.first_values, change.values)
    ]
    if is_metric:
        points = " points" if result.is_fraction else ""
        difference = change.difference
        told = UNKNOWN if difference is None else f"{_signed(difference / result.unit)}{points}"
    else:
        told = UNKNOWN if change.percent is None else f"{_signed(change.percent)} %"
    ranks = effect.ranks
    tested = [UNKNOWN] * 3
    if ranks is not None:
        tested = [f"{ranks.h:.1f}", _p(ranks.p), _eta_squared(ranks.eta_squared)]
    return [name, *means, told, *tested]


def _amount(effect: Effect, value: float) -> str:
    match effect.response:
        case "energy":
            return format_energy(value * UJ_PER_J)
        case "time":
            return format_duration(value)
    return format_number(value)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _eta_squared(value: float) -> str:
    """Below 0 it says no more than 0 does."""
    return "0" if value <= 0 else f"{value:.3f}"


def cell(result: MainEffects, one: Cell) -> str:
    """``depth 2, width 64: 2.16 J (modelled), accuracy 0.933``."""
    levels, energy = _cell(result, one.levels), _energy_told(result, one.energy_j)
    metric = short(str(result.columns.metric))
    return f"{levels}: {energy}, {metric} {format_number(one.metric)}"


def step(result: MainEffects, one: Return) -> str:
    """``depth 1 -> depth 2: +1.5 points for 1.51 J, 1.02 J a point (modelled)``."""
    ends = " -> ".join(_cell(result, end.levels) for end in (one.before, one.after))
    points = format_number(one.points, DIGITS)
    named = f"{'-' if result.lower else '+'}{points} "
    named += f"point{'s' * (points != '1')}" if result.is_fraction else _metric_name(result)
    each = _energy_told(result, one.j_per_point)
    unit = "a point" if result.is_fraction else f"for each 1 of {_metric_name(result)}"
    return f"{ends}: {named} for {_energy_told(result, one.energy_j)}, {each} {unit}"


def _metric_name(result: MainEffects) -> str:
    return short(str(result.columns.metric))


def _energy_told(result: MainEffects, joules: float) -> str:
    return f"{_energy(joules)}{' (modelled)' if result.modelled else ''}"


def _front(result: MainEffects) -> str:
    """The cells that nothing beats, and the joules of each point from one to the next."""
    try:
        front, steps = result.front(), result.returns()
    except JupyterGreenError:
        # No metric, or nobody knows which is better: there is no front to show.
        return ""
    each = {step.after: f", {_energy(step.j_per_point)} a point" for step in steps}
    lines = [f"  {_cell_line(result, cell)}{each.get(cell, '')}" for cell in front[:MOST_CELLS]]
    more = len(front) - MOST_CELLS
    if more > 0:
        lines.append(f"  and {more:,} more")
    modelled = "modelled energy" if result.modelled else "energy"
    title = f"{short(str(result.columns.metric))} over {modelled}, cells that no other one beats:"
    return "\n".join([title, *lines]) if front else ""


def _cell_line(result: MainEffects, cell: Cell) -> str:
    figures = f"{_energy(cell.energy_j)}, {format_number(cell.metric)}"
    return f"{_cell(result, cell.levels)}: {figures}"


def _energy(joules: float) -> str:
    return format_energy(joules * UJ_PER_J)


# --- records ------------------------------------------------------------------------------


def records(result: MainEffects) -> list[dict[str, Any]]:
    """One for each factor, level after the first, and response; what is not known is None."""
    return [
        _record(result, effect, change) for effect in result.effects for change in effect.changes
    ]


def _record(result: MainEffects, effect: Effect, change: Change) -> dict[str, Any]:
    columns = result.columns
    column = {"energy": columns.energy, "time": columns.duration, "metric": columns.metric}
    low, high = change.interval or (None, None)
    percent_low, percent_high = change.percent_interval or (None, None)
    tested, ranks = change.contrast, effect.ranks
    return {
        "factor": effect.factor,
        "first": change.first,
        "level": change.level,
        "response": effect.response,
        "column": column[effect.response],
        "first_runs": len(change.first_values),
        "runs": len(change.values),
        "first_mean": mean(change.first_values) if change.first_values else None,
        "mean": mean(change.values) if change.values else None,
        "difference": change.difference,
        "low": low,
        "high": high,
        "percent": change.percent,
        "percent_low": percent_low,
        "percent_high": percent_high,
        "p_adjusted": None if tested is None else tested.p_adjusted,
        "found": None if tested is None else tested.found,
        "kruskal_h": None if ranks is None else ranks.h,
        "kruskal_p": None if ranks is None else ranks.p,
        "eta_squared": None if ranks is None else ranks.eta_squared,
        "modelled": effect.response == "energy" and result.modelled,
    }
