"""compare_searches(), measure_trials(), StopSearch: against what the machine really drew."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest

from jupyter_green.insight.searches import outcome
from jupyter_green.sessions.model import STUDY, Session, Span
from tests.simulators.machine import RaplMachine

from .kernels import Kernel
from .truth import PACKAGE_AND_DRAM, true_uj

pytest.importorskip("optuna")

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

W = 38.0
"""Package and DRAM of the machine's usual draw."""
BEGIN = """
import optuna
from jupyter_green import session
from jupyter_green.studies.search import compare_searches, searches_of
from jupyter_green.studies.search_stop import StopSearch
from jupyter_green.studies.search_trials import measure_trials
optuna.logging.set_verbosity(optuna.logging.ERROR)

def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    time.sleep(0.02)
    return 1 - abs(x - 0.5)

GRID = {"x": [0.1, 0.3, 0.5, 0.7, 0.9]}
HOW = dict(strategies=("grid", "random", "tpe"), grid=GRID, seeds=2, trials=6, seed=3)
session()
"""


@pytest.fixture
def ready(kernel: Kernel) -> Kernel:
    kernel.ok(BEGIN)
    return kernel


def true_j(kernel: Kernel, machine: RaplMachine, span: Span) -> float:
    ends = kernel.ns(span.started_s), kernel.ns(span.finished_s)
    return true_uj(machine, PACKAGE_AND_DRAM, *ends) / 1e6


def of_type(session: Session, type_: str) -> list[Span]:
    return [span for span in session.spans if span.type == type_]


def test_searches_side_by_side(ready: Kernel, machine: RaplMachine) -> None:
    """Joules to the target against the machine's, and the same result from the journal alone."""
    reply = ready.ok(
        "def slow(trial):\n"
        "    draw('package-0', 115)\n"
        "    time.sleep(0.08)\n"
        "    draw('package-0', 35)\n"
        "    return {'accuracy': objective(trial), 'other': 2, 'note': 'text'}\n"
        "found = compare_searches(slow, **HOW, target=0.99)\nfound"
    )
    recorded = ready.session()
    (whole,) = of_type(recorded, "task")
    searches = of_type(recorded, "run")
    assert Counter(span.name.split("#")[0] for span in searches) == {
        "grid": 2,
        "random": 2,
        "tpe": 2,
    }
    assert all(span.parent == whole.span and span.status == "ok" for span in searches)
    # Rounds: all of the first seed, then all of the second.
    assert [span.name[-1] for span in searches] == ["1"] * 3 + ["2"] * 3
    told = outcome(recorded)
    assert [one.name for one in told.strategies] == ["grid", "random", "tpe"]
    for strategy in told.strategies:
        for search in strategy.searches:
            span = recorded.span(search.span)
            assert search.energy_j == pytest.approx(true_j(ready, machine, span), rel=0.02)
            for trial in search.trials:
                span = recorded.span(trial.span)
                assert trial.energy_j == pytest.approx(true_j(ready, machine, span), rel=0.05)
            if search.reached is not None:
                begun = recorded.span(search.span).started_s
                ends = ready.ns(begun), ready.ns(begun + (search.reached.at_s or 0.0))
                truth_j = true_uj(machine, PACKAGE_AND_DRAM, *ends) / 1e6
                assert search.reached.at_j == pytest.approx(truth_j, rel=0.03)
    # A grid of five points is tried once, and the best of them is on it.
    assert [len(one.trials) for one in told.strategies[0].searches] == [5, 5]
    assert [one.stopped for one in told.strategies[0].searches] == ["space", "space"]
    assert told.strategies[0].reached == 2
    # The live result is the recorded one.
    assert reply.shown[-1].strip() == ready.ask("repr(searches_of(session()))").strip()
    assert ready.ask("searches_of(session()).outcome == found.outcome")
    assert "<svg" in reply.bundles[-1]["text/html"]
    assert ready.ask("found.errors") == ()
    assert reply.err == reply.out == ""
    others = [metric for metric in recorded.metrics if metric.name == "other"]
    assert len(others) == sum(len(one.trials) for one in told.strategies)
    assert {metric.run for metric in others} == {span.name for span in searches}
    assert ready.ask("(len(found.dataframe()), found.dataframe()['seed'].nunique())") == (34, 6)
    ready.ok("again = compare_searches(objective, **HOW, target=0.99)")
    ready.ok("a, b = (one.dataframe() for one in (found, again))")
    # The same seed, the same trials.
    assert ready.ask("a['value'].dropna().tolist() == b['value'].dropna().tolist()")
    assert ready.ask("len(searches_of(session(), 0).dataframe())") == 34
    # Reports draw a line for each run: those of two studies are told apart.
    runs = {one.run for one in ready.session().metrics if one.source != STUDY}
    firsts = {name for name in runs if name is not None and name.endswith("#1")}
    assert {f"{name} (2)" for name in firsts} <= runs
    assert len(runs) == 12
    assert ready.ask("[one.name for one in again['tpe'].searches]") == ["tpe#1 (2)", "tpe#2 (2)"]


def test_a_study_shows_how_far_it_is(ready: Kernel) -> None:
    """Trials that a search did without are not waited for, nor those of one that failed."""
    reply = ready.ok(
        "def slow(trial):\n"
        "    time.sleep(0.15)\n"
        "    return objective(trial)\n"
        "class Broken(optuna.samplers.RandomSampler):\n"
        "    def infer_relative_search_space(self, study, trial): raise RuntimeError('broken')\n"
        "strategies = {'grid': lambda seed: optuna.samplers.GridSampler(GRID, seed=seed),\n"
        "              'broken': lambda seed: Broken(seed)}\n"
        "found = compare_searches(slow, strategies=strategies, seeds=3, trials=8, target=0.99)"
    )
    last = reply.renewed[-1]
    assert last.startswith("searches of accuracy: 100%"), last
    assert "48/48" in last
    # Either search may have come last.
    assert re.search(r"(grid#3: best accuracy 1|broken#3: best accuracy none yet)\]$", last), last


def test_trials_that_fail_or_are_pruned(ready: Kernel) -> None:
    ready.ok(
        "calls = []\n"
        "def sometimes(trial):\n"
        "    calls.append(1)\n"
        "    value = objective(trial)\n"
        "    match len(calls) % 5:\n"
        "        case 0: raise ValueError('no\\nluck')\n"
        "        case 1:\n"
        "            trial.report(99.0, 1)\n"
        "            raise optuna.TrialPruned\n"
        "        case 2: return float('nan')\n"
        "        case 3: return (value, 'several')\n"
        "    return value\n"
        "found = compare_searches(sometimes, strategies=['random', 'tpe'], seeds=1, trials=10,\n"
        "                         target=50.0, stop_at_target=True)\n"
        "def never(trial): raise KeyError('missing')\n"
        "lost = compare_searches(never, strategies=['random'], seeds=2, trials=3)\n"
        "made = []\n"
        "def broken(seed):\n"
        "    made.append(seed)\n"
        "    if len(made) > 1: raise RuntimeError('no sampler')\n"
        "    return random(seed)\n"
        "def random(seed): return optuna.samplers.RandomSampler(seed=seed)\n"
        "one = compare_searches(objective, strategies=dict(broken=broken, mine=random),\n"
        "                       seeds=2, trials=3, warmup=0)"
    )
    notes = "\n".join(ready.ask("found.notes"))
    for name in ("random", "tpe"):
        assert (
            f"{name}: of 10 trials 4 failed (MetricError, ValueError), 2 without a finite value, "
            "2 pruned; their energy counts."
        ) in notes
    assert "random raised ValueError: no\nluck" in ready.ask("found.errors")
    assert ready.ask("lost.verdict") == (
        "Nothing can be judged: no search ended with a finite accuracy."
    )
    assert "random raised KeyError: 'missing'" in ready.ask("lost.errors")
    assert "random raised KeyError: 'missing'." in ready.ask("repr(lost)")
    assert "broken raised RuntimeError: no sampler." in ready.ask("one.markdown()")
    assert "broken: 2 searches are left out of the comparison (RuntimeError)." in ready.ask(
        "one.notes"
    )
    statuses = Counter(span.status for span in of_type(ready.session(), "trial"))
    assert statuses == {"pruned": 4, "error": 8 + 6, "ok": 8 + 6}
    assert ready.ask("[len(s.compared) for s in one.strategies]") == [0, 2]


def test_each_search_ends_by_its_rules(ready: Kernel, machine: RaplMachine) -> None:
    ready.ok(
        "one = dict(strategies=['random'], seeds=2, warmup=0, seed=1)\n"
        "at_target = compare_searches(objective, **one, trials=200, target=0.9,\n"
        "                             stop_at_target=True)\n"
        "on_budget = compare_searches(objective, **one, trials=10_000, budget='100 J')\n"
        "flat = compare_searches(lambda trial: objective(trial) * 0 + 0.5, **one, trials=60,\n"
        "                        patience=5, least_gain=0.01)"
    )
    session = ready.session()
    for number, why in enumerate(("target", "budget", "returns")):
        (strategy,) = outcome(session, number).strategies
        assert [one.stopped for one in strategy.searches] == [why, why]
        for search in strategy.searches:
            values = [trial.value or 0.0 for trial in search.trials]
            if why == "target":
                assert [value >= 0.9 for value in values] == [False] * (len(values) - 1) + [True]
            elif why == "budget":
                truth_j = true_j(ready, machine, session.span(search.span))
                assert truth_j == pytest.approx(100, rel=0.02)
            else:
                # Nothing has been gained since the first: twice the patience.
                assert len(values) in (11, 12)


def test_an_interrupt_keeps_what_was_finished(ready: Kernel) -> None:
    ready.ok(
        "calls = []\n"
        "def stopped(trial):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 15: raise KeyboardInterrupt\n"
        "    return objective(trial)\n"
        "verbosity = optuna.logging.get_verbosity()"
    )
    reply = ready.run(
        "compare_searches(stopped, strategies=['random'], seeds=5, trials=4, warmup=0)"
    )
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    assert ready.ask("optuna.logging.get_verbosity() == verbosity")
    ready.ok("found = searches_of(session())")
    assert ready.ask("[(s.status, len(s.trials)) for s in found['random'].searches]") == [
        ("ok", 4),
        ("ok", 4),
        ("ok", 4),
        ("interrupted", 3),
    ]
    assert "random: 1 search is left out of the comparison (interrupted)." in ready.ask(
        "found.notes"
    )
    assert ready.ask("repr(found)").startswith(
        "The study was interrupted: 3 of 5 searches were finished."
    )
    # Nothing is left open: what comes next stands by itself.
    ready.ok("from jupyter_green import measure\nwith measure('next'): pass")
    assert ready.session().spans[-1].parent is None


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "metric 'accuracy' must be one number, it is None"),
        ("'high'", "metric 'accuracy' must be one number, it is 'high'"),
        ("{'acuracy': 0.5}", "the objective returned no 'accuracy', but 'acuracy'"),
    ],
)
@pytest.mark.parametrize("warmup", [0, 1])
def test_an_objective_that_returns_no_metric_ends_the_study(
    ready: Kernel, returned: str, said: str, warmup: int
) -> None:
    """After the warm-up and the first search, and not after all of them."""
    reply = ready.run(
        f"compare_searches(lambda trial: {returned}, strategies=['random', 'tpe'], seeds=3,\n"
        f"                 trials=4, warmup={warmup})"
    )
    assert reply.ename == "MetricError"
    assert said in reply.evalue
    session = ready.session()
    assert len(of_type(session, "run")) == 1
    assert len(of_type(session, "trial")) == 4
    assert ready.ask("repr(searches_of(session()))").startswith(
        "The study ended with MetricError: 1 of 6 searches was finished."
    )


def test_a_grid_of_other_parameters(ready: Kernel) -> None:
    how = "strategies=['grid', 'random'], seeds=1, trials=4"
    reply = ready.run(f"compare_searches(objective, {how}, grid={{'y': [1, 2]}})")
    assert reply.ename == "SettingError"
    assert "the grid has no values of 'x', which the objective asks for: it has those of 'y'" in (
        reply.evalue
    )
    assert of_type(ready.session(), "trial") == []
    # What the grid has too much is told, and so is what fails without a warm-up.
    ready.ok(
        f"more = compare_searches(objective, {how}, grid={{'x': [0.5], 'y': [1, 2]}})\n"
        f"late = compare_searches(objective, {how}, grid={{'y': [1, 2]}}, warmup=0)"
    )
    assert "grid: no trial has asked for 'y', which is in the grid." in ready.ask("repr(more)")
    assert "grid raised ValueError: " in ready.ask("repr(late)")
    assert "whole space" not in ready.ask("repr(late)")


@pytest.mark.parametrize("budget_j", [1, 2, 5])
def test_a_small_budget_is_kept(ready: Kernel, machine: RaplMachine, budget_j: int) -> None:
    """From the first trial on: the recorder is asked before it begins, and when it is late."""
    budget = f"budget='{budget_j} J'"
    ready.ok(
        "from jupyter_green import measure, track\n"
        "def quick(trial):\n"
        "    time.sleep(0.002)\n"
        "    return trial.suggest_float('x', 0, 1)\n"
        "time.sleep(1)\n"
        "study = optuna.create_study()\n"
        f"stop = StopSearch({budget})\n"
        "with measure('own'): study.optimize(quick, n_trials=5000, callbacks=[stop])\n"
        f"loop = track(range(5000), name='loop', show=False, {budget})\n"
        "for step in loop: time.sleep(0.002)\n"
        "found = compare_searches(quick, strategies=['random'], seeds=2, trials=5000, warmup=0,\n"
        f"                         {budget})"
    )
    session = ready.session()
    windows = ready.spans("own") + ready.spans("loop") + of_type(session, "run")
    assert len(windows) == 4
    for window in windows:
        # A few milliseconds of the machine's draw, and whatever else it does on this one.
        assert 0.5 * budget_j < true_j(ready, machine, window) < budget_j + 0.02 * W, window.name
    for words in (ready.ask("stop.stopped"), ready.ask("loop.stopped")):
        is_over = "more than the budget" in words
        assert is_over or re.search(rf"of {budget_j} J (are used, and the next |is used up)", words)


def test_a_budget_holds_in_a_later_cell(ready: Kernel, machine: RaplMachine) -> None:
    """Levels are told until the cell ends in which they were asked for."""
    ready.ok("study, stop = optuna.create_study(), StopSearch(budget='20 J')")
    ready.ok("study.optimize(objective, n_trials=1000, callbacks=[stop])")
    assert "the budget of 20 J" in ready.ask("stop.stopped")
    assert sum(one.energy.energy_j or 0 for one in ready.session().cells[-2:]) < 25


def test_a_budget_that_is_exceeded_is_told_as_that(ready: Kernel) -> None:
    ready.ok(
        "study, stop = optuna.create_study(), StopSearch(budget='1 J')\n"
        "study.optimize(lambda trial: time.sleep(0.2) or 1.0, n_trials=9, callbacks=[stop])"
    )
    assert ready.ask("stop.stopped").startswith("stopped after 1 trial: ")
    assert ready.ask("stop.stopped").endswith(" are used, more than the budget of 1 J")


def test_one_stop_ends_one_study(ready: Kernel) -> None:
    reply = ready.ok(
        "study, stop = optuna.create_study(), StopSearch(target=10.0)\n"
        "study.optimize(objective, n_trials=9, callbacks=[stop])\n"
        "study.optimize(objective, n_trials=9, callbacks=[stop])\n"
        "other = optuna.create_study()\n"
        "other.optimize(objective, n_trials=9, callbacks=[stop])"
    )
    assert ready.ask("(len(study.trials), len(other.trials))") == (2, 9)
    assert reply.out.count("this StopSearch belongs to another study and ends nothing here") == 1


def test_joules_need_a_direction_of_their_own(ready: Kernel) -> None:
    reply = ready.run(
        "study = optuna.create_study()\n"
        "study.optimize(measure_trials(objective, with_energy=True), n_trials=50)"
    )
    assert reply.ename == "SettingError"
    assert "needs 2 directions and has 1" in reply.evalue
    assert ready.ask("len(study.trials)") == 1
    reply = ready.run(
        "study = optuna.create_study(directions=['maximize', 'minimize'])\n"
        "several = lambda trial: (objective(trial), 5)\n"
        "study.optimize(measure_trials(several, with_energy=True), n_trials=50)"
    )
    assert "needs 3 directions and has 2" in reply.evalue
    assert ready.ask("len(study.trials)") == 1


def test_the_users_own_study(ready: Kernel, machine: RaplMachine) -> None:
    ready.ok(
        "def mine(trial):\n"
        "    value = objective(trial)\n"
        "    if trial.number == 2: raise optuna.TrialPruned\n"
        "    if trial.number == 3: raise ValueError\n"
        "    return {'accuracy': value, 'loss': 1 - value}\n"
        "study = optuna.create_study(direction='maximize')\n"
        "study.optimize(measure_trials(mine), n_trials=6, catch=(ValueError,))\n"
        "told = [(t.number, t.state.name, t.value, t.user_attrs) for t in study.trials]"
    )
    told, session = ready.ask("told"), ready.session()
    spans = of_type(session, "trial")
    states = [state for _, state, _, _ in told]
    assert states == ["COMPLETE"] * 2 + ["PRUNED", "FAIL"] + ["COMPLETE"] * 2
    for (number, _, _, attributes), span in zip(told, spans, strict=True):
        assert span.name == f"trial {number + 1}"
        assert attributes["energy_j"] == span.energy.energy_j
        assert attributes["energy_j"] == pytest.approx(true_j(ready, machine, span), rel=0.25)
        assert attributes["energy_bound_j"] == span.energy.bound_j
        assert attributes["energy_provenance"] == "measured"
        assert "energy_shared" not in attributes
    logged = [(one.run, one.step, one.value) for one in session.metrics if one.name == "accuracy"]
    assert logged == [
        ("mine", number + 1, value) for number, state, value, _ in told if state == "COMPLETE"
    ]
    # It is no study of ours.
    assert ready.run("searches_of(session())").ename == "SettingError"
    ready.ok("study.optimize(measure_trials(objective), n_trials=4, n_jobs=2)")
    assert ready.ask("any('energy_shared' in t.user_attrs for t in study.trials[6:])")


def test_value_and_joules_are_optimised_together(ready: Kernel, machine: RaplMachine) -> None:
    ready.ok(
        "def timed(trial):\n"
        "    x = trial.suggest_float('x', 0.02, 0.1)\n"
        "    time.sleep(x)\n"
        "    return x\n"
        "study = optuna.create_study(directions=['maximize', 'minimize'])\n"
        "study.optimize(measure_trials(timed, with_energy=True), n_trials=8)\n"
        "told = [(t.values, t.user_attrs['energy_j']) for t in study.trials]"
    )
    spans = of_type(ready.session(), "trial")
    for ((value, joules), attribute), span in zip(ready.ask("told"), spans, strict=True):
        assert joules == attribute == span.energy.energy_j
        assert joules == pytest.approx(true_j(ready, machine, span), rel=0.12)
        # It may be kept from the processor, and never takes less than it sleeps.
        assert joules >= 0.9 * W * value
    # More time is more joules: but for noise, nobody beats another.
    assert ready.ask("len(study.best_trials)") >= 2
    ready.ok(
        "study = optuna.create_study(directions=['maximize', 'minimize', 'minimize'])\n"
        "several = lambda trial: (timed(trial), 5)\n"
        "study.optimize(measure_trials(several, with_energy=True), n_trials=1)"
    )
    (x, size, joules), params = ready.ask("(study.trials[0].values, study.trials[0].params)")
    assert (x, size) == (params["x"], 5)
    assert joules == of_type(ready.session(), "trial")[-1].energy.energy_j


def test_the_users_own_study_ends_by_rules(ready: Kernel, machine: RaplMachine) -> None:
    ready.ok(
        "from jupyter_green import measure\n"
        "with measure('study'):\n"
        "    study, stop = optuna.create_study(), StopSearch(budget='40 J')\n"
        "    study.optimize(objective, n_trials=10_000, callbacks=[stop])"
    )
    # A trial takes 0.8 J, and as much may be left.
    assert true_j(ready, machine, ready.span("study")) == pytest.approx(39.5, abs=1)
    why = ready.ask("stop.stopped")
    assert re.search(r"of 40 J (are used, and the next trial would exceed it|is used up)", why)
    ready.ok(
        "study, stop = optuna.create_study(), StopSearch(target=0.55)\n"
        "study.optimize(objective, n_trials=1000, callbacks=[stop])"
    )
    values = ready.ask("[t.value for t in study.trials]")
    assert [value <= 0.55 for value in values] == [False] * (len(values) - 1) + [True]
    assert ready.ask("stop.stopped").startswith(f"stopped after {len(values)} trials: the best ")
    ready.ok(
        "study, stop = optuna.create_study(), StopSearch(patience=5)\n"
        "study.optimize(lambda trial: 1.0, n_trials=100, callbacks=[stop])"
    )
    assert "returns diminish" in ready.ask("stop.stopped")
    assert math.isclose(ready.ask("len(study.trials)"), 11, abs_tol=1)
