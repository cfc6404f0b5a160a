"""Lightning, on the CPU."""

from __future__ import annotations

import importlib.util

import pytest

from .kernels import Kernel
from .training_contract import Contract, Framework, run

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

SETUP = """
import logging, warnings
import torch
import lightning.pytorch as pl
from torch.utils.data import DataLoader, TensorDataset
from jupyter_green.integrations.lightning import EnergyCallback

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
numbers = torch.rand((64, 4), generator=torch.Generator().manual_seed(0))
data = DataLoader(TensorDataset(numbers, (numbers.sum(1) > 2).long()), 16)

def net_of(pl):
    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)
        def training_step(self, batch, index):
            loss = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss
        def on_train_epoch_end(self):
            self.log("late", float(self.current_epoch), prog_bar=False)
        def evaluate(self, name, batch):
            self.log(name, (self.layer(batch[0]).argmax(1) == batch[1]).float().mean())
        def validation_step(self, batch, index):
            self.evaluate("val_acc", batch)
        def test_step(self, batch, index):
            self.evaluate("test_acc", batch)
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)
    return Net

Net = net_of(pl)

class Each(pl.Callback):
    def __init__(self, each):
        self.each = each
    def on_train_epoch_end(self, trainer, module):
        self.each(trainer.current_epoch)

def trainer_of(callbacks=(), pl=pl, **how):
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=list(callbacks), **quiet, **how)

def train(run=None, each=None):
    torch.manual_seed(0)
    module = Net()
    callbacks = [Each(each)] if each else []
    callbacks += [EnergyCallback(run)] if run else []
    trainer_of(callbacks).fit(module, data, data)
    return [float(value) for value in module.layer(numbers[:3]).ravel()]
"""


class TestLightning(Contract):
    framework = Framework(
        name="lightning",
        package="lightning",
        setup=SETUP,
        run="Net",
        metrics={"train_loss": "lower", "late": None, "val_acc": "higher"},
        parameters=10,
        evaluations=4,  # the sanity check before the first epoch is one
    )

    def test_old_values_are_not_told_again(self, kernel: Kernel) -> None:
        """A trainer keeps the last value of a validation that takes place now and then."""
        told = run(
            kernel,
            "trainer_of([EnergyCallback('rarely')], check_val_every_n_epoch=2)"
            ".fit(Net(), data, data)",
        )
        assert [one.step for one in told.metrics if one.name == "val_acc"] == [2]
        assert [one.step for one in told.metrics if one.name == "train_loss"] == [1, 2, 3]

    def test_what_the_module_logs_last(self, kernel: Kernel) -> None:
        told = run(kernel, "result = train(run='late one')")
        late = [(one.step, one.value) for one in told.metrics if one.name == "late"]
        assert late == [(1, 0.0), (2, 1.0), (3, 2.0)]

    def test_test_by_itself(self, kernel: Kernel) -> None:
        code = (
            "autolog('lightning')\nmodule, trainer = Net(), trainer_of()\n"
            "trainer.fit(module, data)\n(found,) = trainer.test(module, data, verbose=False)\n"
            "result = autolog(off=True)"
        )
        told = run(kernel, code)
        (training,) = told.type("training")
        (evaluation,) = told.type("evaluation")
        assert evaluation.name == f"{training.name} evaluation"
        (metric,) = [one for one in told.metrics if one.name == "test_acc"]
        assert (metric.run, metric.step) == (training.name, None)
        assert metric.value == kernel.ask("found['test_acc']")
        assert kernel.ask("trainer.callbacks") == []

    def test_direction_that_early_stopping_knows(self, kernel: Kernel) -> None:
        told = run(
            kernel,
            "stop = pl.callbacks.EarlyStopping('late', mode='max', patience=9)\n"
            "trainer_of([EnergyCallback('known'), stop]).fit(Net(), data)",
        )
        assert {one.direction for one in told.metrics if one.name == "late"} == {"higher"}

    def test_the_package_by_its_other_name(self, kernel: Kernel) -> None:
        """It has a Trainer of its own, and takes a callback that is derived from the other's."""
        if importlib.util.find_spec("pytorch_lightning") is None:
            pytest.skip("pytorch_lightning is not installed")
        train = "trainer_of({}, other).fit(net_of(other)(), data)"
        told = run(
            kernel,
            "import pytorch_lightning as other\nautolog('lightning')\n"
            f"{train.format('[]')}\n{train.format('[EnergyCallback(run=chr(65))]')}\n"
            f"autolog(off=True)\n{train.format('[]')}",
        )
        first, second = told.type("training")
        assert (first.name[:4], second.name) == ("Net ", "A")
        assert [one.step for one in told.metrics if one.name == "train_loss"] == [1, 2, 3] * 2
