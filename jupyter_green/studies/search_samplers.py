"""The strategies that can be named, and those that a user brings.

Optuna is imported on use.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jupyter_green import optional
from jupyter_green.errors import SettingError
from jupyter_green.studies import arguments

NAMES = ("grid", "random", "tpe", "gp")
WARM_UP_TRIALS = 3
RANDOM_FIRST = 10
"""Trials with which TPE and the Gaussian process begin, drawn at random: Optuna's own default."""
LONGEST_ERROR = 200


@dataclass(frozen=True)
class Factory:
    """Makes a sampler from a seed."""

    make: Callable[[int], Any]
    random_first: int = 0
    """So many trials of each search are drawn at random before the sampler looks at any value; 0:
    none, or it is the user's own, of which nobody knows."""
    space: Mapping[str, Sequence[Any]] | None = None
    """Of a grid: the values of each parameter."""

    def __call__(self, seed: int) -> Any:
        return self.make(seed)


def require() -> Any:
    """Optuna.

    Raises:
        MissingPackage: it is not installed.
    """
    return optional.require("optuna", "jupyter-green[optuna]")


def factories(strategies: object, grid: object) -> dict[str, Factory]:
    """What makes the sampler of each strategy, by its name.

    Raises:
        SettingError: a name is not known, there is no grid for ``"grid"``, or something makes no
            sampler.
        MissingPackage: a strategy needs a package that is not installed.
    """
    if isinstance(strategies, str):
        strategies = (strategies,)
    if not isinstance(strategies, Mapping | Sequence):
        raise SettingError(
            "strategies must be names, or a mapping of names to functions of a seed; it is "
            f"{arguments.shown(strategies)}"
        )
    if not strategies or not all(str(name).strip() for name in strategies):
        raise SettingError("a search needs one strategy at least, each with a name")
    if isinstance(strategies, Mapping):
        made = [(str(name), _brought(str(name), given)) for name, given in strategies.items()]
    else:
        twice = [name for place, name in enumerate(strategies) if name in strategies[:place]]
        if twice:
            raise SettingError(f"strategies: {arguments.shown(twice[0])} is there twice")
        made = [(str(name), _named(name, grid)) for name in strategies]
    return dict(zip(arguments.named([*made]), (factory for _, factory in made), strict=True))


def _brought(name: str, given: Any) -> Factory:
    """The user's own, called once: what is no sampler must not come to light in the last round."""
    if not callable(given):
        raise SettingError(
            f"strategy {name!r:.60} must be a function that takes a seed and returns an Optuna "
            f"sampler; it is {arguments.shown(given)}"
        )
    base = require().samplers.BaseSampler
    is_sampler = isinstance(given, type) and issubclass(given, base)
    if is_sampler and "seed" not in inspect.signature(given).parameters:
        raise SettingError(
            f"strategy {name!r:.60}: {given.__name__} takes no seed; give a function of a seed "
            "that makes one"
        )

    def make(seed: int) -> Any:
        sampler = given(seed=seed) if is_sampler else given(seed)
        if not isinstance(sampler, base):
            raise SettingError(
                f"strategy {name!r:.60} must return an Optuna sampler, it has returned "
                f"{arguments.shown(sampler)}"
            )
        return sampler

    try:
        make(0)
    except SettingError:
        raise
    except Exception as raised:
        told = f"{type(raised).__name__}: {raised}"[:LONGEST_ERROR]
        raise SettingError(f"strategy {name!r:.60} makes no sampler: {told}") from raised
    return Factory(make)


def _named(name: object, grid: object) -> Factory:
    optuna = require()
    match name:
        case "grid":
            space = _space(grid)
            return Factory(lambda seed: optuna.samplers.GridSampler(space, seed=seed), space=space)
        case "random":
            return Factory(lambda seed: optuna.samplers.RandomSampler(seed=seed))
        case "tpe":
            return Factory(_parzen, RANDOM_FIRST)
        case "gp":
            # Imported now: the first search must not pay for it.
            optional.require("scipy", "scipy")
            optional.require("torch", "torch")
            return Factory(_gaussian_process, RANDOM_FIRST)
    raise SettingError(
        f"strategy {arguments.shown(name)} is not known: there are {', '.join(NAMES)}; a mapping "
        "of names to functions of a seed brings your own samplers"
    )


def _space(grid: object) -> dict[str, list[Any]]:
    if not isinstance(grid, Mapping) or not grid:
        raise SettingError(
            "the strategy 'grid' needs the values that it tries: grid={'lr': [0.001, 0.01, 0.1]}; "
            f"it is {arguments.shown(grid)}; others need none: strategies=('random', 'tpe')"
        )
    space = {}
    for name, values in grid.items():
        levels = [] if isinstance(values, str) or not _iterable(values) else list(values)
        if not levels:
            raise SettingError(
                f"grid: {str(name)!r:.60} must have a list of values, it is "
                f"{arguments.shown(values)}"
            )
        space[str(name)] = levels
    return space


def _iterable(values: object) -> bool:
    return hasattr(values, "__iter__")


def _parzen(seed: int) -> Any:
    return require().samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_FIRST)


def _gaussian_process(seed: int) -> Any:
    optuna = require()
    with warnings.catch_warnings():
        # Up to Optuna 4 it is called experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=RANDOM_FIRST)


def warm_up(names: Sequence[str]) -> None:
    """Have the named samplers load what they load on their first use, on a function of no cost."""
    optuna = require()
    kinds = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}

    def costs_nothing(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0.0, 1.0)
        return x + float(trial.suggest_categorical("c", [0, 1]))

    for name in names:
        if name in kinds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = kinds[name](seed=0, n_startup_trials=1)
            optuna.create_study(sampler=sampler).optimize(costs_nothing, n_trials=WARM_UP_TRIALS)


def pruner_of(given: object) -> Any:
    """The user's pruner, or one that prunes nothing.

    Raises:
        SettingError: it is none.
    """
    pruners = require().pruners
    if given is None:
        return pruners.NopPruner()
    if not isinstance(given, pruners.BasePruner):
        raise SettingError(
            "pruner must be an Optuna pruner, as optuna.pruners.MedianPruner(); it is "
            f"{arguments.shown(given)}"
        )
    return given


def has_tried_all(sampler: Any, study: Any, ended_early: bool) -> bool:
    """The space has a finite number of points, and each has been tried."""
    samplers = require().samplers
    if isinstance(sampler, samplers.GridSampler):
        return bool(sampler.is_exhausted(study))
    return ended_early and isinstance(sampler, samplers.BruteForceSampler)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's line for each trial, and its traceback for each that fails: what became
    of them is in the result."""
    logging = require().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)
