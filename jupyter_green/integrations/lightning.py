"""Lightning: the metrics that a module logs, after each epoch and each validation.

::

    from jupyter_green.integrations.lightning import EnergyCallback

    Trainer(max_epochs=10, callbacks=[EnergyCallback()])

For ``lightning`` and for ``pytorch_lightning``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jupyter_green.errors import MissingPackage
from jupyter_green.integrations import models, outermost
from jupyter_green.integrations.training import Direction, Hooks, callback_class, guarded
from jupyter_green.integrations.wrapping import Function, Wrapping
from jupyter_green.optional import require

MODES = {"min": "lower", "max": "higher"}
PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class LightningHooks(Hooks):
    """Logs the metrics that the module logs; epochs and evaluations are spans.

    Steps count finished epochs. Of several processes, the first one records.
    """

    def __init__(self, run: str | None = None, direction: Direction = None) -> None:
        super().__init__(run, direction)
        self._seen: dict[str, Any] = {}
        """What the trainer had: a value that is computed anew is another object."""
        self._logged: set[str] = set()
        """Names that were logged of this epoch's training."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_seen": {}, "_logged": set()}

    # --- training ---

    @guarded
    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        self._seen, self._logged = {}, set()
        self._begin(type(pl_module).__name__, pl_module)
        if self._run is not None:
            self._run.known.update(_monitored(trainer))
            self._run.describe(models.of_module(pl_module, _precision(trainer)))

    @guarded
    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._log_late(trainer)
            self._run.epoch_started(trainer.current_epoch + 1)

    @guarded
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            values = self._new(trainer)
            self._logged = set(values)
            self._run.metrics(values, step=trainer.current_epoch + 1)
            self._run.epoch_finished()

    @guarded
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._log_late(trainer)

    @guarded
    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._finish()

    @guarded
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._finish(*outermost.outcome(exception))

    # --- evaluation ---

    @guarded
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._evaluation_started(
            trainer, pl_module, "sanity check" if trainer.sanity_checking else "validation"
        )

    @guarded
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._evaluation_finished(trainer)

    @guarded
    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        self._evaluation_started(trainer, pl_module, "test")

    @guarded
    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        self._evaluation_finished(trainer)

    def _evaluation_started(self, trainer: Any, module: Any, name: str) -> None:
        # Values of steps that are still in there are none of the evaluation's.
        self._seen = dict(trainer.callback_metrics)
        if self._run is not None:
            self._run.evaluation_started(name)
        elif trainer.is_global_zero and not _fits(trainer):
            self._begin(type(module).__name__, module, stage="evaluation")

    def _evaluation_finished(self, trainer: Any) -> None:
        run = self._run
        if run is None:
            return
        if not _fits(trainer):
            run.metrics(self._new(trainer))
            self._finish()
            return
        if not trainer.sanity_checking:
            run.metrics(self._new(trainer), step=trainer.current_epoch + 1)
        run.evaluation_finished()

    # --- metrics ---

    def _new(self, trainer: Any) -> dict[str, Any]:
        """What has come since the last look: the trainer keeps old values, too.

        Of a metric that is logged by step and by epoch, the epoch's.
        """
        before, self._seen = self._seen, dict(trainer.callback_metrics)
        return {
            name: value
            for name, value in self._seen.items()
            if before.get(name) is not value
            and not name.endswith("_step")
            and name.removesuffix("_epoch") not in self._seen.keys() - {name}
        }

    def _log_late(self, trainer: Any) -> None:
        """What the module has logged at the epoch's very end, after its callbacks."""
        late = {
            name: value for name, value in self._new(trainer).items() if name not in self._logged
        }
        self._logged = set()
        if late and self._run is not None:
            self._run.metrics(late, step=trainer.current_epoch)


if TYPE_CHECKING:

    class EnergyCallback(LightningHooks): ...


def __getattr__(name: str) -> Any:
    if name != "EnergyCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = next(_packages()).callbacks.Callback
    return globals().setdefault(name, callback_class(LightningHooks, base, __name__))


def _packages() -> Iterator[Any]:
    """Both names of the package, the one that is in use first.

    Raises:
        MissingPackage: there is neither.
    """
    found = False
    for name in sorted(PACKAGES, key=lambda name: name not in sys.modules):
        try:
            package = require(name, "lightning")
        except MissingPackage:
            continue
        found = True
        yield package
    if not found:
        require("lightning")


# --- what Lightning knows ---


def _fits(trainer: Any) -> bool:
    return str(getattr(trainer.state.fn, "value", trainer.state.fn)) == "fit"


def _precision(trainer: Any) -> str | None:
    """Where it is not that of the parameters."""
    precision = str(trainer.precision)
    return None if precision.endswith("-true") else precision


def _monitored(trainer: Any) -> dict[str, str]:
    """What early stopping and checkpoints say of the metric that they watch."""
    return {
        one.monitor: MODES[one.mode]
        for one in trainer.callbacks
        if getattr(one, "mode", None) in MODES and isinstance(getattr(one, "monitor", None), str)
    }


# --- autolog ---


def _put(wrapping: Wrapping) -> None:
    callback = __getattr__("EnergyCallback")
    for name in PACKAGES:
        # The second one is only wrapped where somebody uses it: importing it takes seconds.
        if name in sys.modules:
            trainer = sys.modules[name].Trainer
            for method in ("fit", "validate", "test"):
                wrapping.method(trainer, method, _with_callback(callback))


def _with_callback(callback: Any) -> Any:
    def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with outermost.Entry() as is_outermost:
            ours = _added(args, callback) if is_outermost else None
            try:
                return original(*args, **kwargs)
            finally:
                if ours is not None:
                    _removed(args[0], ours)

    return around


@guarded
def _added(args: tuple[Any, ...], callback: Any) -> Any:
    callbacks = args[0].callbacks
    if any(isinstance(one, LightningHooks) for one in callbacks):
        return None
    ours = callback()
    callbacks.append(ours)
    return ours


@guarded
def _removed(trainer: Any, ours: Any) -> None:
    # A trainer makes a new list where its module has callbacks of its own.
    if ours in trainer.callbacks:
        trainer.callbacks.remove(ours)


_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
