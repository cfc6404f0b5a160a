"""When a loop ends before its end, as the user says it, and whether that can be meant."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.recorder.names import likely_direction
from jupyter_green.units import parse_energy

LEAST_GAIN = 0.002
"""Of a metric between 0 and 1: 0.2 points."""


@dataclass(frozen=True)
class Rules:
    """A budget, a target, a patience; None: no such rule."""

    budget_uj: int | None = None
    target: float | None = None
    patience: int | None = None
    least_gain: float = LEAST_GAIN
    lower: bool | None = None
    """Whether lower is better; None: not known."""

    @property
    def need_values(self) -> bool:
        """They are about a metric."""
        return self.target is not None or self.patience is not None

    @classmethod
    def checked(
        cls,
        metric: str | None,
        direction: str | None,
        budget: str | None,
        target: float | None,
        patience: int | None,
        least_gain: float,
    ) -> Rules:
        """The rules that a user gives.

        Raises:
            SettingError: one of them cannot be meant.
            MetricError: a rule needs a direction, and the metric's name does not tell it.
        """
        rules = cls(
            None if budget is None else _budget_uj(budget),
            None if target is None else _finite("target", target),
            None if patience is None else _whole("patience", patience, 1),
            _finite("least_gain", least_gain, least=0.0),
            _lower(metric, direction),
        )
        if rules.need_values and metric is None:
            raise SettingError("a target and a patience are about a metric: give metric=")
        if rules.need_values and rules.lower is None:
            raise MetricError(
                f"whether more of {metric!r:.60} is better is not known: give direction='higher' "
                "or direction='lower'"
            )
        return rules


def metric_name(metric: str | Callable[[], Any] | None) -> str | None:
    """What a metric is called; a function is called as it is.

    Raises:
        SettingError: it is neither a name nor a function.
    """
    if metric is None or isinstance(metric, str):
        return metric
    if not callable(metric):
        raise SettingError(
            f"metric must be the name of a metric, or a function without arguments; it is "
            f"{metric!r:.60}"
        )
    name = str(getattr(metric, "__name__", "metric"))
    return "metric" if name == "<lambda>" else name


def total_of(total: int) -> int:
    """A number of steps.

    Raises:
        SettingError: it is none.
    """
    return _whole("total", total, 0)


def _lower(metric: str | None, given: str | None) -> bool | None:
    if given not in ("higher", "lower", None):
        raise MetricError(f"direction must be 'higher' or 'lower', it is {given!r:.60}")
    known = given or (likely_direction(metric) if metric else None)
    return None if known is None else known == "lower"


def _budget_uj(budget: object) -> int:
    if not isinstance(budget, str):
        raise SettingError(
            f"a budget has a unit: '{budget!s:.20} Wh' or '{budget!s:.20} J', as text"
        )
    budget_uj = parse_energy(budget)
    if budget_uj <= 0:
        raise SettingError(f"a budget must be more than 0 J, it is {budget!r:.60}")
    return budget_uj


def _finite(name: str, value: object, least: float = -math.inf) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        at_least = f" of {least:g} or more" if math.isfinite(least) else ""
        raise SettingError(f"{name} must be a number{at_least}, it is {value!r:.60}")
    return number


def _whole(name: str, value: object, least: int) -> int:
    number = _finite(name, value, least)
    if number != round(number):
        raise SettingError(f"{name} must be a whole number, it is {value!r:.60}")
    return round(number)
