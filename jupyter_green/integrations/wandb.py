"""Weights & Biases: what is logged is read, and joules go into the same row of the run's history.

We write only into the run that the user has opened: where that goes, and whether it leaves the
machine at all, is what he has set up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from jupyter_green.integrations.calls import Steps
from jupyter_green.integrations.tracked_runs import ENERGY, SoFar, Totals, TrackedRuns
from jupyter_green.integrations.wrapping import Wrapping
from jupyter_green.optional import require

CONFIG = "jupyter_green"

_runs = TrackedRuns("wandb")
_open: dict[str, Any] = {}
_directions: dict[str, dict[str, str]] = {}
"""By run and by the name or pattern that was given to ``define_metric``."""


def install() -> None:
    """Read what is logged to W&B from here on, and write joules beside it. Safe to call twice.

    Raises:
        MissingPackage: W&B is not installed.
    """
    wandb = require("wandb")
    if _runs.on:
        return
    _wrapping.install()
    _runs.begin(_end_open_runs)
    _bind(wandb)
    if wandb.run is not None:
        _meet(wandb.run)


def uninstall() -> None:
    """Leave W&B as it was. Safe to call twice."""
    was_on = _runs.on
    _wrapping.uninstall()
    _runs.end()
    _open.clear()
    _directions.clear()
    if was_on:
        _bind(require("wandb"))


def _wrap(wrapping: Wrapping) -> None:
    wandb, around = require("wandb"), _runs.calls.around
    # A run that this one replaces is finished inside of it.
    wrapping.function(wandb.init, around(_initialising, opaque=False))
    wrapping.method(wandb.Run, "log", around(_logging))
    wrapping.method(wandb.Run, "define_metric", around(_defining))
    wrapping.method(wandb.Run, "finish", around(_finishing))
    wrapping.method(wandb.Run, "__exit__", around(_finishing))


_wrapping = Wrapping(_wrap)


def _bind(wandb: ModuleType) -> None:
    """While a run is open, ``wandb.log`` and its like are methods that were taken from it."""
    run = wandb.run
    for name in ("log", "define_metric"):
        if run is not None and getattr(getattr(wandb, name), "__self__", None) is run:
            setattr(wandb, name, getattr(run, name))


# --- calls ------------------------------------------------------------------------------------


def _initialising(call: dict[str, Any]) -> Steps:
    run = yield None
    if not run.disabled:
        _meet(run)


def _logging(call: dict[str, Any]) -> Steps:
    run, data = call["self"], call["data"]
    key, step = _meet(run), _step(run, call)
    so_far = _runs.due(key, step) if isinstance(data, dict) else None
    if so_far is not None and so_far.provenance is not None:
        try:
            _write_provenance(run, so_far)
        except Exception as error:
            _runs.not_written(key, error)
    yield {"data": {**data, ENERGY: so_far.energy_j}} if so_far is not None else None
    _runs.read(key, _flat(data), step, _direction_in(key))


def _defining(call: dict[str, Any]) -> Steps:
    yield None
    words = f"{call.get('summary') or ''},{call.get('goal') or ''}".lower().split(",")
    lower, higher = {"min", "minimize"} & set(words), {"max", "maximize"} & set(words)
    if bool(lower) != bool(higher):
        known = _directions.setdefault(call["self"].id, {})
        known[call["name"]] = "lower" if lower else "higher"


def _finishing(call: dict[str, Any]) -> Steps:
    _write_totals(call["self"])
    yield None


def _meet(run: Any) -> str:
    key = str(run.id)
    if not _runs.is_open(key) and not getattr(run, "_is_finished", False):
        _runs.opened(key, run.name)
        _open[key] = run
    return key


def _step(run: Any, call: Mapping[str, Any]) -> object:
    """Of the row that is written; asking W&B for it would be a question to another process."""
    step = call.get("step")
    return step if step is not None else getattr(run, "_local_step", None)


def _flat(data: Any) -> dict[str, object]:
    """Nested dictionaries by dotted names, as W&B itself names them."""
    if not isinstance(data, Mapping):
        return {}
    flat: dict[str, object] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": deep for inner, deep in _flat(value).items()})
        else:
            flat[str(name)] = value
    return flat


def _direction_in(key: str) -> Callable[[str], str | None]:
    known = _directions.get(key, {})

    def direction(name: str) -> str | None:
        patterns = [one for one in known if one.endswith("*") and name.startswith(one[:-1])]
        best = name if name in known else max(patterns, key=len, default="")
        return known.get(best)

    return direction


# --- what is written --------------------------------------------------------------------------


def _write_totals(run: Any) -> None:
    key = str(run.id)
    totals = _runs.ended(key)
    _open.pop(key, None)
    _directions.pop(key, None)
    if totals is not None:
        run.summary.update(totals.metrics())
        _write_provenance(run, totals)


def _write_provenance(run: Any, told: SoFar | Totals) -> None:
    facts = {"session": told.session, "provenance": str(told.provenance)}
    run.config.update({CONFIG: facts}, allow_val_change=True)


def _end_open_runs() -> None:
    """The process ends; W&B itself finishes what is open, mostly before this."""
    for run in list(_open.values()):
        try:
            with _runs.calls.own():
                _write_totals(run)
        except Exception as error:
            _runs.not_written(str(run.id), error)
