"""XGBoost: the metrics of the evaluation sets, after each round.

::

    from jupyter_green.integrations.xgboost import EnergyCallback

    xgboost.train(parameters, data, evals=[(held_out, "validation")], callbacks=[EnergyCallback()])
    XGBClassifier(callbacks=[EnergyCallback()]).fit(x, y, eval_set=[(x2, y2)])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_green.integrations.models import Facts
from jupyter_green.integrations.training import Hooks, callback_class, guarded
from jupyter_green.integrations.wrapping import Wrapping, with_callback
from jupyter_green.optional import require

HIGHER = ("auc", "pre", "map", "ndcg")
"""How the names begin of XGBoost's own metrics of which more is better, as it has them itself for
early stopping; ``mape`` is none of them."""
LOWER = (
    *("rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "merror", "mlogloss"),
    *("poisson-nloglik", "gamma-nloglik", "cox-nloglik", "aft-nloglik", "gamma-deviance"),
    *("tweedie-nloglik", "quantile"),
)
"""Names of its metrics of which less is better (https://xgboost.readthedocs.io, eval_metric)."""


class XGBoostHooks(Hooks):
    """Logs every evaluation set's metrics as ``validation-logloss``; of ``cv``, the means.

    Steps count finished rounds. Rounds are no spans: they are far shorter than any counter tells.
    """

    def before_training(self, model: Any) -> Any:
        self._started()
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._round(epoch, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        self._ended()
        return model

    @guarded
    def _started(self) -> None:
        self._begin("XGBoost", None)
        if self._run is not None:
            self._run.describe(Facts("XGBoost"))

    @guarded
    def _round(self, number: int, evals_log: Any) -> None:
        run = self._run
        if run is None:
            return
        values = {}
        for data, metrics in evals_log.items():
            for metric, history in metrics.items():
                name = f"{data}-{metric}"
                values[name] = _last(history)
                word = _direction(metric)
                if word is not None:
                    run.known.setdefault(name, word)
        run.metrics(values, step=number + 1)

    @guarded
    def _ended(self) -> None:
        self._finish()


def _last(history: Any) -> Any:
    """The newest value; with cross-validation it is a mean and a deviation."""
    value = history[-1]
    return value[0] if isinstance(value, tuple) else value


def _direction(metric: str) -> str | None:
    plain = metric.partition("@")[0].rstrip("-")
    if plain in LOWER:
        return "lower"
    return "higher" if plain.startswith(HIGHER) else None


if TYPE_CHECKING:

    class EnergyCallback(XGBoostHooks): ...


def __getattr__(name: str) -> Any:
    if name != "EnergyCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = require("xgboost").callback.TrainingCallback
    return globals().setdefault(name, callback_class(XGBoostHooks, base, __name__))


# --- autolog ---


def _put(wrapping: Wrapping) -> None:
    xgboost = require("xgboost")
    callback = __getattr__("EnergyCallback")

    def add(given: list[Any]) -> list[Any]:
        ours = any(isinstance(one, XGBoostHooks) for one in given)
        return given if ours else [*given, callback()]

    # The estimators in xgboost.sklearn train by the same function.
    for function in (xgboost.train, xgboost.cv):
        wrapping.function(function, with_callback(add))


_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
