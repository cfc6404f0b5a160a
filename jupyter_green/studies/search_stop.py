"""When a search ends before its number of trials: at a target, on a budget, at diminishing returns.

The rules are those of ``track()``. Between trials, the energy so far is known from the levels that
the recorder tells; a search ends before a trial that would take it beyond its budget, if that took
as much as those before on average.
"""

from __future__ import annotations

import math
from typing import Any

from jupyter_green.errors import SettingError
from jupyter_green.insight.frontier import Point
from jupyter_green.insight.returns import diminishing
from jupyter_green.recorder import here
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.studies.rules import LEAST_GAIN, Rules
from jupyter_green.studies.steps import Steps, ask_levels, budget_words
from jupyter_green.units import format_number


class Stopping:
    """The rules of one search, asked after each of its trials.

    Args:
        tracker: its gauge must have been asked where there is a budget.
    """

    def __init__(self, tracker: Tracker, rules: Rules) -> None:
        self.lower = bool(rules.lower)
        """Lower is better."""
        self._rules = rules
        self._steps = Steps(tracker)
        self._bests: list[float] = []

    @property
    def trials(self) -> int:
        """Trials that are over."""
        return self._steps.done

    @property
    def best(self) -> float | None:
        """The best value so far; None: none is finite."""
        best = self._bests[-1] if self._bests else math.nan
        return best if math.isfinite(best) else None

    @property
    def used_uj(self) -> float | None:
        """Microjoules so far; None: not known yet."""
        return self._steps.used_uj

    def trial_ended(self, value: float | None) -> None:
        """Another trial is over; None: it has no value."""
        self._steps.step_ended()
        worst = math.inf if self.lower else -math.inf
        before = self._bests[-1] if self._bests else worst
        known = value if value is not None and math.isfinite(value) else worst
        self._bests.append(min(before, known) if self.lower else max(before, known))

    def why(self) -> str | None:
        """``target``, ``returns`` or ``budget``; None: it goes on."""
        rules = self._rules
        if rules.target is not None and self._is_at(rules.target):
            return "target"
        if rules.patience is not None and self._diminish(rules.patience):
            return "returns"
        return "budget" if self._is_spent(rules.budget_uj) else None

    def _is_at(self, target: float) -> bool:
        best = self.best
        if best is None:
            return False
        return best <= target if self.lower else best >= target

    def _diminish(self, patience: int) -> bool:
        # The best so far is what a search is for: one lucky trial is its result.
        points = [Point(0, best) for best in self._bests]
        return diminishing(points, self.lower, patience, self._rules.least_gain)

    def _is_spent(self, budget_uj: int | None) -> bool:
        if budget_uj is None:
            return False
        used_uj = self._steps.used_of(budget_uj)
        if used_uj is None:
            return False
        return used_uj + used_uj / self._steps.done > budget_uj


def value_of(trial: Any) -> float | None:
    """The first value of a completed trial; a pruned one's is only what it last reported."""
    return trial.values[0] if trial.state.name == "COMPLETE" else None


class StopSearch:
    """Ends an Optuna study at a target, on a budget of energy, or at diminishing returns.

    ::

        stop = StopSearch(budget="50 Wh", patience=20)
        study.optimize(objective, n_trials=500, callbacks=[stop])
        stop.stopped

    The budget counts the energy of the whole machine from the moment at which this was made. Of
    several objectives it is the first that the rules look at. Each study needs a new one.

    Args:
        target: the study ends after the first trial with a value at least as good.
        budget: as ``"50 Wh"`` or ``"300 J"``: it ends before a trial that would take it beyond,
            if that took as much as those before on average.
        patience: it ends when the best value has gained no more than ``least_gain`` in so many
            trials, or in twice as many while nothing has been gained since the first one. It
            begins to count after six trials.
        least_gain: in units of the objective (0.002 are 0.2 points of an accuracy).

    Raises:
        SettingError: no rule is given, or one cannot be meant.
    """

    def __init__(
        self,
        *,
        target: float | None = None,
        budget: str | None = None,
        patience: int | None = None,
        least_gain: float = LEAST_GAIN,
    ) -> None:
        # Which way is better, the study knows.
        self._rules = Rules.checked("value", "higher", budget, target, patience, least_gain)
        if target is None and budget is None and patience is None:
            raise SettingError("nothing ends the search: give target=, budget= or patience=")
        self._tracker = here.tracker()
        self._is_asked = False
        self._ask()
        self._stopping = Stopping(self._tracker, self._rules)
        self._study: str | None = None
        """The name of its study; None: it has seen none."""
        self._has_warned = False
        self.stopped: str | None = None
        """Why the study ended before its end, in a sentence; None: it did not."""

    def __call__(self, study: Any, trial: Any) -> None:
        """Optuna's callback, called after each trial."""
        stopping = self._stopping
        if self._study is None:
            self._study = study.study_name
        if study.study_name != self._study:
            self._warn()
            return
        if self.stopped is not None:
            study.stop()  # it is gone on with
            return
        self._ask()
        stopping.lower = study.directions[0].name == "MINIMIZE"
        stopping.trial_ended(value_of(trial))
        why = stopping.why()
        if why is not None:
            self.stopped = self._sentence(stopping, why)
            self._close("ok")
            study.stop()

    def _ask(self) -> None:
        """Levels are told until the cell ends; the study may run in a later one."""
        if self._rules.budget_uj is not None and not self._is_asked:
            ask_levels(self._tracker)
            self._is_asked = True
            self._tracker.when_cell_ends(self._close)

    def _warn(self) -> None:
        """A rule that ends nothing, without a word, may cost hours."""
        if not self._has_warned:
            self._has_warned = True
            print(
                "jupyter_green: this StopSearch belongs to another study and ends nothing here: "
                "make a new one for each study"
            )

    def _sentence(self, stopping: Stopping, why: str) -> str:
        after = f"stopped after {stopping.trials} trial{'s' * (stopping.trials != 1)}"
        if why == "target":
            best = "?" if stopping.best is None else format_number(stopping.best, 4)
            target = format_number(self._rules.target or 0.0, 4)
            return f"{after}: the best value is {best} (target {target})"
        if why == "returns":
            return (
                f"{after}: returns diminish; the last {self._rules.patience} gained no more than "
                f"{format_number(self._rules.least_gain)}"
            )
        level = self._tracker.level()
        modelled = level is not None and level.modelled
        used_uj, budget_uj = stopping.used_uj or 0.0, self._rules.budget_uj or 0
        return f"{after}: {budget_words(used_uj, budget_uj, modelled, 'trial')}"

    def _close(self, status: str) -> None:
        if self._is_asked:
            self._is_asked = False
            self._tracker.gauge(False)

    def __repr__(self) -> str:
        return f"StopSearch: {self.stopped or 'has stopped nothing yet'}"
