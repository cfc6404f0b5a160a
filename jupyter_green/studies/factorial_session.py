"""Runs of a factorial design out of a session: labels and names say the factors.

``measure("train", label="conv=4 linear=3 relu=1")``, ``%%energy --label "width=64 seed=1"``, or,
where no label says a factor, values that were logged with ``run="conv=4 linear=3"``: each word
NAME=VALUE is a factor and its level, other words say nothing. What counts as a run, and what
disturbed it, is judged as in :func:`jupyter_green.insight.compare.contest`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from jupyter_green.errors import SettingError
from jupyter_green.insight.compare import MOST_NAMED, How, contest
from jupyter_green.insight.contest import Repeat, Side
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import Cell, Session, Span
from jupyter_green.studies import arguments

FIGURES = ("energy_j", "duration_s", "provenance", "at_least", "left_out", "label", "cell", "span")
"""Columns of a row beside factors and metric."""
NAMED_BY_USERS = frozenset({"measure", "run"})
"""Types of spans whose name a user chose."""
REMEDY = "write each factor once, as NAME=VALUE, without blanks in either"
LONGEST_LABEL = 80
"""Of one that is told in a note."""
_WORD = re.compile(r"([^\s,;=]*)\s*=\s*([^\s,;=]*)")

Row = dict[str, Any]
Said = dict[str, str]
"""By factor its level, as it was written."""


def runs_of(
    session: Session, factors: str | Sequence[str] | None = None, metric: str | None = None
) -> list[Row]:
    """The runs of a design that was measured in a session, as rows for ``main_effects``.

    ::

        with measure("train", label="conv=4 linear=3 relu=1"):
            ...
            log(accuracy=accuracy)

        runs_of(session(), ["conv", "linear", "relu"], metric="accuracy")

    A row has the level of each factor (a number where it is one, else the text), ``energy_j``
    (joules of the whole machine), ``duration_s``, the last value of the metric that was logged
    inside, ``provenance`` (measured, integrated, modelled), ``at_least`` (a counter was missing:
    the energy is a lower bound), ``left_out`` (why figures are missing; empty: they are not),
    ``label``, and the numbers of ``cell`` and ``span``. A callable that ``compare`` called several
    times a run has the figures of one call. Figures of runs that failed, or that overlapped, are
    None, and so is an energy that was too short for its counters. A label that says only some of
    the factors, or one of them twice or without a value, makes a row without figures, so that it
    is counted, named, and in no mean.

    Args:
        session: running or recorded.
        factors: names of the factors. Default: all that labels say.
        metric: name of a logged metric. Default: none.

    Raises:
        SettingError: fewer than two labels say the factors in a way that can be meant.
    """
    wanted = _wanted(factors)
    if metric is not None:
        _check_metric(session, arguments.text("metric", metric), wanted)
    session = _labelled(session)
    # A run is logged within its labelled window most often: it counts once.
    said, wrong = _said(_labels(session), wanted)
    if not said:
        said, wrong_runs = _said(_runs(session), wanted)
        wrong = wrong_runs if said else {**wrong, **wrong_runs}
    names = wanted or tuple(dict.fromkeys(name for own in said.values() for name in own))
    whole = [text for text, own in said.items() if all(name in own for name in names)]
    if wrong and len(whole) < 2:
        # Nothing usable is left without them.
        raise SettingError(f"{next(iter(wrong.values()))}: {REMEDY}")
    _check_names(session, said, names, metric)
    if len(whole) < 2:
        raise SettingError(_too_few(said, names, whole))
    sides = contest(session, whole, How(metric=metric)).sides
    rows = [row for side in sides for row in _rows(side, said[side.name], names, metric)]
    rows += [
        _without_figures(text, said[text], names, metric) for text in said if text not in whole
    ]
    for text, why in wrong.items():
        rows.append({**_without_figures(text, {}, names, metric), "left_out": why})
    return rows


# --- what labels say ----------------------------------------------------------------------


def _wanted(factors: object) -> tuple[str, ...]:
    if factors is None:
        return ()
    given = [factors] if isinstance(factors, str) else factors
    if not isinstance(given, Iterable):
        raise SettingError(f"factors must be names, as 'conv', it is {arguments.shown(factors)}")
    return tuple(arguments.text("a factor", name) for name in given)


def _labelled(session: Session) -> Session:
    """The session with the names of spans as their labels, where they have none."""

    def labelled(span: Span) -> Span:
        if span.tags.label or span.type not in NAMED_BY_USERS or not _WORD.search(span.name):
            return span
        return structs.replace(span, tags=structs.replace(span.tags, label=span.name))

    return structs.replace(session, spans=tuple(map(labelled, session.spans)))


def _labels(session: Session) -> dict[str, None]:
    """Labels in the order in which they came."""
    windows: list[Cell | Span] = [*session.cells, *session.spans]
    windows.sort(key=lambda one: one.started_s)
    return dict.fromkeys(one.tags.label for one in windows if one.tags.label)


def _runs(session: Session) -> dict[str, None]:
    """Names of logged runs in their order."""
    return dict.fromkeys(one.run for one in session.results if one.run)


def _said(texts: Iterable[str], wanted: Sequence[str]) -> tuple[dict[str, Said], dict[str, str]]:
    """The texts that say a factor, with what they say; and those that cannot be meant, with why."""
    said: dict[str, Said] = {}
    wrong: dict[str, str] = {}
    for text in texts:
        words = [(name, value) for name, value in _words(text) if not wanted or name in wanted]
        why = _why_wrong(text, words)
        if why:
            wrong[text] = why
        elif words:
            said[text] = dict(words)
    return said, wrong


def _why_wrong(text: str, words: Sequence[tuple[str, str]]) -> str:
    """Why a label cannot be meant; empty: it can."""
    label = f"the label {short(text, LONGEST_LABEL)!r}"
    names: set[str] = set()
    for name, value in words:
        if not (name and value):
            return f"{label} has no {'value' if name else 'name'} beside '='"
        if name in names:
            return f"{label} says {short(name, LONGEST_LABEL)!r} twice"
        names.add(name)
    return ""


def _words(text: str) -> list[tuple[str, str]]:
    """What stands on both sides of each equals sign; either may be empty."""
    return _WORD.findall(text)


def _check_names(
    session: Session, said: Mapping[str, Said], names: Sequence[str], metric: str | None
) -> None:
    if not said and not names:
        there = _listed(_labels(session) | _runs(session))
        raise SettingError(
            "no label says a factor: give runs labels of NAME=VALUE, as "
            "measure('train', label='conv=4 relu=1'); "
            + (f"there are {there}" if there else "no label was given")
        )
    for name in names:
        if not any(name in own for own in said.values()):
            known = _listed(
                name
                for text in _labels(session) | _runs(session)
                for name, _ in _words(text)
                if name
            )
            raise SettingError(
                f"no label says the factor {short(name)!r}, as '{short(name)}=1'; "
                + (f"there are {known}" if known else "no label has a word NAME=VALUE")
            )
        if name in FIGURES or name == metric:
            raise SettingError(
                f"{short(name)!r} is a figure of each run: call the factor otherwise"
            )


def _check_metric(session: Session, metric: str, factors: Sequence[str]) -> None:
    if metric in FIGURES or metric in factors:
        raise SettingError(
            f"the metric {short(metric)!r} has the name of another column of the rows"
        )
    logged = {one.name: None for one in session.results}
    if metric not in logged:
        there = _listed(logged)
        raise SettingError(
            f"no metric {short(metric)!r} was logged; "
            + (f"there are {there}" if there else "log(accuracy=...) inside each run")
        )


def _too_few(said: Mapping[str, Said], names: Sequence[str], whole: Sequence[str]) -> str:
    factors = ", ".join(map(short, names))
    if whole:
        return f"{short(whole[0])!r} is the only label that says {factors}: runs differ in labels"
    there = _listed(said)
    return f"no label says all of {factors}: name the factors of one design; labels are {there}"


def _listed(texts: Iterable[str]) -> str:
    names = list(dict.fromkeys(texts))
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(repr(short(name)) for name in names[:MOST_NAMED]) + more


# --- rows ---------------------------------------------------------------------------------


def _rows(side: Side, said: Said, names: Sequence[str], metric: str | None) -> Iterator[Row]:
    for one in side.repeats:
        row = _without_figures(side.name, said, names, metric)
        row |= {"cell": one.cell, "span": one.span, "provenance": ", ".join(one.provenance)}
        row |= {"left_out": one.left_out or one.energy_left_out, "at_least": bool(one.missing)}
        yield row if one.left_out else row | _figures(side, one, metric)


def _figures(side: Side, one: Repeat, metric: str | None) -> Row:
    found: Row = {
        "energy_j": None if one.energy_left_out else one.energy_j,
        "duration_s": one.duration_s,
    }
    return found if metric is None else found | {metric: side.value_of(one)}


def _without_figures(text: str, said: Said, names: Sequence[str], metric: str | None) -> Row:
    levels = {name: _level(said[name]) if name in said else None for name in names}
    missing = ", ".join(short(name) for name in names if name not in said)
    return {
        **levels,
        "energy_j": None,
        "duration_s": None,
        **({} if metric is None else {metric: None}),
        "provenance": "",
        "at_least": False,
        "left_out": f"the label does not say {missing}" if missing else "",
        "label": text,
        "cell": None,
        "span": None,
    }


def _level(text: str) -> int | float | str:
    # Python would read 3_3 as 33.
    for kind in () if "_" in text else (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text
