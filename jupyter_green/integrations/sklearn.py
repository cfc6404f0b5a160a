"""scikit-learn: what fits, searches and cross-validations leave, and the scores that users ask for.

::

    from jupyter_green.integrations.sklearn import EnergyCallback

    with EnergyCallback():
        model.fit(x, y)
        model.score(x_held_out, y_held_out)

Most estimators take no callbacks, so that the calls themselves are wrapped, within the block or,
by ``autolog("sklearn")``, for good. Nothing is computed for it: a fit tells what it leaves in the
estimator, and a score is logged when the user asks for one.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from types import TracebackType
from typing import Any

from jupyter_green.integrations import models, outermost
from jupyter_green.integrations.training import (
    Direction,
    TrainingRun,
    begin,
    checked,
    guarded,
)
from jupyter_green.integrations.wrapping import Function, Wrapping
from jupyter_green.optional import require

MOST = 200
"""Values of one curve that are logged at most; of longer ones, so many that lie evenly."""
ELSEWHERE = frozenset({"lightgbm", "xgboost"})
"""Packages whose estimators train by functions that have callbacks."""

# What a fit leaves: attribute, metric, direction. scikit-learn's scores are such that more is
# better always; errors have a minus (https://scikit-learn.org/stable/modules/model_evaluation.html).
CURVES = (
    ("loss_curve_", "loss", "lower"),
    ("validation_scores_", "validation_score", "higher"),
)
VALUES = (
    ("oob_score_", "oob_score", "higher"),
    ("inertia_", "inertia", "lower"),
    ("best_score_", "best_score", "higher"),
)
ARRAYS = ("coef_", "intercept_", "coefs_", "intercepts_")
"""Where linear models and neural networks keep their parameters."""
TRAINS = ("predict", "fit_predict", "_run_search")
"""What has none of these trains nothing: scalers and encoders prepare data."""
OTHER_CALLS = ("cross_val_predict", "learning_curve", "permutation_test_score", "validation_curve")
"""Functions of ``sklearn.model_selection`` that fit again and again, and are one run each."""


class EnergyCallback:
    """Within the block, scikit-learn's outermost calls are runs.

    Steps count iterations, candidates of a search or folds. All values of a call are logged at
    its end, beside the energy of the whole of it: nobody tells when the earlier ones were known.

    Args:
        run: name of the run; default: the estimator's class with a number, for each fit.
        direction: as of all callbacks; scikit-learn's scores need none.

    Raises:
        MissingPackage: scikit-learn is not installed.
        MetricError: the direction is neither higher nor lower.
    """

    def __init__(self, run: str | None = None, direction: Direction = None) -> None:
        require("sklearn", "scikit-learn")
        self._said = run, checked(direction)

    def __enter__(self) -> EnergyCallback:
        install()
        _blocks.said.append(self._said)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        uninstall()
        _blocks.said.remove(self._said)


class _Blocks(threading.local):
    """What the blocks around have said in this thread, the innermost last."""

    def __init__(self) -> None:
        self.said: list[tuple[str | None, Direction]] = []


_blocks = _Blocks()


def _begin(model: Any, stage: str = "training") -> TrainingRun | None:
    name, direction = _blocks.said[-1] if _blocks.said else (None, None)
    return begin(type(model).__name__, model, name=name, direction=direction, stage=stage)


# --- wrapped calls ---


def _put(wrapping: Wrapping) -> None:
    require("sklearn", "scikit-learn")
    base: type = require("sklearn.base").BaseEstimator
    for cls in _below(base):
        _wrap_class(wrapping, cls)
    wrapping.subclasses(base, lambda cls: _wrap_class(wrapping, cls))
    validation = require("sklearn.model_selection._validation")
    # cross_val_score() calls it.
    wrapping.function(validation.cross_validate, _around(_function_begins, _cross_validated))
    for name in OTHER_CALLS:
        wrapping.function(getattr(validation, name), _around(_function_begins, _nothing))


def _wrap_class(wrapping: Wrapping, cls: type) -> None:
    """Its own ``fit`` and ``score``, and those of the mixins that it is made of."""
    for one in cls.__mro__:
        if one.__module__.partition(".")[0] in ELSEWHERE:
            continue
        for name, (begins, ended) in METHODS.items():
            holder = _holder(one, name)
            if holder is not None and not wrapping.has(*holder):
                wrapping.method(*holder, _around(begins, ended))


def _holder(cls: type, name: str) -> tuple[Any, str] | None:
    """Where the function is: in the class itself or, where it depends on the steps of a pipeline
    whether there is such a method, in a descriptor."""
    own = cls.__dict__.get(name)
    if inspect.isfunction(own):
        return cls, name
    return (own, "fn") if inspect.isfunction(getattr(own, "fn", None)) else None


def _below(base: type) -> list[type]:
    """All subclasses that have been defined so far."""
    direct: list[type] = type.__subclasses__(base)
    return [*direct, *(below for cls in direct for below in _below(cls))]


Begins = Callable[[tuple[Any, ...], dict[str, Any]], TrainingRun | None]
Ended = Callable[[TrainingRun, Any, Any], None]


def _around(begins: Begins, ended: Ended) -> Any:
    """The outermost call is a run, which ``ended`` gets with the estimator and the result."""

    def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with outermost.Entry() as is_outermost:
            run = begins(args, kwargs) if is_outermost else None
            result = original(*args, **kwargs)
            if run is not None:
                ended(run, _estimator(args, kwargs), result)
            return result

    return around


def _estimator(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of a method itself; of a function its first argument."""
    return args[0] if args else kwargs.get("estimator")


@guarded
def _fit_begins(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TrainingRun | None:
    model = _estimator(args, kwargs)
    trains = any(hasattr(model, name) for name in TRAINS)
    return _begin(model) if trains else None


@guarded
def _score_begins(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TrainingRun | None:
    return _begin(_estimator(args, kwargs), stage="evaluation")


@guarded
def _function_begins(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TrainingRun | None:
    return _begin(_estimator(args, kwargs))


# --- what they leave ---


@guarded
def _fitted(run: TrainingRun, model: Any, result: Any) -> None:
    final = _final(model)
    run.describe(models.of_arrays(type(final).__name__, _arrays(final)))
    left = vars(model)
    for attribute, metric, word in CURVES:
        _log_curve(run, metric, left.get(attribute), word)
    _log_search(run, left.get("cv_results_"))
    for attribute, metric, word in VALUES:
        if left.get(attribute) is not None:
            _log(run, metric, left[attribute], _iterations(left.get("n_iter_")), word)


@guarded
def _scored(run: TrainingRun, model: Any, result: Any) -> None:
    _log(run, "score", result, None, "higher")


@guarded
def _cross_validated(run: TrainingRun, model: Any, results: Mapping[str, Any]) -> None:
    """Each fold, and the mean of them all."""
    for name, scores in results.items():
        if name.startswith("test_"):
            _log_curve(run, name, scores, "higher")
            _log(run, f"mean_{name}", scores.mean(), None, "higher")


def _nothing(run: TrainingRun, model: Any, result: Any) -> None:
    """The call has a span, and leaves what says nothing about one model."""


def _log_search(run: TrainingRun, results: Any) -> None:
    """The mean score of each candidate; ``cv_results_`` has other contents elsewhere."""
    if not isinstance(results, Mapping):
        return
    for name, scores in results.items():
        if name.startswith("mean_test_"):
            _log_curve(run, name, scores, "higher")


def _log_curve(run: TrainingRun, name: str, values: Any, word: str) -> None:
    if values is None:
        return
    for number in _evenly(len(values)):
        _log(run, name, values[number], number + 1, word)


def _evenly(count: int) -> Iterable[int]:
    if count <= MOST:
        return range(count)
    return [round(index * (count - 1) / (MOST - 1)) for index in range(MOST)]


def _log(run: TrainingRun, name: str, value: Any, step: float | None, word: str) -> None:
    run.known[name] = word
    run.metric(name, value, step)


def _iterations(count: Any) -> float | None:
    """How many the fit took, where it is one number."""
    return float(count) if isinstance(count, Real) else None


def _final(model: Any) -> Any:
    """What a search or a pipeline has trained."""
    for _ in range(10):
        left = vars(model)
        if "best_estimator_" in left:
            model = left["best_estimator_"]
        elif left.get("steps") and type(model).__name__ == "Pipeline":
            model = left["steps"][-1][1]
        else:
            break
    return model


def _arrays(model: Any) -> list[Any]:
    found = []
    for name in ARRAYS:
        value = vars(model).get(name)
        found += value if isinstance(value, list) else [value]
    return [one for one in found if hasattr(one, "itemsize")]


METHODS: dict[str, tuple[Begins, Ended]] = {
    "fit": (_fit_begins, _fitted),
    "score": (_score_begins, _scored),
}

_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
