"""Strategies of search side by side: as text, Markdown, HTML, in reports, data frame.

All names are made harmless here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from jupyter_green.insight.searches_values import Outcome, Strategy
from jupyter_green.insight.statistics import Estimate
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.studies import searched_drawn
from jupyter_green.report.studies.study_table import StudyTable
from jupyter_green.units import (
    UJ_PER_J,
    format_duration,
    format_energy,
    format_energy_with_bound,
    format_number,
)

if TYPE_CHECKING:
    import pandas as pd

LONGEST_SENTENCE = 1500
LONGEST_NAME = 60
NAME_IN_TEXT = 30
MOST_ERRORS = 5
LONGEST_ERROR = 300
MOST_ON_FRONT = 10
"""Trials of the front that are listed."""
TEXT_COLUMNS = (0, 8)
"""Columns of words, which begin at the left."""


# --- the table ----------------------------------------------------------------------------


def columns(outcome: Outcome) -> tuple[str, ...]:
    """Titles of the columns of :func:`rows`; empty ones are left out by the views."""
    return (
        "Strategy",
        "Searches",
        "Reached",
        "Energy to target",
        "Time to target",
        "Energy in all",
        "Trials",
        f"Best {short(outcome.metric, 40)}",
        "Remarks",
    )


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """One a strategy, with a text for each column. Names are on one line and bounded, no more."""
    return [_row(outcome, strategy) for strategy in outcome.strategies]


def _row(outcome: Outcome, strategy: Strategy) -> tuple[str, ...]:
    compared, attempts = len(strategy.compared), len(strategy.searches)
    limit = "≥ " if strategy.missing else ""
    return (
        short(strategy.name, LONGEST_NAME) or "(no text)",
        str(compared) if compared == attempts else f"{compared} of {attempts}",
        f"{strategy.reached} of {compared}" if compared else "",
        _to_target(outcome, strategy, False),
        _to_target(outcome, strategy, True),
        f"{limit}{_energy(strategy.total)}" if strategy.total else "",
        f"{len(strategy.trials):,}",
        "" if strategy.quality is None else _value(strategy.quality),
        ", ".join(_remarks(outcome, strategy)),
    )


def _to_target(outcome: Outcome, strategy: Strategy, by_time: bool) -> str:
    """What the target took on average; a lower bound where searches count with the horizon."""
    known = strategy.duration if by_time else strategy.energy
    if known is None or not any(one.reached for one in outcome.strategies):
        return ""
    if not strategy.reached and not strategy.might_have:
        return "-"
    if strategy.is_limited(by_time):
        # How values vary that stop at the horizon is no interval of their mean without it.
        known = replace(known, low=None, high=None)
        limit = "≥ "
    else:
        limit = "≥ " if strategy.missing and not by_time else ""
    return f"{limit}{_duration(known) if by_time else _energy(known)}"


def _energy(energy: Estimate) -> str:
    if energy.low is None:
        return format_energy(energy.mean * UJ_PER_J)
    return format_energy_with_bound(energy.mean * UJ_PER_J, (energy.mean - energy.low) * UJ_PER_J)


def _duration(duration: Estimate) -> str:
    text = format_duration(duration.mean)
    if duration.low is None:
        return text
    return f"{text} ± {format_duration(duration.mean - duration.low)}"


def _value(quality: Estimate) -> str:
    """With two digits of its half-width."""
    half = 0.0 if quality.low is None else quality.mean - quality.low
    if not half or abs(quality.mean) >= 1e9:
        return f"{quality.mean:.4g}"
    decimals = min(8, max(0, 1 - math.floor(math.log10(half))))
    return f"{quality.mean:.{decimals}f} ± {half:.{decimals}f}"


def _remarks(outcome: Outcome, strategy: Strategy) -> Iterable[str]:
    for what, count in sorted(strategy.outcomes.items()):
        if what != "completed":
            yield f"{count:,} {what}"
    if any(one.reached for one in outcome.strategies) and (strategy.reached or strategy.might_have):
        by_time = outcome.by_time or not strategy.energies_j
        if strategy.is_limited(by_time):
            yield "limited to the horizon"
    if strategy.provenance and strategy.provenance != ("measured",):
        yield " + ".join(strategy.provenance)


def _table(outcome: Outcome) -> StudyTable:
    return StudyTable.of(columns(outcome), rows(outcome), TEXT_COLUMNS)


def _verdict(outcome: Outcome) -> list[str]:
    """Made harmless for a terminal, as the notes are."""
    return [short(one, LONGEST_SENTENCE) for one in outcome.sentences]


def _notes(outcome: Outcome, errors: Sequence[str]) -> list[str]:
    told = (*_errors(errors), *front_words(outcome), *outcome.notes)
    return [short(one, LONGEST_SENTENCE) for one in told]


def _errors(errors: Sequence[str]) -> Iterable[str]:
    """What trials and samplers raised, the first ones."""
    for one in errors[:MOST_ERRORS]:
        yield f"{short(one, LONGEST_ERROR)}."
    more = len(errors) - MOST_ERRORS
    if more > 0:
        yield f"{more} more messages are in .errors."


def front_words(outcome: Outcome) -> Iterable[str]:
    """The Pareto front of the trials in a sentence."""
    if not outcome.front:
        return
    shown = outcome.clear_front[-MOST_ON_FRONT:]
    modelled = " (modelled)" if any("modelled" in one.provenance for one in shown) else ""
    parts = (
        f"{format_number(trial.value or 0.0, 4)} for {format_energy((trial.energy_j or 0) * 1e6)} "
        f"({short(trial.search, NAME_IN_TEXT)}, trial {trial.number})"
        for trial in shown
    )
    more = len(outcome.clear_front) - len(shown)
    alike = len(outcome.front) - len(outcome.clear_front)
    are = "trial is" if alike == 1 else "trials are"
    yield (
        f"The front of {short(outcome.metric, 40)} and joules of single trials{modelled}: "
        f"{', '.join(parts)}{f', and {more} below' if more else ''}"
        + (f"; {alike} more {are} worse, and cheaper only within the bounds." if alike else ".")
    )


# --- text and Markdown --------------------------------------------------------------------


def render(outcome: Outcome, errors: Sequence[str] = ()) -> str:
    """The outcome as text, the verdict first.

    Args:
        errors: what trials and samplers raised, which no journal keeps.
    """
    notes = _notes(outcome, errors)
    return "\n".join([*_verdict(outcome), "", *_table(outcome).text, "", *notes]).rstrip()


def render_markdown(outcome: Outcome, errors: Sequence[str] = ()) -> str:
    """The outcome as Markdown, for a pull request."""
    figures = _table(outcome).markdown
    verdict, notes = map(markdown, _verdict(outcome)), map(markdown, _notes(outcome, errors))
    return "\n\n".join([*verdict, figures, *notes])


# --- HTML for the output of a cell --------------------------------------------------------

_ROOT = "font-size:13px;line-height:1.4;max-width:60em;font-variant-numeric:tabular-nums"
_SMALL = "font-size:11px;opacity:.75"
_PICTURE = f"max-width:{searched_drawn.WIDTH}px;margin-top:8px"


def fragment(outcome: Outcome, errors: Sequence[str] = ()) -> str:
    """Verdict, table and drawing: no script, no style sheet, colours of text inherited."""
    verdict = "".join(f"<div>{_inert(one)}</div>" for one in _verdict(outcome))
    notes = _notes(outcome, errors)
    told = "".join(f'<li style="margin:2px 0">{_inert(one)}</li>' for one in notes)
    below = f'<ul style="margin:8px 0 0;padding-left:18px;{_SMALL}">{told}</ul>' if told else ""
    return (
        f'<div style="{_ROOT}"><div style="font-size:14px;font-weight:600">{verdict}</div>'
        f'{_table(outcome).html}<div style="{_PICTURE}">{searched_drawn.drawing(outcome)}'
        f"</div>{below}</div>"
    )


def _inert(line: str) -> str:
    return f"<bdi>{escape(line)}</bdi>"


# --- in the reports of a session ----------------------------------------------------------


def name(outcome: Outcome) -> str:
    """What the study is called: its metric and its strategies."""
    return f"{outcome.metric} by {', '.join(one.name for one in outcome.strategies)}"


def sentence(outcome: Outcome) -> str:
    """The verdict on one line."""
    return " ".join(_verdict(outcome))


def parts(outcome: Outcome) -> Iterator[str]:
    """The outcome as parts of the HTML report, where nothing may have a style of its own."""
    for one in _verdict(outcome):
        yield f"<p>{html_parts.text(one, LONGEST_SENTENCE)}</p>"
    drawn = searched_drawn.drawing(outcome)
    yield f'<div class="chart">{drawn}</div>' if drawn else ""
    yield _table(outcome).part("Strategies by what the target took")
    yield html_parts.bullets(html_parts.text(one, LONGEST_SENTENCE) for one in _notes(outcome, ()))


# --- a data frame -------------------------------------------------------------------------

_TEXT = "string[python]"
TRIAL_COLUMNS: Mapping[str, str] = {
    "strategy": _TEXT,
    "search": _TEXT,
    "seed": "Int64",
    "trial": "int64",
    "span": "int64",
    "started_s": "float64",
    "duration_s": "float64",
    "outcome": _TEXT,
    "error": _TEXT,
    "metric": _TEXT,
    "value": "float64",
    "best": "float64",
    "energy_j": "float64",
    "bound_j": "float64",
    "search_energy_j": "float64",
    "search_duration_s": "float64",
    "missing": _TEXT,
    "provenance": _TEXT,
    "at_target": "boolean",
    "on_front": "boolean",
}
"""Columns of :func:`trials_dataframe` with their types. ``search_energy_j`` and
``search_duration_s`` are those from the search's start to the value, the sampler's work included.
"""


def trials_dataframe(outcome: Outcome) -> pd.DataFrame:
    """All trials, one row each."""
    import pandas as pd  # noqa: PLC0415  (loads on use)

    front = {trial.span for trial in outcome.front}
    records = [
        {
            "strategy": trial.strategy,
            "search": trial.search,
            "seed": search.seed,
            "trial": trial.number,
            "span": trial.span,
            "started_s": trial.started_s,
            "duration_s": trial.duration_s,
            "outcome": trial.outcome,
            "error": trial.error,
            "metric": outcome.metric,
            "value": trial.value,
            "best": trial.best,
            "energy_j": trial.energy_j,
            "bound_j": trial.bound_j,
            "search_energy_j": trial.at_j,
            "search_duration_s": trial.at_s,
            "missing": ", ".join(trial.missing) or None,
            "provenance": " + ".join(trial.provenance) or None,
            "at_target": _is_at(outcome, trial.value),
            "on_front": trial.span in front,
        }
        for strategy in outcome.strategies
        for search in strategy.searches
        for trial in search.trials
    ]
    return pd.DataFrame(
        {
            name: pd.Series([record[name] for record in records], dtype=dtype)
            for name, dtype in TRIAL_COLUMNS.items()
        }
    )


def _is_at(outcome: Outcome, value: float | None) -> bool | None:
    if value is None or outcome.target is None:
        return None
    return value <= outcome.target if outcome.lower else value >= outcome.target
