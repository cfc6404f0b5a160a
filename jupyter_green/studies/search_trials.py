"""Trials of a hyper-parameter search as windows of energy."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_green.errors import MetricError, RecorderError, SettingError
from jupyter_green.events import Tags
from jupyter_green.insight.windows import TRIAL
from jupyter_green.recorder import gpu_sync, here
from jupyter_green.recorder.names import as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import Energy
from jupyter_green.studies import arguments
from jupyter_green.studies.rules import Rules
from jupyter_green.studies.search_samplers import require
from jupyter_green.studies.spans import span_around
from jupyter_green.units import UJ_PER_J

Objective = Callable[[Any], Any]
"""Takes an Optuna trial; returns a number, a mapping of metrics, or several numbers."""

DELIBERATE = Tags(deliberate=True)


class Trials:
    """Runs an objective's trials as spans, and logs what they return under one run.

    Args:
        direction: of the metric, ``"higher"`` or ``"lower"``; None: not known.
        several: the objective may return several values, of which the first is the metric.
    """

    def __init__(
        self,
        tracker: Tracker,
        objective: Objective,
        metric: str,
        direction: str | None,
        run: str,
        several: bool = False,
    ) -> None:
        self._tracker = tracker
        self._objective = objective
        self._metric = metric
        self._direction = direction
        self._run = run
        self._several = several
        self._pruned: type[BaseException] = require().TrialPruned

    def run(self, trial: Any, ended: Callable[[int], None] | None = None) -> Any:
        """One trial; returns what the objective optimises.

        Args:
            ended: is told the number of the trial's span, however it came to its end, unless by
                an interrupt.

        Raises:
            MetricError: the objective returned no number. What it raises itself passes through.
        """
        tracker, number = self._tracker, trial.number + 1
        span: int | None = None
        try:
            with span_around(
                tracker, f"trial {number}", TRIAL, DELIBERATE, pruned=self._pruned
            ) as span:
                # What somebody else has begun on a GPU ends before this trial's work begins.
                gpu_sync.synchronize(tracker.problems)
                returned = self._objective(trial)
                gpu_sync.synchronize(tracker.problems)
                return self._logged(returned, number)
        except KeyboardInterrupt:
            span = None
            raise
        finally:
            if ended is not None and span is not None:
                ended(span)

    def _logged(self, returned: Any, number: int) -> Any:
        """Log the metrics of a trial; returns what is optimised."""
        chosen = optimised(returned, self._metric)
        if isinstance(returned, Mapping):
            for name, value in returned.items():
                if name != self._metric:
                    self._log_other(str(name)[: arguments.LONGEST_NAME], value, number)
        has_several = self._several and isinstance(chosen, tuple | list) and chosen
        value = as_number(self._metric, chosen[0] if has_several else chosen)
        self._tracker.metric_logged(self._metric, value, number, self._run, self._direction)
        return chosen if has_several else value

    def _log_other(self, name: str, value: Any, number: int) -> None:
        try:
            told = as_number(name, value)
        except MetricError:
            return  # a mapping may hold what is no number: only the metric has to be one
        self._tracker.metric_logged(name, told, number, self._run)


def optimised(returned: Any, metric: str) -> Any:
    """What an objective returns, or the metric of a mapping.

    Raises:
        MetricError: it is not in the mapping.
    """
    if not isinstance(returned, Mapping):
        return returned
    if metric not in returned:
        names = ", ".join(repr(str(name)[:60]) for name in list(returned)[:8])
        raise MetricError(
            f"the objective returned no {metric!r:.60}, but {names or 'nothing'}: say metric= with "
            "the name of what is optimised"
        )
    return returned[metric]


class MeasuredTrials:
    """An objective whose trials carry their joules; made by :func:`measure_trials`."""

    def __init__(self, trials: Trials, tracker: Tracker, name: str, with_energy: bool) -> None:
        self._trials = trials
        self._tracker = tracker
        self._name = name
        self._with_energy = with_energy
        self._lock = threading.Lock()
        self._running: dict[int, bool] = {}
        """By trial whether another one ran meanwhile."""

    def __call__(self, trial: Any) -> Any:
        """One trial of the user's study."""
        found: list[Energy] = []
        self._check(trial)

        def ended(span: int) -> None:
            energy = self._energy(span)
            if energy is not None:
                found.append(energy)
                _attach(trial, energy)
            if self._was_shared(trial.number):
                trial.set_user_attr("energy_shared", True)

        self._begun(trial.number)
        try:
            returned = self._trials.run(trial, ended)
        finally:
            self._is_over(trial.number)
        if not self._with_energy:
            return returned
        joules = found[0].energy_j if found else None
        values = returned if isinstance(returned, tuple | list) else (returned,)
        self._check(trial, len(values) + 1)
        # Optuna counts a trial that has no number as failed.
        return (*values, math.nan if joules is None else joules)

    def _check(self, trial: Any, values: int | None = None) -> None:
        """Optuna fails a trial with another number of values, and goes on with the next one.

        Raises:
            SettingError: the user's study has no direction for the joules.
        """
        directions = getattr(getattr(trial, "study", None), "directions", None)
        if not self._with_energy or directions is None:
            return
        count = len(directions)
        if count < 2 or (values is not None and count != values):
            raise SettingError(
                f"with_energy=True adds the joules of a trial to what is optimised: the study "
                f"needs {values or 2} directions and has {count}, as in "
                "optuna.create_study(directions=['maximize', 'minimize'])"
            )

    def _energy(self, span: int) -> Energy | None:
        try:
            return self._tracker.session().span(span).energy
        except (RecorderError, KeyError) as error:
            problem = f"a trial's energy is not known: {type(error).__name__}: {error}"
            if problem not in self._tracker.problems:
                self._tracker.problems.append(problem)
            return None

    # --- trials at the same time ---

    def _begun(self, number: int) -> None:
        with self._lock:
            self._running[number] = False
            if len(self._running) > 1:
                self._running = dict.fromkeys(self._running, True)

    def _was_shared(self, number: int) -> bool:
        with self._lock:
            return self._running.get(number, False)

    def _is_over(self, number: int) -> None:
        with self._lock:
            self._running.pop(number, None)

    def __repr__(self) -> str:
        return f"<MeasuredTrials of {self._name!r:.60}>"


def _attach(trial: Any, energy: Energy) -> None:
    trial.set_user_attr("energy_j", energy.energy_j)
    trial.set_user_attr("energy_bound_j", energy.bound_uj / UJ_PER_J)
    trial.set_user_attr("energy_provenance", " + ".join(energy.provenance))
    if energy.missing:
        trial.set_user_attr("energy_missing", ", ".join(energy.missing))


def measure_trials(
    objective: Objective,
    metric: str = "accuracy",
    *,
    direction: str | None = None,
    with_energy: bool = False,
    run: str | None = None,
) -> MeasuredTrials:
    """Measure the trials of your own Optuna study.

    ::

        study.optimize(measure_trials(objective), n_trials=100)
        study.best_trial.user_attrs["energy_j"]

        study = optuna.create_study(directions=["maximize", "minimize"])
        study.optimize(measure_trials(objective, with_energy=True), n_trials=100)
        study.best_trials

    Each trial is a span of the session, with what it returned logged under one run, so that panel
    and reports show the metric over its energy. The trial itself gets the user attributes
    ``energy_j`` (joules of the whole machine), ``energy_bound_j`` (half-width of the stated
    interval), ``energy_provenance`` (measured, integrated or modelled), ``energy_missing`` where
    a counter could not be read, and ``energy_shared`` where another trial ran at the same time
    (``n_jobs``): its energy is in both. Failed and pruned trials have theirs, too.

    With ``with_energy`` the trials have one objective more, their joules, which is to be minimised:
    Optuna's samplers for several objectives (NSGA-II, TPE) then search for the front of both.
    Where the energy is modelled (``energy_provenance``), joules are seconds times assumed watts,
    and it is a front of metric and time.

    Args:
        objective: as for ``study.optimize``; it may also return a mapping of metrics, all of
            which are logged, or several values, of which the first is the metric.
        metric: name of what it returns first.
        direction: ``"higher"`` or ``"lower"`` is better; by default told from usual names.
        with_energy: append the trial's joules to what is optimised.
        run: under which the metric is logged. Default: the objective's name.

    Raises:
        SettingError: an argument makes no sense. From a trial: the study has too few directions
            for ``with_energy``.
        RecorderError: the energy is to be minimised, and no counter can be read.
        MissingPackage: Optuna is not installed.
    """
    if not callable(objective):
        raise SettingError(
            f"the objective must be a function of a trial, it is {arguments.shown(objective)}"
        )
    require()
    arguments.text("metric", metric)
    lower = Rules.checked(metric, direction, None, None, None, 0.0).lower
    name = str(run or getattr(objective, "__name__", "study"))[: arguments.LONGEST_NAME]
    tracker = here.tracker()
    if with_energy and not any(one.counted for one in tracker.session().counters.values()):
        raise RecorderError(
            "no energy counter can be read here, and no model is possible: there is no energy to "
            "be minimised; %green says why"
        )
    trials = Trials(tracker, objective, metric, word(lower), name, several=True)
    return MeasuredTrials(trials, tracker, name, with_energy)


def word(lower: bool | None) -> str | None:
    """``lower`` or ``higher``, as metrics are logged."""
    return None if lower is None else "lower" if lower else "higher"
