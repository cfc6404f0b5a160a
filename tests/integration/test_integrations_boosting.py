"""XGBoost and LightGBM."""

from __future__ import annotations

from itertools import pairwise

import pytest

from .kernels import Home, Kernel, until
from .training_contract import PATIENCE_S, Contract, Framework, run

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

DATA = """
import numpy
numbers = numpy.random.default_rng(0).random((200, 4))
x, y = numbers, (numbers.sum(1) > 2).astype(int)
"""

XGBOOST = f"""{DATA}
import xgboost
from xgboost import train as train_by_its_name
from jupyter_green.integrations.xgboost import EnergyCallback

how = {{"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1, "seed": 0}}
data = xgboost.DMatrix(x, y)

class Each(xgboost.callback.TrainingCallback):
    def __init__(self, each):
        self.each = each
    def after_iteration(self, model, epoch, evals_log):
        self.each(epoch)

def train(run=None, each=None, rounds=3, **more):
    callbacks = [Each(each)] if each else []
    callbacks += [EnergyCallback(run)] if run else []
    model = train_by_its_name(
        how, data, rounds, evals=[(data, "validation")], callbacks=callbacks, verbose_eval=False,
        **more,
    )
    return [float(value) for value in model.predict(data)[:5]]
"""

LIGHTGBM = f"""{DATA}
import lightgbm
from jupyter_green.integrations.lightgbm import EnergyCallback

how = dict(objective="binary", metric=["binary_logloss", "auc"], verbose=-1, num_threads=1, seed=0)

def train(run=None, each=None, rounds=3, more=()):
    data = lightgbm.Dataset(x, y)
    callbacks = [lambda env: each(env.iteration)] if each else []
    callbacks += [EnergyCallback(run)] if run else []
    model = lightgbm.train(
        how, data, rounds, valid_sets=[lightgbm.Dataset(x, y, reference=data)],
        valid_names=["validation"], callbacks=[*callbacks, *more],
    )
    return [float(value) for value in model.predict(x)[:5]]
"""


class TestXGBoost(Contract):
    framework = Framework(
        name="xgboost",
        package="xgboost",
        setup=XGBOOST,
        run="XGBoost",
        metrics={"validation-logloss": "lower", "validation-auc": "higher"},
        epochs=False,
    )

    @pytest.mark.parametrize(
        ("raised", "status"), [("LookupError", "error"), ("KeyboardInterrupt", "interrupted")]
    )
    def test_script_that_fails(self, home: Home, raised: str, status: str) -> None:
        """Without cells, what is left open ends with the script, as that does."""
        code = f"{XGBOOST}\ndef each(epoch):\n    raise {raised}\ntrain('script', each)"
        process = home.script(code)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert raised in err
        until(lambda: not home.recorders(), PATIENCE_S, "the recorder's end")
        (session,) = home.sessions()
        (training,) = session.spans
        assert (training.name, training.status, training.error) == ("script", status, raised)
        assert session.state == "closed"

    def test_estimators_and_cross_validation(self, kernel: Kernel) -> None:
        code = """
autolog("xgboost")
model = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(x, y, eval_set=[(x, y)], verbose=False)
found = xgboost.cv(how, data, 2, nfold=2, seed=0)
found = {name: list(map(float, found[name])) for name in found}
autolog(off=True);
"""
        told = run(kernel, code)
        estimator, validated = (span.name for span in told.type("training"))
        steps = [(one.name, one.step) for one in told.metrics if one.run == estimator]
        assert steps == [("validation_0-logloss", 1), ("validation_0-logloss", 2)]
        means = [
            one.value for one in told.metrics if (one.run, one.name) == (validated, "test-logloss")
        ]
        assert means == pytest.approx(kernel.ask("found['test-logloss-mean']"))

    def test_estimators_are_no_matter_of_sklearn(self, kernel: Kernel) -> None:
        """They are its subclasses, and have callbacks of their own framework."""
        code = "xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(x, y, verbose=False)"
        told = run(kernel, f"autolog('sklearn')\n{self.autolog(f'result = {code}')}")
        (training,) = told.spans
        assert training.name.startswith("XGBoost ")

    def test_early_stopping(self, kernel: Kernel) -> None:
        told = run(kernel, "result = train('stopped', rounds=500, early_stopping_rounds=2)")
        (training,) = told.type("training")
        assert training.status == "ok"
        assert len({one.step for one in told.metrics}) < 500


class TestLightGBM(Contract):
    framework = Framework(
        name="lightgbm",
        package="lightgbm",
        setup=LIGHTGBM,
        run="LightGBM",
        metrics={"validation-binary_logloss": "lower", "validation-auc": "higher"},
        epochs=False,
        spans_by_hand=False,
    )

    def test_early_stopping(self, kernel: Kernel) -> None:
        """It ends the training by an error of its own, which is none."""
        stop = "[lightgbm.early_stopping(2, verbose=False), lightgbm.record_evaluation(kept)]"
        kernel.ok("kept = {}", silent=True)
        told = run(kernel, self.autolog(f"train(rounds=90, more={stop})"))
        (training,) = told.type("training")
        assert training.status == "ok"
        values = [one.value for one in told.metrics if one.name == "validation-auc"]
        assert len(values) < 90
        assert values == kernel.ask("[float(one) for one in kept['validation']['auc']]")

    def test_estimators(self, kernel: Kernel) -> None:
        code = "lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1).fit(x, y)"
        told = run(kernel, self.autolog(f"result = {code}"))
        assert [span.type for span in told.spans] == ["training"]
        assert told.metrics == []

    def test_many_quick_rounds(self, kernel: Kernel) -> None:
        """Beyond the first hundred they are thinned in time, and the last one is there."""
        told = run(kernel, "result = train('many', rounds=600)")
        steps = [one.step for one in told.metrics if one.name == "validation-auc"]
        assert steps[:100] == list(range(1, 101))
        assert 100 < len(steps) < 600
        assert steps[-1] == 600
        times = [one.logged_s for one in told.metrics if one.name == "validation-auc"][100:-1]
        gaps = [after - before for before, after in pairwise(times)]
        assert all(gap > 0.045 for gap in gaps)
