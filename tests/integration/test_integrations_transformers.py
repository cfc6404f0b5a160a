"""The Trainer of Transformers, with a small model that is none of the hub's."""

from __future__ import annotations

import pytest

from .kernels import Kernel
from .training_contract import Contract, Framework, run

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

SETUP = """
import torch, transformers
from transformers import Trainer, TrainerCallback, TrainingArguments
from jupyter_green.integrations.transformers import EnergyCallback

transformers.logging.set_verbosity_error()
numbers = torch.rand((64, 4), generator=torch.Generator().manual_seed(0))
data = [{"x": x, "labels": y} for x, y in zip(numbers, (numbers.sum(1) > 2).long())]

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, x, labels=None):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

class Each(TrainerCallback):
    def __init__(self, each):
        self.each = each
    def on_epoch_end(self, args, state, control, **more):
        self.each(state.epoch)

def accuracy(found):
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}

def trainer_of(callbacks=(), **how):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir="trained", num_train_epochs=3, per_device_train_batch_size=32,
        report_to="none", disable_tqdm=True, save_strategy="no", use_cpu=True,
        logging_strategy="epoch", **{"eval_strategy": "epoch", **how},
    )
    trainer = Trainer(
        Net(), arguments, train_dataset=data, eval_dataset=data, compute_metrics=accuracy,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer

def train(run=None, each=None):
    callbacks = [Each(each)] if each else []
    callbacks += [EnergyCallback(run)] if run else []
    trainer = trainer_of(callbacks)
    trainer.train()
    return [float(value) for value in trainer.model.layer(numbers[:3]).ravel()]
"""


class TestTransformers(Contract):
    framework = Framework(
        name="transformers",
        package="transformers",
        setup=SETUP,
        run="Net",
        metrics={"loss": "lower", "eval_loss": "lower", "eval_accuracy": "higher"},
        parameters=10,
        steps=(2.0, 4.0, 6.0),  # those of the optimizer
        evaluations=3,
        environment={"HF_HUB_OFFLINE": "1"},
    )

    def assert_training(self, told, name, *, spans):  # type: ignore[no-untyped-def]
        """At the end the Trainer reports the mean loss of the whole training."""
        means = [one for one in told.metrics if one.name == "train_loss"]
        assert [(one.step, one.direction) for one in means] == [(6.0, "lower")]
        told.metrics = [one for one in told.metrics if one.name != "train_loss"]
        super().assert_training(told, name, spans=spans)

    def test_evaluations_by_steps(self, kernel: Kernel) -> None:
        code = "trainer_of([EnergyCallback('steps')], eval_strategy='steps', eval_steps=3)"
        told = run(kernel, f"result = {code}.train()")
        evaluations = told.stage("evaluation")
        assert [one.name for one in evaluations] == ["validation"] * 2
        assert [one.step for one in told.metrics if one.name == "eval_loss"] == [3, 6]
        epochs = {span.span: span.name for span in told.type("epoch")}
        assert [epochs[one.parent or 0] for one in evaluations] == ["epoch 2", "epoch 3"]

    def test_evaluate_by_itself(self, kernel: Kernel) -> None:
        """By hand the metrics alone; the Trainer does not tell when the evaluation begins."""
        code = "trainer = trainer_of([EnergyCallback()])\nfound = trainer.evaluate()"
        told = run(kernel, code)
        assert told.spans == []
        values = {one.name: one.value for one in told.metrics}
        assert values == {name: kernel.ask(f"found[{name!r}]") for name in values}
        assert sorted(values) == ["eval_accuracy", "eval_loss"]

    def test_evaluate_with_autolog(self, kernel: Kernel) -> None:
        code = "trainer = trainer_of()\nresult = trainer.train()\n"
        told = run(kernel, f"autolog('transformers')\n{code}trainer.evaluate()\nautolog(off=True);")
        (training,) = told.type("training")
        last = told.spans[-1]
        assert (last.type, last.parent) == ("evaluation", None)
        assert last.name == f"{training.name} evaluation"
        assert {one.run for one in told.metrics} == {training.name}
        callbacks = kernel.ask("[type(one).__name__ for one in trainer.callback_handler.callbacks]")
        assert "EnergyCallback" not in callbacks

    def test_direction_of_the_best_model(self, kernel: Kernel) -> None:
        told = run(
            kernel,
            "result = trainer_of([EnergyCallback('best')], metric_for_best_model='accuracy', "
            "greater_is_better=False).train()",
        )
        words = {one.direction for one in told.metrics if one.name == "eval_accuracy"}
        assert words == {"lower"}
