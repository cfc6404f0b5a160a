"""Runs searches side by side: rounds in random order, each search a window with its trials."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_green.insight import searches as insight
from jupyter_green.recorder.names import as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import STUDY
from jupyter_green.studies import search_samplers
from jupyter_green.studies.rules import Rules
from jupyter_green.studies.search_samplers import Factory
from jupyter_green.studies.search_stop import Stopping, value_of
from jupyter_green.studies.search_trials import DELIBERATE, Objective, Trials, word
from jupyter_green.studies.spans import span_around

LONGEST_ERROR = 200
MOST_ERRORS = 20
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

    def run(self) -> int:
        """All of it; returns the number of its span. An interrupt passes through."""
        plan = self.plan
        title = f"searches of {plan.metric}: {', '.join(plan.factories)}"
        has_budget = plan.rules.budget_uj is not None
        if has_budget:
            self.tracker.gauge(True)
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

    def _tell_plan(self) -> None:
        plan, log = self.plan, self.tracker.metric_logged
        target = math.nan if plan.target is None else plan.target
        better = word(plan.rules.lower)
        log(plan.metric, target, run=insight.TARGET, direction=better, source=STUDY)
        log(insight.TRIALS, plan.trials, run=insight.PLAN, source=STUDY)
        for place, name in enumerate(plan.factories):
            log(insight.STRATEGY + name, place, run=insight.PLAN, source=STUDY)

    def _warm_up(self) -> None:
        """What is loaded on first use (libraries, kernels, caches) is no strategy's energy."""
        plan = self.plan
        try:
            with span_around(self.tracker, WARM_UP, WARM_UP, DELIBERATE):
                search_samplers.warm_up(tuple(plan.factories))
                study = self._study(search_samplers.require().samplers.RandomSampler(seed=0))
                study.optimize(_unlogged(plan), n_trials=plan.warmup, catch=(Exception,))
        except Exception as raised:
            self._keep(WARM_UP, raised)

    def _all_rounds(self) -> None:
        source = random.Random(self.plan.seed)
        for count in range(1, self.plan.seeds + 1):
            order = list(self.plan.factories)
            source.shuffle(order)
            for name in order:
                self._search(name, count)

    def _search(self, strategy: str, count: int) -> None:
        """One search. What goes wrong in it is told, and the others go on."""
        run, seed = f"{strategy}#{count}", self.plan.seed_of(strategy, count)
        try:
            with span_around(self.tracker, run, insight.SEARCH, DELIBERATE):
                self.tracker.metric_logged(insight.SEED, seed, run=run, source=STUDY)
                self._optimize(strategy, run, seed)
        except Exception as raised:
            self._keep(strategy, raised)

    def _optimize(self, strategy: str, run: str, seed: int) -> None:
        plan = self.plan
        sampler = plan.factories[strategy](seed)
        study = self._study(sampler)
        stopping = Stopping(self.tracker, plan.rules)
        reasons: list[str] = []

        def after_trial(study: Any, trial: Any) -> None:
            stopping.trial_ended(value_of(trial))
            why = stopping.why()
            if why is not None:
                reasons.append(why)
                study.stop()

        trials = Trials(self.tracker, plan.objective, plan.metric, word(plan.rules.lower), run)

        def objective(trial: Any) -> Any:
            try:
                return trials.run(trial)
            except search_samplers.require().TrialPruned:
                raise
            except Exception as raised:
                self._keep(strategy, raised)
                raise

        study.optimize(objective, n_trials=plan.trials, catch=(Exception,), callbacks=[after_trial])
        ended_early = stopping.trials < plan.trials
        if not reasons and search_samplers.has_tried_all(sampler, study, ended_early):
            reasons.append("space")
        if reasons:
            name = insight.STOPPED[reasons[0]]
            self.tracker.metric_logged(name, stopping.trials, run=run, source=STUDY)

    def _study(self, sampler: Any) -> Any:
        optuna = search_samplers.require()
        pruner = optuna.pruners.NopPruner() if self.plan.pruner is None else self.plan.pruner
        return optuna.create_study(
            direction="minimize" if self.plan.rules.lower else "maximize",
            sampler=sampler,
            # Some pruners remember the trials of their study.
            pruner=copy.deepcopy(pruner),
        )

    def _keep(self, strategy: str, raised: Exception) -> None:
        if len(self.errors) < MOST_ERRORS:
            told = f"{type(raised).__name__}: {raised}"[:LONGEST_ERROR]
            self.errors[f"{strategy} raised {told}"] = None


def _unlogged(plan: Plan) -> Objective:
    """The objective for a trial that counts for nobody."""

    def objective(trial: Any) -> float:
        returned = plan.objective(trial)
        value = returned.get(plan.metric) if isinstance(returned, Mapping) else returned
        return as_number(plan.metric, value)

    return objective
