"""What compare_searches(), measure_trials() and StopSearch take and refuse."""

import subprocess
import sys
from typing import Any

import pytest

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.recorder import tracker as trackers
from jupyter_green.studies.search import compare_searches, searches_of
from jupyter_green.studies.search_run import Plan
from jupyter_green.studies.search_samplers import factories, has_tried_all, quiet, warm_up
from jupyter_green.studies.search_stop import StopSearch
from jupyter_green.studies.search_trials import measure_trials

optuna = pytest.importorskip("optuna")

GRID = {"x": [1, 2, 3]}


def objective(trial: Any) -> float:
    raise AssertionError("nothing is to run")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"strategies": ("grid",)}, r"needs the values that it tries: grid=.* it is None"),
        ({"strategies": "grid", "grid": {}}, "needs the values that it tries"),
        ({"strategies": "grid", "grid": {"x": []}}, r"'x' must have a list of values, it is \[\]"),
        ({"strategies": "grid", "grid": {"x": "abc"}}, "'x' must have a list of values"),
        ({"strategies": "grid", "grid": {"x": 5}}, "'x' must have a list of values"),
        ({"strategies": ("tpe", "annealing")}, "'annealing' .* is not known: there are grid, "),
        ({"strategies": ("tpe", "tpe")}, r"strategies: 'tpe' \(str\) is there twice"),
        ({"strategies": ("grid", "tpe")}, r"others need none: strategies=\('random', 'tpe'\)"),
        ({"strategies": {"mine": lambda seed: None}}, "'mine' must return an Optuna sampler, it"),
        (
            {"strategies": {"mine": optuna.samplers.GridSampler}},
            "'mine' makes no sampler: TypeError",
        ),
        ({"strategies": {"mine": optuna.samplers.PartialFixedSampler}}, "Sampler takes no seed; "),
        ({"strategies": {"mine": objective}}, "'mine' makes no sampler: AssertionError: nothing"),
        ({"pruner": 3}, r"pruner must be an Optuna pruner, .* it is 3 \(int\)"),
        ({"pruner": optuna.pruners.MedianPruner}, "pruner must be an Optuna pruner"),
        ({"strategies": ()}, "one strategy at least"),
        ({"strategies": 5}, r"must be names, or a mapping .* it is 5 \(int\)"),
        ({"strategies": {"mine": 5}}, "'mine' must be a function that takes a seed"),
        ({"strategies": {" ": objective}}, "each with a name"),
        ({"seeds": 0}, "seeds must be 1 or more"),
        ({"seeds": 2.5}, "seeds must be a whole number"),
        ({"trials": 0}, "trials must be 1 or more"),
        ({"warmup": -1}, "warmup must be 0 or more"),
        ({"seed": "one"}, "seed must be a whole number"),
        ({"metric": " "}, "metric must be a text"),
        ({"target": "high"}, "target must be a number"),
        ({"target": float("nan")}, "target must be a finite number"),
        ({"stop_at_target": True}, "needs the target"),
        ({"budget": 5}, "a budget has a unit"),
        ({"budget": "0 J"}, "more than 0 J"),
        ({"patience": 0}, "patience must be a number of 1 or more"),
        ({"least_gain": -1.0}, "least_gain must be a number of 0 or more"),
    ],
)
def test_arguments_that_make_no_sense(how: dict[str, Any], said: str) -> None:
    """They are refused before anything has run."""
    with pytest.raises(SettingError, match=said):
        compare_searches(objective, **{"strategies": ("random",), **how})
    assert trackers.current() is None


def test_it_must_be_known_which_is_better() -> None:
    with pytest.raises(MetricError, match="whether more of 'thing' is better is not known"):
        compare_searches(objective, strategies="random", metric="thing")
    with pytest.raises(MetricError, match="direction must be"):
        compare_searches(objective, strategies="random", direction="up")
    with pytest.raises(SettingError, match="must be a function of a trial"):
        compare_searches(5, strategies="random")  # type: ignore[arg-type]


WITHOUT_OPTUNA = """
import sys
sys.modules["optuna"] = None
from jupyter_green.errors import MissingPackage
from jupyter_green.studies.search import compare_searches
from jupyter_green.studies.search_trials import measure_trials
for use in (lambda: compare_searches(print, strategies="random"), lambda: measure_trials(print)):
    try:
        use()
    except MissingPackage as error:
        print(error)
print({"pandas", "altair", "torch", "scipy", "vl_convert"} & set(sys.modules))
"""


def test_optuna_is_loaded_on_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPTUNA], capture_output=True, text=True, check=True
    )
    *errors, loaded = done.stdout.splitlines()
    line = "the package 'optuna' is not installed here: pip install jupyter-green[optuna]"
    assert errors == [line, line]
    assert loaded == "set()"


def test_samplers_by_name() -> None:
    found = factories(("grid", "random", "tpe"), GRID)
    kinds = [type(factory(1)).__name__ for factory in found.values()]
    assert kinds == ["GridSampler", "RandomSampler", "TPESampler"]
    mine = factories({"a" * 300: optuna.samplers.RandomSampler}, None)
    assert list(mine) == ["a" * 200]


def test_a_class_gets_its_seed_as_seed() -> None:
    """The first parameter of a sampler is another one."""
    made = factories({"mine": Seeded}, None)
    assert made["mine"](5).given == 5
    tpe = factories(("tpe",), None)["tpe"]
    for factory in (tpe, factories({"tpe": optuna.samplers.TPESampler}, None)["tpe"]):
        values = []
        for _ in range(2):
            study = optuna.create_study(sampler=factory(7))
            with quiet():
                study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)
            values.append([trial.value for trial in study.trials])
        assert values[0] == values[1]


class Seeded(optuna.samplers.RandomSampler):  # type: ignore[misc]
    """Takes something else first."""

    def __init__(self, weight: float = 1.0, *, seed: int | None = None) -> None:
        super().__init__(seed=seed)
        assert weight == 1.0
        self.given = seed


def test_what_is_called_random_is_random() -> None:
    """TPE and the Gaussian process look at no value before their eleventh trial."""
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    known = factories(("random", "tpe", "gp"), None)
    assert [one.random_first for one in known.values()] == [0, 10, 10]
    assert factories({"tpe": optuna.samplers.TPESampler}, None)["tpe"].random_first == 0
    for name in ("tpe", "gp"):
        drawn = []
        for sign in (1, -1):
            study = optuna.create_study(sampler=known[name](3))
            with quiet():
                study.optimize(lambda t, sign=sign: sign * t.suggest_float("x", 0, 1), n_trials=13)
            drawn.append([trial.params["x"] for trial in study.trials])
        assert drawn[0][:10] == drawn[1][:10]
        assert drawn[0][10:] != drawn[1][10:]


def test_searches_are_told_of_sessions_only() -> None:
    with pytest.raises(SettingError, match=r"takes a Session, .* it is 'x' \(str\)"):
        searches_of("x")  # type: ignore[arg-type]


def test_a_gaussian_process() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    (factory,) = factories("gp", None).values()
    study = optuna.create_study(sampler=factory(1))
    with quiet():
        warm_up(("gp", "tpe", "random", "mine"))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)
    assert len(study.trials) == 12


def test_the_grid_is_shuffled_by_its_seed() -> None:
    orders = set()
    for seed in range(12):
        sampler = factories(("grid",), GRID)["grid"](seed)
        study = optuna.create_study(sampler=sampler)
        with quiet():
            study.optimize(lambda trial: trial.suggest_int("x", 1, 3), n_trials=10)
        orders.add(tuple(trial.value for trial in study.trials))
        assert has_tried_all(sampler, study, True)
    assert len(orders) > 2
    assert {frozenset(order) for order in orders} == {frozenset((1, 2, 3))}


def test_optuna_speaks_again_afterwards() -> None:
    logging = optuna.logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.DEBUG)
    try:
        with quiet():
            assert logging.get_verbosity() == logging.CRITICAL
        assert logging.get_verbosity() == logging.DEBUG
        with pytest.raises(ValueError, match="x"), quiet():
            raise ValueError("x")
        assert logging.get_verbosity() == logging.DEBUG
    finally:
        logging.set_verbosity(before)


def test_seeds_differ_and_repeat() -> None:
    fields: dict[str, Any] = dict.fromkeys(Plan.__dataclass_fields__)
    plan, same, other = (Plan(**{**fields, "seed": seed}) for seed in (1, 1, 2))
    seeds = {plan.seed_of(name, count) for name in ("a", "b") for count in range(5)}
    assert len(seeds) == 10
    assert plan.seed_of("a", 1) == same.seed_of("a", 1) != other.seed_of("a", 1)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_rules_of_a_users_study() -> None:
    with pytest.raises(SettingError, match="nothing ends the search"):
        StopSearch()
    with pytest.raises(SettingError, match="a budget has a unit"):
        StopSearch(budget=5)  # type: ignore[arg-type]
    assert trackers.current() is None


def test_what_is_measured_must_be_an_objective() -> None:
    with pytest.raises(SettingError, match="must be a function of a trial"):
        measure_trials(5)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="metric must be a text"):
        measure_trials(objective, metric="")
    with pytest.raises(MetricError, match="direction must be"):
        measure_trials(objective, direction="up")
    assert trackers.current() is None
