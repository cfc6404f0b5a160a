"""Energy by layer out of a journal, its words and its views."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jupyter_green.errors import SettingError
from jupyter_green.events import Tags
from jupyter_green.insight import layers as insight
from jupyter_green.insight.compare import contest
from jupyter_green.insight.layers import COPY, FORWARD, TRAINING
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.report.studies import layered
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.studies.layers import Layers, layers_of, measure_layers, run_length_s
from tests.simulators.story import HOSTILE, MODEL, PACKAGE, Story

WATTS = 12.0
RUNS = (0.99, 1.0, 1.01)
"""What the runs take, relative to their mean."""
Lengths = dict[str, float]


class Told(Story):
    """A study of layers, told run by run. Lengths are seconds of one pass."""

    spans = 0

    def study(
        self,
        whole: Lengths,
        layers: dict[str, Lengths],
        label: str = "net",
        facts: dict[str, float] | None = None,
    ) -> None:
        """
        Args:
            layers: by ``name/Type`` the lengths of their passes.
            facts: that are told of the whole model beside the usual ones.
        """
        outer = self._next()
        self._started(outer, f"layers of {label}", insight.LAYERS, Tags(label=label))
        self.facts(None, label, "Net", whole, parameters=170)
        for fact, value in (facts or {}).items():
            self.fact(fact, value)
        for number, (name, lengths) in enumerate(layers.items()):
            self.facts(number, *name.split("/"), lengths)
        for relative in RUNS:
            self.passes(outer, None, label, whole, relative)
            for number, (name, lengths) in enumerate(layers.items()):
                self.passes(outer, number, name.split("/")[0], lengths, relative)
        self._finished(outer)

    def fact(self, name: str, value: float = 1.0, number: int | None = None) -> None:
        self.metric(name, value, step=number, source=STUDY)

    def facts(
        self, number: int | None, name: str, type_: str, passes: Lengths, parameters: int = 80
    ) -> None:
        told = {
            insight.CALLS + name: 1,
            insight.PARAMETERS + type_: parameters,
            insight.GRADIENT: TRAINING in passes,
            insight.MODE: 1,
            insight.FLOPS[FORWARD]: 0 if "Drop" in type_ else 1e9,
            insight.FLOPS[TRAINING]: 0 if "Drop" in type_ else 3e9,
        }
        self.t += 1e-6  # not at the very beginning, which belongs to what came before
        for fact, value in told.items():
            self.metric(fact, float(value), step=number, source=STUDY)

    def passes(
        self, outer: int, number: int | None, name: str, lengths: Lengths, relative: float
    ) -> None:
        for pass_, seconds in lengths.items():
            label = f"{pass_} of {name}" if number is None else None
            self.run(outer, number, f"{pass_} of {name}", seconds * relative, label=label)

    def run(
        self,
        outer: int,
        number: int | None,
        name: str,
        seconds: float,
        *,
        loops: int = 10,
        label: str | None = None,
        error: str | None = None,
    ) -> None:
        span = self._next()
        self._started(span, name, "trial", Tags(label=label, deliberate=True), parent=outer)
        self.t += 1e-6
        self.metric(LOOPS, float(loops), step=number, source=STUDY)
        self.sleep(loops * seconds - 1e-6)
        self._finished(span, error)

    def _next(self) -> int:
        self.spans += 1
        return self.spans

    def _started(self, span: int, name: str, type_: str, tags: Tags, **more: Any) -> None:
        from jupyter_green.events import SpanStarted

        self.feed(SpanStarted(span=span, name=name, type=type_, tags=tags, **more, **self.stamp()))

    def _finished(self, span: int, error: str | None = None) -> None:
        from jupyter_green.events import SpanFinished

        status = "error" if error else "ok"
        self.feed(SpanFinished(span=span, status=status, error=error, **self.stamp()))
        self.t += 1e-6


WHOLE = {FORWARD: 1.0, TRAINING: 3.0}
LAYERS = {
    "conv/Conv2d": {FORWARD: 0.5, TRAINING: 1.6},
    "drop/Dropout": {FORWARD: 0.1, TRAINING: 0.15},
    "fc.0/Linear": {FORWARD: 0.2, TRAINING: 0.6},
    "fc.1/Linear": {FORWARD: 0.1, TRAINING: 0.3},
}


def told(*counters: Any, **how: Any) -> Session:
    story = Told(*counters, **how)
    story.study(WHOLE, LAYERS)
    return story.close()


# --- figures ------------------------------------------------------------------------------


def test_every_layer_has_what_its_runs_took() -> None:
    result = layers_of(told())

    assert [layer.name for layer in result.layers] == ["conv", "drop", "fc.0", "fc.1"]
    conv = result["conv"]
    assert (conv.type, conv.calls, conv.parameters, conv.gradient) == ("Conv2d", 1, 80, True)
    assert conv.forward is not None
    assert conv.training is not None
    assert conv.backward is not None
    assert conv.forward.energy_j == pytest.approx(0.5 * WATTS)
    assert conv.forward.deviation_j == pytest.approx(0.01 * 0.5 * WATTS, rel=1e-3)
    assert conv.training.energy_j == pytest.approx(1.6 * WATTS)
    # Forward and backward add up to what was measured.
    assert conv.backward.energy_j == pytest.approx(1.1 * WATTS)
    assert conv.backward.duration_s == pytest.approx(1.1)
    assert conv.energy_per_gflop_j(TRAINING) == pytest.approx(1.6 * WATTS / 3)
    assert result.figures.share(conv.training) == pytest.approx(1.6 / 3)
    assert result["drop"].energy_per_gflop_j(TRAINING) is None
    with pytest.raises(KeyError):
        result["relu"]


def test_the_rest_of_the_whole_is_shown_and_not_scaled_away() -> None:
    figures = layers_of(told()).figures
    layers, rest = figures.sum(TRAINING), figures.difference(TRAINING)

    assert layers is not None
    assert rest is not None
    assert layers.energy_j == pytest.approx(2.65 * WATTS)
    assert rest.energy_j == pytest.approx(0.35 * WATTS)
    shares = [figures.share(layer.training) or 0.0 for layer in figures.layers]
    assert sum(shares) == pytest.approx(2.65 / 3)
    # Three layers of 3 GFLOP, in a whole of 3.
    assert figures.outside_flops(TRAINING) == 0


def test_types_are_sums_the_largest_first() -> None:
    result = layers_of(told())

    assert [(one.type, one.layers, one.parameters) for one in result.types] == [
        ("Conv2d", 1, 80),
        ("Linear", 2, 160),
        ("Dropout", 1, 80),
    ]
    linear = result.types[1].training
    assert linear is not None
    assert linear.energy_j == pytest.approx(0.9 * WATTS)
    assert linear.deviation_j == pytest.approx(0.01 * WATTS * (0.6**2 + 0.3**2) ** 0.5, rel=1e-3)


def test_the_last_study_counts_or_that_of_a_label() -> None:
    story = Told()
    story.study(WHOLE, LAYERS, "first")
    story.study({FORWARD: 2.0}, {"only/Linear": {FORWARD: 1.9}}, "second")
    session = story.close()

    assert layers_of(session).figures.label == "second"
    assert layers_of(session).figures.main == FORWARD
    assert layers_of(session, "first") == layers_of(session, "first")
    assert len(layers_of(session, "first").layers) == 4
    with pytest.raises(SettingError, match=r"of 'third' .*there are 'first', 'second'"):
        layers_of(session, "third")
    with pytest.raises(SettingError, match=r"no finished study .*measure_layers\(\) makes one"):
        layers_of(Story().close())


def test_a_study_that_did_not_end_gives_no_result() -> None:
    story = Told()
    outer = story._next()
    story._started(outer, "layers of net", insight.LAYERS, Tags(label="net"))
    story.run(outer, None, "forward of net", 1.0)
    with pytest.raises(SettingError):
        layers_of(story.session())
    story._finished(outer, "ValueError")
    with pytest.raises(SettingError):
        layers_of(story.close())


def test_whole_models_are_compared_and_layers_are_not() -> None:
    story = Told()
    story.study(WHOLE, LAYERS, "a")
    story.study({FORWARD: 2.0, TRAINING: 6.0}, LAYERS, "b")
    found = contest(story.close())

    assert [side.name for side in found.sides] == [
        "forward of a",
        "training of a",
        "forward of b",
        "training of b",
    ]
    assert found.sides[0].durations_s == pytest.approx(RUNS)


# --- what cannot be told ------------------------------------------------------------------


def test_what_works_in_place_is_told_without_the_copying() -> None:
    story = Told()
    story.study(WHOLE, {"relu/ReLU": {COPY: 0.3, FORWARD: 0.5, TRAINING: 0.9}})
    relu = layers_of(story.close())["relu"]

    assert relu.in_place
    assert relu.forward is not None
    assert relu.training is not None
    assert relu.backward is not None
    assert relu.forward.duration_s == pytest.approx(0.2)
    assert relu.training.duration_s == pytest.approx(0.6)
    assert relu.backward.duration_s == pytest.approx(0.4)


def test_a_layer_without_gradients_costs_its_forward_pass() -> None:
    story = Told()
    story.study(WHOLE, {"frozen/Linear": {FORWARD: 0.5}, "fc/Linear": LAYERS["fc.0/Linear"]})
    result = layers_of(story.close())

    assert result["frozen"].training == result["frozen"].forward
    rest = result.figures.difference(TRAINING)
    assert rest is not None
    assert rest.duration_s == pytest.approx(3 - 0.5 - 0.6)
    assert "frozen: has no backward pass" in " ".join(result.notes)
    assert "no gradients" in repr(result)
    assert result.dataframe()["backward_energy_j"].isna().tolist() == [True, False]


def test_what_the_counters_cannot_resolve_is_never_nothing() -> None:
    """12 J a run of ten passes, at the least, and the counters leave 30 J open."""
    story = Told(lag_uj=15_000_000)
    story.study({FORWARD: 30.0}, {"a/Linear": {FORWARD: 20.0}, "b/ReLU": {FORWARD: 0.1}})
    result = layers_of(story.close())
    tiny = result["b"].forward

    assert tiny is not None
    assert tiny.below_resolution
    assert result.figures.share(tiny) is None
    assert result["b"].energy_per_gflop_j(FORWARD) is None
    (line,) = (line for line in repr(result).splitlines() if line.startswith("b "))
    assert line.count("below resolution") == 2
    assert "%" not in line
    assert "b: below resolution: longer or more runs" in " ".join(result.notes)
    assert result.dataframe()["forward_below_resolution"].tolist() == [False, True]
    assert not result["a"].forward.below_resolution  # type: ignore[union-attr]


def test_a_backward_pass_that_runs_leave_open_is_below_resolution() -> None:
    story = Told(lag_uj=0)
    story.study(WHOLE, {"flat/Flatten": {FORWARD: 0.5, TRAINING: 0.503}})
    backward = layers_of(story.close())["flat"].backward

    assert backward is not None
    assert backward.below_resolution


def test_runs_that_are_all_too_short() -> None:
    story = Told(lag_uj=900_000_000)
    story.study(WHOLE, LAYERS)
    result = layers_of(story.close())

    assert result.sentence == (
        "below resolution: the runs are too short for the counters; give more seconds"
    )


def test_a_layer_that_failed_is_told_and_the_others_go_on() -> None:
    story = Told()
    outer = story._next()
    story._started(outer, "layers of net", insight.LAYERS, Tags(label="net"))
    for number, name, lengths in ((None, "net", WHOLE), (0, "a", WHOLE), (1, "bad", WHOLE)):
        story.facts(number, name, "Linear", lengths)
    for number, name in ((None, "net"), (0, "a")):
        story.passes(outer, number, name, WHOLE, 1.0)
    story.run(outer, 1, "forward of bad", 0.1)
    story.run(outer, 1, "training of bad", 0.1, error="RuntimeError")
    story._finished(outer)
    result = layers_of(story.close())

    assert result["bad"].failed == {TRAINING: "RuntimeError"}
    assert result["bad"].training is None
    assert result["bad"].forward is not None
    assert result.figures.difference(TRAINING) is None
    assert result.figures.difference(FORWARD) is not None
    notes = " ".join(result.notes)
    assert "bad failed when it was repeated: training pass" in notes
    assert "not all of it could be measured, so that nothing is added up" in notes
    assert "training failed: RuntimeError" in repr(result)


def test_without_the_whole_models_backward_pass_shares_are_of_forward() -> None:
    story = Told()
    story.study({FORWARD: 1.0}, LAYERS)
    result = layers_of(story.close())

    assert result.figures.main == FORWARD
    assert result.figures.share(result["conv"].forward) == pytest.approx(0.5)
    assert result.figures.difference(TRAINING) is None


# --- words --------------------------------------------------------------------------------


def test_the_sentence() -> None:
    assert layers_of(told()).sentence == (
        "Conv2d (1 layer) takes 53 % of the energy of a training pass (forward and backward), "
        "Linear 30 %; the backward pass takes 2 times as much energy as the forward pass"
    )


def test_modelled_joules_are_told_as_time() -> None:
    result = layers_of(told(MODEL))

    assert "of the time of a training pass" in result.sentence
    assert "energy" not in result.sentence
    assert result.sentence.endswith(
        "the joules are modelled, seconds times assumed watts: shares are of time"
    )
    assert "Share of time" in repr(result)
    assert "add up to 2.65 s of the whole model's 3 s (88 %)" in " ".join(result.notes)
    assert any(note.startswith("cpu-model is modelled: 10 W idle") for note in result.notes)
    assert "time of one pass by layer" in result._repr_html_()


def test_types_that_lie_close_are_not_ranked() -> None:
    story = Told()
    story.study(WHOLE, {"a/Linear": {FORWARD: 0.5, TRAINING: 1.0}, "b/ReLU": {TRAINING: 1.005}})
    assert "cannot be told apart from Linear" in layers_of(story.close()).sentence


def test_lower_bounds_say_so() -> None:
    story = Told(PACKAGE, MODEL, unread=["package-0"])
    story.study(WHOLE, LAYERS)
    result = layers_of(story.close())

    assert "package-0" in " ".join(result.notes)
    assert "of the time" in result.sentence


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"a/A": {FORWARD: 0.5, TRAINING: 2.0}}, "that may be what is done outside layers (fun"),
        ({"a/A": {FORWARD: 1.5, TRAINING: 4.0}}, "by themselves the layers take more"),
        ({"a/A": {FORWARD: 1.002, TRAINING: 3.001}}, "runs and counters leave that much open"),
    ],
)
def test_the_difference_is_explained(layers: dict[str, Lengths], words: str) -> None:
    story = Told(lag_uj=1000)
    story.study(WHOLE, layers)
    notes = layers_of(story.close()).notes

    assert [words in note for note in notes[:2]] == [True, True]
    assert ("the loss" in notes[1]) == ("done outside" in words)
    assert "the loss" not in notes[0]


def test_only_what_can_be_outside_layers_is_named() -> None:
    """A plain Sequential does nothing itself, and around a model of one layer there is nothing."""
    story = Told(lag_uj=1000)
    parts = {"0/A": {FORWARD: 0.5, TRAINING: 2.0}}
    story.study(WHOLE, parts, "sequential", {insight.OWN_CODE: 0})
    story.study(WHOLE, {"Net/Net": parts["0/A"]}, "alone", {insight.OWN_CODE: 0})
    session = story.close()
    forward, training = layers_of(session, "sequential").notes[:2]

    assert "; that may be memory: repeated by itself, a layer finds" in forward
    assert "; that may be the loss, or memory: repeated by itself" in training
    forward, training = layers_of(session, "alone").notes[:2]
    alone = "; the model is a layer itself, so that this may be"
    assert forward.endswith(f"{alone} what each run found in caches and memory")
    assert training.endswith(f"{alone} the loss or what each run found in caches and memory")


def test_layers_that_take_more_than_the_whole_are_no_shares_of_it() -> None:
    story = Told(MODEL, lag_uj=1000)
    many = {
        f"{n}/{kind}": {FORWARD: 1.0 * s, TRAINING: 3.0 * s}
        for n, (kind, s) in enumerate((("Linear", 0.6), ("Linear", 0.6), ("ReLU", 0.3)))
    }
    story.study(WHOLE, many, "many")
    story.study(WHOLE, {"Net/Net": {FORWARD: 1.2, TRAINING: 3.6}}, "one")
    story.study(
        WHOLE, {"a/A": {FORWARD: 0.6, TRAINING: 1.8}, "b/B": {FORWARD: 0.4, TRAINING: 1.21}}
    )
    session = story.close()
    result = layers_of(session, "many")

    assert result.sentence.startswith(
        "repeated by themselves, the layers together take 1.5 times the time of the whole model's "
        "training pass (forward and backward): Linear (2 layers) take 80 % of the layers' sum, "
        "ReLU 20 %; the backward pass takes 2 times as long as the forward pass"
    )
    assert "Time / whole" in repr(result)
    assert "Share of time" not in repr(result)
    # What was measured stays what it was.
    assert result.figures.share(result["0"].training) == pytest.approx(0.6)
    assert layers_of(session, "one").sentence.startswith(
        "repeated by itself, the layer takes 1.2 times the time of the whole model's training pass "
        "(forward and backward); the backward"
    )
    # By so much shares are rounded anyway.
    assert layers_of(session, "net").sentence.startswith("A (1 layer) takes 60 % of the time of")


def test_more_than_the_whole_by_what_runs_leave_open() -> None:
    story = Told(lag_uj=1_000_000)
    story.study(
        WHOLE, {"a/A": {FORWARD: 0.5, TRAINING: 2.0}, "b/B": {FORWARD: 0.5, TRAINING: 1.02}}
    )
    assert (
        "pass (forward and backward), which runs and counters leave open: A (1 layer) takes 66 %"
        in (layers_of(story.close()).sentence)
    )


def test_a_backward_pass_as_long_as_the_forward_pass() -> None:
    story = Told(MODEL)
    story.study({FORWARD: 1.0, TRAINING: 2.0}, {"a/A": {FORWARD: 0.5, TRAINING: 1.0}})
    assert "; the backward pass takes as long as the forward pass;" in (
        layers_of(story.close()).sentence
    )


def test_why_there_is_no_backward_pass() -> None:
    """It was asked for: the sentence says why it tells of the forward pass only."""
    story, whole = Told(), {FORWARD: 1.0}
    story.study(whole, LAYERS, "asked", {insight.NO_BACKWARD + "the loss needs no gradients": 1})
    story.study(whole, LAYERS, "unasked")
    session = story.close()

    assert layers_of(session, "asked").sentence.startswith(
        "forward only, as the loss needs no gradients; Conv2d (1 layer) takes 50 % of the energy "
        "of a forward pass"
    )
    assert layers_of(session, "unasked").sentence.startswith("Conv2d (1 layer) takes")


def test_what_a_failed_pass_has_said_is_told_inert_and_in_bounds() -> None:
    story = Told()
    outer = story._next()
    story._started(outer, "layers of net", insight.LAYERS, Tags(label="net"))
    for number, name in ((None, "net"), (0, "bad")):
        story.facts(number, name, "Linear", WHOLE)
        story.passes(outer, number, name, {FORWARD: 1.0}, 1.0)
        story.run(outer, number, f"training of {name}", 0.1, error="RuntimeError")
        story.fact(
            f"{insight.FAILURE}{TRAINING}: \x1b[31mchanged <b>in place</b>{'x' * 300}", 1, number
        )
    story._finished(outer)
    result = layers_of(story.close())

    begin = "forward only, as the backward pass failed (RuntimeError: changed <b>in place</b>xxx"
    assert result.sentence.startswith(begin)
    assert len(result.sentence) < 350
    assert (
        "bad failed when it was repeated: training pass (forward and backward) (RuntimeError: "
        in (" ".join(result.notes))
    )
    assert "training failed: RuntimeError" in repr(result)
    for shown in (repr(result), result.markdown(), result._repr_html_()):
        assert "\x1b" not in shown
    for shown in (result.markdown(), result._repr_html_()):
        assert "<b>in" not in shown


def test_parameters_outside_layers_are_told() -> None:
    story = Told()
    story.study(WHOLE, {"a/A": {FORWARD: 0.5, TRAINING: 2.0}})
    assert "90 parameters belong to no layer" in layers_of(story.close()).notes
    for parameters, others in ((90, ""), (80, ", or to no layer")):
        story = Told()
        idle = {insight.NOT_CALLED + "idle": parameters}
        story.study(WHOLE, {"a/A": {FORWARD: 0.5, TRAINING: 2.0}}, facts=idle)
        assert (
            f"90 parameters belong to layers that this pass did not call (idle){others}"
            in layers_of(story.close()).notes
        )
    assert "some layers share parameters, which count for each of them" in layers_of(told()).notes


# --- views --------------------------------------------------------------------------------


def test_the_text() -> None:
    lines = repr(layers_of(told())).splitlines()

    assert lines[0] == (
        "net · 4 layers · one training pass (forward and backward) · "
        "mean ± std. dev. of 3 runs · measured"
    )
    (difference,) = (line for line in lines if line.startswith("difference"))
    assert difference.split() == ["difference", "+1.2", "J", "+3", "J", "350", "ms", "12", "%"]
    assert [line.split()[0] for line in lines[3:7]] == ["Type", "Conv2d", "Linear", "Dropout"]


def test_parts_of_a_report_have_no_style_of_their_own() -> None:
    page = "".join(layered.parts(layers_of(told()).figures))

    assert "style=" not in page
    assert page.count("<table") == 2
    assert page.count("<rect") == 2 + 2 * 4
    assert "Conv2d (1 layer) takes 53 %" in page


def test_the_data_frames() -> None:
    result = layers_of(told())
    frame, types = result.dataframe(), result.by_type()

    assert frame["name"].tolist() == ["conv", "drop", "fc.0", "fc.1"]
    assert frame["training_energy_j"].sum() == pytest.approx(2.65 * WATTS)
    assert frame["share_of_energy"].sum() == pytest.approx(2.65 / 3)
    assert types["layers"].tolist() == [1, 2, 1]
    assert set(frame) - {"type"} == set(types) - {"layers"}


def test_many_layers_are_shown_by_their_shares() -> None:
    story = Told()
    layers = {f"l{n}/Linear": {FORWARD: 0.001 * (n + 1)} for n in range(60)}
    story.study({FORWARD: 2.0}, layers)
    result = layers_of(story.close())

    assert "+ 20 with smaller shares" in repr(result)
    assert "\nl19 " not in repr(result)
    assert "\nl20 " in repr(result)
    assert len(result.dataframe()) == 60


def test_names_are_made_harmless() -> None:
    story = Told()
    names = [name.replace("/", "|") or "x" for name in HOSTILE if name.isprintable()]
    names += ["<script>alert(1)<|script>", "\x1b[31mred"]
    whole = {FORWARD: 1.0}
    story.study(
        whole, {f"{name}/{name}": {FORWARD: 0.01} for name in names}, label="<b>x</b>\x1b[31m"
    )
    result = layers_of(story.close())

    for shown in (repr(result), result.markdown(), result._repr_html_(), result.sentence):
        assert "\x1b" not in shown
    for shown in (result.markdown(), result._repr_html_()):
        assert "<script>" not in shown
        assert "<b>x" not in shown
    # Whatever is in them, a layer stays on its line.
    assert len(result.markdown().splitlines()) < 100


# --- arguments ----------------------------------------------------------------------------


def test_what_measure_layers_refuses() -> None:
    """Before a session begins."""
    torch = pytest.importorskip("torch")
    net, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for module, options, words in (
        (len, {}, r"takes a torch.nn.Module, it is .*measure_inference\(\) takes anything"),
        (torch.nn.LazyLinear(2), {}, "lazy parameters, .*: call it once before"),
        (net, {"loss": 3}, r"loss must be a callable, it is 3 \(int\)"),
        (net, {"loss": len, "backward": False}, "which backward=False leaves out: give one of"),
        (net, {"label": 3}, "label must be a text"),
        (net, {"seconds": 0}, "seconds must be above 0"),
        (net, {"seconds": "long"}, "seconds must be a number"),
        (net, {"runs": 0}, "runs must be 1 or more"),
    ):
        with pytest.raises(SettingError, match=words):
            measure_layers(module, x, **options)


def test_pytorch_is_imported_on_use_and_its_absence_names_the_remedy() -> None:
    code = (
        "import sys\n"
        "from jupyter_green.studies.layers import measure_layers\n"
        "assert 'torch' not in sys.modules\n"
        "sys.modules['torch'] = None\n"
        "try: measure_layers(print, 1)\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "the package 'torch' is not installed here: "
        "pip install torch --index-url https://download.pytorch.org/whl/cpu"
    )


def test_a_study_ends_in_two_minutes() -> None:
    assert run_length_s(0.1, 60) == 0.3
    assert run_length_s(1.0, 60) == 1.0
    # Of twenty layers on a GPU: 42 kinds of passes, three times.
    assert run_length_s(1.0, 126) * 126 == pytest.approx(120)
    assert run_length_s(0.1, 1200) == 0.1


def test_it_is_a_value() -> None:
    session = told()
    assert layers_of(session) == layers_of(session)
    assert isinstance(layers_of(session), Layers)
