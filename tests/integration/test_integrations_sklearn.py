"""scikit-learn: outermost calls are runs, and what they leave is logged."""

from __future__ import annotations

import pytest

from .kernels import Kernel
from .training_contract import Contract, Framework, run

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

SETUP = """
import inspect, warnings
import joblib, numpy
from sklearn.base import BaseEstimator
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, learning_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from jupyter_green.integrations.sklearn import EnergyCallback

warnings.simplefilter("ignore")
numbers = numpy.random.default_rng(0).random((120, 4))
x, y = numbers, (numbers.sum(1) > 2).astype(int)
original = LogisticRegression.fit, cross_validate, BaseEstimator.__dict__.get("__init_subclass__")

class Network(MLPClassifier):
    each = None
    def fit(self, x, y):
        super().fit(x, y)
        if self.each is not None:  # not earlier: it takes an interrupt for a wish to stop
            self.each(self.n_iter_)
        return self

def train(run=None, each=None):
    model = Network((3,), max_iter=3, random_state=0)
    model.each = each
    if run is None:
        model.fit(x, y)
    else:
        with EnergyCallback(run):
            model.fit(x, y)
    return [float(value) for value in model.predict_proba(x[:5])[:, 0]]
"""


class TestSklearn(Contract):
    framework = Framework(
        name="sklearn",
        package="sklearn",
        setup=SETUP,
        run="Network",
        metrics={"loss": "lower"},
        parameters=19,
        epochs=False,
    )

    def log(self, kernel: Kernel, code: str) -> list[tuple[str | None, str, float | None]]:
        """Run, name and step of what a cell logs: scores, of which more is better."""
        told = run(kernel, f"autolog('sklearn')\n{code}\nautolog(off=True);")
        assert {one.direction for one in told.metrics} <= {"higher"}
        self.told = told
        return [(one.run, one.name, one.step) for one in told.metrics]

    def plain(self, names: list[tuple[str | None, str, float | None]]) -> list[object]:
        return [(name, step) for _, name, step in names]

    def test_search(self, kernel: Kernel) -> None:
        found = self.log(
            kernel,
            "search = GridSearchCV(LogisticRegression(), {'C': [0.1, 1, 10]}, cv=2,"
            " scoring='neg_log_loss').fit(x, y)",
        )
        assert self.plain(found) == [
            *(("mean_test_score", n) for n in (1, 2, 3)),
            ("best_score", None),
        ]
        assert [span.type for span in self.told.spans] == ["training"]
        assert self.told.metrics[-1].value == kernel.ask("float(search.best_score_)")
        (model,) = self.told.models
        assert (model.name, model.parameters, model.precision) == (
            "LogisticRegression",
            5,
            "float64",
        )

    @pytest.mark.parametrize("name", ["cross_val_score", "cross_validate"])
    def test_cross_validation(self, kernel: Kernel, name: str) -> None:
        """By the name that was imported before autolog, as notebooks do."""
        found = self.log(kernel, f"scores = {name}(LogisticRegression(), x, y, cv=3)")
        expected = [*(("test_score", n) for n in (1, 2, 3)), ("mean_test_score", None)]
        assert self.plain(found) == expected
        told = self.told.metrics
        assert told[-1].value == pytest.approx(sum(one.value for one in told[:3]) / 3)
        assert kernel.ask("original[1] is cross_validate")

    def test_fit_and_score(self, kernel: Kernel) -> None:
        found = self.log(
            kernel,
            "model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)\n"
            "scored = model.score(x, y), model.steps[-1][1].score(x, y)",
        )
        training, *evaluations = self.told.spans
        assert training.name.startswith("Pipeline ")
        assert [span.tags.stage for span in evaluations] == ["evaluation"] * 2
        assert found[0] == (training.name, "score", None)
        assert str(found[1][0]).startswith("LogisticRegression ")
        assert [one.value for one in self.told.metrics] == pytest.approx(kernel.ask("scored"))

    @pytest.mark.parametrize(
        "call",
        [
            "GridSearchCV(LogisticRegression(), {'C': [0.1, 1]}, cv=2, n_jobs=2).fit(x, y)",
            "BaggingClassifier(LogisticRegression(), n_estimators=4, n_jobs=2).fit(x, y)",
            "cross_val_score(LogisticRegression(), x, y, cv=2, n_jobs=2)",
        ],
    )
    def test_fits_in_threads_are_inside(self, kernel: Kernel, call: str) -> None:
        """In those of a pool, which know nothing of the call that they work for."""
        self.log(kernel, f"with joblib.parallel_backend('threading'):\n    result = {call}")
        assert [span.type for span in self.told.spans] == ["training"]
        assert len({one.run for one in self.told.metrics}) <= 1

    def test_threads_of_the_user_are_runs(self, kernel: Kernel) -> None:
        code = """
import threading
threads = [threading.Thread(target=LogisticRegression().fit, args=(x, y)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
        self.log(kernel, code)
        assert len({span.name for span in self.told.type("training")}) == 2

    def test_worker_processes(self, kernel: Kernel) -> None:
        """They belong to the call that started them, and begin no sessions."""
        before = len(kernel.home.journals())
        found = self.log(
            kernel,
            "with EnergyCallback():\n    result = GridSearchCV("
            "RandomForestClassifier(4), {'max_depth': [2, 3]}, cv=2, n_jobs=2).fit(x, y)",
        )
        assert self.plain(found)[-1] == ("best_score", None)
        assert [span.type for span in self.told.spans] == ["training"]
        assert len(kernel.home.journals()) == before

    def test_many_quick_fits(self, kernel: Kernel) -> None:
        """A loop of thousands must not become as many windows of a millisecond."""
        code = "from sklearn.dummy import DummyClassifier\nlast = DummyClassifier()\n"
        self.log(kernel, f"{code}for _ in range(600): last.fit(x, y)")
        assert 100 <= len(self.told.spans) < 600

    def test_what_only_prepares_data_is_no_training(self, kernel: Kernel) -> None:
        assert self.log(kernel, "scaler = StandardScaler().fit(x)") == []
        assert self.told.spans == []

    def test_curves_of_models_are_one_run(self, kernel: Kernel) -> None:
        assert self.log(kernel, "c = learning_curve(LogisticRegression(), x, y, cv=2)") == []
        assert [span.type for span in self.told.spans] == ["training"]

    def test_classes_that_are_defined_later(self, kernel: Kernel) -> None:
        code = """
class Later(BaseEstimator):
    def fit(self, x, y):
        return self
    def predict(self, x):
        return x
result = Later().fit(x, y)
"""
        self.log(kernel, code)
        (span,) = self.told.spans
        assert span.name == "Later 1"
        told = run(kernel, "result = Later().fit(x, y)")
        assert told.spans == []

    def test_wrapping_is_exact(self, kernel: Kernel) -> None:
        self.log(
            kernel,
            "wrapped = LogisticRegression.fit\n"
            "inside = str(inspect.signature(wrapped)), wrapped.__doc__\n"
            "is_wrapped = wrapped is not original[0]",
        )
        assert kernel.ask("is_wrapped")
        assert kernel.ask("inside == (str(inspect.signature(original[0])), original[0].__doc__)")
        assert kernel.ask("LogisticRegression.fit is original[0]")
        after = "BaseEstimator.__dict__.get('__init_subclass__')"
        assert kernel.ask(f"{after} is original[2]")

    def test_what_goes_wrong_here_is_noted(self, kernel: Kernel) -> None:
        """Once, and the user's fit goes on."""
        code = """
class Odd(LogisticRegression):
    def fit(self, x, y):
        self.loss_curve_ = 7
        self.inertia_ = "much"
        return super().fit(x, y)
scores = [Odd().fit(x, y).score(x, y) for _ in range(2)]
"""
        found = self.log(kernel, code)
        assert [name for _, name, _ in found] == ["score"] * 2
        assert {span.status for span in self.told.spans} == {"ok"}
        tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
        (problem,) = kernel.ask(f"{tracker}.problems")
        assert problem.startswith("a training could not be recorded: TypeError: ")
