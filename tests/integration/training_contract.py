"""What holds for the callbacks of every framework: one suite, with the real framework in a kernel.

Each framework's file defines, in the kernel, ``train(run=None, each=None)``: a small seeded
training of three epochs (or rounds) that returns numbers of its result. With ``run`` it uses an
``EnergyCallback`` of that name, and ``each(epoch)`` is called in a callback of the user's own.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import ClassVar

import pytest

from jupyter_green.events import ModelDescribed
from jupyter_green.sessions.model import Cell, Metric, Span
from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, running, until

EPOCHS = 3
PATIENCE_S = 240.0
"""The first training of a process imports its framework, and a busy machine takes its time."""
AUTOLOG = """
autolog({name!r})
try:
    {statement}
finally:
    autolog(off=True)
"""


@dataclass(frozen=True)
class Framework:
    """What its small training leaves."""

    name: str
    """As ``autolog`` knows it."""
    package: str
    setup: str
    """Python that defines ``train``."""
    run: str
    """What a run is called that has no name, without its number."""
    metrics: Mapping[str, str]
    """Direction of each metric."""
    parameters: int | None = None
    epochs: bool = True
    """Each epoch is a span."""
    steps: tuple[float, ...] = (1.0, 2.0, 3.0)
    evaluations: int = 0
    """Spans of the stage evaluation in one training."""
    spans_by_hand: bool = True
    """A callback is told when a training begins and ends."""
    fails_at_once: bool = False
    """``each`` is called before the first values are there."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Recorded:
    """What the journal has of one cell."""

    cell: Cell
    spans: list[Span]
    metrics: list[Metric]
    models: list[ModelDescribed]

    def stage(self, stage: str) -> list[Span]:
        return [span for span in self.spans if span.tags.stage == stage]

    def type(self, type_: str) -> list[Span]:
        return [span for span in self.spans if span.type == type_]


def recorded(kernel: Kernel, cell: Cell) -> Recorded:
    session = kernel.session()
    return Recorded(
        cell,
        sorted(
            (span for span in session.spans if span.cell == cell.number),
            key=lambda span: span.span,
        ),
        [metric for metric in session.metrics if metric.cell == cell.number],
        [model for model in session.models if model.cell == cell.number],
    )


def run(kernel: Kernel, code: str) -> Recorded:
    """Run a cell that must not fail."""
    reply = kernel.run(code, timeout_s=PATIENCE_S)
    assert reply.status == "ok", reply.everything
    return recorded(kernel, kernel.cell(reply))


@contextmanager
def kernel_of(framework: Framework) -> Iterator[Kernel]:
    """A kernel in which ``train`` can be called; skips where the framework is absent."""
    if importlib.util.find_spec(framework.package) is None:
        pytest.skip(f"{framework.package} is not installed")
    root = Path(tempfile.mkdtemp(prefix="green-"))
    try:
        with RaplMachine(root / "machine", one_socket()) as machine:
            home = Home(root / "home", sysfs_root=str(machine.sysfs))
            with running(home, **framework.environment) as kernel:
                run(kernel, "from jupyter_green.integrations import autolog")
                run(kernel, framework.setup)
                yield kernel
            home.close()
    finally:
        rmtree(root, ignore_errors=True)


def assert_within(inner: list[Span], outer: Span | Cell) -> None:
    """Windows within another one, which do not overlap, take no more than that."""
    energies = [span.energy.total_uj for span in inner]
    assert None not in energies
    assert outer.energy.total_uj is not None
    assert sum(filter(None, energies)) <= outer.energy.total_uj
    for span in inner:
        assert outer.started_s <= span.started_s <= span.finished_s <= outer.finished_s


class Contract:
    """Base of the classes that test a framework."""

    framework: ClassVar[Framework]

    @pytest.fixture(scope="class")
    @classmethod
    def kernel(cls) -> Iterator[Kernel]:
        with kernel_of(cls.framework) as kernel:
            yield kernel

    def autolog(self, statement: str) -> str:
        return AUTOLOG.format(name=self.framework.name, statement=statement)

    def test_by_hand(self, kernel: Kernel) -> None:
        told = run(kernel, "result = train(run='by hand')")
        self.assert_training(told, "by hand", spans=self.framework.spans_by_hand)

    def test_autolog(self, kernel: Kernel) -> None:
        first = run(kernel, self.autolog("train()"))
        second = run(kernel, self.autolog("train()"))
        names = [metric.run for metric in (first.metrics[0], second.metrics[0])]
        numbers = [int((name or "").removeprefix(f"{self.framework.run} ")) for name in names]
        assert numbers[1] == numbers[0] + 1
        for told, name in zip((first, second), names, strict=True):
            self.assert_training(told, name or "", spans=True)

    def assert_training(self, told: Recorded, name: str, *, spans: bool) -> None:
        framework = self.framework
        assert {metric.run for metric in told.metrics} == {name}
        assert {metric.source for metric in told.metrics} == {"callback"}
        assert {metric.name: metric.direction for metric in told.metrics} == framework.metrics
        for metric in framework.metrics:
            steps = [one.step for one in told.metrics if one.name == metric]
            assert tuple(steps) == framework.steps, metric
        (model,) = told.models
        assert (model.run, model.parameters) == (name, framework.parameters)
        if not spans:
            assert told.spans == []
            return
        (training,) = told.type("training")
        assert (training.name, training.parent, training.status) == (name, None, "ok")
        assert training.tags.stage == "training"
        assert_within([training], told.cell)
        epochs = told.type("epoch")
        expected = EPOCHS if framework.epochs else 0
        assert [epoch.name for epoch in epochs] == [f"epoch {n + 1}" for n in range(expected)]
        assert {epoch.parent for epoch in epochs} <= {training.span}
        assert {epoch.tags.stage for epoch in epochs} <= {"training"}
        assert_within(epochs, training)
        evaluations = told.stage("evaluation")
        assert len(evaluations) == framework.evaluations
        assert {one.parent for one in evaluations} <= {one.span for one in (training, *epochs)}
        assert {span.status for span in told.spans} == {"ok"}

    def test_result_is_the_same(self, kernel: Kernel) -> None:
        run(kernel, "without = train()")
        run(kernel, "by_hand = train(run='same')")
        run(kernel, self.autolog("automatic = train()"))
        assert kernel.ask("len(without)") > 1
        assert kernel.ask("without == by_hand == automatic")

    def test_autolog_and_by_hand_is_once(self, kernel: Kernel) -> None:
        code = f"autolog({self.framework.name!r})\n"
        told = run(kernel, code + self.autolog("train(run='both')"))
        self.assert_training(told, "both", spans=self.framework.spans_by_hand)

    def test_off_leaves_nothing(self, kernel: Kernel) -> None:
        run(kernel, f"autolog({self.framework.name!r})")
        assert kernel.ask(f"autolog({self.framework.name!r}, off=True)") == ()
        told = run(kernel, "result = train()")
        assert (told.spans, told.metrics, told.models) == ([], [], [])

    def ways(self) -> Iterator[tuple[str, bool]]:
        """A training with ``each``, and whether spans are told of it."""
        yield "train(run='fails', each=each)", self.framework.spans_by_hand
        yield self.autolog("train(each=each)"), True

    def test_error(self, kernel: Kernel) -> None:
        """The user's error goes through untouched, and what is open ends with the cell."""
        kernel.ok("def each(epoch):\n    raise LookupError('mine')", silent=True)
        for code, spans in self.ways():
            reply = kernel.run(code, timeout_s=PATIENCE_S)
            assert (reply.status, reply.ename, reply.evalue) == ("error", "LookupError", "mine")
            told = recorded(kernel, kernel.cell(reply))
            assert told.cell.status == "error"
            self.assert_ended(told, "error", "LookupError", spans=spans)
        self.assert_next_is_its_own(kernel)

    def assert_ended(self, told: Recorded, status: str, error: str, *, spans: bool) -> None:
        assert not spans or told.type("training")
        assert_within(told.type("training"), told.cell)
        open_at_the_end = [*told.type("training"), *told.type("epoch")[-1:]]
        for span in open_at_the_end:
            assert (span.status, span.error) == (status, error), span.name

    def assert_next_is_its_own(self, kernel: Kernel) -> None:
        told = run(kernel, "result = train(run='next')")
        self.assert_training(told, "next", spans=self.framework.spans_by_hand)

    def test_interrupt(self, kernel: Kernel) -> None:
        kernel.ok("def each(epoch):\n    say('trains')\n    time.sleep(60)", silent=True)
        trains = kernel.home.work / "trains"
        for code, spans in self.ways():
            message = kernel.send(code)
            until(trains.exists, PATIENCE_S)
            trains.unlink()
            kernel.interrupt()
            reply = kernel.reply(message, PATIENCE_S)
            assert reply.status == "error"
            told = recorded(kernel, kernel.cell(reply))
            self.assert_ended(told, "interrupted", "KeyboardInterrupt", spans=spans)
        self.assert_next_is_its_own(kernel)

    def test_error_that_is_caught(self, kernel: Kernel) -> None:
        """The next training in the same cell is one of its own, and the first has failed."""
        kernel.ok("def each(epoch):\n    raise LookupError('mine')", silent=True)
        caught = "try:\n    train(run='first', each=each)\nexcept LookupError:\n    pass\n"
        told = run(kernel, f"{caught}result = train(run='second')")
        assert {metric.run for metric in told.metrics} - {"first"} == {"second"}
        expected = [("first", "error"), ("second", "ok")] if self.framework.spans_by_hand else []
        assert [(one.name, one.status) for one in told.type("training")] == expected

    def test_nothing_went_wrong(self, kernel: Kernel) -> None:
        """What is caught in a callback is noted: nothing of the trainings above was."""
        tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
        assert kernel.ask(f"{tracker}.problems") == []
