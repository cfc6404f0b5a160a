"""``track(epochs, metric="accuracy")``: a progress bar that knows what the loop costs.

It shows the energy so far, what the whole loop will take with a 90 % interval, its CO2e, and the
joules for each point of the metric; and it ends the loop between two steps where that is asked
for: on a budget, at a target, when returns diminish.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from jupyter_green.errors import RecorderError
from jupyter_green.events import Tags
from jupyter_green.insight.frontier import Curve, Point
from jupyter_green.insight.prediction import Prediction, predict
from jupyter_green.insight.returns import diminishing, last_stretch
from jupyter_green.recorder import here
from jupyter_green.recorder.names import as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.studies.bars import Bar
from jupyter_green.studies.rules import LEAST_GAIN, Rules, metric_name, total_of
from jupyter_green.studies.steps import Steps, ask_levels, budget_words
from jupyter_green.units import (
    co2_g,
    format_co2,
    format_energy,
    format_number,
)

T = TypeVar("T")

SHOW_EVERY_S = 0.5
SPAN_S = 0.05
"""Steps that are shorter than this have their spans together."""
MOST_LOOKS = 50
"""From so many values on, returns are looked at after every fiftieth part of them."""
EXPECTED_WITHIN = 3
"""Steps after which a metric that a rule is about should have been logged."""


class track(Generic[T]):  # used like a function: ``for epoch in track(range(20)):``
    """Iterate over the steps of a training, and show what they cost.

    ::

        for epoch in track(range(20), metric="accuracy"):
            train(model)
            log(accuracy=evaluate(model))

        epochs = track(range(200), metric="loss", patience=5, budget="50 Wh")
        for epoch in epochs: ...
        epochs.energy_j, epochs.prediction, epochs.stopped

    Each step is a span in the session; steps below 50 ms share one. The prediction is made from
    a tenth of the steps on, where their number is known
    (:mod:`jupyter_green.insight.prediction`). Energy is that of the whole machine.

    Args:
        steps: what is iterated over.
        metric: name of a metric that is logged meanwhile, or a function without arguments that is
            called after each step and whose value is logged.
        total: number of steps, where ``len(steps)`` does not tell it.
        name: what the loop is called.
        run: name of a training run: only its values of the metric count. Default: all values; those
            of a function belong to the run ``name``.
        direction: ``"higher"`` or ``"lower"`` is better; by default told from usual names.
        stage: stage of the lifecycle that the steps belong to.
        budget: energy that the loop may take, as ``"50 Wh"`` or ``"300 J"``: it ends before a
            step that would take it beyond that, if the step took as much as the last one.
        target: the loop ends after the first step with a value at least as good.
        patience: the loop ends when this many values have gained no more than ``least_gain``, or
            twice as many while nothing has been gained since the beginning. It counts the best of
            medians of three neighbours, so that one lucky value decides nothing, and begins
            to count after six values.
        least_gain: in units of the metric (0.002 are 0.2 points of an accuracy).
        show: with a progress bar.

    Raises:
        SettingError: a rule cannot be meant (a budget that is no energy, a patience below 1), or
            it needs a metric.
        MetricError: a rule needs a direction, and the metric's name does not tell it.
    """

    def __init__(  # noqa: PLR0913  (keywords, as a progress bar has)
        self,
        steps: Iterable[T],
        metric: str | Callable[[], Any] | None = None,
        *,
        total: int | None = None,
        name: str = "training",
        run: str | None = None,
        direction: str | None = None,
        stage: str | None = "training",
        budget: str | None = None,
        target: float | None = None,
        patience: int | None = None,
        least_gain: float = LEAST_GAIN,
        show: bool = True,
    ) -> None:
        self._steps = steps
        self._metric = metric_name(metric)
        self._measure = metric if callable(metric) else None
        self._total = _length(steps) if total is None else total_of(total)
        self._name = str(name)
        self._own_run = run
        self._run = str(run or name)
        self._tags = Tags(stage=None if stage is None else str(stage))
        self._rules = Rules.checked(self._metric, direction, budget, target, patience, least_gain)
        self._lower = self._rules.lower
        self._show = show
        self._progress: _Progress | None = None
        self.stopped: str | None = None
        """Why the loop ended before its end, in a sentence; None: it did not."""

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError("the number of steps is not known: give total=")
        return self._total

    def __iter__(self) -> Iterator[T]:
        progress = self._progress = _Progress(self, here.tracker())
        self.stopped = None
        status = "ok"
        try:
            for step in self._steps:
                self.stopped = progress.why_stop()
                if self.stopped is not None:
                    break
                progress.step_began()
                yield step
                progress.step_ended()
        except GeneratorExit:
            # The loop was left, by ``break`` or by an error, which is the cell's.
            raise
        except BaseException as error:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
            raise
        finally:
            progress.close(status)
        if self.stopped is not None and self._show:
            print(f"jupyter_green: {self.stopped}")

    # --- what it has cost ---

    @property
    def energy_j(self) -> float | None:
        """Joules of the loop so far; None: not begun, or nothing is known."""
        if self._progress is None:
            return None
        self._progress.settle()
        return self._progress.energy_j

    @property
    def prediction(self) -> Prediction | None:
        """What the whole loop will take; None: too early, or the number of steps is not known."""
        return None if self._progress is None else self._progress.prediction()

    @property
    def curve(self) -> Curve | None:
        """The metric over the loop's energy."""
        return None if self._progress is None else self._progress.curve()

    def __repr__(self) -> str:
        words = self._progress.words() if self._progress is not None else "not begun"
        return f"track({self._name!r}): {words}" + (f"; {self.stopped}" if self.stopped else "")


class _Progress:
    """One pass through the loop.

    Nothing in here may keep the user's loop from going on: what fails is a problem of the session.
    """

    def __init__(self, of: track[Any], tracker: Tracker) -> None:
        self._of = of
        self._tracker = tracker
        self._closed = False
        if of._rules.budget_uj is None:
            tracker.gauge(True)
        else:
            ask_levels(tracker)
        if of._metric is not None:
            tracker.listen(self._heard)
        # What an error leaves behind would end with the session.
        tracker.when_cell_ends(self.close)
        self._outer = tracker.span_started(of._name, "measure", of._tags)
        self._inner: int | None = None
        self._inner_s = 0.0
        self._last_value: float | None = None
        self._others: dict[str, None] = {}
        """Metrics that were logged meanwhile, and are not this one."""
        self._has_warned = False
        self._asked_next = 1
        """So many values must have been logged until the rule of returns is asked again."""
        self._steps = Steps(tracker)
        self._shown_s = 0.0
        self._used_uj: float | None = None
        self._exact = False
        self._bar = Bar(of._total, of._name) if of._show else None

    # --- steps ---

    def step_began(self) -> None:
        if self._inner is None:
            number = self._steps.done + 1
            quick = number > 1 and self._inner_s < SPAN_S
            name = f"steps from {number} on" if quick else f"step {number}"
            self._inner = self._tracker.span_started(name, "epoch", self._of._tags)
            self._inner_began_s = time.perf_counter()

    def step_ended(self) -> None:
        of = self._of
        if of._measure is not None and of._metric is not None:
            value = as_number(of._metric, of._measure())
            self._tracker.metric_logged(
                of._metric, value, self._steps.done + 1, of._run, _word(of._lower)
            )
        self._steps.step_ended()
        now_s = time.perf_counter()
        self._inner_s = now_s - self._inner_began_s
        if self._inner_s >= SPAN_S or self._steps.done == 1:
            self._end_inner("ok")
        if self._bar is not None:
            self._bar.step()
        if now_s - self._shown_s >= SHOW_EVERY_S:
            self._shown_s = now_s
            self._steps.settle()
            if self._bar is not None:
                self._bar.tell(self.words())

    def _end_inner(self, status: str) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            self._tracker.span_finished(inner, status)

    def _heard(self, name: str, value: float, run: str | None, t_s: float) -> None:
        of = self._of
        if name != of._metric or (of._own_run is not None and run != of._run):
            self._others[name if run is None else f"{name} of run {run}"] = None
        elif not self._closed:
            self._last_value = value
            self._steps.value_logged(value, t_s)

    def close(self, status: str) -> None:
        """The loop is over, however it came to that."""
        if self._closed:
            return
        self._end_inner(status)
        self._tracker.span_finished(self._outer, status)
        if status == "ok":
            self._warn_of_silence()
        self._steps.settle()
        self._used_uj = self._steps.used_uj
        self._closed = True
        if self._bar is not None:
            self._bar.tell(self.words())
            self._bar.close()
        self._tracker.listen_no_more(self._heard)
        # The last steps lie after the newest level.
        self._tracker.refresh_level()
        self._tracker.gauge(False)

    # --- rules ---

    def why_stop(self) -> str | None:
        """Asked before each step."""
        rules = self._of._rules
        if not self._steps.done:
            return None
        if self._steps.done == EXPECTED_WITHIN:
            self._warn_of_silence()
        return self._target(rules) or self._returns(rules) or self._budget(rules)

    def _warn_of_silence(self) -> None:
        """A rule about a metric that nobody logs does nothing, and nobody would know."""
        of = self._of
        if not of._rules.need_values or self._steps.logged or self._has_warned:
            return
        self._has_warned = True
        others = ", ".join(name[:60] for name in list(self._others)[-4:]) or "nothing"
        whose = f" of run {of._run!r:.60}" if of._own_run is not None else ""
        print(
            f"jupyter_green: no value of {of._metric!r:.60}{whose} was logged in "
            f"{self._steps.done} steps, so that nothing ends the loop; logged was: {others}"
        )

    def _target(self, rules: Rules) -> str | None:
        value = self._last_value
        if rules.target is None or value is None or not math.isfinite(value):
            return None
        reached = value <= rules.target if self._of._lower else value >= rules.target
        if not reached:
            return None
        return (
            f"{self._after()}: {self._of._metric} has reached {format_number(value, 4)} "
            f"(target {format_number(rules.target, 4)})"
        )

    def _returns(self, rules: Rules) -> str | None:
        values = self._steps.logged
        if rules.patience is None or values < max(self._asked_next, rules.patience + 3):
            return None
        # Looking at all values after each of very many would cost more than the steps.
        self._asked_next = values + 1 + values // MOST_LOOKS
        # The rule is about values: it holds where no energy is known, too.
        points = [Point(0, value) for value in self._steps.values]
        if not diminishing(points, bool(self._of._lower), rules.patience, rules.least_gain):
            return None
        if not math.isfinite(points[-1].value):
            return f"{self._after()}: {self._of._metric} is {points[-1].value}"
        curve = self.curve()
        count = min(rules.patience, len(curve.points) - 1) if curve else 0
        stretch = last_stretch(curve, count) if curve else None
        modelled = " (modelled)" if self._modelled else ""
        told = f"; {stretch.sentence}{modelled}" if stretch else ""
        return f"{self._after()}: returns diminish{told}"

    def _budget(self, rules: Rules) -> str | None:
        if rules.budget_uj is None:
            return None
        used_uj = self._steps.used_of(rules.budget_uj)
        if used_uj is None or used_uj + (self._steps.last_j or 0.0) * 1e6 <= rules.budget_uj:
            return None
        words = budget_words(used_uj, rules.budget_uj, self._modelled, "step")
        return f"{self._after()}: {words}"

    def _after(self) -> str:
        of = f" of {self._of._total}" if self._of._total is not None else ""
        steps = "step" if self._of._total is None and self._steps.done == 1 else "steps"
        return f"stopped after {self._steps.done}{of} {steps}"

    # --- words ---

    @property
    def energy_j(self) -> float | None:
        uj = self._used_uj if self._closed else self._steps.used_uj
        return None if uj is None else uj / 1e6

    def settle(self) -> None:
        """Of a loop that is over the session knows better: boundaries are in its stamps."""
        if not self._closed or self._exact:
            return
        try:
            self._used_uj = self._tracker.session().span(self._outer).energy.total_uj
        except (RecorderError, KeyError):
            return  # what was told meanwhile stays
        self._exact = True

    @property
    def _modelled(self) -> bool:
        level = self._tracker.level()
        return level is not None and level.modelled

    def prediction(self) -> Prediction | None:
        total, each = self._of._total, self._steps.each
        if total is None:
            return None
        # A last bin that is not full yet is left out, and so is a rest of the steps.
        whole = max(1, round(total / each))
        return predict(self._steps.energies_j, whole, self._steps.durations_s)

    def curve(self) -> Curve | None:
        if self._of._metric is None:
            return None
        points = tuple(point for point in self._steps.points if math.isfinite(point.value))
        return Curve(self._of._metric, self._of._run, None, self._of._lower, points)

    def words(self) -> str:
        """``85 J so far · 0.8 kJ in all (0.7 to 1.0) · 12 mg CO2e · 3.2 J a point``."""
        energy_j = self.energy_j
        if energy_j is None:
            return "energy not known yet"
        parts = [format_energy(energy_j * 1e6) + (" (modelled)" if self._modelled else "")]
        told = None if self._closed else self.prediction()
        if told is not None:
            low, high = (format_energy(one * 1e6) for one in (told.low_j, told.high_j))
            parts.append(f"{format_energy(told.energy_j * 1e6)} in all ({low} to {high})")
        parts += [*self._co2(told.energy_j if told is not None else energy_j), *self._per_point()]
        return " · ".join(parts)

    def _co2(self, energy_j: float) -> Iterable[str]:
        level = self._tracker.level()
        if level is not None and level.g_per_kwh is not None:
            yield f"{format_co2(co2_g(energy_j * 1e6, level.g_per_kwh, level.pue))} CO₂e"

    def _per_point(self) -> Iterable[str]:
        curve = self.curve()
        each = curve.uj_per_point if curve is not None and curve.points else None
        if curve is not None and each is not None:
            yield f"{format_energy(each)} per {'point' if curve.is_fraction else '1'}"


def _word(lower: bool | None) -> str | None:
    return None if lower is None else "lower" if lower else "higher"


def _length(steps: Iterable[object]) -> int | None:
    try:
        return len(steps)  # type: ignore[arg-type]
    except TypeError:
        return None
