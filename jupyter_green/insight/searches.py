"""Strategies of search by the energy that they need to a common target.

``compare_searches`` leaves in the journal: one span of type ``task`` for all of it, in it one of
type ``run`` for each search, and in that one of type ``trial`` for each trial; the trials' metric
under the search's name, with the trial's number as step; and a few facts as metrics of the source
``study``, whose names are here. Everything that is told of searches is computed from these.

A search that never came to the target has no energy to it. To leave it out, or to count what it
took as if it had arrived, would favour those that gave up. So energies are compared up to a
common horizon: each search counts with what it took to the target, or with the horizon, whichever
is less (a restricted mean: Royston & Parmar, "Restricted mean survival time", BMC Medical Research
Methodology 13 (2013)). The horizon is what the shortest search took that did not arrive and might
have later. One that had tried its whole space, or was ended by its own rule of diminishing
returns, would not have: it counts with the horizon, and does not set it. Without any that might
have, the horizon is the largest energy to the target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

from jupyter_green.errors import SettingError
from jupyter_green.insight import searches_verdict
from jupyter_green.insight.contest import is_fraction
from jupyter_green.insight.searches_values import Outcome, Rivals, Search, Strategy, Trial
from jupyter_green.insight.statistics import LARGEST, contrast, mean, together
from jupyter_green.insight.windows import TRIAL
from jupyter_green.sessions.model import BELOW_RESOLUTION, STUDY, Metric, Session, Span
from jupyter_green.units import UJ_PER_J

ALL, SEARCH = "task", "run"
"""Types of the spans of a study and of its searches."""
TARGET = "search target"
"""Run of the fact about all of a study: its name is the metric's, its value the target that the
user gave (not a number: none), its direction the metric's."""
PLAN = "search plan"
"""Run of the facts about what was planned."""
TRIALS = "trials planned"
SEARCHES = "searches planned"
"""Of each strategy."""
STRATEGY = "strategy "
"""Beginning of the facts that name the strategies; their values are the user's order."""
RANDOM_FIRST = "random first "
"""Beginning of the facts of how many trials of each search a strategy draws at random at first."""
SEED = "search seed"
"""Logged at the beginning of each search, under its name."""
STOPPED: Mapping[str, str] = {
    "target": "stopped at the target",
    "budget": "stopped at the budget",
    "returns": "stopped at diminishing returns",
    "space": "stopped with all of the space tried",
}
"""Facts by the reason why a search ended before its number of trials."""

SHARE = 0.95
"""Of the best value of a fraction that is the target where none is given (Yarally et al.,
"Uncovering Energy-Efficient Practices in Deep Learning Training", CAIN 2023), and of the way from
the median trial to the best one for any other metric, which need not have a zero."""


def outcome(session: Session, study: int = -1) -> Outcome:
    """What the searches of one study have shown.

    Args:
        study: which of the session's, in their order; the last by default.

    Raises:
        SettingError: there is no such study.
    """
    found = list(_studies(session))
    try:
        span, head = found[study]
    except IndexError:
        raise SettingError(
            f"the session has {len(found)} finished search stud{'y' if len(found) == 1 else 'ies'}"
            f", and none with number {study}: compare_searches() makes one"
        ) from None
    return judged(_Read(session, span, head).outcome())


def of_span(session: Session, number: int) -> Outcome:
    """What the searches of the study with this span have shown.

    Raises:
        SettingError: the span is not that of a finished study.
    """
    for span, head in _studies(session):
        if span.span == number:
            return judged(_Read(session, span, head).outcome())
    raise SettingError(f"span {number} is no finished search study")


def studies_of(session: Session) -> tuple[Outcome, ...]:
    """What all finished studies of a session have shown, in their order."""
    return tuple(judged(_Read(session, *found).outcome()) for found in _studies(session))


def _studies(session: Session) -> Iterable[tuple[Span, Metric]]:
    """Spans of finished studies with the fact that makes them such, in the order of time."""
    spans = [span for span in session.spans if span.type == ALL]
    for metric in session.metrics:
        if metric.source == STUDY and metric.run == TARGET:
            around = [span for span in spans if _within(metric, span)]
            if around:
                yield max(around, key=lambda span: span.span), metric


# --- out of the journal -------------------------------------------------------------------


class _Read:
    """One study as it stands in the journal."""

    def __init__(self, session: Session, study: Span, head: Metric) -> None:
        self._session = session
        self._study = study
        self._head = head
        self._lower = head.direction == "lower"
        own = [one for one in session.metrics if _within(one, study)]
        self._logged: dict[str, list[Metric]] = {}
        for one in own:
            if one.run is not None:
                self._logged.setdefault(one.run, []).append(one)
        self._children: dict[int, list[Span]] = {}
        for span in sorted(session.spans, key=lambda one: (one.started_s, one.span)):
            if span.parent is not None:
                self._children.setdefault(span.parent, []).append(span)

    def outcome(self) -> Outcome:
        searches = [
            self._search(span)
            for span in self._children.get(self._study.span, ())
            if span.type == SEARCH
        ]
        target = None if math.isnan(self._head.value) else self._head.value
        is_given = target is not None
        if target is None:
            target = default_target(_values(searches), self._lower)
        searches = [_at_target(one, target, self._lower) for one in searches]
        plan = {one.name: one.value for one in self._logged.get(PLAN, ())}
        # Those that never began, too.
        planned = [name[len(STRATEGY) :] for name in plan if name.startswith(STRATEGY)]
        names = dict.fromkeys([*planned, *(one.strategy for one in searches)])
        in_order = sorted(names, key=lambda name: plan.get(STRATEGY + name, math.inf))
        trials = [trial for one in searches for trial in one.trials]
        best = front(trials, self._lower)
        return Outcome(
            strategies=tuple(
                Strategy(
                    name,
                    tuple(one for one in searches if one.strategy == name),
                    random_first=int(plan.get(RANDOM_FIRST + name, 0)),
                )
                for name in in_order
            ),
            metric=self._head.name,
            lower=self._lower,
            planned=int(plan.get(TRIALS, 0)),
            target=target,
            is_given=is_given,
            front=best,
            clear_front=clear_front(best),
            searches_planned=int(plan.get(SEARCHES, 0)) * len(planned),
            status=self._study.status,
            error=self._study.error,
            notes=tuple(searches_verdict.about_all(self._session, self._study)),
        )

    def _search(self, span: Span) -> Search:
        facts = [one for one in self._logged.get(span.name, ()) if one.source == STUDY]
        seed = next((one for one in facts if one.name == SEED), None)
        strategy = span.name.rpartition("#")[0] or span.name
        ended = {one.name for one in facts}
        return Search(
            strategy=strategy,
            name=span.name,
            seed=None if seed is None else int(seed.value),
            span=span.span,
            started_s=span.started_s,
            duration_s=span.duration_s,
            status=span.status,
            error=span.error,
            energy_j=span.energy.energy_j,
            lag_j=span.energy.lag_uj / UJ_PER_J,
            missing=span.energy.missing,
            provenance=span.energy.provenance,
            trials=tuple(self._trials(span, strategy, None if seed is None else seed.session_uj)),
            stopped=next((why for why, name in STOPPED.items() if name in ended), ""),
            reached=None,
        )

    def _trials(self, search: Span, strategy: str, begin_uj: int | None) -> Iterable[Trial]:
        logged = {
            one.step: one
            for one in self._logged.get(search.name, ())
            if one.name == self._head.name and one.source != STUDY
        }
        spans = [one for one in self._children.get(search.span, ()) if one.type == TRIAL]
        best: float | None = None
        for number, span in enumerate(spans, 1):
            metric = logged.get(float(number)) if span.status == "ok" else None
            if metric is not None and not abs(metric.value) <= LARGEST:
                metric = None
            if metric is not None and (best is None or _reaches(metric.value, best, self._lower)):
                best = metric.value
            at_uj = None if metric is None else metric.session_uj
            yield Trial(
                strategy=strategy,
                search=search.name,
                number=number,
                span=span.span,
                started_s=span.started_s,
                duration_s=span.duration_s,
                status=span.status,
                error=span.error,
                energy_j=span.energy.energy_j,
                bound_j=span.energy.bound_j,
                below_resolution=span.energy.below_resolution,
                missing=span.energy.missing,
                provenance=span.energy.provenance,
                value=None if metric is None else metric.value,
                best=best,
                at_j=None if at_uj is None or begin_uj is None else (at_uj - begin_uj) / UJ_PER_J,
                at_s=None if metric is None else metric.logged_s - search.started_s,
            )


def _within(metric: Metric, span: Span) -> bool:
    return span.started_s <= metric.logged_s <= span.finished_s


def _values(searches: Iterable[Search]) -> list[float]:
    """Of searches that are compared; of all where there are none."""
    known = list(searches)
    chosen = [one for one in known if one.counts] or known
    return [trial.value for one in chosen for trial in one.trials if trial.value is not None]


# --- target and horizon -------------------------------------------------------------------


def default_target(values: Sequence[float], lower: bool) -> float | None:
    """What is within reach: 95 % of the best accuracy; None: there is no value.

    Of a metric that is no fraction of one, where zero may mean nothing, it is 95 % of the way
    from the median of all trials to the best one.
    """
    if not values:
        return None
    best = min(values) if lower else max(values)
    if is_fraction(list(values), lower):
        return SHARE * best
    return best + (1 - SHARE) * (median(values) - best)


def _reaches(value: float, target: float, lower: bool) -> bool:
    return value <= target if lower else value >= target


def _at_target(search: Search, target: float | None, lower: bool) -> Search:
    if target is None:
        return search
    arrived = (
        trial
        for trial in search.trials
        if trial.value is not None and _reaches(trial.value, target, lower)
    )
    return replace(search, reached=next(arrived, None))


@dataclass(frozen=True)
class _Course:
    """One search in joules or in seconds."""

    total: float | None
    to_target: float | None
    is_censored: bool


def _course(search: Search, by_time: bool) -> _Course:
    reached = search.reached
    if by_time:
        arrived_s = None if reached is None else reached.at_s
        return _Course(search.duration_s, arrived_s, search.is_censored)
    arrived_j = None if reached is None else reached.at_j
    return _Course(search.energy_j, arrived_j, search.is_censored)


def horizon(courses: Sequence[_Course]) -> float | None:
    """Up to where all of them are known; None: nothing is."""
    unfinished = [one.total for one in courses if one.is_censored and one.total is not None]
    if unfinished:
        return min(unfinished)
    arrived = [one.to_target for one in courses if one.to_target is not None]
    given_up = [one.total for one in courses if one.to_target is None and one.total is not None]
    return max((*arrived, *given_up), default=None)


def _limited(courses: Sequence[_Course], until: float | None) -> tuple[float, ...]:
    if until is None:
        return ()
    return tuple(until if one.to_target is None else min(one.to_target, until) for one in courses)


# --- judged -------------------------------------------------------------------------------


def judged(draft: Outcome) -> Outcome:
    """With horizon, contrasts and sentences, which are still to be found."""
    doubt = _doubt(draft)
    compared = [one for strategy in draft.strategies for one in strategy.compared]
    has_energy = all(_is_known(one) for one in compared)
    until_j = horizon([_course(one, False) for one in compared]) if has_energy else None
    until_s = horizon([_course(one, True) for one in compared])
    strategies = tuple(
        replace(
            strategy,
            energies_j=_limited([_course(one, False) for one in strategy.compared], until_j),
            durations_s=_limited([_course(one, True) for one in strategy.compared], until_s),
        )
        for strategy in draft.strategies
    )
    somebody_arrived = any(strategy.reached for strategy in strategies)
    arrived = strategies if somebody_arrived else ()
    told = replace(
        draft,
        strategies=strategies,
        horizon_j=until_j,
        horizon_s=until_s,
        doubt=doubt,
        energy=() if doubt else rivals({one.name: one.energies_j for one in arrived}),
        duration=rivals({one.name: one.durations_s for one in arrived}),
        quality=rivals({one.name: one.bests for one in strategies}, lower=draft.lower),
    )
    return replace(
        told,
        sentences=tuple(searches_verdict.sentences(told)),
        notes=(*searches_verdict.notes(told), *draft.notes),
    )


def _is_known(search: Search) -> bool:
    known = [trial.at_j is not None for trial in search.trials if trial.value is not None]
    return search.energy_j is not None and all(known)


def _doubt(draft: Outcome) -> str:
    """Why joules to the target are not held against each other."""
    compared = [one for strategy in draft.strategies for one in strategy.compared]
    if not all(_is_known(one) for one in compared):
        return "no counter"
    if any("modelled" in one.provenance for one in compared):
        return "modelled"
    if any(one.missing for one in compared):
        return "lower bounds"
    reached = [(one.reached.at_j or 0.0, one.lag_j) for one in compared if one.reached is not None]
    if reached and median(lag_j - BELOW_RESOLUTION * at_j for at_j, lag_j in reached) > 0:
        return "short"
    return ""


def rivals(samples: Mapping[str, Sequence[float]], lower: bool = True) -> tuple[Rivals, ...]:
    """All pairs of strategies with two values or more each; corrected for their number (Holm).

    The second of each pair is the better one by its mean.

    Args:
        lower: whether less is better, as of energy.
    """
    known = {name: values for name, values in samples.items() if len(values) > 1}
    pairs = []
    for one, other in combinations(known, 2):
        is_better = _reaches(mean(known[one]), mean(known[other]), lower)
        pairs.append((other, one) if is_better else (one, other))
    tested = together([contrast(known[first], known[second]) for first, second in pairs])
    return tuple(
        Rivals(first, second, found) for (first, second), found in zip(pairs, tested, strict=True)
    )


def front(trials: Iterable[Trial], lower: bool) -> tuple[Trial, ...]:
    """Trials that no other one beats in value and joules, by ascending energy.

    Of equal ones the first stands for all.
    """
    sign = 1.0 if lower else -1.0
    known = [
        (trial.energy_j, sign * trial.value, trial)
        for trial in trials
        if trial.energy_j is not None and trial.value is not None and not trial.missing
    ]
    kept: list[Trial] = []
    least = math.inf
    for _, worse, trial in sorted(known, key=lambda one: one[:2]):
        if worse < least:
            kept.append(trial)
            least = worse
    return tuple(kept)


def clear_front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those of a front that are worse for a reason: cheaper than the better one that is kept by
    more than the bounds of both. What lies within them may be the counters, and no saving."""
    kept: list[Trial] = []
    for trial in reversed(trials):
        if not kept or _is_clearly_less(trial, kept[-1]):
            kept.append(trial)
    return tuple(reversed(kept))


def _is_clearly_less(trial: Trial, other: Trial) -> bool:
    less_j = (other.energy_j or 0.0) - (trial.energy_j or 0.0)
    return less_j > trial.bound_j + other.bound_j
