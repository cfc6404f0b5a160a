"""Keras, on its PyTorch backend."""

from __future__ import annotations

import pytest

from .kernels import Kernel
from .training_contract import Contract, Framework, run

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

SETUP = """
import numpy, keras
from jupyter_green.integrations.keras import EnergyCallback

numbers = numpy.random.default_rng(0).random((96, 4))
x, y = numbers.astype("float32"), (numbers.sum(1) > 2).astype("int32")

def fresh():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, activation="sigmoid"),
    ])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model

class Each(keras.callbacks.Callback):
    def __init__(self, each):
        super().__init__()
        self.each = each
    def on_epoch_end(self, epoch, logs=None):
        self.each(epoch)

def train(run=None, each=None):
    model = fresh()
    callbacks = [EnergyCallback(run)] if run else []
    callbacks[:0] = [Each(each)] if each else []
    model.fit(x, y, epochs=3, validation_data=(x, y), verbose=0, callbacks=callbacks or None)
    return [float(value) for value in model.predict(x[:5], verbose=0).ravel()]
"""


class TestKeras(Contract):
    framework = Framework(
        name="keras",
        package="keras",
        setup=SETUP,
        run="Sequential",
        metrics={
            "accuracy": "higher",
            "loss": "lower",
            "val_accuracy": "higher",
            "val_loss": "lower",
        },
        parameters=19,
        evaluations=3,
        environment={"KERAS_BACKEND": "torch"},
    )

    def test_model(self, kernel: Kernel) -> None:
        told = run(kernel, "result = train(run='model')")
        (model,) = told.models
        assert (model.name, model.size_bytes, model.precision) == ("Sequential", 76, "float32")

    def test_evaluate_by_itself(self, kernel: Kernel) -> None:
        code = (
            "model = fresh()\nmodel.fit(x, y, verbose=0)\nx2, y2 = x[:32], y[:32]\n"
            "found = model.evaluate(x2, y2, verbose=0)"
        )
        told = run(kernel, f"autolog('keras')\n{code}\nresult = autolog(off=True)")
        training, _, evaluation = told.spans
        assert (evaluation.type, evaluation.tags.stage) == ("evaluation", "evaluation")
        assert evaluation.name == f"{training.name} evaluation"
        values = {one.name: one.value for one in told.metrics if one.name.startswith("test_")}
        assert [values["test_loss"], values["test_accuracy"]] == kernel.ask("found")
        assert {one.run for one in told.metrics} == {training.name}

    @pytest.mark.parametrize(
        ("direction", "expected"),
        [
            (None, {"energy": None, "loss": "lower"}),
            ("lower", {"energy": "lower", "loss": "lower"}),
            ({"energy": "higher", "loss": "higher"}, {"energy": "higher", "loss": "higher"}),
        ],
    )
    def test_direction_in_a_word(
        self, kernel: Kernel, direction: object, expected: dict[str, str | None]
    ) -> None:
        """Of a metric that nobody knows."""
        code = f"""
def energy(true, predicted):
    return keras.ops.mean(predicted)
model = fresh()
model.compile("sgd", "binary_crossentropy", metrics=[energy])
result = model.fit(x, y, verbose=0, callbacks=[EnergyCallback(direction={direction!r})])
"""
        told = run(kernel, code)
        assert {one.name: one.direction for one in told.metrics} == expected

    def test_direction_that_a_callback_of_the_user_knows(self, kernel: Kernel) -> None:
        code = """
def energy(true, predicted):
    return keras.ops.mean(predicted)
model = fresh()
model.compile("sgd", "binary_crossentropy", metrics=[energy])
stop = keras.callbacks.EarlyStopping(monitor="energy", mode="max")
autolog("keras")
result = model.fit(x, y, verbose=0, callbacks=[stop])
autolog(off=True)
"""
        told = run(kernel, code)
        assert {one.direction for one in told.metrics if one.name == "energy"} == {"higher"}

    def test_many_quick_epochs(self, kernel: Kernel) -> None:
        """What is left out is left out with its evaluation."""
        code = "fresh().fit(x[:8], y[:8], epochs=180, validation_data=(x[:8], y[:8]), verbose=0, "
        told = run(kernel, f"result = {code}callbacks=[EnergyCallback('quick')])")
        epochs, evaluations = told.type("epoch"), told.type("evaluation")
        assert 100 <= len(epochs) < 180
        assert [one.parent for one in evaluations] == [epoch.span for epoch in epochs]
        assert [one.step for one in told.metrics if one.name == "val_loss"][-1] == 180

    def test_training_that_is_a_part(self, kernel: Kernel) -> None:
        """Of a wrapped call: it is not recorded, and its validation is no run of its own."""
        code = """
from jupyter_green.integrations.outermost import Entry
with Entry(), Entry():
    result = fresh().fit(x, y, validation_data=(x, y), verbose=0, callbacks=[EnergyCallback()])
"""
        told = run(kernel, code)
        assert (told.spans, told.metrics) == ([], [])

    def test_trainings_that_are_left_out(self, kernel: Kernel) -> None:
        """Of very many quick ones some are, and their validations with them."""
        code = """
model = fresh()
first = [model.fit(x, y, verbose=0, callbacks=[EnergyCallback("many")])]
from jupyter_green.integrations import training

class Many(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        for _ in range(100):
            training._is_due(training.trackers.latest().id, "Sequential")
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.1)

how = dict(verbose=0, callbacks=[Many(), EnergyCallback()])
result = model.fit(x[:8], y[:8], validation_data=(x, y), **how)
"""
        told = run(kernel, code)
        assert {span.name for span in told.type("training")} == {"many"}
        assert {one.run for one in told.metrics} == {"many"}
        assert told.type("evaluation") == []

    def test_bad_direction(self, kernel: Kernel) -> None:
        reply = kernel.run("EnergyCallback(direction='up')")
        assert (reply.status, reply.ename) == ("error", "MetricError")
        assert "'up'" in reply.evalue

    def test_value_that_is_no_number(self, kernel: Kernel) -> None:
        """It is left out and noted once; the training goes on."""
        code = """
class Odd(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["odd"] = numpy.full(3, epoch)
model = fresh()
result = model.fit(x, y, epochs=2, verbose=0, callbacks=[Odd(), EnergyCallback("odd one")])
"""
        told = run(kernel, code)
        assert [one.name for one in told.metrics] == ["accuracy", "loss"] * 2
        tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
        (problem,) = kernel.ask(f"{tracker}.problems")
        assert problem.startswith("run 'odd one': metric 'odd' must be one number")
