"""Findings scored: told where waste was put, and silent where there is none.

Sessions are made in virtual time through the real sampler and device watcher: a usual notebook
(loads, features, a training with epochs, an evaluation, a plot), its power and length drawn by a
seed, with power that fluctuates and a card whose clocks stay up after work, into which waste of
one or two kinds is put. The clean ones hold what looks like waste and
is none: repeats on purpose, runs under names of their own, cheap reruns and quick errors, an
interrupted cell, curves that still rise, pauses without a device, work that goes on between
cells, shared cards, lower precision, a card without tensor cores.

The table (``pytest -s`` prints it), of 129 sessions::

    kind                            hits   false alarms
    superseded                       9/9          0/120
    failed                         10/10          0/119
    past the knee                    8/8          0/121
    dominating cell                11/11          0/109
    evaluation                       9/9          0/120
    idle device                      9/9          0/120
    waiting device                   8/8          0/112
    full precision                 10/10          0/119
    modelled                         9/9          0/120
    waiting device, under 1 s        0/9

One limit is part of it: a device that waits in stretches shorter than the windows of a second is
not seen (``waiting device, under 1 s``). Waste that comes out below the threshold of 5 % or right
at it is not scored.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

import pytest
from msgspec import structs

from jupyter_green.events import (
    AnyEvent,
    CellFinished,
    CellStarted,
    CounterInfo,
    MetricLogged,
    ModelDescribed,
    Refusal,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Tags,
)
from jupyter_green.insight.findings import LEAST_SHARE, Finding, cells_uj
from jupyter_green.insight.judgement import findings_of
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from jupyter_green.sources.counter import Detection
from jupyter_green.units import uj_to_j
from tests.simulators.story import MODEL
from tests.simulators.virtual import KERNEL_PID, NS, VirtualCounter, VirtualMachine
from tests.unit.test_bounds import info as package
from tests.unit.test_device_bounds import info as card

pytestmark = pytest.mark.timeout(300)

OTHER_PID = 4711
A100, GTX = "NVIDIA A100-SXM4-40GB", "NVIDIA GeForce GTX 1660 Ti"
CLOSED = Refusal(source="rapl", reason="readable by root only", remedy="sudo chmod a+r energy_uj")
CHOSEN = Refusal(source="perf", reason="rapl reads the same", by_choice=True, remedy="nothing")
ABSENT = Refusal(source="rapl", reason="no powercap tree")


@dataclass
class Power:
    """Watts that are laid out step by step, and their energy."""

    since_s: list[float] = field(default_factory=lambda: [0.0])
    watts: list[float] = field(default_factory=lambda: [0.0])
    """From then on."""
    sums_j: list[float] = field(default_factory=lambda: [0.0])
    """Up to then."""

    def set(self, t_s: float, watts: float) -> None:
        self.sums_j.append(self.energy_j(t_s))
        self.since_s.append(t_s)
        self.watts.append(watts)

    def energy_j(self, t_s: float) -> float:
        index = max(0, bisect_right(self.since_s, t_s) - 1)
        return self.sums_j[index] + self.watts[index] * (t_s - self.since_s[index])


class Machine(VirtualMachine):
    """A virtual machine on which sources were refused."""

    def __init__(
        self,
        counters: list[VirtualCounter],
        devices: list[VirtualCounter],
        refused: list[Refusal],
        seed: int,
    ) -> None:
        self.refused = tuple(refused)
        super().__init__(counters, devices=devices, seed=seed)
        for device in self.devices:
            device.processes = []

    @property
    def detection(self) -> Detection:
        return Detection((self.source,), self.refused, tuple(self.devices))


class Notebook:
    """A notebook that is written cell by cell, and then run in virtual time."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.t_s = 6.0
        self.cpu, self.gpu = Power(), Power()
        self.idle_w = self.rng.uniform(15, 40)
        self.busy_w = self.idle_w + self.rng.uniform(20, 80)
        self.gpu_idle_w = self.rng.uniform(40, 70)
        self.gpu_busy_w = self.gpu_idle_w * self.rng.uniform(2.2, 5)
        self.has_gpu = False
        self.is_modelled = False
        self.device = A100
        self.refused: list[Refusal] = []
        self.todo: list[tuple[float, AnyEvent | Callable[[VirtualMachine], None]]] = []
        self.expected: set[str] = set()
        self.true_j: dict[str, float] = {"idle device": 0.0}
        """Energy of what was put in, by kind, for kinds of which it can be said."""
        self.name = ""
        self._warm_until_s = 0.0
        self._numbers = 0
        self._spans = 0
        self.cpu.set(0.0, self.idle_w)
        self.gpu.set(0.0, 0.5 * self.gpu_idle_w)

    # --- writing ---

    def take_gpu(self) -> None:
        """The kernel gets a context on the card, in whose idle power it then stands."""
        self.has_gpu = True
        self.todo.append((self.t_s, lambda machine: machine.devices[0].use(KERNEL_PID)))
        self.gpu.set(self.t_s, self.gpu_idle_w)
        self.pause(1.0)

    def pause(self, seconds: float, *, works: bool = False) -> None:
        """Nothing runs in cells; on the card, if it ``works``, something does."""
        before_j = self.gpu.energy_j(self.t_s)
        self._load(seconds, self.idle_w, works)
        if self.has_gpu and not works:
            self.true_j["idle device"] += self.gpu.energy_j(self.t_s) - before_j

    @property
    def energy_j(self) -> float:
        """What the machine has taken so far, the card since it is held."""
        gpu_j = self.gpu.energy_j(self.t_s) if self.has_gpu else 0.0
        return self.cpu.energy_j(self.t_s) + gpu_j

    def _load(self, seconds: float, cpu_w: float, on_gpu: bool) -> None:
        """Power fluctuates, and a card's clocks stay up for some seconds after work."""
        until_s = self.t_s + seconds
        while self.t_s < until_s:
            self.cpu.set(self.t_s, cpu_w * self.rng.uniform(0.85, 1.15))
            if on_gpu and self.has_gpu:
                self._warm_until_s = until_s + 6
                self.gpu.set(self.t_s, self.gpu_busy_w * self.rng.uniform(0.8, 1.15))
            elif self.has_gpu:
                warm = 1.2 if self.t_s < self._warm_until_s else 1.0
                self.gpu.set(self.t_s, self.gpu_idle_w * warm * self.rng.uniform(0.98, 1.02))
            self.t_s = min(until_s, self.t_s + self.rng.uniform(0.7, 1.5))

    def _mark(self, event: AnyEvent) -> None:
        self.todo.append((self.t_s, event))

    def begin(self, line: str, **tags: object) -> int:
        self._numbers += 1
        self._mark(
            CellStarted(
                t=0,
                number=self._numbers,
                cell=line,
                first_line=line,
                execution_count=self._numbers,
                tags=Tags(**tags),  # type: ignore[arg-type]
            )
        )
        return self._numbers

    def end(self, number: int, status: str = "ok") -> None:
        error = "ValueError" if status == "error" else None
        self._mark(CellFinished(t=0, number=number, status=status, error=error))
        self.pause(self.rng.uniform(0.5, 3.0))

    def cell(
        self, line: str, seconds: float, *, gpu: bool = False, status: str = "ok", **tags: object
    ) -> int:
        number = self.begin(line, **tags)
        self.work(seconds, gpu)
        self.end(number, status)
        return number

    def work(self, seconds: float, gpu: bool = False) -> None:
        self._load(seconds, self.busy_w, gpu)

    def span(self, number: int, name: str, seconds: float, **tags: object) -> None:
        self._spans += 1
        span_tags = Tags(**tags)  # type: ignore[arg-type]
        self._mark(SpanStarted(t=0, span=self._spans, name=name, cell=number, tags=span_tags))
        self.work(seconds, self.has_gpu)
        self._mark(SpanFinished(t=0, span=self._spans))

    def log(self, number: int, name: str, value: float, step: int, run: str | None = None) -> None:
        direction = "lower" if name == "loss" else "higher"
        self._mark(
            MetricLogged(
                t=0, name=name, value=value, step=step, run=run, direction=direction, cell=number
            )
        )

    # --- running ---

    def run(self) -> Session:
        cpu = structs.replace(MODEL, band=0.4) if self.is_modelled else package("package-0", "a")
        gpu: CounterInfo = structs.replace(card(), device=self.device)
        tick_s = 0.01 if self.is_modelled else 0.001
        counters = [VirtualCounter(cpu, self.cpu.energy_j, tick_s=tick_s)]
        phase_s = self.rng.uniform(0, 0.1)
        cards = [VirtualCounter(gpu, self.gpu.energy_j, tick_s=0.1, tick_phase_s=phase_s)]
        seed = self.rng.randrange(1000)
        machine = Machine(counters, cards if self.has_gpu else [], self.refused, seed)
        machine.mark(self._header(machine), 5 * NS)
        for t_s, what in self.todo:
            self._do(machine, round(t_s * NS), what)
        machine.mark(SessionEnded(t=0), round(self.t_s * NS))
        fold = Fold()
        for event in machine.settle():
            fold.feed(event)
        return fold.session()

    def _do(
        self, machine: VirtualMachine, t_ns: int, what: AnyEvent | Callable[[VirtualMachine], None]
    ) -> None:
        if callable(what):
            machine.run_until(t_ns)
            what(machine)
        else:
            machine.mark(what, t_ns, self.rng.randrange(1_000_000))

    def _header(self, machine: VirtualMachine) -> SessionStarted:
        return SessionStarted(
            t=0.0, format="1.0", session="s", version="0", wall_s=0.0, host="h", boot_id="b",
            pid=1, process_started=0.0, counters=list(machine.source.counters),
        )  # fmt: skip


# --- the usual notebook, and what is put into it ---

Put = Callable[[Notebook], None]
"""Writes cells into a notebook before its training."""


def usual(book: Notebook, put: Iterable[Put]) -> None:
    """Parts of similar weight; the waste lies between them."""
    rng = book.rng
    book.pause(rng.uniform(1, 5))
    book.cell("import numpy as np", rng.uniform(0.3, 2))
    book.cell("data = load()", rng.uniform(15, 30), stage="data")
    book.cell("features = prepare(data)", rng.uniform(15, 30), stage="data")
    if book.has_gpu or rng.random() < 0.5:
        book.take_gpu()
    number = book.begin("fit(model)", stage="training")
    for epoch in range(10):
        book.work(rng.uniform(3, 4), book.has_gpu)
        book.log(number, "acc", rising(rng, epoch, 10), epoch)
    book.end(number)
    for one in put:
        one(book)
    book.cell("evaluate(model)", rng.uniform(5, 10), gpu=book.has_gpu, stage="evaluation")
    book.cell("plot(features)", rng.uniform(15, 25))
    book.cell("table(data)", rng.uniform(15, 25))


def rising(rng: random.Random, epoch: int, epochs: int) -> float:
    """A curve that still rises at its end."""
    return 0.3 + 0.6 * ((epoch + 1) / epochs) ** 0.8 + rng.gauss(0, 0.004)


def saturated(rng: random.Random, epoch: int, epochs: int) -> float:
    """A curve that has risen by a quarter of its epochs."""
    return 0.9 - 0.6 * math.exp(-epoch / (epochs * 0.07)) + rng.gauss(0, 0.002)


def superseded(book: Notebook) -> None:
    spent_j = [
        _spent_j(book, "clusters = kmeans(data)", book.rng.uniform(15, 30))
        for _ in range(book.rng.randint(3, 5))
    ]
    book.true_j["superseded"] = sum(spent_j[:-1])
    book.expected.add("superseded")


def _spent_j(book: Notebook, line: str, seconds: float, status: str = "ok") -> float:
    """A cell; its energy without the pause after it."""
    number, before_j = book.begin(line), book.energy_j
    book.work(seconds)
    spent_j = book.energy_j - before_j
    book.end(number, status)
    return spent_j


def failed(book: Notebook) -> None:
    seconds = book.rng.uniform(35, 60)
    book.true_j["failed"] = _spent_j(book, "big = join(data)", seconds, "error")
    book.expected.add("failed")


def knee(book: Notebook) -> None:
    epochs = book.rng.randint(25, 40)
    number = book.begin("fit(second)", stage="training")
    knee_j = 0.0
    for epoch in range(epochs):
        book.work(book.rng.uniform(1.5, 2.5), book.has_gpu)
        if epoch == epochs // 4:
            knee_j = book.energy_j
        value = saturated(book.rng, epoch, epochs)
        book.log(number, "acc", value, epoch, "second")
        book.log(number, "loss", 1.2 - value, epoch, "second")
    book.true_j["past the knee"] = book.energy_j - knee_j
    book.end(number)
    book.expected.add("past the knee")


def dominating(book: Notebook) -> None:
    book.cell("simulate(world)", book.rng.uniform(600, 900), gpu=book.has_gpu)


def evaluation(book: Notebook) -> None:
    number = book.begin("fit(third)", stage="training")
    for epoch in range(5):
        book.work(book.rng.uniform(1, 2), book.has_gpu)
        book.span(number, f"validate {epoch}", book.rng.uniform(20, 26), stage="Evaluation")
    book.end(number)
    book.expected.add("evaluation")


def idle_device(book: Notebook) -> None:
    book.take_gpu()
    for part in range(3):
        book.cell(f"predict(part_{part})", book.rng.uniform(5, 10), gpu=True)
        book.pause(book.rng.uniform(60, 120))
    book.expected.add("idle device")


def _starved(book: Notebook, work_s: float, wait_s: float) -> None:
    book.take_gpu()
    book.pause(8)
    number = book.begin(f"fit(loader, {work_s:.1f})")
    rounds = round(200 / (work_s + wait_s))
    waited_j = 0.0
    for _ in range(rounds):
        book.work(work_s, gpu=True)
        waited_j -= book.gpu.energy_j(book.t_s)
        book.work(wait_s)
        waited_j += book.gpu.energy_j(book.t_s)
    book.end(number)
    book.true_j["waiting device"] = waited_j


def waiting_device(book: Notebook) -> None:
    _starved(book, book.rng.uniform(1.5, 3), book.rng.uniform(5, 9))
    book.expected.add("waiting device")


def briefly_waiting_device(book: Notebook) -> None:
    _starved(book, 0.2, 0.5)
    book.expected.add("waiting device, under 1 s")


def full_precision(book: Notebook) -> None:
    _described(book, "torch.float32")
    book.expected.add("full precision")


def _described(book: Notebook, precision: str, **tags: object) -> None:
    book.take_gpu()
    number = book.begin(f"fit(net, {precision!r})", **tags)
    book.todo.append((book.t_s, ModelDescribed(t=0, precision=precision, cell=number)))
    book.work(book.rng.uniform(30, 60), gpu=True)
    book.end(number)


def modelled(book: Notebook) -> None:
    book.is_modelled = True
    book.refused = [CLOSED]
    book.expected.add("modelled")


WASTE: tuple[Put, ...] = (
    superseded, failed, knee, dominating, evaluation, idle_device, waiting_device,
    briefly_waiting_device, full_precision, modelled,
)  # fmt: skip


# --- what looks like waste and is none ---


def deliberate_repeats(book: Notebook) -> None:
    for _ in range(4):
        book.cell("sort(data)", book.rng.uniform(15, 30), deliberate=True)


def studied_repeats(book: Notebook) -> None:
    for _ in range(3):
        number = book.begin("energyit(sort, data)")
        book.span(number, "trial", book.rng.uniform(15, 25), deliberate=True)
        book.end(number)


def labelled_runs(book: Notebook) -> None:
    for label in ("small", "large"):
        book.cell("build()", book.rng.uniform(15, 30), label=label)


def named_runs(book: Notebook) -> None:
    for run in ("a", "b", "c"):
        number = book.begin("fit(candidate)")
        for epoch in range(6):
            book.work(3.0)
            book.log(number, "acc", rising(book.rng, epoch, 6), epoch, run)
        book.end(number)


def cheap_reruns(book: Notebook) -> None:
    for _ in range(8):
        book.cell("data.head()", book.rng.uniform(0.05, 0.3))


def quick_error(book: Notebook) -> None:
    book.cell("1 / 0", 0.2, status="error")


def interrupted(book: Notebook) -> None:
    book.cell("fit(hopeless)", book.rng.uniform(30, 60), status="interrupted")


def still_rising(book: Notebook) -> None:
    number = book.begin("fit(second)")
    for epoch in range(30):
        book.work(1.5)
        book.log(number, "acc", rising(book.rng, epoch, 30), epoch, "second")
    book.end(number)


def deliberate_study(book: Notebook) -> None:
    number = book.begin("fit(to_the_end)", deliberate=True)
    for epoch in range(30):
        book.work(1.5)
        book.log(number, "acc", saturated(book.rng, epoch, 30), epoch, "study")
    book.end(number)


def pause_without_device(book: Notebook) -> None:
    if not book.has_gpu:
        book.pause(600)


def work_between_cells(book: Notebook) -> None:
    book.take_gpu()
    number = book.begin("start(background)")
    book.work(10, gpu=True)
    book.end(number)
    book.pause(120, works=True)
    book.pause(5)


def shared_card(book: Notebook) -> None:
    book.take_gpu()
    book.todo.append((book.t_s, lambda m: m.devices[0].use(KERNEL_PID, OTHER_PID)))
    for part in range(3):
        book.cell(f"predict(part_{part})", book.rng.uniform(8, 12), gpu=True)
        book.pause(100)


def lower_precision(book: Notebook) -> None:
    _described(book, "bf16")


def mixed_by_technique(book: Notebook) -> None:
    _described(book, "fp32", technique="mixed-precision")


def card_without_tensor_cores(book: Notebook) -> None:
    book.device = GTX
    _described(book, "fp32")


def measured_anyway(book: Notebook) -> None:
    book.refused = [CHOSEN]


def modelled_for_good(book: Notebook) -> None:
    book.is_modelled = True
    book.refused = [ABSENT, CHOSEN]


CLEAN: tuple[Put, ...] = (
    deliberate_repeats, studied_repeats, labelled_runs, named_runs, cheap_reruns, quick_error,
    interrupted, still_rising, deliberate_study, pause_without_device, work_between_cells,
    shared_card, lower_precision, mixed_by_technique, card_without_tensor_cores, measured_anyway,
    modelled_for_good,
)  # fmt: skip


# --- the score ---


@dataclass
class Score:
    """Counts of one kind of finding."""

    hits: int = 0
    seeded: int = 0
    false_alarms: int = 0
    clean: int = 0


KINDS = (
    "superseded", "failed", "past the knee", "dominating cell", "evaluation", "idle device",
    "waiting device", "full precision", "modelled",
)  # fmt: skip
BLIND = "waiting device, under 1 s"
DOMINATES, CLEAR = 0.6, 0.06


def notebooks() -> Iterable[Notebook]:
    """One kind of waste, two kinds, and look-alikes of waste, each with several seeds."""
    singles = [(one,) for one in WASTE for _ in range(5)]
    # Beside a cell that dominates all else is small, and much training outweighs evaluation.
    parts = [one for one in WASTE if one is not dominating]
    pairs = [pair for pair in combinations(parts, 2) if pair != (knee, evaluation)][::2]
    alike = [(one,) for one in CLEAN]
    more = list(combinations(CLEAN, 2))[::4]
    for seed, put in enumerate([*singles, *pairs, *alike, *more, *([()] * 10)]):
        book = Notebook(seed)
        usual(book, put)
        book.name = f"{seed} {[one.__name__ for one in put]}"
        yield book


@dataclass(frozen=True)
class Judged:
    """A session, what was put into it, and what was found."""

    book: Notebook
    session: Session
    found: dict[str, Finding]


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    sessions = [(book, book.run()) for book in notebooks()]
    return [
        Judged(book, session, {finding.kind: finding for finding in findings_of(session)})
        for book, session in sessions
    ]


@pytest.fixture(scope="module")
def scores(judged: list[Judged]) -> dict[str, Score]:
    scores = {kind: Score() for kind in (*KINDS, BLIND)}
    unlike: list[str] = []
    for one in judged:
        book, session, told = one.book, one.session, set(one.found)
        for kind, is_seeded in truth(book, session).items():
            count(scores[kind], kind.partition(",")[0] in told, is_seeded)
            if (kind in told) != is_seeded and kind != BLIND:
                unlike.append(f"{kind} {'missed' if is_seeded else 'false alarm'}: {book.name}")
    print("", f"{len(judged)} sessions", table(scores), *unlike, sep="\n")
    return scores


def truth(book: Notebook, session: Session) -> dict[str, bool]:
    """By kind, whether it is in the session; kinds for which this cannot be said are absent."""
    known = {kind: kind in book.expected for kind in KINDS}
    largest = max(_shares(session), default=0.0)
    known["dominating cell"] = largest >= DOMINATES
    if abs(largest - DOMINATES) < CLEAR:
        del known["dominating cell"]
    for kind, true_j in book.true_j.items():
        if true_j < LEAST_SHARE * 1.1 * uj_to_j(cells_uj(session)) and known[kind]:
            del known[kind]
    if "evaluation" not in book.expected and _stage_j(session, "evaluation") > _stage_j(
        session, "training"
    ):
        # Not put there, and true: a model that was fitted on the CPU and evaluated on the card.
        del known["evaluation"]
    if BLIND in book.expected:
        known[BLIND] = True
        if "waiting device" not in book.expected:
            known.pop("waiting device", None)
    return known


def _stage_j(session: Session, stage: str) -> float:
    return sum(cell.energy.energy_j or 0.0 for cell in session.cells if cell.tags.stage == stage)


def _shares(session: Session) -> Iterable[float]:
    for cell in session.cells:
        if cell.status == "ok" and not cell.tags.deliberate:
            yield (cell.energy.total_uj or 0) / cells_uj(session)


def count(score: Score, is_told: bool, is_seeded: bool) -> None:
    if is_seeded:
        score.seeded += 1
        score.hits += is_told
    else:
        score.clean += 1
        score.false_alarms += is_told


def table(scores: dict[str, Score]) -> str:
    lines = [f"{'kind':<26} {'hits':>9}   {'false alarms':>12}"]
    for kind, score in scores.items():
        hits = f"{score.hits}/{score.seeded}"
        alarms = f"{score.false_alarms}/{score.clean}" if score.clean else ""
        lines.append(f"{kind:<26} {hits:>9}   {alarms:>12}".rstrip())
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
def test_waste_is_found_where_it_is(kind: str, scores: dict[str, Score]) -> None:
    score = scores[kind]
    assert score.seeded >= 5
    assert score.hits >= 0.95 * score.seeded


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_found_where_there_is_none(kind: str, scores: dict[str, Score]) -> None:
    score = scores[kind]
    assert score.clean >= 100
    assert score.false_alarms <= 0.01 * score.clean


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("superseded", 0.99, 1.01),
        ("failed", 0.99, 1.01),
        # Windows that lie across the end of a stretch count for neither side.
        ("idle device", 0.9, 1.02),
        ("waiting device", 0.7, 1.02),
    ],
)
def test_the_energy_is_the_true_one(
    kind: str, least: float, most: float, judged: list[Judged]
) -> None:
    ratios = [
        one.found[kind].energy_j / one.book.true_j[kind]
        for one in judged
        if kind in one.found and kind in one.book.expected
    ]
    assert len(ratios) >= 5
    assert least <= min(ratios)
    assert max(ratios) <= most
