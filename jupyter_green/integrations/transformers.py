"""Hugging Face Transformers: what a ``Trainer`` logs, and its evaluations.

::

    from jupyter_green.integrations.transformers import EnergyCallback

    Trainer(model, arguments, train_dataset=data, callbacks=[EnergyCallback()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_green.integrations import models, outermost
from jupyter_green.integrations.training import Hooks, callback_class, guarded
from jupyter_green.integrations.wrapping import Function, Wrapping
from jupyter_green.optional import require

SPEEDS = ("_per_second", "_runtime", "_time")
"""How the names end of what a ``Trainer`` reports of itself; our own figures tell that."""


class TransformersHooks(Hooks):
    """Logs what the ``Trainer`` logs; epochs and evaluations are spans.

    Steps are those of the optimizer (``global_step``). Of several processes, the first records.
    A ``Trainer`` does not tell its callbacks that an evaluation begins which belongs to no
    training: of such a one the metrics are logged, and with autolog it is a span.
    """

    # --- training ---

    @guarded
    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if not state.is_world_process_zero:
            return
        model = more.get("model")
        self._begin(type(model).__name__, model)
        if self._run is not None:
            self._run.known.update(_best(args))
            self._run.describe(models.of_module(model, _precision(args)))

    @guarded
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._run is not None:
            # From a checkpoint, an epoch may begin in its middle.
            self._run.epoch_started(int(state.epoch or 0) + 1)

    @guarded
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._run is not None and control.should_evaluate:
            self._run.evaluation_started("validation")

    @guarded
    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._run is None:
            return
        if control.should_evaluate:
            # It belongs to the epoch, which ends with the next one's beginning.
            self._run.evaluation_started("validation")
        else:
            self._run.epoch_finished()

    @guarded
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        if not state.is_world_process_zero:
            return
        values = _qualities(logs)
        if self._run is not None:
            self._run.metrics(values, step=state.global_step)
        elif values and not self._trains:
            self._log_alone(values, args, more.get("model"))

    @guarded
    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._run is not None:
            self._run.evaluation_finished()

    @guarded
    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **more: Any
    ) -> None:
        values = _qualities(metrics)
        if self._run is not None:
            self._run.metrics(values)
        elif values and not self._trains:
            self._log_alone(values, args, more.get("model"))

    @guarded
    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._finish()

    # --- evaluation without a training ---

    def _log_alone(self, values: dict[str, Any], args: Any, model: Any) -> None:
        self._begin(type(model).__name__, model, stage=None)
        run, self._run = self._run, None
        if run is not None:
            run.known.update(_best(args))
            run.metrics(values)

    @guarded
    def begin_evaluation(self, trainer: Any) -> None:
        """An evaluation by itself begins; whoever calls it sees to its end."""
        self._begin(type(trainer.model).__name__, trainer.model, stage="evaluation")
        if self._run is not None:
            self._run.known.update(_best(trainer.args))


if TYPE_CHECKING:

    class EnergyCallback(TransformersHooks): ...


def __getattr__(name: str) -> Any:
    if name != "EnergyCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = require("transformers").TrainerCallback
    return globals().setdefault(name, callback_class(TransformersHooks, base, __name__))


# --- what the Trainer knows ---


def _qualities(logs: Any) -> dict[str, Any]:
    return {name: value for name, value in (logs or {}).items() if not name.endswith(SPEEDS)}


def _best(args: Any) -> dict[str, str]:
    """The metric that the best model is chosen by."""
    name, is_higher = args.metric_for_best_model, args.greater_is_better
    if not name or is_higher is None:
        return {}
    word = "higher" if is_higher else "lower"
    return {name: word, f"eval_{name}": word}


def _precision(args: Any) -> str | None:
    """Mixed precision, where it is asked for."""
    return "mixed_bfloat16" if args.bf16 else "mixed_float16" if args.fp16 else None


# --- autolog ---


def _put(wrapping: Wrapping) -> None:
    trainer = require("transformers").Trainer
    callback = __getattr__("EnergyCallback")
    wrapping.method(trainer, "train", _with_callback(callback, evaluates=False))
    for name in ("evaluate", "predict"):
        wrapping.method(trainer, name, _with_callback(callback, evaluates=True))


def _with_callback(callback: Any, *, evaluates: bool) -> Any:
    def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with outermost.Entry() as is_outermost:
            ours = _added(args, callback, evaluates) if is_outermost else None
            try:
                return original(*args, **kwargs)
            finally:
                if ours is not None:
                    _removed(args[0], ours)

    return around


@guarded
def _added(args: tuple[Any, ...], callback: Any, evaluates: bool) -> Any:
    trainer = args[0]
    if any(isinstance(one, TransformersHooks) for one in trainer.callback_handler.callbacks):
        return None
    ours = callback()
    trainer.add_callback(ours)
    if evaluates and trainer.is_world_process_zero():
        ours.begin_evaluation(trainer)
    return ours


@guarded
def _removed(trainer: Any, ours: Any) -> None:
    trainer.remove_callback(ours)


_WRAPPING = Wrapping(_put)
install, uninstall = _WRAPPING.install, _WRAPPING.uninstall
