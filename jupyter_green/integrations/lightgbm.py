"""LightGBM: the metrics of the evaluation sets, after each round.

::

    from jupyter_green.integrations.lightgbm import EnergyCallback

    lightgbm.train(parameters, data, valid_sets=[held_out], callbacks=[EnergyCallback()])
    LGBMClassifier().fit(x, y, eval_set=[(x2, y2)], callbacks=[EnergyCallback()])
"""

from __future__ import annotations

from typing import Any

from jupyter_green.integrations.models import Facts
from jupyter_green.integrations.training import (
    Direction,
    Hooks,
    TrainingRun,
    begin,
    guarded,
)
from jupyter_green.integrations.wrapping import Wrapping, with_callback
from jupyter_green.optional import require

ORDER = 20


class EnergyCallback(Hooks):
    """Logs every evaluation set's metrics as ``validation-binary_logloss``; of ``cv``, the means.

    Steps count finished rounds. Rounds are no spans: they are far shorter than any counter
    tells. LightGBM tells a callback neither when a training begins nor when it ends: with
    autolog, the training is a span.
    """

    before_iteration = False
    _inside = False
    """Autolog has begun the run, and ends it."""

    def __init__(self, run: str | None = None, direction: Direction = None) -> None:
        require("lightgbm")
        super().__init__(run, direction)
        # Before early_stopping (30), which ends the last round by an error of its own. LightGBM
        # looks for it in the object, not in its class.
        self.order = ORDER

    @guarded
    def __call__(self, env: Any) -> None:
        if env.iteration == env.begin_iteration:
            self._first_round()
        run = self._run
        if run is None:
            return
        values = {}
        for data, metric, value, is_higher, *_ in env.evaluation_result_list or ():
            name = f"{data}-{metric}"
            values[name] = value
            run.known.setdefault(name, "higher" if is_higher else "lower")
        run.metrics(values, step=env.iteration + 1)
        if not self._inside and env.iteration == env.end_iteration - 1:
            self._finish()

    def _first_round(self) -> None:
        if not self._inside:
            self._begin("LightGBM", None, stage=None)
            if self._run is not None:
                self._run.describe(Facts("LightGBM"))

    def within(self, run: TrainingRun | None) -> EnergyCallback:
        """Log into a run that somebody else begins and ends."""
        self._run, self._inside = run, True
        return self


# --- autolog ---


def _put(wrapping: Wrapping) -> None:
    lightgbm = require("lightgbm")
    # The estimators in lightgbm.sklearn train by the same function.
    for function in (lightgbm.train, lightgbm.cv):
        wrapping.function(function, with_callback(_add))


def _add(given: list[Any]) -> list[Any]:
    if any(isinstance(one, EnergyCallback) for one in given):
        return given
    run = begin("LightGBM")
    if run is not None:
        run.describe(Facts("LightGBM"))
    return [*given, EnergyCallback().within(run)]


_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
