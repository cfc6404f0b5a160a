"""The Python face: log a metric, measure a block, look at the session, write a report.

Everything works in a notebook and in a plain script alike; where no session is open yet, the
first call begins one.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from jupyter_green.configurable import load_settings
from jupyter_green.errors import MetricError, RecorderError
from jupyter_green.events import Tags
from jupyter_green.recorder import here
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.names import as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.summary import Result
from jupyter_green.sessions.model import Session

F = TypeVar("F", bound=Callable[..., Any])

DIRECTIONS = ("higher", "lower", None)


def log(
    metrics: Mapping[str, Any] | None = None,
    /,
    *,
    step: float | None = None,
    run: str | None = None,
    direction: str | None = None,
    **named: Any,
) -> None:
    """Log one or more metrics beside the energy that has been spent so far.

    Args:
        metrics: a mapping, for names that are no Python names (``{"val/acc": 0.9}``).
        step: epoch or step of the values.
        run: name of the training run that they belong to.
        direction: ``"higher"`` or ``"lower"`` is better; by default told from usual names.
        named: the metrics: ``log(accuracy=0.91, step=3)``.

    Raises:
        MetricError: a value is no number, or the direction is neither of the two.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise MetricError(
            f"log() takes metrics by name, as log(accuracy=0.9), or a mapping; not {metrics!r:.60}"
        )
    if direction not in DIRECTIONS:
        raise MetricError(f"direction must be 'higher' or 'lower', it is {direction!r}")
    values = {name: as_number(name, value) for name, value in {**(metrics or {}), **named}.items()}
    at = None if step is None else as_number("step", step)
    tracker = here.tracker()
    for name, value in values.items():
        tracker.metric_logged(str(name), value, at, run, direction)


def describe_model(
    name: str | None = None,
    *,
    parameters: int | None = None,
    flops: int | None = None,
    size_bytes: int | None = None,
    precision: str | None = None,
    run: str | None = None,
) -> None:
    """Say how large a model is: reports and comparisons show it beside energy and accuracy.

    Time, carbon, model size and FLOPs are the measures by which Xu et al., "A Survey on Green Deep
    Learning" (arXiv 2111.05193), compare. The callbacks of frameworks say it by themselves.

    Args:
        name: what the model is called.
        parameters: their number.
        flops: floating-point operations of one forward pass of one item.
        size_bytes: of its weights.
        precision: ``"fp32"``, ``"bf16"``, ``"int8"`` ...
        run: the training run that it belongs to, as its metrics are logged with it: the run's
            time and energy are shown beside it. Default: those of the cell, if it logs any metric.

    Raises:
        MetricError: nothing is said, or a number is none, or negative.
    """
    if (name, parameters, flops, size_bytes, precision) == (None,) * 5:
        raise MetricError("describe_model() needs something to say: parameters=32_486, for one")
    numbers = {"parameters": parameters, "flops": flops, "size_bytes": size_bytes}
    counts = {key: _count(key, value) for key, value in numbers.items() if value is not None}
    here.tracker().model_described(run=run, name=name, precision=precision, **counts)


def _count(name: str, value: Any) -> int:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < 2**63:
        raise MetricError(f"{name} must be a whole number from 0 on, it is {value!r:.60}")
    return round(number)


def session() -> Session:
    """This process's session up to now (or to its end, if it is over).

    Raises:
        RecorderError: nothing has been tracked yet, or the recorder does not answer.
    """
    tracker = trackers.latest()
    if tracker is None:
        raise RecorderError(
            "nothing is tracked in this process yet: `%load_ext jupyter_green` in a notebook, "
            "or `with measure('name'):` in a script"
        )
    return tracker.session()


def save_report(
    path: str = "",
    session: Session | str | Sequence[Session | str] | None = None,
    form: str = "",
) -> str:
    """Write a session into a file, and return the file's absolute path.

    ::

        save_report("report.md")
        save_report("emissions.csv", "train.ipynb")

    (``jupyter_green.report`` is the package with the forms, so that this has another name.)

    Args:
        path: where to; its ending says the form. Default: a name made of notebook and session, in
            the working directory.
        session: default: this process's, up to now; a recorded one by its id or the beginning of
            it, its journal, or its notebook; or a Session, as ``session().with_pue(1.5)``. Several
            of these make one report together.
        form: one of ``jupyter_green.report.forms.NAMES``, where the ending does not say it.

    Raises:
        ReportError: there is no such form, or the file cannot be written.
        SessionNotFound: no recorded session answers to the name.
        RecorderError: nothing has been tracked yet, or the recorder does not answer.
    """
    from jupyter_green.report import forms  # noqa: PLC0415  (views load on use)

    if isinstance(session, Session | str) or session is None:
        return forms.save(_session_of(session), path, form or None)
    from jupyter_green.report.merged.values import Merged  # noqa: PLC0415

    return forms.save(Merged.of(map(_session_of, session)), path, form or None)


def _session_of(given: Session | str | None) -> Session:
    if isinstance(given, Session):
        return given
    if given is None:
        return session()
    from jupyter_green.sessions import library  # noqa: PLC0415

    return library.load(library.find(load_settings().settings.data_dir, given))


class measure:  # used like a function: ``with measure("train"):``
    """Measure a block or every call of a function.

    ::

        with measure("train") as training:
            model.fit(x, y)
        training.energy_j

        @measure("predict")
        def predict(batch): ...

    Spans may nest and overlap; they are shown within the session and never added to cells.
    The figures of a finished block are those of :class:`~jupyter_green.report.summary.Result`.

    Args:
        name: what the block is called in every view.
        label, stage, technique: tags, as of ``%%energy``.
    """

    def __init__(
        self,
        name: str,
        *,
        label: str | None = None,
        stage: str | None = None,
        technique: str | None = None,
    ) -> None:
        if callable(name):
            raise TypeError(
                'measure needs a name: @measure("predict") above a function, or '
                'with measure("train"):'
            )
        self.name = str(name)
        self._tags = Tags(label=label, stage=stage, technique=technique)
        self._tracker: Tracker | None = None
        self._span: int | None = None
        self._finished = False
        self._result: Result | None = None

    def __enter__(self) -> measure:
        if self._span is not None:
            raise RecorderError(
                f"this measure({self.name!r}) has been entered before; make one for each block"
            )
        self._tracker = here.tracker()
        self._span = self._tracker.span_started(self.name, tags=self._tags)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tracker is not None
        assert self._span is not None
        status = "ok" if kind is None else _status(kind)
        self._tracker.span_finished(self._span, status, kind.__name__ if kind else None)
        self._finished = True

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function: every call is a span of its own."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return measured_coroutine  # type: ignore[return-value]

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return measured  # type: ignore[return-value]

    def _again(self) -> measure:
        tags = self._tags
        return measure(self.name, label=tags.label, stage=tags.stage, technique=tags.technique)

    @property
    def result(self) -> Result:
        """The figures of the finished block; asks the recorder at the first look.

        Raises:
            RecorderError: the block is still running, or the recorder does not answer.
        """
        if self._result is None:
            if not self._finished or self._tracker is None or self._span is None:
                raise RecorderError(f"measure({self.name!r}) has not finished yet")
            so_far = self._tracker.session()
            try:
                self._result = Result.of(so_far, so_far.span(self._span))
            except KeyError:
                raise RecorderError(
                    f"measure({self.name!r}) has ended, but its end has not reached the journal"
                ) from None
        return self._result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.result, name)

    def __repr__(self) -> str:
        if not self._finished:
            return f"measure({self.name!r}): {'running' if self._span else 'not begun'}"
        return repr(self.result)

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_() if self._finished else None


def _status(kind: type[BaseException]) -> str:
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "error"
