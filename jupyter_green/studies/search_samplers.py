"""The strategies that can be named, and those that a user brings.

Optuna is imported on use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jupyter_green import optional
from jupyter_green.errors import SettingError
from jupyter_green.studies import arguments

NAMES = ("grid", "random", "tpe", "gp")
WARM_UP_TRIALS = 3
Factory = Callable[[int], Any]
"""Makes a sampler from a seed."""


def require() -> Any:
    """Optuna.

    Raises:
        MissingPackage: it is not installed.
    """
    return optional.require("optuna", "jupyter-green[optuna]")


def factories(strategies: object, grid: object) -> dict[str, Factory]:
    """What makes the sampler of each strategy, by its name.

    Raises:
        SettingError: a name is not known, there is no grid for ``"grid"``, or something is no
            factory.
        MissingPackage: a strategy needs a package that is not installed.
    """
    if isinstance(strategies, str):
        strategies = (strategies,)
    if isinstance(strategies, Mapping):
        for name, factory in strategies.items():
            if not callable(factory):
                raise SettingError(
                    f"strategy {str(name)!r:.60} must be a function that takes a seed and returns "
                    f"an Optuna sampler; it is {arguments.shown(factory)}"
                )
        given = [(str(name), factory) for name, factory in strategies.items()]
    else:
        if not isinstance(strategies, Sequence):
            raise SettingError(
                "strategies must be names, or a mapping of names to functions of a seed; it is "
                f"{arguments.shown(strategies)}"
            )
        given = [(str(name), _named(name, grid)) for name in strategies]
    if not given or not all(name.strip() for name, _ in given):
        raise SettingError("a search needs one strategy at least, each with a name")
    return dict(arguments.named(given))


def _named(name: object, grid: object) -> Factory:
    optuna = require()
    match name:
        case "grid":
            space = _space(grid)
            return lambda seed: optuna.samplers.GridSampler(space, seed=seed)
        case "random":
            return lambda seed: optuna.samplers.RandomSampler(seed=seed)
        case "tpe":
            return lambda seed: optuna.samplers.TPESampler(seed=seed)
        case "gp":
            # Imported now: the first search must not pay for it.
            optional.require("scipy", "scipy")
            optional.require("torch", "torch")
            return _gaussian_process
    raise SettingError(
        f"strategy {arguments.shown(name)} is not known: there are {', '.join(NAMES)}; a mapping "
        "of names to functions of a seed brings your own samplers"
    )


def _space(grid: object) -> dict[str, list[Any]]:
    if not isinstance(grid, Mapping) or not grid:
        raise SettingError(
            "the strategy 'grid' needs the values that it tries: grid={'lr': [0.001, 0.01, 0.1]}; "
            f"it is {arguments.shown(grid)}"
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


def _gaussian_process(seed: int) -> Any:
    optuna = require()
    with warnings.catch_warnings():
        # Up to Optuna 4 it is called experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.GPSampler(seed=seed)


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
