"""compare(): callables and labels, against what the simulated machine really drew."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from jupyter_green.sessions.model import Session, Span
from tests.simulators.gpu_packages import GpuPackages
from tests.simulators.machine import RaplMachine

from .kernels import PATIENCE_S, TIMEOUT_S, Home, Kernel, running, until
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

BEGIN = """
from jupyter_green.studies.compare import compare
def at(watts, accuracy=None, seconds=0.3):
    def technique():
        draw("package-0", watts)
        time.sleep(seconds)
        draw("package-0", 35)
        return accuracy
    return technique
"""
TWO = "{'baseline': at(115, 0.91), 'quantised': at(57.5, 0.90)}"


@pytest.fixture
def ready(kernel: Kernel) -> Kernel:
    kernel.ok(BEGIN)
    return kernel


def trials(session: Session) -> list[Span]:
    return [span for span in session.spans if span.type == "trial"]


def true_j(kernel: Kernel, machine: RaplMachine, span: Span) -> float:
    times = kernel.ns(span.started_s), kernel.ns(span.finished_s)
    return true_uj(machine, PACKAGE_AND_DRAM, *times) / 1e6


def test_two_callables_of_known_power(ready: Kernel, machine: RaplMachine) -> None:
    reply = ready.ok(f"compared = compare({TWO}, metric='accuracy', repeats=6, seed=4)\ncompared")
    energies, values = ready.ask(
        "([side.energies_j for side in compared.sides], [side.values for side in compared.sides])"
    )
    session = ready.session()
    found = {name: [] for name in ("baseline", "quantised")}
    for span in trials(session):
        found[span.tags.label or ""].append(true_j(ready, machine, span))
    for name, measured in zip(found, energies, strict=True):
        assert list(measured) == pytest.approx(found[name], rel=0.02)
    assert values == [(0.91,) * 6, (0.90,) * 6]
    verdict = ready.ask("compared.verdict")
    # 118 W and 60.5 W with the DRAM's: 48.7 % less.
    assert verdict.startswith("quantised used 4"), verdict
    assert "less energy than baseline (95 % interval 4" in verdict
    assert verdict.endswith("6 runs each), and its accuracy was 1 point lower in every run.")
    truth = 1 - sum(found["quantised"]) / sum(found["baseline"])
    assert float(verdict.split(" used ")[1].split(" %")[0]) / 100 == pytest.approx(truth, abs=0.02)
    (html,) = [bundle["text/html"] for bundle in reply.bundles if "text/html" in bundle]
    assert "<svg" in html
    assert reply.shown[-1].startswith("quantised used")


def test_what_is_recorded(ready: Kernel) -> None:
    """Rounds in random order, warm-ups that do not count, repeats that are no waste."""
    study = f"compared = compare({TWO}, metric='accuracy', repeats=4, seed=4)"
    ready.ok(study, cell_id="study")
    ready.ok(study, cell_id="study")
    session = ready.session()
    assert Counter(span.type for span in session.spans) == {"warm-up": 4, "trial": 16, "task": 2}
    assert {span.tags.deliberate for span in session.spans if span.type != "task"} == {True}
    assert {span.tags.label for span in session.spans if span.type != "trial"} == {None}
    orders = [[span.tags.label for span in trials(session)][start : start + 8] for start in (0, 8)]
    assert orders[0] == orders[1]
    rounds = [tuple(orders[0][start : start + 2]) for start in range(0, 8, 2)]
    assert {frozenset(one) for one in rounds} == {frozenset(("baseline", "quantised"))}
    assert len(set(rounds)) == 2
    runs = [metric.run for metric in session.metrics]
    assert Counter(runs) == dict.fromkeys((f"{n}#{k}" for n in orders[0] for k in range(1, 5)), 2)
    assert {metric.direction for metric in session.metrics} == {"higher"}
    # The second study is of its own runs, and labels are of all.
    assert ready.ask("[len(side.repeats) for side in compared.sides]") == [4, 4]
    ready.ok("both = compare('baseline', 'quantised')")
    assert ready.ask("[len(side.repeats) for side in both.sides]") == [8, 8]
    assert "4 rounds in random order (seed 4), 1 warm-up each; all of it took " in ready.ask(
        "repr(compared)"
    )


def test_one_that_fails_and_one_that_always_does(ready: Kernel) -> None:
    ready.ok(
        "calls = []\n"
        "def sometimes():\n"
        "    calls.append(1)\n"
        "    time.sleep(0.1)\n"
        "    if len(calls) in (3, 4): raise ValueError('no\\nluck')\n"
        "    return {'accuracy': 0.5, 'note': 'text', 'loss': 1}\n"
        "def never(): raise KeyError('missing')\n"
    )
    reply = ready.ok(
        "compared = compare(sometimes, never, repeats=5, loops=1, rest_s=0.1)\ncompared"
    )
    counts = ready.ask("[(s.succeeded, s.failed, len(s.values)) for s in compared.sides]")
    assert counts == [(3, 2, 3), (0, 5, 0)]
    text = reply.shown[-1]
    assert text.startswith("never cannot be judged: none of its 5 runs succeeded.")
    assert "sometimes raised ValueError: no luck." in text
    assert "never raised KeyError: 'missing'." in text
    assert "note of sometimes is no number but a str." in text
    spans = trials(ready.session())
    statuses = Counter((span.tags.label, span.status, span.error) for span in spans)
    assert statuses == {
        ("sometimes", "ok", None): 3,
        ("sometimes", "error", "ValueError"): 2,
        ("never", "error", "KeyError"): 5,
    }
    assert all(b.started_s - a.finished_s >= 0.1 for a, b in pairwise(spans))


def test_the_number_of_the_round_is_a_seed_for_all(ready: Kernel) -> None:
    ready.ok(
        "seen = {'a': [], 'b': []}\n"
        "def run(name, round):\n    seen[name].append(round)\n    time.sleep(0.1)\n"
        "compared = compare({'a': lambda seed: run('a', seed), 'b': lambda seed: run('b', seed)},\n"
        "    repeats=3, loops=1)"
    )
    assert ready.ask("seen") == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}


def test_an_interrupt_ends_the_study_and_loses_nothing(ready: Kernel) -> None:
    ready.ok(
        "calls = []\n"
        "def stopped():\n"
        "    calls.append(1)\n"
        "    time.sleep(0.1)\n"
        "    if len(calls) == 5: raise KeyboardInterrupt\n"
    )
    reply = ready.run("compare(stopped, at(50, seconds=0.1), repeats=9, loops=1)")
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    session = ready.session()
    assert [span.status for span in session.spans if span.type == "task"] == ["interrupted"]
    stopped = [span.status for span in trials(session) if span.tags.label == "stopped"]
    assert stopped == ["ok"] * 3 + ["interrupted"]
    ready.ok("compared = compare('stopped', 'technique')")
    assert ready.ask("(compared['stopped'].interrupted, len(compared['stopped'].compared))") == (
        1,
        3,
    )
    # Nothing is left open: what comes next stands by itself.
    ready.ok("from jupyter_green import measure\nwith measure('next'): pass")
    assert ready.session().spans[-1].parent is None


def test_a_name_that_has_no_end_and_a_metric_that_nobody_logged(ready: Kernel) -> None:
    ready.ok(
        "compared = compare({'a' * 100_000: at(50, 0.5, 0.1), 'b': at(60, 0.5, 0.1)},"
        " metric='los', repeats=2, loops=1)\n"
        "named = compare({'a': lambda: {'loss': 0.5, 'accuracy': 1}, 'b': lambda: None},"
        " metric='los', repeats=2, loops=1)"
    )
    assert ready.ask("[len(side.name) for side in compared.sides]") == [200, 1]
    session = ready.session()
    assert max(len(span.name) for span in session.spans) <= 200
    assert {len(metric.run or "") for metric in session.metrics} == {len("b#1"), 200 + len("#1")}
    # A bare number is the metric that was asked for; a mapping names its own.
    assert ready.ask("[side.values for side in compared.sides]") == [(0.5, 0.5)] * 2
    notes = ready.ask("named.notes")
    assert "No value of 'los' was logged; logged were: loss, accuracy." in notes
    assert not any("no finite" in note for note in notes)


def test_what_is_too_short_is_repeated(ready: Kernel, machine: RaplMachine) -> None:
    ready.ok("def short(): time.sleep(0.001)\ndef shorter(): pass")
    ready.ok("compared = compare(short, shorter, repeats=5)")
    loops, energies = ready.ask(
        "([side.repeats[0].loops for side in compared.sides],"
        " [side.energies_j for side in compared.sides])"
    )
    assert loops[0] > 20
    assert loops[1] > 10_000
    for name, count, measured in zip(("short", "shorter"), loops, energies, strict=True):
        spans = [span for span in trials(ready.session()) if span.tags.label == name]
        truth = [true_j(ready, machine, span) / count for span in spans]
        assert list(measured) == pytest.approx(truth, rel=0.03)
    assert "less energy than short" in ready.ask("compared.verdict")
    assert any(f"one of {loops[0]:,} loops" in note for note in ready.ask("compared.notes"))


def test_labels_of_cells(ready: Kernel) -> None:
    for accuracy in (0.8, 0.81, 0.82):
        for label, seconds in (("long", 0.4), ("short", 0.2)):
            ready.ok(
                f"%%energy -q --label {label}\n"
                f"time.sleep({seconds})\nfrom jupyter_green import log\nlog(accuracy={accuracy})"
            )
    ready.ok("compared = compare('long', 'short')")
    verdict = ready.ask("compared.verdict")
    assert "short used 4" in verdict or "short used 5" in verdict
    assert "less energy than long" in verdict
    assert "accuracy" in verdict
    assert ready.ask("len(compared.dataframe())") == 6
    reply = ready.run("compare('long', 'nobody')")
    assert (reply.status, reply.ename) == ("error", "SettingError")
    assert "there are 'long', 'short'" in reply.evalue


SCRIPT = """
import sys, time
from jupyter_green.studies.compare import compare

def f():
    time.sleep(0.2)
    return 0.5

def g():
    time.sleep(0.1)
    return 0.5

print(compare(f, g, repeats=5, seed=1).verdict)
"""
LATER = """
import sys
from jupyter_green.studies.compare import compare

print(compare("f", "g", session=sys.argv[1]).verdict)
"""


def test_a_script_and_another_that_reads_its_session(home: Home) -> None:
    out, err = home.script(SCRIPT).communicate(timeout=TIMEOUT_S)
    assert err == ""
    assert "g used 4" in out or "g used 5" in out
    assert "less energy than f" in out
    assert "and its result was the same in every run." in out
    until(lambda: not home.recorders(), PATIENCE_S, "the recorder's end")
    (session,) = home.sessions()
    again, err = home.script(LATER, session.id).communicate(timeout=TIMEOUT_S)
    assert (again, err) == (out, "")
    assert len(home.sessions()) == 1


def test_where_energy_is_modelled_only_time_is_told(place: Path) -> None:
    empty = place / "nothing"
    empty.mkdir()
    home = Home(place / "modelled", sysfs_root=str(empty), cpu_source="modelled")
    try:
        whole = SCRIPT.replace(".verdict", "")
        out, err = home.script(whole).communicate(timeout=TIMEOUT_S)
    finally:
        home.close()
    assert err == ""
    assert out.startswith("modelled: joules are seconds times assumed watts, so that no saving")
    assert "g took 4" in out or "g took 5" in out
    assert "less energy" not in out
    # How runs vary is told of joules and seconds, and that the joules are modelled.
    lines = out.splitlines()
    rows = [line for line in lines if line.startswith(("f  ", "g  "))]
    assert [len(re.findall(r" ± [0-9.]+ (?:J|mJ|s|ms)", row)) for row in rows] == [2, 2]
    assert all("modelled" in row for row in rows)
    assert "The ± of a modelled energy is how runs vary, not how far the model may be off." in lines


def test_gpus_are_waited_for(home: Home, machine: RaplMachine) -> None:
    gpus = GpuPackages(home.work / "packages")
    with running(home, fifo=machine.command_path) as kernel:
        kernel.ok(f"sys.path.insert(0, {str(gpus.directory)!r})\nimport torch\n{BEGIN}")
        kernel.ok(
            "compared = compare({'launched': lambda: torch.cuda.launch(0.2),"
            " 'slept': lambda: time.sleep(0.2)}, repeats=2, loops=1)"
        )
        durations = kernel.ask("compared['launched'].durations_s")
        assert list(durations) == pytest.approx([0.2, 0.2], abs=0.1)
        assert min(durations) >= 0.2
        kernel.ok("calls = []\ndef fails():\n    torch.cuda.fail('device-side assert triggered')")
        reply = kernel.ok("compare(fails, at(40), repeats=2, loops=1)")
        assert "fails raised AcceleratorError" in reply.shown[-1]
