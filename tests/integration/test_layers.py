"""Joules by layer, against what the simulated machine really drew for each of them."""

from __future__ import annotations

import pytest

from jupyter_green.errors import SettingError
from jupyter_green.insight.judgement import findings_of
from jupyter_green.insight.layers import (
    FORWARD,
    LAYERS,
    TRAINING,
    Amount,
    Costs,
    name_of_run,
)
from jupyter_green.sessions.model import Span
from jupyter_green.studies.layers import layers_of
from tests.simulators.machine import RaplMachine

from .kernels import TIMEOUT_S, Kernel, until
from .truth import PACKAGE_AND_DRAM, true_uj

pytest.importorskip("torch")
pytestmark = [pytest.mark.kernel, pytest.mark.alone]

DRAM_W = 3.0
STEPS = {
    "first": ((50.0, 0.016), (95.0, 0.024)),
    "second": ((80.0, 0.012), (45.0, 0.020)),
    "third": ((65.0, 0.020), (110.0, 0.012)),
}
"""Watts of the package and seconds of a layer's forward and of its backward pass ..."""
BETWEEN = (70.0, 0.010)
"""... and of what the model does itself in its forward pass."""
MOST_W = 110.0
STUBS = f"""
import torch
from torch import nn
from jupyter_green.studies.layers import layers_of, measure_layers
torch.set_num_threads(1)
now = [35.0]
def work(watts, seconds):
    if now[0] != watts:
        now[0] = watts
        draw('package-0', watts)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
class Works(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, steps):
        ctx.backwards = steps[1]
        work(*steps[0])
        return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        work(*ctx.backwards)
        return gradient, None
class Layer(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps
    def forward(self, x):
        return Works.apply(x, self.steps)
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        for name, steps in {STEPS!r}.items():
            setattr(self, name, Layer(steps))
    def forward(self, x):
        x = self.second(self.first(x * self.weight))
        work(*{BETWEEN!r})
        return self.third(x)
batch = torch.ones(2, 3)
"""


@pytest.fixture
def torched(kernel: Kernel) -> Kernel:
    """A kernel with PyTorch and a model of known cost in it."""
    kernel.ok(STUBS, silent=True)
    return kernel


def true_j(kernel: Kernel, machine: RaplMachine, span: Span) -> float:
    ends = kernel.ns(span.started_s), kernel.ns(span.finished_s)
    return true_uj(machine, PACKAGE_AND_DRAM, *ends) / 1e6


class Made:
    """What passes are made of: pieces of work, each with its watts and seconds."""

    def __init__(self, *pieces: tuple[float, float]) -> None:
        self.seconds = sum(seconds for _, seconds in pieces)
        self.joules = sum((watts + DRAM_W) * seconds for watts, seconds in pieces)

    def late_j(self, amount: Amount) -> float:
        """What it may have taken beyond that: where the work was kept from the processor."""
        return (MOST_W + DRAM_W) * abs(amount.duration_s - self.seconds)


def test_joules_by_layer(torched: Kernel, machine: RaplMachine) -> None:
    """Forward and backward of each layer, the whole, and what the model does between layers."""
    kernel = torched
    reply = kernel.ok("result = measure_layers(Model(), batch, label='net', seconds=0.3)")
    # Nothing but the bar of what takes more than a few seconds, which stays as it ended.
    assert (reply.out, reply.err, reply.errors) == ("", "", []), reply.everything
    assert [shown[:17] for shown in reply.shown] == ["layers of net:   "]
    assert reply.renewed[-1].startswith("layers of net: 100%")
    session = kernel.session()
    figures = layers_of(session).figures

    def drawn_j(part: Costs, pass_: str) -> float:
        """What the machine drew in the very runs, of one pass."""
        amount, name = part.amount(pass_), name_of_run(pass_, part.name)
        spans = [span for span in session.spans if span.name == name and span.type == "trial"]
        assert amount is not None
        assert len(spans) == amount.runs == 3
        assert (amount.below_resolution, amount.provenance) == (False, ("measured",))
        drawn_w = sum(true_j(kernel, machine, span) for span in spans) / sum(
            span.duration_s for span in spans
        )
        assert amount.energy_j == pytest.approx(drawn_w * amount.duration_s, rel=0.02)
        return drawn_w * amount.duration_s

    assert [layer.name for layer in figures.layers] == list(STEPS)
    forwards, trainings = [], []
    for layer in figures.layers:
        forwards.append(drawn_j(layer, FORWARD))
        trainings.append(drawn_j(layer, TRAINING))
        assert layer.forward is not None
        assert layer.training is not None
        assert layer.backward is not None
        backward_j = trainings[-1] - forwards[-1]
        assert layer.backward.energy_j == pytest.approx(backward_j, abs=0.02 * trainings[-1])
        # What it was made of, as far as the machine let it work.
        forward, backward = STEPS[layer.name]
        late_j = Made(forward).late_j(layer.forward)
        assert layer.forward.energy_j == pytest.approx(
            Made(forward).joules, abs=0.05 * Made(forward).joules + late_j
        )
        late_j += Made(forward, backward).late_j(layer.training)
        assert layer.backward.energy_j == pytest.approx(
            Made(backward).joules, abs=0.05 * Made(backward).joules + late_j
        )
        print(layer.name, layer.forward.energy_j, layer.backward.energy_j, late_j)
    for pass_, layers in ((FORWARD, forwards), (TRAINING, trainings)):
        rest, whole_j = figures.difference(pass_), drawn_j(figures.whole, pass_)
        assert rest is not None
        assert rest.energy_j == pytest.approx(whole_j - sum(layers), abs=0.04 * whole_j)
        amounts = [part.amount(pass_) for part in (figures.whole, *figures.layers)]
        made = [Made(*pieces) for pieces in _pieces(pass_)]
        late_j = sum(
            one.late_j(amount) for one, amount in zip(made, amounts, strict=True) if amount
        )
        assert rest.energy_j == pytest.approx(Made(BETWEEN).joules, abs=0.04 * whole_j + late_j)
    # The same result, live and from the journal.
    assert kernel.ask("repr(result)") == repr(layers_of(session, "net"))
    own = "layers_of(__import__('jupyter_green').session())"
    assert kernel.ask(f"repr({own})") == repr(layers_of(session))


def _pieces(pass_: str) -> list[list[tuple[float, float]]]:
    """Of the whole model, and of each layer."""
    layers = [list(steps)[: 1 + (pass_ == TRAINING)] for steps in STEPS.values()]
    return [[BETWEEN, *(piece for pieces in layers for piece in pieces)], *layers]


REAL = """
class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
            nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(32 * 16, 10)
    def forward(self, x):
        return self.head(self.features(x).flatten(1))
torch.manual_seed(0)
block = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
models = {
    'cnn': (Small(), torch.randn(128, 1, 8, 8)),
    'mlp': (nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.Tanh(),
                          nn.Linear(512, 10)), torch.randn(256, 256)),
    'encoder': (nn.TransformerEncoder(block, 1, enable_nested_tensor=False),
                torch.randn(16, 32, 64)),
}
loss = lambda output: output.square().mean()
results = {name: measure_layers(*model, loss=loss, label=name, seconds=0.08, runs=2)
           for name, model in models.items()}
"""


def test_real_models(torched: Kernel) -> None:
    """The layers add up to the whole, or what is left is shown and explained.

    Times are compared within one study, whose runs are interleaved.
    """
    kernel = torched
    kernel.ok(REAL)
    session = kernel.session()
    for name, most in (("cnn", "Conv2d"), ("mlp", "Linear"), ("encoder", None)):
        result = layers_of(session, name)
        figures = result.figures
        assert kernel.ask(f"repr(results[{name!r}])") == repr(result)
        assert not any(layer.failed for layer in figures.layers)
        for pass_, note in zip((FORWARD, TRAINING), result.notes, strict=False):
            whole, layers = figures.whole.amount(pass_), figures.sum(pass_)
            rest = figures.difference(pass_)
            assert whole is not None
            assert layers is not None
            assert rest is not None
            print(name, pass_, layers.energy_j, whole.energy_j)
            assert (layers.energy_j or 0) + (rest.energy_j or 0) == pytest.approx(whole.energy_j)
            assert "the layers add up to" in note
            if abs(rest.energy_j or 0) > max(0.1 * (whole.energy_j or 0), rest.open_j):
                assert "that may be" in note or "by themselves the layers take more" in note
            # A plain Sequential does nothing itself.
            assert "functions" not in note or name != "mlp"
        largest = figures.types[0]
        assert most is None or largest.type == most, figures.types
        # Matrix products and convolutions are all in layers; attention's own are in its layer.
        assert figures.outside_flops(TRAINING) == 0
        assert figures.whole.training_flops == sum(one.training_flops or 0 for one in result.layers)
    cnn = layers_of(session, "cnn")
    assert cnn["features.2"].in_place
    assert cnn["features.0"].forward_flops == 2 * 128 * 64 * 9 * 16
    # Without its input's gradient, which nobody needs.
    assert cnn["features.0"].training_flops == 2 * 2 * 128 * 64 * 9 * 16
    assert "MultiheadAttention" in {one.type for one in layers_of(session, "encoder").types}


def test_what_is_recorded(torched: Kernel) -> None:
    kernel = torched
    kernel.ok("measure_layers(Model(), batch, backward=False, seconds=0.02, runs=2, label='a b')")
    session = kernel.session()
    (study,) = (span for span in session.spans if span.type == LAYERS)
    runs = [span for span in session.spans if span.parent == study.span]

    names = {name_of_run(FORWARD, name) for name in ("a b", *STEPS)}
    assert {span.name for span in runs if span.type == "warm-up"} == names
    trials = [span for span in runs if span.type == "trial"]
    # In rounds.
    assert [{span.name for span in trials[at : at + 4]} for at in (0, 4)] == [names, names]
    assert all(span.tags.deliberate for span in (study, *runs))
    assert {span.tags.label for span in trials} == {None, "forward of a b"}
    assert session.results == ()
    assert [finding.kind for finding in findings_of(session)] == []


def test_a_layer_that_fails(torched: Kernel) -> None:
    """Its backward pass cannot be done: it is told, and the others go on."""
    kernel = torched
    kernel.ok(
        "class Fails(torch.autograd.Function):\n"
        "    forward = staticmethod(lambda ctx, x: x * 2)\n"
        "    @staticmethod\n"
        "    def backward(ctx, g): raise ArithmeticError('no')\n"
        "class Broken(nn.Module):\n"
        "    def forward(self, x): return Fails.apply(x)\n"
        "model = nn.Sequential(nn.Linear(3, 3), Broken())\n"
        "result = measure_layers(model, batch, seconds=0.02, runs=2)"
    )
    result = layers_of(kernel.session())
    assert result["1"].failed == {TRAINING: "ArithmeticError: no"}
    assert result["0"].training is not None
    assert result.figures.whole.failed == {TRAINING: "ArithmeticError: no"}
    assert result.sentence.startswith(
        "forward only, as the backward pass failed (ArithmeticError: no); "
    )
    assert "1 failed when it was repeated" in kernel.ask("repr(result)")


def test_what_is_told_of_the_model_beside_its_runs(torched: Kernel) -> None:
    """A loss without gradients, modules that nobody calls, and no code between layers."""
    kernel = torched
    kernel.ok(
        "class Idle(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.used, self.idle = nn.Linear(3, 3), nn.Linear(100, 10)\n"
        "    def forward(self, x): return self.used(x) + 1\n"
        "short = dict(seconds=0.02, runs=1)\n"
        "measure_layers(Idle(), batch, loss=lambda out: out.detach().sum(), **short)\n"
        "measure_layers(nn.Sequential(nn.Linear(3, 3)), batch, **short)\n"
        "measure_layers(nn.Linear(3, 3).requires_grad_(False), batch, label='frozen', **short)"
    )
    session = kernel.session()
    idle, plain = layers_of(session, "Idle"), layers_of(session, "Sequential")
    assert idle.sentence.startswith("forward only, as the loss does not need gradients (detached?)")
    assert "1,010 parameters belong to layers that this pass did not call (idle)" in idle.notes
    assert (idle.figures.own_code, plain.figures.own_code) == (True, False)
    assert plain.figures.no_backward == ""
    frozen = layers_of(session, "frozen")
    assert frozen.figures.is_one_layer
    assert frozen.sentence.startswith("forward only, as no output of the model needs gradients")


def test_a_short_study_shows_no_bar(torched: Kernel) -> None:
    assert torched.ok(
        "result = measure_layers(nn.Linear(3, 3), batch, seconds=0.02, runs=1)"
    ).silent


def test_errors_of_the_model_and_of_the_loss_are_the_users(torched: Kernel) -> None:
    kernel = torched
    reply = kernel.run("measure_layers(nn.Linear(4, 2), batch)")
    assert (reply.status, reply.ename) == ("error", "RuntimeError")
    assert "measure_layers was at 'Linear' and gives no result" in reply.everything
    reply = kernel.run("measure_layers(nn.Linear(3, 2), batch, loss=lambda out: 1 / 0)")
    assert reply.ename == "ZeroDivisionError"
    reply = kernel.run("measure_layers(nn.Linear(3, 2), batch, loss=lambda out: out)")
    assert (reply.ename, "a tensor of one number" in reply.evalue) == ("SettingError", True)
    assert [span.status for span in kernel.session().spans] == ["error"] * 3
    with pytest.raises(SettingError, match="no finished study of layers"):
        layers_of(kernel.session())


def test_an_interrupt(torched: Kernel) -> None:
    """The module is as it was, and what comes next stands on its own."""
    kernel = torched
    kernel.ok("net = nn.Sequential(nn.BatchNorm1d(3), Model())")
    sent = kernel.send("measure_layers(net, batch, seconds=0.3, runs=1000)")
    until(lambda: len(kernel.spans("forward of Sequential")) >= 2, TIMEOUT_S)
    kernel.interrupt()
    reply = kernel.reply(sent)
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    assert "runs were finished" in reply.everything
    assert kernel.ask("(net[0].num_batches_tracked.item(), net[0].running_var.tolist())") == (
        0,
        [1.0] * 3,
    )
    assert kernel.ask("nn.Module.__call__.__qualname__") == "Module._wrapped_call_impl"
    study = kernel.span("layers of Sequential")
    assert study.status == "interrupted"
    kernel.ok("with __import__('jupyter_green').measure('after'): pass")
    assert kernel.span("after").parent is None


def test_on_a_gpu(torched: Kernel) -> None:
    if not torched.ask("torch.cuda.is_available()"):
        pytest.skip("no NVIDIA GPU")
    torched.ok(
        "net = nn.Linear(512, 512).cuda()\n"
        "result = measure_layers(net, torch.ones(64, 512, device='cuda'), seconds=0.1, runs=2)"
    )
    assert torched.ask("result['Linear'].training is None") is False
    assert torched.ask("next(net.parameters()).is_cuda") is True
