"""``compare_searches``: strategies of hyper-parameter search by the energy to a common target.

Yarally et al. ("Uncovering Energy-Efficient Practices in Deep Learning Training", CAIN 2023) ask
which strategy finds good hyper-parameters for least energy, with one run of each. Here each is
repeated over several seeds, and nobody wins whom the repeats do not carry.

What the searches leave in the journal is all that the result is made of (see
:mod:`jupyter_green.insight.searches`), so that ``searches_of`` gives it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.insight import searches as insight
from jupyter_green.insight.searches_values import Outcome, Rivals, Strategy, Trial
from jupyter_green.recorder import here
from jupyter_green.report import charts
from jupyter_green.report.studies import searched, searched_drawn
from jupyter_green.sessions.model import Session
from jupyter_green.studies import arguments, search_samplers
from jupyter_green.studies.rules import LEAST_GAIN, Rules
from jupyter_green.studies.search_run import Plan, Rounds
from jupyter_green.studies.search_samplers import NAMES
from jupyter_green.studies.search_trials import Objective

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_green.report.charts import Chart

SEEDS = 5
TRIALS = 30


@dataclass(frozen=True, repr=False)
class Searches:
    """Strategies of search side by side: shows itself as a verdict, a table and a drawing."""

    outcome: Outcome
    """All figures."""
    errors: tuple[str, ...] = field(default=(), compare=False)
    """What trials and samplers raised, in sentences; empty where it is told from a journal, which
    keeps the kinds of errors and not their messages."""

    @property
    def verdict(self) -> str:
        """The outcome in sentences. They hold names that the user gave."""
        return self.outcome.verdict

    @property
    def notes(self) -> tuple[str, ...]:
        """How it was compared, what was left out, and what limits the trust in the figures."""
        return self.outcome.notes

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        return self.outcome.strategies

    @property
    def pairs(self) -> tuple[Rivals, ...]:
        """All pairs of strategies by what is judged: energy to the target, or time."""
        return self.outcome.judged

    @property
    def target(self) -> float | None:
        """By which all are measured; None: no search has a value."""
        return self.outcome.target

    @property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto front of all completed trials: value against the trial's own joules."""
        return self.outcome.front

    def __getitem__(self, name: str) -> Strategy:
        return self.outcome.strategy(name)

    def dataframe(self) -> pd.DataFrame:
        """All trials as a pandas DataFrame, one row each."""
        return searched.trials_dataframe(self.outcome)

    def chart(self) -> Chart:
        """The best value so far over what the searches took, as an Altair chart."""
        return charts.chart(searched_drawn.spec(self.outcome))

    def markdown(self) -> str:
        """Verdict, table and notes as Markdown, for a pull request."""
        return searched.render_markdown(self.outcome, self.errors)

    def __repr__(self) -> str:
        return searched.render(self.outcome, self.errors)

    def _repr_html_(self) -> str:
        return searched.fragment(self.outcome, self.errors)


def compare_searches(  # noqa: PLR0913  (a study has that many choices)
    objective: Objective,
    *,
    strategies: Sequence[str] | Mapping[str, Callable[[int], Any]] = NAMES,
    seeds: int = SEEDS,
    trials: int = TRIALS,
    metric: str = "accuracy",
    direction: str | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    target: float | None = None,
    stop_at_target: bool = False,
    budget: str | None = None,
    patience: int | None = None,
    least_gain: float = LEAST_GAIN,
    pruner: Any = None,
    warmup: int = 1,
    seed: int | None = None,
) -> Searches:
    """Compare strategies of hyper-parameter search by the energy to a common target.

    ::

        def objective(trial):
            lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
            return accuracy_of(train(lr))

        compare_searches(objective, grid={"lr": [1e-4, 1e-3, 1e-2, 1e-1]}, target=0.95)

    Each strategy searches ``seeds`` times, in rounds of random order. A search is a span of the
    session, and each trial one within it; its metric is logged under the search's name
    (``tpe#3``, in a second study ``tpe#3 (2)``) with the trial's number as step. What the sampler
    does between trials belongs to its search, and so do failed and pruned trials, and those without
    a finite value. A failed trial ends no search, and a failed search not the study; an interrupt
    does, and what was finished by then is in the session: ``searches_of(session())``.

    What is compared is the energy until the target was reached first. Searches that never reached
    it are counted as such: all are compared up to a common horizon, the shortest search that did
    not arrive and might have later, and each counts with its energy to the target or with the
    horizon, whichever is less (:mod:`jupyter_green.insight.searches`). Welch's t test and a
    permutation test, corrected for all pairs after Holm, say whether a difference was found; with
    nothing between the strategies it is, in at most one study of twenty. Modelled energies show no
    saving: there the time to the target is compared.

    A study of more than a few seconds shows a bar of all its trials.

    Args:
        objective: takes an Optuna trial, and returns the metric or a mapping of metrics, all of
            which are logged.
        strategies: ``"grid"``, ``"random"``, ``"tpe"`` (tree-structured Parzen estimator) and
            ``"gp"`` (Gaussian process; needs scipy and PyTorch); or a mapping of names to
            functions that take a seed and return an Optuna sampler, or to classes of samplers.
            TPE and the Gaussian process draw their first 10 trials at random.
        seeds: searches of each strategy. Fewer than five find only large differences.
        trials: of each search, at most.
        metric: what is optimised, and its name where the objective returns a mapping.
        direction: ``"higher"`` or ``"lower"`` is better; by default told from usual names.
        grid: for the strategy ``"grid"``, the values of each parameter. Its points are tried in
            an order of their own for each seed.
        target: value of the metric. Default: 95 % of the best value of all searches, where all
            values are fractions of one and higher is better (Yarally et al. 2023); for any other
            metric 95 % of the way from the median of all trials to the best one.
        stop_at_target: each search ends at the target, which must be given. The best values then
            say little.
        budget: energy that each search may take, as ``"50 Wh"`` or ``"300 J"``: it ends before a
            trial that would take it beyond, if that took as much as those before on average.
        patience: a search ends when its best value has gained no more than ``least_gain`` in so
            many trials, or in twice as many while nothing has been gained since the first one.
        least_gain: in units of the metric (0.002 are 0.2 points of an accuracy).
        pruner: an Optuna pruner; each search has its own copy. Default: none.
        warmup: trials at random that come first, and count for nobody.
        seed: of the order and of all samplers, for repeating a study. Default: another each time.

    Raises:
        SettingError: an argument makes no sense, or the grid has no values of what the objective
            asks for.
        MetricError: nobody knows which is better of the metric, or no trial of the warm-up and
            the first search has returned it.
        MissingPackage: Optuna, or what a strategy needs, is not installed.
        RecorderError: the recorder does not answer.
    """
    if not callable(objective):
        raise SettingError(
            f"the objective must be a function of a trial, it is {arguments.shown(objective)}"
        )
    arguments.text("metric", metric)
    if stop_at_target and target is None:
        raise SettingError("stop_at_target needs the target: give target=")
    stop_at = target if stop_at_target else None
    rules = Rules.checked(metric, direction, budget, stop_at, patience, least_gain)
    if rules.lower is None:
        raise MetricError(
            f"whether more of {metric!r:.60} is better is not known: give direction='higher' or "
            "direction='lower'"
        )
    plan = Plan(
        objective=objective,
        factories=search_samplers.factories(strategies, grid),
        seeds=arguments.whole("seeds", seeds, 1),
        trials=arguments.whole("trials", trials, 1),
        metric=metric,
        target=None if target is None else arguments.real("target", target),
        rules=rules,
        pruner=search_samplers.pruner_of(pruner),
        warmup=arguments.whole("warmup", warmup, 0),
        seed=secrets.randbits(32) if seed is None else arguments.whole("seed", seed),
    )
    rounds = Rounds(here.tracker(), plan)
    span = rounds.run()
    outcome = insight.of_span(rounds.tracker.session(), span)
    return Searches(outcome, tuple(rounds.errors))


def searches_of(session: Session, study: int = -1) -> Searches:
    """What ``compare_searches`` has shown, from a session alone.

    Args:
        session: this process's (``session()``), or a recorded one.
        study: which of its studies, in their order; the last by default.

    Raises:
        SettingError: there is no such study in it, or it is no session.
    """
    if not isinstance(session, Session):
        raise SettingError(
            "searches_of() takes a Session, as session() gives it; it is "
            f"{arguments.shown(session)}"
        )
    arguments.whole("study", study)
    return Searches(insight.outcome(session, study))
