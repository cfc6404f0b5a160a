"""Energy by layer of a PyTorch module: which layers a pass spends its joules on.

``measure_layers`` sends the batch through the module once, keeps what each layer was called with,
and repeats each layer on its own input until the counters resolve it: forward without gradients,
and forward and backward with them. The whole model is measured in the same way. The runs of all
of them are interleaved in random order, so that a machine that grows warmer favours none (Cruz,
"Green software engineering done right", 2021). The sum of the layers is held against the whole,
and what is left is shown.

Yarally et al., "Uncovering Energy-Efficient Practices in Deep Learning Training" (CAIN 2023,
arXiv 2303.13972), is why energy by layer type is a figure of its own here.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_green.errors import SettingError
from jupyter_green.events import Tags
from jupyter_green.insight import layers as insight
from jupyter_green.insight.layers import COPY, FORWARD, TRAINING, Figures, Layer, LayerType, Subject
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.recorder import gpu_sync, here
from jupyter_green.recorder.names import FIRST_LINE
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.inert import short
from jupyter_green.report.studies import layered
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.studies import arguments, layers_torch
from jupyter_green.studies.bars import LateBar
from jupyter_green.studies.layers_torch import Arguments, Call, Once
from jupyter_green.studies.repeat import Work, enough_loops, one_run, shortest_run_s
from jupyter_green.studies.spans import span_around

if TYPE_CHECKING:
    import pandas as pd

RUNS = 3
COMFORTABLE_RUN_S = 0.3
"""A run is so long where the counters would do with less: shorter ones vary more."""
LONGEST_STUDY_S = 120.0
"""All runs together take about so long at most, where nobody says how long a run is."""
GLANCE_S = 0.03
"""So long the calls are tried of which the number of loops is reckoned."""


@dataclass(frozen=True, repr=False)
class Layers:
    """Energy by layer: shows itself as a sentence, a table and a drawing."""

    figures: Figures
    """All figures."""

    @property
    def sentence(self) -> str:
        """What the figures allow one to say."""
        return layered.sentence(self.figures)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the layers leave of the whole and why, and what limits the trust in the figures."""
        return layered.notes(self.figures)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order in which they are first called."""
        return self.figures.layers

    @property
    def types(self) -> tuple[LayerType, ...]:
        """The layers by type, the one with the largest share first."""
        return self.figures.types

    def __getitem__(self, name: str) -> Layer:
        return self.figures.layer(name)

    def dataframe(self) -> pd.DataFrame:
        """One row a layer as a pandas DataFrame; units stand in the names of the columns."""
        return layered.dataframe(self.figures, self.figures.layers)

    def by_type(self) -> pd.DataFrame:
        """One row a type of layer, with the same columns."""
        return layered.dataframe(self.figures, self.figures.types)

    def markdown(self) -> str:
        """Sentence, tables and notes as Markdown."""
        return layered.render_markdown(self.figures)

    def __repr__(self) -> str:
        return layered.render(self.figures)

    def _repr_html_(self) -> str:
        return layered.fragment(self.figures)


def layers_of(session: Session, label: str | None = None) -> Layers:
    """The result of the last finished ``measure_layers`` in a session, from its journal alone.

    Args:
        label: of the study; None: whichever was the last.

    Raises:
        SettingError: there is no such study.
    """
    return Layers(insight.of(session, label))


def measure_layers(
    module: Any,
    batch: Any,
    *,
    backward: bool = True,
    loss: Callable[[Any], Any] | None = None,
    label: str | None = None,
    seconds: float | None = None,
    runs: int = RUNS,
) -> Layers:
    """Measure joules, time and FLOPs of each layer of a PyTorch module.

    ::

        measure_layers(net, x)
        measure_layers(net, x, loss=lambda out: cross_entropy(out, y), label="resnet18")
        measure_layers(net.eval(), x, backward=False)

    A layer is the outermost module that calls no other module in its forward pass. So a
    ``MultiheadAttention`` is one layer, and one module that is called twice is one layer with two
    calls. A tuple is passed as positional arguments and a mapping as named ones; anything else is
    the one argument.

    ``forward`` is a pass without gradients. ``backward`` is a pass with gradients, forward and
    backward, less the forward pass: recording what gradients need is in it. Gradients are computed
    for just those inputs that need them in the model. What works in place gets a copy of its
    input each time, and what copying takes is subtracted.

    The module is measured in the modes that it has: call ``net.train()`` or ``net.eval()``
    before. Afterwards parameters, gradients, buffers (as the statistics of batch norm), modes and
    the state of random numbers are what they were. Attributes that a module's ``forward`` writes
    itself are not restored: a counter has counted every repeat, and a list to which it appends
    has grown. GPU work is waited for at the end of every run.

    FLOPs are those of ``torch.utils.flop_counter``: 2 for each multiply-add, of convolutions,
    matrix products and attention; nothing else is counted.

    Where all runs together take more than a few seconds, a bar shows how many of them are done.

    The runs are spans of the session. Those of the whole model carry labels, as ``forward of
    resnet18`` and ``training of resnet18``: ``compare`` holds two models together.

    Args:
        module: a ``torch.nn.Module``, on whichever device it is.
        batch: what it is called with, on the same device.
        backward: measure the backward pass as well.
        loss: makes one number of the module's output, from which the backward pass of the whole
            model begins. Default: the sum of all its outputs that need gradients.
        label: what the model is called in every view. Default: the name of its class.
        seconds: length of a run, which may be longer by one pass. Default: as long as the
            counters need (0.1 s for RAPL, 1 s for GPUs) and 0.3 s at least; shorter where all
            runs together would take more than two minutes.
        runs: of each layer and each kind of pass.

    Raises:
        SettingError: an argument makes no sense.
        MissingPackage: PyTorch is not installed.
        RecorderError: nothing can be read here, or the recorder does not answer.

    What the model or the loss raises on its own batch, and an interrupt, pass through. A layer
    that fails when it is repeated is told as failed, with the message, and the others go on. So
    is a backward pass of the whole model that fails, or that does not exist because nothing needs
    gradients: the sentence says why it is of the forward pass only.
    """
    asked = _asked(module, batch, backward, loss, label, seconds, runs)
    tracker = here.tracker()
    shortest_run_s(tracker.session())
    tags = Tags(label=asked.label, deliberate=True)
    with (
        span_around(tracker, f"layers of {asked.label}", insight.LAYERS, tags) as span,
        layers_torch.as_before(module, asked.arguments),
    ):
        _Study(tracker, asked).run()
    return Layers(insight.of_span(tracker.session(), span))


# --- what was asked -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    module: Any
    arguments: Arguments
    backward: bool
    loss: Callable[[Any], Any] | None
    label: str
    seconds: float | None
    runs: int


def _asked(
    module: Any,
    batch: Any,
    backward: object,
    loss: Callable[[Any], Any] | None,
    label: str | None,
    seconds: float | None,
    runs: int,
) -> _Asked:
    torch = layers_torch.torch()
    if not isinstance(module, torch.nn.Module):
        raise SettingError(
            f"measure_layers() takes a torch.nn.Module, it is {arguments.shown(module)}; "
            "measure_inference() takes anything that can be called"
        )
    if any(torch.nn.parameter.is_lazy(one) for one in (*module.parameters(), *module.buffers())):
        raise SettingError(
            "the module has lazy parameters, which its first call makes: call it once before"
        )
    if loss is not None and not callable(loss):
        raise SettingError(f"loss must be a callable, it is {arguments.shown(loss)}")
    if loss is not None and not backward:
        raise SettingError(
            "loss= is what the backward pass begins with, which backward=False leaves out: give "
            "one of the two only"
        )
    if label is not None:
        arguments.text("label", label)
    if seconds is not None and not arguments.real("seconds", seconds) > 0:
        raise SettingError(f"seconds must be above 0, it is {seconds}")
    return _Asked(
        module=module,
        arguments=_as_arguments(batch),
        backward=bool(backward),
        loss=loss,
        label=str(label or type(module).__name__)[:FIRST_LINE],
        seconds=seconds,
        runs=arguments.whole("runs", runs, 1),
    )


def _as_arguments(batch: Any) -> Arguments:
    if isinstance(batch, tuple) and not hasattr(batch, "_fields"):
        return batch, {}
    if isinstance(batch, Mapping):
        return (), dict(batch)
    return (batch,), {}


def run_length_s(needed_s: float, runs: int) -> float:
    """Seconds of a run, where nobody says.

    Args:
        needed_s: what the counters need to resolve a run. Where there are too many runs for that
            the bound of each tells what is left open.
        runs: of all layers and passes together.
    """
    return min(max(needed_s, COMFORTABLE_RUN_S), LONGEST_STUDY_S / max(1, runs))


# --- what is repeated ---------------------------------------------------------------------


class _Subject:
    """One kind of pass through one layer, or through the whole model."""

    def __init__(
        self, tracker: Tracker, number: Subject, name: str, pass_: str, calls: Sequence[Once]
    ) -> None:
        self.name = insight.name_of_run(pass_, name)
        self.works = True
        self.loops = 1
        self._tracker = tracker
        self._number = number
        self._calls = calls
        self._pass = pass_
        # Layers have no labels: nobody compares one with all others.
        label = self.name if number is None else None
        self._work = Work(self._logged, self.name, Tags(label=label, deliberate=True))

    def _logged(self, loops: int) -> None:
        """Whoever reads the run must know its loops, and whose it is."""
        self._tracker.metric_logged(LOOPS, loops, step=self._number, source=STUDY)
        self._loop(loops)

    def _loop(self, loops: int) -> None:
        calls = self._calls
        with layers_torch.torch().set_grad_enabled(self._pass == TRAINING):
            for _ in range(loops):
                for call in calls:
                    call()
        gpu_sync.synchronize(self._tracker.problems)

    def run(self, type_: str = "trial") -> None:
        """One run. What fails is told by its span, and not done again."""
        try:
            one_run(self._tracker, self._work, self.loops, type_)
        except Exception as error:
            self.works = False
            message = layers_torch.message_of(error)
            if message:
                fact = f"{insight.FAILURE}{self._pass}: {message}"
                self._tracker.metric_logged(fact, 1, step=self._number, source=STUDY)

    def choose_loops(self, seconds: float) -> None:
        """So many that a run takes about so long."""
        try:
            few = enough_loops(self._loop, min(seconds, GLANCE_S))
            began_s = time.perf_counter()
            self._loop(few)
            took_s = time.perf_counter() - began_s
        except Exception:
            # It worked once, and a run of it tells what became of it.
            return
        self.loops = max(1, math.ceil(few * seconds / max(took_s, 1e-9)))


class _Study:
    """Looks at the module, and measures it with its layers."""

    def __init__(self, tracker: Tracker, asked: _Asked) -> None:
        self._tracker = tracker
        self._asked = asked
        self._at = asked.label
        self._done = self._planned = 0

    def run(self) -> None:
        """All of it. Whatever is raised, by the model or by an interrupt, tells where."""
        try:
            self._run()
        except BaseException as error:
            with suppress(Exception):  # an exception may be of a kind that takes no notes
                error.add_note(
                    f"measure_layers was at {self._at!r:.80} and gives no result; {self._done} of "
                    f"{self._planned or 'its'} runs were finished"
                )
            raise

    def _run(self) -> None:
        asked = self._asked
        seen = [layers_torch.see(asked.module, asked.arguments, gradients=False)]
        if asked.backward:
            seen.append(layers_torch.see(asked.module, asked.arguments, gradients=True))
        loss = self._loss(seen[-1].output) if asked.backward else None
        whole = list(self._subjects(None, asked.label, [seen[-1].calls[0]], loss))
        found, names = layers_torch.layers_of(seen), layers_torch.named(asked.module)
        self._tell(insight.OWN_CODE, len(layers_torch.with_own_code(seen[-1], found)))
        not_called = layers_torch.not_called(asked.module, seen[-1], found)
        for name, parameters in list(not_called.items())[: insight.MOST_NAMED]:
            self._tell(insight.NOT_CALLED + name, parameters)
        # What the passes have returned, and what lies between layers, may be large.
        del seen
        subjects = [
            *whole,
            *(
                subject
                for number, (module, calls) in enumerate(found.items())
                for subject in self._subjects(
                    number, names[module] or type(module).__name__, calls, loss
                )
            ),
        ]
        self._measure(subjects, len(whole))

    def _tell(self, fact: str, value: float, number: Subject = None) -> None:
        self._tracker.metric_logged(fact, value, step=number, source=STUDY)

    def _loss(self, output: Any) -> Callable[[Any], Any] | None:
        """What the backward pass begins with; None: nothing needs gradients, which is logged.

        Raises:
            SettingError: it is no loss.
        """
        asked = self._asked
        needing = any(one.requires_grad for one in layers_torch.tensors(output))
        if asked.loss is None and needing:
            return layers_torch.sum_of_outputs
        if asked.loss is None:
            self._tell(f"{insight.NO_BACKWARD}no output of the model needs gradients", 1)
            return None
        with layers_torch.torch().enable_grad():
            value = asked.loss(output)
        if not isinstance(value, layers_torch.torch().Tensor) or value.numel() != 1:
            raise SettingError(
                f"loss must make a tensor of one number, it made {arguments.shown(value)}"
            )
        if value.requires_grad:
            return asked.loss
        why = "(detached?)" if needing else "and neither does an output of the model"
        self._tell(f"{insight.NO_BACKWARD}the loss does not need gradients {why}", 1)
        return None

    def _subjects(
        self,
        number: Subject,
        name: str,
        calls: Sequence[Call],
        loss: Callable[[Any], Any] | None,
    ) -> Iterator[_Subject]:
        """What is run of a layer, or of the whole model; logs what it is."""
        module = calls[0].module
        begin = loss if number is None else None
        gradient = loss is not None and (number is None or any(call.gradient for call in calls))
        in_place = any(map(layers_torch.changes_its_input, calls))
        facts: dict[str, float] = {
            insight.CALLS + name: len(calls),
            insight.PARAMETERS + type(module).__name__: layers_torch.parameters_of(module),
            insight.GRADIENT: int(gradient),
            insight.MODE: int(module.training),
        }
        passes: dict[str, list[Once]] = {
            FORWARD: [layers_torch.forward(call, copy=in_place) for call in calls]
        }
        if gradient:
            passes[TRAINING] = [
                layers_torch.training(call, loss=begin, copy=in_place) for call in calls
            ]
        for pass_, own in passes.items():
            with layers_torch.torch().set_grad_enabled(pass_ == TRAINING):
                counts = [layers_torch.counted_flops(once) for once in own]
            known = [count for count in counts if count is not None]
            if len(known) == len(counts):
                facts[insight.FLOPS[pass_]] = sum(known)
        if in_place:
            passes[COPY] = [layers_torch.copying(call) for call in calls]
        for fact, value in facts.items():
            self._tell(fact, value, number)
        for pass_, own in passes.items():
            yield _Subject(self._tracker, number, name, pass_, own)

    def _measure(self, subjects: Sequence[_Subject], whole: int) -> None:
        """Warm up and do all runs, and show how far that is."""
        runs, count = self._asked.runs, len(subjects)
        seconds = self._asked.seconds or run_length_s(0.0, runs * count)
        # Each is warmed up, tried for its length, and run.
        bar = LateBar(
            (2 + runs) * count,
            f"layers of {short(self._asked.label)}",
            expected_s=runs * count * seconds,
        )
        try:
            for _ in self._measured(subjects, whole):
                bar.step()
        finally:
            bar.close()

    def _measured(self, subjects: Sequence[_Subject], whole: int) -> Iterator[None]:
        for subject in subjects[:whole]:
            self._warm_up(subject)
            yield
        # The whole model has shown by now which devices the work uses.
        needed_s = shortest_run_s(self._tracker.session())
        for subject in subjects[whole:]:
            self._warm_up(subject)
            yield
        self._planned = self._asked.runs * sum(subject.works for subject in subjects)
        seconds = self._asked.seconds or run_length_s(needed_s, self._planned)
        for subject in subjects:
            if subject.works:
                self._at = subject.name
                subject.choose_loops(seconds)
            yield
        chance = random.Random()
        for _ in range(self._asked.runs):
            for subject in chance.sample(subjects, len(subjects)):
                if subject.works:
                    self._at = subject.name
                    subject.run()
                    self._done += 1
                yield

    def _warm_up(self, subject: _Subject) -> None:
        self._at = subject.name
        subject.run("warm-up")
