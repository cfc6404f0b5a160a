"""Joules per inference, against what the simulated machine really drew."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jupyter_green.errors import SettingError
from jupyter_green.insight.compare import contest
from jupyter_green.insight.inferences import inferences_of
from jupyter_green.report import forms, text
from jupyter_green.report.studies import inferred
from jupyter_green.sessions.model import Span
from jupyter_green.studies.inference import inference_of
from tests.simulators.gpu import Gpu
from tests.simulators.gpu_packages import GpuPackages
from tests.simulators.machine import RaplMachine

from .gpu import QUIET_S, station
from .kernels import TIMEOUT_S, Home, Kernel, until
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

FIXED_S, PER_ITEM_S = 0.004, 0.001
IDLE_W = 38.0
DRAM_W = 3.0
SIZES = (1, 4, 16)
MODEL = f"""
from jupyter_green.studies.inference import measure_inference
watts = {{1: 45.0, 4: 65.0, 16: 95.0}}
now = [35.0]
def model(batch):
    "Takes a fixed time for a batch and a time for each item, at a power of its own."
    if now[0] != watts[len(batch)]:
        now[0] = watts[len(batch)]
        draw('package-0', now[0])
    end = time.perf_counter() + {FIXED_S} + {PER_ITEM_S} * len(batch)
    while time.perf_counter() < end:
        pass
"""
WATTS = {1: 45.0 + DRAM_W, 4: 65.0 + DRAM_W, 16: 95.0 + DRAM_W}


@pytest.fixture
def modelled(kernel: Kernel) -> Kernel:
    """A kernel with a model in it."""
    kernel.ok(MODEL, silent=True)
    return kernel


def trials(kernel: Kernel, size: int) -> list[Span]:
    """The measured runs of a batch size, in order."""
    session = kernel.so_far()
    spans = session.spans if session is not None else ()
    return [s for s in spans if s.type == "trial" and s.name.startswith(f"batch {size}, ")]


def true_j(kernel: Kernel, machine: RaplMachine, span: Span) -> float:
    ends = kernel.ns(span.started_s), kernel.ns(span.finished_s)
    return true_uj(machine, PACKAGE_AND_DRAM, *ends) / 1e6


def test_joules_per_item(modelled: Kernel, machine: RaplMachine) -> None:
    """Each run to the truth and to the stated bound, net of idle and not, in a mixed order."""
    kernel = modelled
    kernel.ok("%green baseline 1.5")
    reply = kernel.ok("result = measure_inference(model, list(range(16)), batch_sizes=[16, 1, 4])")
    assert reply.silent, reply.everything
    rows = kernel.ask(
        "[(r.batch_size, r.calls.loops, r.energies_per_item_j, r.bound_per_item_j,"
        " r.energy_per_item_j, r.per_1000_j, r.net_per_item_j, r.duration_per_item_s, r.power_w,"
        " r.items_per_s, r.latency_s, r.latency_p95_s, r.provenance) for r in result.rows]"
    )
    assert [row[0] for row in rows] == list(SIZES)
    for size, loops, energies, bound, mean, thousand, net, seconds, power, rate, *rest in rows:
        spans = trials(kernel, size)
        truth = [true_j(kernel, machine, span) / loops / size for span in spans]
        assert len(energies) == 7
        assert list(energies) == pytest.approx(truth, rel=0.02)
        outside = [t for t, e in zip(truth, energies, strict=True) if abs(t - e) > bound]
        assert len(outside) <= 1, (size, truth, energies, bound)
        assert bound < 0.05 * mean
        assert loops * size * seconds > 0.08
        # What the model was made of; it may be kept from the processor, and never be faster.
        own_s = FIXED_S / size + PER_ITEM_S
        assert seconds > own_s
        assert mean == pytest.approx(WATTS[size] * seconds, rel=0.02)
        assert thousand == pytest.approx(1000 * mean)
        assert net == pytest.approx((WATTS[size] - IDLE_W) * seconds, rel=0.03)
        assert power == pytest.approx(WATTS[size], rel=0.02)
        assert rate == pytest.approx(1 / seconds)
        latency, p95, provenance = rest
        assert own_s * size <= latency <= p95
        assert latency < 1.5 * own_s * size
        assert provenance == ("measured",)


def test_what_is_recorded(modelled: Kernel) -> None:
    kernel = modelled
    kernel.ok(
        "measure_inference(model, list(range(4)), batch_sizes=[1, 4], runs=3, label='int8',\n"
        "    technique='quantisation', metric={'accuracy': 0.93})"
    )
    session = kernel.session()
    spans = [span for span in session.spans if span.type == "trial"]
    assert [span.name for span in session.spans if span.type == "warm-up"] == [
        "batch 1, int8",
        "batch 4, int8",
    ]
    rounds = [{span.name for span in spans[i : i + 2]} for i in (0, 2, 4)]
    assert rounds == [{"batch 1, int8", "batch 4, int8"}] * 3
    for span in spans:
        assert (span.tags.label, span.tags.stage) == (span.name, "deployment")
        assert (span.tags.technique, span.tags.deliberate) == ("quantisation", True)
    (metric,) = session.results
    assert (metric.name, metric.value, metric.run) == ("accuracy", 0.93, "int8")


def test_the_result_is_in_the_session(modelled: Kernel) -> None:
    """The journal alone tells the same again; what was broken off tells nothing."""
    kernel = modelled
    kernel.ok(
        "from jupyter_green import session\n"
        "from jupyter_green.studies.inference import inference_of\n"
        "one = measure_inference(model, [1] * 16, batch_sizes=[1, 16], runs=3, label='int8',\n"
        "    metric={'accuracy': 0.93})\n"
        "two = measure_inference(model, [1] * 4, runs=2, label='fp32')"
    )
    kernel.run("measure_inference(lambda batch: model(batch) or 1 / 0, [1], label='broken')")
    assert kernel.ask("inference_of(session(), 'int8') == one")
    assert kernel.ask("repr(inference_of(session())) == repr(two)")
    ended = kernel.session()
    assert [one.label for one in inferences_of(ended)] == ["int8", "fp32"]
    assert repr(inference_of(ended, "int8")) == kernel.ask("repr(one)")
    with pytest.raises(
        SettingError, match=r"no measure_inference\(\) is called 'broken'; .*'int8'"
    ):
        inference_of(ended, "broken")


def test_reports_tell_of_it(modelled: Kernel) -> None:
    name = "<script>alert(1)</script>"
    modelled.ok(f"measure_inference(model, [1] * 16, batch_sizes=[1, 16], runs=5, label={name!r})")
    session = modelled.session()
    (found,) = inferences_of(session)
    said = inferred.sentence(found)
    assert "batch 16: " in said
    page = str(forms.form_of("html").render(session))
    assert "<h2>Studies</h2>" in page
    assert said in page
    assert name not in page
    # The page's policy lets nothing have a style of its own.
    assert " style=" not in page[page.index("<h2>Studies") :].partition("</section>")[0]
    assert said in str(forms.form_of("markdown").render(session))
    assert f"Inference: {name}: {said}" in text.render(session, width=100)
    assert "counters ±" in text.render(session, everything=True)


def test_batch_sizes_are_compared_by_one_inference_each(modelled: Kernel) -> None:
    """Runs of different loops, of one model, each size under a label of its own."""
    modelled.ok("result = measure_inference(model, [1] * 16, batch_sizes=[1, 16])")
    names = ("batch 1, model", "batch 16, model")
    found = contest(modelled.session(), names)
    energies = modelled.ask(
        "[(r.calls.loops * r.batch_size, r.energies_per_item_j) for r in result.rows]"
    )
    for name, (loops, joules) in zip(names, energies, strict=True):
        side = found.side(name)
        assert {one.loops for one in side.compared} == {loops}
        assert side.energies_j == pytest.approx(joules)
    assert min(loops for loops, _ in energies) > 1
    # As measure_inference() has it, and not a batch of 16 against a batch of one.
    assert " less energy than batch 1, model" in found.verdict
    assert found.metric is None


def test_what_the_models_are_worth_is_compared(modelled: Kernel) -> None:
    """As the docstring has it: two models at one batch size, by energy and by accuracy."""
    modelled.ok(
        "for label, accuracy in (('fp32', 0.95), ('int8', 0.93)):\n"
        "    measure_inference(model, [1] * 16, runs=5, label=label, metric={'accuracy': accuracy})"
    )
    found = contest(modelled.session(), ("batch 16, fp32", "batch 16, int8"))
    assert found.metric == "accuracy"
    assert [side.values for side in found.sides] == [(0.95,) * 5, (0.93,) * 5]
    assert "2 points lower in every run" in found.verdict


def test_what_is_shown(modelled: Kernel) -> None:
    reply = modelled.ok("measure_inference(model, [1] * 16, batch_sizes=[1, 16], runs=5)")
    (text,) = reply.shown
    assert text.startswith("model · mean ± std. dev. of 5 runs · measured\n")
    # 1.8 J at 98 W against 240 mJ at 48 W: the fixed cost is shared among sixteen.
    assert " J per 1000 inferences, " in text
    assert "% less than batch 1" in text or "times less than batch 1" in text
    (bundle,) = reply.bundles
    assert "<svg" in bundle["text/html"]


def test_an_error_of_the_model(modelled: Kernel) -> None:
    """It is the user's; the runs before it stay, and the one it broke says so."""
    kernel = modelled
    kernel.ok(
        "calls = [0]\n"
        "def fails(batch):\n    calls[0] += 1\n    model(batch)\n"
        "    if calls[0] > 150: raise ValueError('too much')"
    )
    reply = kernel.run("measure_inference(fails, [1, 2, 3, 4], runs=500)")
    assert (reply.status, reply.ename, reply.evalue) == ("error", "ValueError", "too much")
    assert "measure_inference was at batch size 4 and gives no result" in reply.everything
    spans = kernel.session().spans
    (whole,) = (span for span in spans if span.type == "inference")
    *runs, _ = (span for span in spans if span is not whole)
    assert {(span.status, span.error) for span in runs} == {("ok", None)}
    assert (whole.status, whole.error) == ("error", "ValueError")
    assert kernel.ok("1").status == "ok"
    assert not kernel.session().open_cells


def test_an_interrupt(modelled: Kernel) -> None:
    kernel = modelled
    sent = kernel.send("measure_inference(model, [1, 2, 3, 4], runs=1000, seconds=0.3)")
    until(lambda: len(trials(kernel, 4)) >= 2, TIMEOUT_S)
    kernel.interrupt()
    reply = kernel.reply(sent)
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    assert "of 1000 runs were finished and are spans of the session" in reply.everything
    finished = [span for span in kernel.session().spans if span.status == "ok"]
    assert len(finished) >= 2
    # Nothing stays open: what comes next stands on its own.
    kernel.ok("with __import__('jupyter_green').measure('after'): pass")
    assert kernel.span("after").parent is None


def test_gpus_are_waited_for(kernel: Kernel, home: Home) -> None:
    """A call returns at once; its work takes 0.05 s more."""
    packages = GpuPackages(home.work / "packages")
    kernel.ok(f"sys.path.insert(0, {str(packages.directory)!r})\nimport torch", silent=True)
    kernel.ok(
        "from jupyter_green.studies.inference import measure_inference\n"
        "result = measure_inference(lambda: torch.cuda.launch(0.05), items=10, runs=2,"
        " seconds=0.04)"
    )
    seconds, latency, loops = kernel.ask(
        "(result.best.duration_per_item_s, result.best.latency_s, result.best.calls.loops)"
    )
    assert loops == 1
    assert 0.005 <= seconds < 0.02
    assert 0.05 <= latency < 0.2
    assert "made a context" not in packages.calls()


ON_A_DEVICE = """
from jupyter_green.studies.inference import measure_inference
drawn = [0]
def model(batch):
    if drawn[0] != 100 * len(batch):
        drawn[0] = 100 * len(batch)
        gpu_power(0, drawn[0])
    time.sleep(0.01)
def rest():
    drawn[0] = 60
    gpu_power(0, 60)
"""


@pytest.mark.slow
def test_on_a_device(place: Path) -> None:
    """Batches of different power follow each other on a counter that moves ten times a second."""
    study = "rest(); result = measure_inference(model, [1] * 4, batch_sizes=[1, 4], runs=2); rest()"
    figures = "[(r.batch_size, r.calls.loops, r.energies_per_item_j, r.net_per_item_j)"
    with station(place / "it", [Gpu(watts=60.0)]) as it:
        kernel = it.kernel
        kernel.ok(ON_A_DEVICE, silent=True)
        it.use()
        kernel.ok("%green baseline 1")
        it.use(0)
        it.settle()
        kernel.ok(study)
        for size, loops, energies, net in kernel.ask(f"{figures} for r in result.rows]"):
            spans = trials(kernel, size)
            truth = [it.true_total_uj(span, 0) / 1e6 / loops / size for span in spans]
            assert min(span.duration_s for span in spans) >= 0.9
            assert list(energies) == pytest.approx(truth, rel=0.02)
            # The device was not in use when the machine rested.
            assert net is None
        notes = kernel.ask("result.notes")
        assert notes == (
            "no figures net of idle: the baseline was measured before gpu-0 was used; measure it "
            "again",
        )
        time.sleep(QUIET_S)
        kernel.ok("%green baseline 2")
        kernel.ok(study)
        for size, loops, energies, net in kernel.ask(f"{figures} for r in result.rows]"):
            call_s = [span.duration_s / loops for span in trials(kernel, size)[2:]]
            assert len(energies) == len(call_s) == 2
            true_net = (100 * size - 60) * sum(call_s) / 2 / size
            assert net == pytest.approx(true_net, rel=0.05)


def test_promises_are_waited_for(kernel: Kernel) -> None:
    """A package that has no switch to wait for everything: what was returned is waited for."""
    kernel.ok(
        "import types\njax = sys.modules['jax'] = types.ModuleType('jax')\n"
        "jax.block_until_ready = time.sleep\n"
        "from jupyter_green.studies.inference import measure_inference\n"
        "result = measure_inference(lambda: 0.05, items=1, runs=2, seconds=0.04)"
    )
    assert kernel.ask("result.best.duration_per_item_s") >= 0.05


@pytest.mark.slow
def test_long_calls_are_not_made_for_their_latency_alone(kernel: Kernel) -> None:
    kernel.ok(
        "from jupyter_green.studies.inference import measure_inference\ncalls = []\n"
        "def slow(): calls.append(1); time.sleep(1.05)\n"
        "result = measure_inference(slow, items=2, runs=2)"
    )
    calls, latency_s = kernel.ask("(len(calls), result.best.latency_s)")
    # At first, to find the loops, to warm up, and in the runs.
    assert calls == 1 + 1 + 1 + 2
    assert 1.05 <= latency_s < 2


def test_in_a_script(home: Home) -> None:
    """A session begins with the study; nothing but what the script prints is shown."""
    code = (
        "import time\nfrom jupyter_green.studies.inference import measure_inference\n"
        "def sleepy(x, y): time.sleep(0.01)\n"
        "result = measure_inference(sleepy, ([1, 2], [3, 4]), runs=5)\n"
        "print(result.best.batch_size, result.sentence)\n"
    )
    out, err = home.script(code).communicate(timeout=TIMEOUT_S)
    assert err == ""
    size, sentence = out.strip().split(" ", 1)
    assert size == "2"
    assert sentence.startswith("batch 2: ")
    assert sentence.endswith(" per 1000 inferences")
