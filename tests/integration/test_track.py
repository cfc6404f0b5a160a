"""track(): what a loop costs while it runs and after, and that it ends where it is asked to."""

from __future__ import annotations

import re

import pytest

from jupyter_green.events import MetricLogged
from jupyter_green.sessions.model import Span
from tests.simulators.machine import RaplMachine

from .kernels import Home, Kernel
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

W = 38.0
"""Package and DRAM of the machine's usual draw."""


@pytest.fixture
def ready(kernel: Kernel) -> Kernel:
    kernel.ok("import math\nfrom jupyter_green import log, session, track")
    kernel.ok("time.sleep(1); session()")
    return kernel


def true_j(kernel: Kernel, machine: RaplMachine, span: Span) -> float:
    ends = kernel.ns(span.started_s), kernel.ns(span.finished_s)
    return true_uj(machine, PACKAGE_AND_DRAM, *ends) / 1e6


def test_energy_and_spans_of_the_steps(ready: Kernel, machine: RaplMachine) -> None:
    reply = ready.ok("e = track(range(8), show=False)\nfor step in e: time.sleep(0.3)")
    energy_j = ready.ask("e.energy_j")
    session, cell = ready.session(), ready.cell(reply)
    (whole,) = ready.spans("training")
    steps = [span for span in session.spans if span.type == "epoch"]
    assert [span.name for span in steps] == [f"step {number}" for number in range(1, 9)]
    assert all(span.parent == whole.span and span.tags.stage == "training" for span in steps)
    assert all(span.cell == cell.number and span.status == "ok" for span in steps)
    assert energy_j == pytest.approx(true_j(ready, machine, whole), rel=0.02)
    assert energy_j == whole.energy.energy_j
    # What was told while it ran is the same, to what the machine lags.
    told_j = ready.ask("e._progress._steps.energies_j")
    exact_j = [span.energy.energy_j or 0.0 for span in steps]
    assert sum(told_j) == pytest.approx(sum(exact_j), rel=0.05)


def test_the_whole_is_foretold_from_a_tenth_of_the_steps_on(ready: Kernel) -> None:
    ready.ok(
        "seen = []\n"
        "e = track(range(20), show=False)\n"
        "for step in e:\n"
        "    p = e.prediction\n"
        "    seen.append(p and (p.after, p.low_j, p.energy_j, p.high_j))\n"
        "    time.sleep(0.25)"
    )
    seen, energy_j = ready.ask("seen"), ready.ask("e.energy_j")
    assert seen[0] is None
    told = [one for one in seen if one is not None]
    assert told[0][0] in (2, 3)
    for after, low_j, total_j, high_j in told[2:]:
        assert low_j <= energy_j <= high_j, after
        assert total_j == pytest.approx(energy_j, rel=0.15)
    assert ready.ask("e.prediction.remaining_j") == 0


def test_it_ends_before_it_would_exceed_its_budget(ready: Kernel, machine: RaplMachine) -> None:
    """Within 2 % of 100 J; the notebook goes on."""
    reply = ready.ok(
        "e = track(range(10_000), budget='100 J')\nfor step in e: time.sleep(0.02)\nafter = 1"
    )
    # A step may take more than the one before it: then it is used up.
    assert re.search(r"the budget of 100 J (are used, and|is used up)", reply.everything)
    assert "stopped after" in ready.ask("e.stopped")
    assert ready.ask("e.energy_j") > 0
    (whole,) = ready.spans("training")
    assert true_j(ready, machine, whole) == pytest.approx(100, rel=0.02)
    assert ready.ask("after") == 1
    # Short steps have their spans together.
    epochs = [span for span in ready.session().spans if span.type == "epoch"]
    assert len(epochs) < 0.6 * 100 / W / 0.02
    assert sum(span.energy.total_uj or 0 for span in epochs) == pytest.approx(
        whole.energy.total_uj, rel=0.1
    )


@pytest.mark.parametrize("budget_j", [3, 6, 15])
def test_a_small_budget_is_kept_from_the_first_step_on(
    ready: Kernel, machine: RaplMachine, budget_j: int
) -> None:
    """Also where levels were told before, of an idle machine: they say nothing of now."""
    ready.ok(
        "for step in track(range(3), show=False): time.sleep(0.01)\n"
        "time.sleep(1.5)\n"
        f"e = track(range(10_000), name='small', budget='{budget_j} J', show=False)\n"
        "for step in e:\n"
        "    if step == 0: draw('package-0', 150)\n"
        "    time.sleep(0.001)\n"
        "draw('package-0', 35)"
    )
    (whole,) = ready.spans("small")
    assert 0.5 * budget_j < true_j(ready, machine, whole) < budget_j + 0.015 * 4 * W
    assert f"the budget of {budget_j} J" in ready.ask("e.stopped")


def test_a_budget_is_kept_while_the_recorder_is_still_starting(
    home: Home, machine: RaplMachine
) -> None:
    kernel = Kernel(home, fifo=machine.command_path, load=False)
    try:
        kernel.ok(
            "import time\nfrom jupyter_green import session, track\n"
            "e = track(range(10_000), budget='2 J', show=False)\n"
            "for step in e: time.sleep(0.001)"
        )
        kernel.look_up()
        (whole,) = kernel.spans("training")
        assert 1 < true_j(kernel, machine, whole) < 2 + 0.02 * W
    finally:
        kernel.close()


def test_a_budget_that_is_exceeded_is_told_as_that(ready: Kernel) -> None:
    ready.ok("e = track(iter(range(9)), budget='1 J', show=False)\nfor step in e: time.sleep(0.2)")
    assert ready.ask("e.stopped").startswith("stopped after 1 step: ")
    assert ready.ask("e.stopped").endswith(" are used, more than the budget of 1 J")


def test_it_ends_at_its_target(ready: Kernel) -> None:
    ready.ok(
        "e = track(range(50), metric='accuracy', target=0.75, show=False)\n"
        "for step in e:\n    time.sleep(0.01)\n    log(accuracy=step / 10, step=step)"
    )
    assert ready.ask("step") == 8
    assert ready.ask("e.stopped") == (
        "stopped after 9 of 50 steps: accuracy has reached 0.8 (target 0.75)"
    )


def test_it_ends_when_returns_diminish(ready: Kernel) -> None:
    ready.ok(
        "e = track(range(60), metric='loss', patience=5, least_gain=0.01, show=False)\n"
        "for step in e:\n    time.sleep(0.06)\n    log(loss=math.exp(-step), step=step)"
    )
    assert "returns diminish; the last 5 epochs cost" in ready.ask("e.stopped")
    assert 8 <= ready.ask("step") <= 15


def test_a_function_is_called_after_each_step_and_its_value_logged(ready: Kernel) -> None:
    ready.ok(
        "def accuracy(): return 1 - 1 / (step + 2)\n"
        "e = track(range(6), metric=accuracy, run='mine', show=False)\n"
        "for step in e: time.sleep(0.1)"
    )
    assert ready.ask("e.energy_j") > 0
    logged = [event for event in ready.events() if isinstance(event, MetricLogged)]
    assert [(m.name, m.step, m.run, m.direction) for m in logged] == [
        ("accuracy", number, "mine", "higher") for number in range(1, 7)
    ]
    assert ready.ask("e.curve.best.value") == pytest.approx(6 / 7)
    assert ready.ask("len(e.curve.points)") == 6
    assert ready.ask("e.curve.uj_per_point") > 0


def test_the_bar_shows_energy_prediction_and_joules_per_point(ready: Kernel) -> None:
    ready.ok("%green place FR")
    ready.ok("import tqdm.auto, tqdm.std\ntqdm.auto.tqdm = tqdm.std.tqdm  # text, as in a script")
    reply = ready.ok(
        "for step in track(range(12), metric='accuracy'):\n"
        "    time.sleep(0.3)\n    log(accuracy=0.5 + step / 30)"
    )
    for words in ("12/12", "in all (", "CO₂e", "per point"):
        assert words in reply.everything


def test_a_saved_notebook_shows_how_the_loop_ended(ready: Kernel) -> None:
    """A widget's text is that of its display, when nothing was done yet."""
    reply = ready.ok("for step in track(range(3)): time.sleep(0.3)")
    (bar,) = reply.bundles
    assert "application/vnd.jupyter.widget-view+json" in bar
    assert reply.renewed[-1].startswith("training: 100%")
    assert "3/3" in reply.renewed[-1]


LOOP = "for step in track(range(9), show=False):\n    time.sleep(0.1)\n    if step == 2: {how}"
HELD = (
    "it = iter(track(range(9), show=False))\n"
    "for _ in range(3):\n    next(it)\n    time.sleep(0.1)\n{how}"
)


@pytest.mark.parametrize(
    ("code", "how", "status"),
    [
        (LOOP, "break", "ok"),
        (LOOP, "raise ValueError", "ok"),
        (HELD, "raise ValueError", "error"),
        (HELD, "raise KeyboardInterrupt", "interrupted"),
        (HELD, "pass", "ok"),
    ],
)
def test_however_it_ends_its_spans_are_closed_with_the_cell(
    ready: Kernel, code: str, how: str, status: str
) -> None:
    """What a variable or a traceback keeps alive would end with the session only."""
    reply = ready.run(code.format(how=how))
    cell = ready.cell(reply)
    ready.ok("time.sleep(0.2); session()")
    spans = ready.session().spans
    assert [span.name for span in spans] == ["step 1", "step 2", "step 3", "training"]
    assert [span.status for span in spans] == ["ok", "ok", status, status]
    assert all(span.finished_s <= cell.finished_s for span in spans)
    # And the gauge is asked by nobody any more.
    tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
    assert ready.ask(f"{tracker}._client.levels.wanted().on") is False


def test_only_values_of_the_named_run_count(ready: Kernel) -> None:
    ready.ok(
        "e = track(range(20), metric='accuracy', patience=3, run='mine', show=False)\n"
        "for step in e:\n"
        "    time.sleep(0.01)\n"
        "    log(accuracy=step / 20, run='mine')\n"
        "    log(accuracy=0.5, run='other')"
    )
    assert ready.ask("(step, e.stopped)") == (19, None)


def test_a_metric_that_nobody_logs_is_said(ready: Kernel) -> None:
    """A misspelt name would switch off early stopping, and nobody would know."""
    reply = ready.ok(
        "for step in track(range(6), metric='acuracy', direction='higher', target=0.9):\n"
        "    log(accuracy=0.95)"
    )
    assert reply.everything.count("no value of 'acuracy' was logged in 3 steps") == 1
    assert "logged was: accuracy" in reply.everything


def test_a_training_that_diverges_is_told_as_that(ready: Kernel) -> None:
    ready.ok(
        "e = track(range(40), metric='loss', patience=3, show=False)\n"
        "for step in e:\n"
        "    time.sleep(0.02)\n"
        "    log(loss=2 - step / 10 if step < 8 else math.nan)"
    )
    assert ready.ask("e.stopped").endswith("steps: loss is nan")
    # All of them have their energy, however short the loop was.
    assert ready.ask("len(e.curve.points)") == 8


def test_returns_need_no_energy(ready: Kernel) -> None:
    """A loop that is over before any energy is known keeps its patience all the same."""
    ready.ok(
        "e = track(range(30), metric='loss', patience=3, show=False)\n"
        "for step in e: log(loss=1.0 if step > 2 else 3.0 - step)"
    )
    assert "returns diminish" in ready.ask("e.stopped")


def test_a_generator_has_no_prediction_unless_its_length_is_given(ready: Kernel) -> None:
    ready.ok("e = track(iter(range(5)), show=False)\nfor step in e: time.sleep(0.2)")
    assert ready.ask("e.prediction") is None
    ready.ok("e = track(iter(range(5)), total=5, show=False)\nfor step in e: time.sleep(0.2)")
    assert ready.ask("(len(e), e.prediction.after)") == (5, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("track([], budget='5')", "is no energy"),
        ("track([], target=1.0)", "give metric="),
        ("track([], 'speed', target=1.0)", "direction='higher' or direction='lower'"),
        ("track([], 'loss', direction='up')", "must be 'higher' or 'lower'"),
        ("track([], 'loss', patience=0)", "patience must be a number of 1 or more, it is 0"),
        ("track([], 'loss', patience=2.5)", "patience must be a whole number, it is 2.5"),
        ("track([], 'loss', patience=3, least_gain=math.nan)", "least_gain must be a number"),
        ("track([], 'loss', target='x')", "target must be a number, it is 'x'"),
        ("track([], budget=50)", "a budget has a unit: '50 Wh'"),
        ("track([], budget='0 J')", "more than 0 J"),
        ("track([], metric=3)", "name of a metric, or a function"),
        ("track([], total=-1)", "total must be a number of 0 or more, it is -1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_loop(
    ready: Kernel, call: str, words: str
) -> None:
    reply = ready.run(call)
    assert words in reply.everything or words in reply.evalue
