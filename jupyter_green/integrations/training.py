"""What the callbacks of all frameworks share: one training, as the journal tells it.

A training is a span with its epochs and evaluations inside; each epoch leaves its metrics beside
the energy spent so far, and the model is described once. A framework's callback says what
happens (:func:`begin`, then the methods of :class:`TrainingRun`), and nothing that goes wrong
here reaches it: see :func:`guarded`.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from jupyter_green.errors import MetricError
from jupyter_green.events import Tags
from jupyter_green.integrations import outermost
from jupyter_green.integrations.models import Facts
from jupyter_green.recorder import here
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.names import as_number, likely_direction
from jupyter_green.recorder.tracker import Tracker

F = TypeVar("F", bound=Callable[..., Any])

Direction = str | Mapping[str, str] | None
"""higher or lower: of metrics whose name does not tell; or by the name of the metric."""

PLENTY = 100
"""So many are recorded one by one, however quick they are: steps of a run, and runs. Then ..."""
APART_S = 0.05
"""... one is left out that follows within this time. No counter tells the energies of such ones
apart, and what each costs here would no longer be little beside it."""
NO_QUALITIES = frozenset({"epoch", "grad_norm", "learning_rate", "lr", "step", "total_flos"})
"""What frameworks log beside the metrics, and what says nothing about the model's quality."""


class TrainingRun:
    """One training, or one evaluation by itself.

    Made by :func:`begin`. Its name is the run of every metric.
    """

    def __init__(
        self,
        tracker: Tracker,
        name: str,
        direction: Direction = None,
        stage: str | None = "training",
    ) -> None:
        self.name = name
        self.known: dict[str, str] = {}
        """Directions that the framework knows, by metric."""
        self.described = False
        self._tracker = tracker
        self._cell = tracker.current_cell
        self._given = direction
        self._spans: list[tuple[str, int]] = []
        self._epochs, self._steps = Pace(), Pace()
        self._held: tuple[float | None, dict[str, Any]] | None = None
        self._leaves_out = False
        """The epoch that runs has no span, and what is inside it has none either."""
        if stage is not None:
            self._open(stage, name if stage == "training" else f"{name} {stage}", stage)

    @property
    def in_its_cell(self) -> bool:
        """The cell that it was begun in is the innermost that runs now."""
        return self._tracker.current_cell == self._cell

    # --- spans ---

    def epoch_started(self, number: int) -> None:
        """An epoch begins, counted from 1; one that is open has ended."""
        self.epoch_finished()
        self._leaves_out = not self._epochs.is_due(number)
        if not self._leaves_out:
            self._open("epoch", f"epoch {number}", "training")

    def epoch_finished(self) -> None:
        """The epoch has ended."""
        self._leaves_out = False
        while self._spans and self._spans[-1][0] != "training":
            self._close("ok")

    def evaluation_started(self, name: str = "evaluation") -> None:
        """An evaluation begins, within the epoch if one is open."""
        if not self._evaluates and not self._leaves_out:
            self._open("evaluation", name, "evaluation")

    def evaluation_finished(self) -> None:
        """The evaluation has ended."""
        if self._evaluates:
            self._close("ok")

    @property
    def _evaluates(self) -> bool:
        return bool(self._spans) and self._spans[-1][0] == "evaluation"

    def _open(self, type_: str, name: str, stage: str) -> None:
        span = self._tracker.span_started(name, type_, Tags(stage=stage))
        self._spans.append((type_, span))

    def _close(self, status: str, error: str | None = None) -> None:
        _, span = self._spans.pop()
        self._tracker.span_finished(span, status, error)

    # --- what it tells ---

    def metrics(self, values: Mapping[str, Any], step: float | None = None) -> None:
        """The values of an epoch or step, as they are now.

        What is no number is left out, and noted once.
        """
        told = {name: value for name, value in values.items() if name not in NO_QUALITIES}
        if self._held is not None and self._held[0] == step:
            told = {**self._held[1], **told}
        self._held = None
        if self._steps.is_due(step):
            self._log(told, step)
        else:
            self._held = step, told

    def metric(self, name: str, value: Any, step: float | None = None) -> None:
        """One value, whatever came just before it."""
        try:
            number = as_number(name, value)
        except MetricError as error:
            note((self.name, name), f"run {self.name!r}: {error}")
            return
        self._tracker.metric_logged(
            name, number, step, self.name, self._direction(name), source="callback"
        )

    def _log(self, values: Mapping[str, Any], step: float | None) -> None:
        for name, value in values.items():
            self.metric(name, value, step)

    def _direction(self, name: str) -> str | None:
        if isinstance(self._given, Mapping) and name in self._given:
            return self._given[name]
        likely = self.known.get(name) or likely_direction(name)
        return likely or (self._given if isinstance(self._given, str) else None)

    def describe(self, facts: Facts) -> None:
        """How large the model is; said once."""
        if self.described:
            return
        self.described = True
        self._tracker.model_described(
            run=self.name,
            name=facts.name,
            parameters=facts.parameters,
            size_bytes=facts.size_bytes,
            precision=facts.precision,
        )

    # --- the end ---

    def finish(self, status: str = "ok", error: str | None = None) -> None:
        """The training has ended, and with it whatever is open. Safe to call twice."""
        outermost.forget(self)
        if self._held is not None:
            step, values = self._held
            self._held = None
            self._log(values, step)
        while self._spans:
            self._close(status, error)


class Pace:
    """Which steps are recorded: see :data:`PLENTY`."""

    def __init__(self) -> None:
        self._count = 0
        self._last_s = 0.0
        self._last_step: object = self

    def is_due(self, step: object) -> bool:
        """Whether this step is recorded. The answer is the same for all of one step."""
        if step is not None and step == self._last_step:
            return True
        now_s = time.monotonic()
        if self._count >= PLENTY and now_s - self._last_s < APART_S:
            return False
        self._count += 1
        self._last_s, self._last_step = now_s, step
        return True


# --- the beginning ------------------------------------------------------------------------


def begin(
    base: str,
    model: object = None,
    *,
    name: str | None = None,
    direction: Direction = None,
    stage: str | None = "training",
) -> TrainingRun | None:
    """Begin a training or, by ``stage="evaluation"``, an evaluation by itself.

    Args:
        base: class of the model, or the framework: its name where none is given, with a number.
        model: whose run it is: a later evaluation of the same object bears the same name.
        name: as the user calls the run.
        stage: None: a run without a span, where the framework does not tell begin and end.

    Returns:
        None inside another framework's call (the fits of a search), in a worker process, and
        for some of many that are too quick to be told apart (see :data:`PLENTY`).
    """
    if not outermost.may_begin():
        return None
    tracker = here.tracker()
    if tracker.disowned or not _is_due(tracker.id, base):
        return None
    earlier = _named(tracker.id, model) if stage != "training" else None
    run = TrainingRun(tracker, name or earlier or _numbered(tracker.id, base), direction, stage)
    _remember(tracker.id, model, run.name)
    if stage is not None:
        outermost.opened(run)
    return run


_paces: dict[tuple[str, str], Pace] = {}
"""Of runs, by session and base: a loop may make thousands of small fits."""
_counting = threading.Lock()
_counts: Counter[tuple[str, str]] = Counter()
_names: WeakKeyDictionary[Any, tuple[str, str]] = WeakKeyDictionary()


def _is_due(session: str, base: str) -> bool:
    return _paces.setdefault((session, base), Pace()).is_due(None)


def _numbered(session: str, base: str) -> str:
    with _counting:
        _counts[session, base] += 1
        return f"{base} {_counts[session, base]}"


def _named(session: str, model: object) -> str | None:
    """The run of this model in this session, if it had one."""
    try:
        of, name = _names.get(model, ("", ""))
    except TypeError:  # not hashable
        return None
    return name if of == session else None


def _remember(session: str, model: object, name: str) -> None:
    if model is not None:
        try:
            _names[model] = session, name
        except TypeError:  # neither hashable nor to be referred to weakly
            return


def checked(direction: Direction) -> Direction:
    """A direction as the user gives it.

    Raises:
        MetricError: it is neither higher nor lower.
    """
    words = direction.values() if isinstance(direction, Mapping) else [direction]
    for word in words:
        if word not in ("higher", "lower", None):
            raise MetricError(f"direction must be 'higher' or 'lower', it is {word!r}")
    return direction


# --- callbacks ----------------------------------------------------------------------------


def guarded(step: F) -> F:
    """Nothing that a callback does may end the user's training: what goes wrong is noted."""

    @functools.wraps(step)
    def harmless(*args: Any, **kwargs: Any) -> Any:
        try:
            return step(*args, **kwargs)
        except Exception as error:
            said = f"a training could not be recorded: {type(error).__name__}: {error}"
            note((step.__qualname__, type(error).__name__), said)
            return None

    return cast(F, harmless)


_noted: set[tuple[str, ...]] = set()


def note(about: tuple[str, ...], problem: str) -> None:
    """Say what went wrong: once in a session about the same thing, however it is worded."""
    tracker = trackers.latest()
    if tracker is not None and (tracker.id, *about) not in _noted:
        _noted.add((tracker.id, *about))
        tracker.problems.append(problem)


class Hooks:
    """Base of the callbacks: what the user may say, and the run while there is one.

    Args:
        run: name of the run; default: the model's class with a number.
        direction: whether ``"higher"`` or ``"lower"`` is better, for metrics whose name does not
            tell and that the framework does not know; or a mapping by metric, which holds always.

    Raises:
        MetricError: the direction is neither of the two.
    """

    def __init__(self, run: str | None = None, direction: Direction = None) -> None:
        super().__init__()
        self._name = run
        self._direction = checked(direction)
        self._run: TrainingRun | None = None
        self._trains = False
        """A training is open, be it recorded or not: an evaluation is a part of it."""
        self._known: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Copies are made for other fits, and for other processes: they have not begun.
        return {**self.__dict__, "_run": None, "_trains": False}

    def _begin(self, base: str, model: object, stage: str | None = "training") -> None:
        self._trains = stage == "training"
        self._run = begin(base, model, name=self._name, direction=self._direction, stage=stage)
        if self._run is not None:
            self._run.known.update(self._known)

    def _finish(self, status: str = "ok", error: str | None = None) -> None:
        run, self._run = self._run, None
        self._trains = False
        if run is not None:
            run.finish(status, error)


def callback_class(hooks: type[Hooks], base: type, module: str) -> type:
    """The callback as a framework wants it: a subclass of its own."""
    names = {"__module__": module, "__doc__": hooks.__doc__, "__qualname__": "EnergyCallback"}
    return type("EnergyCallback", (hooks, base), names)
