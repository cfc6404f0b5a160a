"""Runs searches side by side: rounds in random order, each search a window with its trials."""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.insight import searches as insight
from jupyter_green.insight.searches_verdict import DIGITS
from jupyter_green.recorder.names import as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.inert import short
from jupyter_green.sessions.model import STUDY
from jupyter_green.studies import search_samplers
from jupyter_green.studies.bars import LateBar
from jupyter_green.studies.rules import Rules
from jupyter_green.studies.search_samplers import Factory
from jupyter_green.studies.search_stop import Stopping, value_of
from jupyter_green.studies.search_trials import DELIBERATE, Objective, Trials, optimised, word
from jupyter_green.studies.spans import span_around
from jupyter_green.studies.steps import ask_levels
from jupyter_green.units import format_number

LONGEST_ERROR = 200
MOST_ERRORS = 20
LONGEST_SHOWN, MOST_SHOWN = 60, 8
"""Of names in a sentence."""
WARM_UP = "warm-up"


@dataclass(frozen=True)
class Plan:
    """What is searched, by whom and how often."""

    objective: Objective
    factories: Mapping[str, Factory]
    seeds: int
    """Searches of each strategy."""
    trials: int
    """Of each search, at most."""
    metric: str
    target: float | None
    """By which searches are compared; None: told from what they find."""
    rules: Rules
    """By which each of them ends."""
    pruner: Any
    """An Optuna pruner; each search has its own copy."""
    warmup: int
    seed: int

    def seed_of(self, strategy: str, count: int) -> int:
        """Of one search. No two of them begin alike: their differences are tested as those of
        independent samples."""
        return random.Random(f"{self.seed} {strategy} {count}").getrandbits(32)


@dataclass
class Rounds:
    """All searches of a plan, in the journal of this process."""

    tracker: Tracker
    plan: Plan
    errors: dict[str, None] = field(default_factory=dict)
    """What trials and samplers raised, in sentences, without those that only repeat others."""
    _without_metric: list[str] = field(default_factory=list)
    """What was said of trials that did not return it, those of the warm-up among them."""
    _trials: int = 0
    """That were begun, likewise."""
    _suffix: str = ""
    """Of the names of all searches."""

    def run(self) -> int:
        """All of it; returns the number of its span. An interrupt passes through.

        Raises:
            SettingError: the grid has no values of something that the objective asks for.
            MetricError: no trial of the warm-up and the first search has returned the metric.
        """
        plan = self.plan
        self._suffix = self._unused_suffix()
        title = f"searches of {plan.metric}: {', '.join(plan.factories)}"
        has_budget = plan.rules.budget_uj is not None
        if has_budget:
            ask_levels(self.tracker)
        try:
            with span_around(self.tracker, title, insight.ALL) as span, search_samplers.quiet():
                self._tell_plan()
                if plan.warmup:
                    self._warm_up()
                self._all_rounds()
        finally:
            if has_budget:
                self.tracker.gauge(False)
        return span

    def _unused_suffix(self) -> str:
        """Reports draw one line for each run of a session: a later study's are others."""
        taken = {metric.run for metric in self.tracker.session().metrics}
        plan = self.plan
        names = [f"{name}#{one}" for name in plan.factories for one in range(1, plan.seeds + 1)]
        suffixes = ("" if number == 1 else f" ({number})" for number in itertools.count(1))
        return next(end for end in suffixes if taken.isdisjoint(name + end for name in names))

    def _tell_plan(self) -> None:
        plan, log = self.plan, self.tracker.metric_logged
        target = math.nan if plan.target is None else plan.target
        better = word(plan.rules.lower)
        log(plan.metric, target, run=insight.TARGET, direction=better, source=STUDY)
        log(insight.TRIALS, plan.trials, run=insight.PLAN, source=STUDY)
        log(insight.SEARCHES, plan.seeds, run=insight.PLAN, source=STUDY)
        for place, (name, factory) in enumerate(plan.factories.items()):
            log(insight.STRATEGY + name, place, run=insight.PLAN, source=STUDY)
            if factory.random_first:
                told = insight.RANDOM_FIRST + name
                log(told, factory.random_first, run=insight.PLAN, source=STUDY)

    def _warm_up(self) -> None:
        """What is loaded on first use (libraries, kernels, caches) is no strategy's energy."""
        plan = self.plan
        try:
            with span_around(self.tracker, WARM_UP, WARM_UP, DELIBERATE):
                search_samplers.warm_up(tuple(plan.factories))
                study = self._study(search_samplers.require().samplers.RandomSampler(seed=0))
                objective = self._watched(WARM_UP, _unlogged(plan))
                study.optimize(objective, n_trials=plan.warmup, catch=(Exception,))
                asked = {name for trial in study.trials for name in trial.params}
        except Exception as raised:
            self._keep(WARM_UP, raised)
            return
        self._check_grid(asked)

    def _check_grid(self, asked: set[str]) -> None:
        """Without a value of what the objective asks for all trials of a grid would fail."""
        for name, factory in self.plan.factories.items():
            unknown = sorted(asked - set(factory.space)) if factory.space is not None else ()
            if unknown:
                raise SettingError(
                    f"the grid has no values of {_listed(unknown)}, which the objective asks for: "
                    f"it has those of {_listed(sorted(factory.space or ()))}; give them, or leave "
                    f"the strategy {name!r:.60} out"
                )

    def _all_rounds(self) -> None:
        plan, source = self.plan, random.Random(self.plan.seed)
        trials = plan.seeds * len(plan.factories) * plan.trials
        bar = LateBar(trials, f"searches of {short(plan.metric)}", "trial")
        try:
            for count in range(1, plan.seeds + 1):
                order = list(plan.factories)
                source.shuffle(order)
                for name in order:
                    is_first = count == 1 and name == order[0]
                    self._search(name, count, _Shown(bar, plan))
                    if is_first:
                        self._end_where_all_fail()
        finally:
            bar.close()

    def _end_where_all_fail(self) -> None:
        """An objective that does not return the metric will not do so in hours, either."""
        if self._without_metric and len(self._without_metric) == self._trials:
            raise MetricError(self._without_metric[0])

    def _search(self, strategy: str, count: int, shown: _Shown) -> None:
        """One search. What goes wrong in it is told, and the others go on."""
        run = f"{strategy}#{count}{self._suffix}"
        seed = self.plan.seed_of(strategy, count)
        try:
            with span_around(self.tracker, run, insight.SEARCH, DELIBERATE):
                self.tracker.metric_logged(insight.SEED, seed, run=run, source=STUDY)
                self._optimize(strategy, run, seed, shown)
        except Exception as raised:
            self._keep(strategy, raised)
        shown.search_ended()

    def _optimize(self, strategy: str, run: str, seed: int, shown: _Shown) -> None:
        plan = self.plan
        stopping = Stopping(self.tracker, plan.rules)
        sampler = plan.factories[strategy](seed)
        study = self._study(sampler)
        reasons: list[str] = []

        def after_trial(study: Any, trial: Any) -> None:
            stopping.trial_ended(value_of(trial))
            shown.trial_ended(run, stopping.best)
            why = stopping.why()
            if why is not None:
                reasons.append(why)
                study.stop()

        trials = Trials(self.tracker, plan.objective, plan.metric, word(plan.rules.lower), run)

        objective = self._watched(strategy, trials.run)
        study.optimize(objective, n_trials=plan.trials, catch=(Exception,), callbacks=[after_trial])
        ended_early = stopping.trials < plan.trials
        has_value = stopping.best is not None
        if has_value and not reasons and search_samplers.has_tried_all(sampler, study, ended_early):
            reasons.append("space")
        self._tell_unasked(strategy, study)
        if reasons:
            name = insight.STOPPED[reasons[0]]
            self.tracker.metric_logged(name, stopping.trials, run=run, source=STUDY)

    def _tell_unasked(self, strategy: str, study: Any) -> None:
        """Values of a grid that change nothing are tried all the same, and again and again."""
        space = self.plan.factories[strategy].space
        if space is None:
            return
        asked = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
        for name in sorted(set(space) - asked) if asked else ():
            self._say(f"{strategy}: no trial has asked for {name!r:.60}, which is in the grid")

    def _study(self, sampler: Any) -> Any:
        return search_samplers.require().create_study(
            direction="minimize" if self.plan.rules.lower else "maximize",
            sampler=sampler,
            # Some pruners remember the trials of their study.
            pruner=copy.deepcopy(self.plan.pruner),
        )

    def _watched(self, whose: str, objective: Objective) -> Objective:
        """The objective, whose errors are told."""
        pruned = search_samplers.require().TrialPruned

        def watched(trial: Any) -> Any:
            self._trials += 1
            try:
                return objective(trial)
            except pruned:
                raise
            except Exception as raised:
                if isinstance(raised, MetricError):
                    self._without_metric.append(str(raised))
                self._keep(whose, raised)
                raise

        return watched

    def _keep(self, strategy: str, raised: Exception) -> None:
        told = f"{type(raised).__name__}: {raised}"[:LONGEST_ERROR]
        self._say(f"{strategy} raised {told}")

    def _say(self, told: str) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors[told] = None


class _Shown:
    """One search on the bar of all trials."""

    def __init__(self, bar: LateBar, plan: Plan) -> None:
        self._bar = bar
        self._metric = plan.metric
        self._left = plan.trials

    def trial_ended(self, run: str, best: float | None) -> None:
        """Another trial is over."""
        value = "none yet" if best is None else format_number(best, DIGITS)
        self._bar.tell(f"{short(run)}: best {short(self._metric)} {value}")
        self._left -= 1
        self._bar.step()

    def search_ended(self) -> None:
        """The trials that it did without are not waited for."""
        self._bar.step(self._left)
        self._left = 0


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name[:LONGEST_SHOWN]) for name in names[:MOST_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _unlogged(plan: Plan) -> Objective:
    """The objective for a trial that counts for nobody."""

    def objective(trial: Any) -> float:
        return as_number(plan.metric, optimised(plan.objective(trial), plan.metric))

    return objective
