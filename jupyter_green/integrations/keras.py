"""Keras: the metrics of each epoch, with and without validation.

::

    from jupyter_green.integrations.keras import EnergyCallback

    model.fit(x, y, epochs=10, callbacks=[EnergyCallback()])

For Keras 3 on any backend, and ``tf.keras`` where that is Keras 3 (TensorFlow 2.16 and later).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from jupyter_green.integrations.models import Facts
from jupyter_green.integrations.training import Hooks, callback_class, guarded
from jupyter_green.integrations.wrapping import Wrapping, with_callback
from jupyter_green.optional import require

MODES = {"min": "lower", "max": "higher"}


class KerasHooks(Hooks):
    """Logs what Keras reports after each epoch; epochs and evaluations are spans.

    Steps count finished epochs. What ``evaluate`` finds by itself is called ``test_...``.
    """

    model: Any
    """Keras sets it."""

    @guarded
    def on_train_begin(self, logs: Any = None) -> None:
        self._begin(type(self.model).__name__, self.model)

    @guarded
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._run is not None:
            self._run.epoch_started(epoch + 1)

    @guarded
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        run = self._run
        if run is None:
            return
        if not run.described:
            run.known = {**_directions(self.model), **run.known}
            run.describe(facts(self.model))
        run.metrics(logs or {}, step=epoch + 1)
        run.epoch_finished()

    @guarded
    def on_test_begin(self, logs: Any = None) -> None:
        if self._run is not None:
            self._run.evaluation_started("validation")
        elif not self._trains:
            self._begin(type(self.model).__name__, self.model, stage="evaluation")

    @guarded
    def on_test_end(self, logs: Any = None) -> None:
        run = self._run
        if run is None:
            return
        if self._trains:
            run.evaluation_finished()
            return
        run.known = {f"test_{name}": word for name, word in _directions(self.model).items()}
        run.metrics({f"test_{name}": value for name, value in (logs or {}).items()})
        self._finish()

    @guarded
    def on_train_end(self, logs: Any = None) -> None:
        self._finish()


if TYPE_CHECKING:

    class EnergyCallback(KerasHooks): ...


def __getattr__(name: str) -> Any:
    if name != "EnergyCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = _keras().callbacks.Callback
    return globals().setdefault(name, callback_class(KerasHooks, base, __name__))


def _keras() -> Any:
    return require("keras")


# --- what Keras knows ---


def facts(model: Any) -> Facts:
    """Parameters of all weights, those that are not trained included."""
    dtype_of = require("keras").backend.standardize_dtype
    sizes = [(_count(one.shape), _bits(dtype_of(one.dtype))) for one in model.weights]
    return Facts(
        type(model).__name__,
        parameters=sum(count for count, _ in sizes),
        size_bytes=sum(count * bits for count, bits in sizes) // 8,
        precision=model.dtype_policy.name,
    )


def _bits(dtype: str) -> int:
    """Of one value: 16 of bfloat16, 8 of bool."""
    digits = re.search(r"\d+", dtype)
    return int(digits.group()) if digits is not None else 8


def _count(shape: Any) -> int:
    return math.prod(int(length) for length in shape)


def _directions(model: Any) -> dict[str, str]:
    """As the metrics of a compiled model tell them, with those of the validation."""
    words = {"up": "higher", "down": "lower"}
    found = {}
    for metric in _flat(getattr(model, "metrics", ())):
        word = words.get(getattr(metric, "_direction", None) or "")
        if word is not None:
            found[metric.name] = found[f"val_{metric.name}"] = word
    return found


def _flat(metrics: Any) -> list[Any]:
    """Keras holds the compiled metrics in one that is made of them."""
    return [one for metric in metrics for one in (*getattr(metric, "metrics", ()), metric)]


# --- autolog ---


def _put(wrapping: Wrapping) -> None:
    model = _keras().Model
    callback = __getattr__("EnergyCallback")

    def add(given: list[Any]) -> list[Any]:
        if any(isinstance(one, KerasHooks) for one in given):
            return given
        ours = callback()
        ours._known = _monitored(given)
        return [*given, ours]

    wrapping.method(model, "fit", with_callback(add))
    wrapping.method(model, "evaluate", with_callback(add))


def _monitored(callbacks: list[Any]) -> dict[str, str]:
    """What the user's other callbacks say of the metric that they watch."""
    return {
        one.monitor: MODES[one.mode]
        for one in callbacks
        if getattr(one, "mode", None) in MODES and isinstance(getattr(one, "monitor", None), str)
    }


_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
