"""Energy per inference, over batch sizes: half of Green deep learning is about inference.

``measure_inference`` calls a model on batches of several sizes. For each it finds how many calls
the counters need, warms up, and measures several runs; the runs of all sizes are interleaved in
random order, so that a machine that grows warmer favours none (Cruz, "Green software engineering
done right", 2021). The figures are joules per inference with their deviation between runs and the
counters' bound, throughput, and the latency of single calls.

Xu et al., "A Survey on Green Deep Learning" (arXiv 2111.05193), is why joules per inference is a
figure of its own here.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from jupyter_green.errors import RecorderError, SettingError
from jupyter_green.events import Tags
from jupyter_green.insight.inferences import (
    LATENCY,
    LATENCY_CALLS,
    LATENCY_P95,
    Figures,
    InferenceAt,
    figures_of,
    inferences_of,
    latencies,
)
from jupyter_green.insight.repeated import BATCH_SIZE, LOOPS, told
from jupyter_green.insight.windows import INFERENCE, Logged
from jupyter_green.recorder import gpu_sync, here
from jupyter_green.recorder.names import FIRST_LINE, as_number
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.studies import inferred
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.studies import arguments, batches
from jupyter_green.studies.models import calling, check_result, evaluating, name_of
from jupyter_green.studies.repeat import RUNS, Work, one_run, shortest_run_s, warmed_up
from jupyter_green.studies.spans import span_around

if TYPE_CHECKING:
    import pandas as pd

STAGE = "deployment"
LATENCY_SHARE = 0.25
"""Of a run's length: so long single calls are timed before it, and as long after it."""
LONGEST_LATENCY_S = 1.0
"""Single calls end after so long. Where one takes longer, the runs themselves tell its latency."""
MOST_CALLS = 1000
"""Single calls that are timed on one side of a run."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Inference(Figures):
    """The energy of inference with one model: shows itself as a sentence, a table, a picture."""

    @property
    def sentence(self) -> str:
        """What the figures allow one to say."""
        return inferred.sentence(self)

    def dataframe(self) -> pd.DataFrame:
        """One row a batch size as a pandas DataFrame; units stand in the names of the columns."""
        import pandas  # noqa: PLC0415  (loads on use)

        return pandas.DataFrame.from_records([_record(self, row) for row in self.rows])

    def __repr__(self) -> str:
        return inferred.text(self)

    def _repr_html_(self) -> str:
        return inferred.html(self)


def measure_inference(  # noqa: PLR0913  (all but two are options)
    model: Callable[..., Any],
    batch: Any = (),
    *,
    batch_sizes: int | Sequence[int] | None = None,
    items: int | None = None,
    label: str | None = None,
    technique: str | None = None,
    metric: Mapping[str, Any] | None = None,
    runs: int = RUNS,
    warmup: int = 1,
    seconds: float | None = None,
) -> Inference:
    """Measure joules, latency and throughput of inference.

    ::

        measure_inference(model.predict, x)
        measure_inference(net, x, batch_sizes=[1, 8, 64, 256], metric={"accuracy": 0.93})
        measure_inference(lambda: service.answer(questions), items=32, label="int8")

    A tuple is passed as positional arguments and a mapping as named ones; anything else is the
    one argument. (A model that takes a tuple or a dict as its one argument gets ``(batch,)``.)
    The first axis counts the items.

    A PyTorch module is called in evaluation mode and without gradients, and is put back into the
    modes it had. GPU work is waited for at the end of every run. The runs are spans of the
    session, of the stage ``deployment``, each with the label of its batch size, as
    ``batch 64, int8``: ``compare("batch 64, fp32", "batch 64, int8")`` holds two of them together.

    Args:
        model: what is called, as ``model.predict`` or a PyTorch module.
        batch: what it is called with; left out: nothing.
        batch_sizes: inferences of one call, one number or several; smaller ones are cut from the
            batch, and larger ones repeat its items. Default: the batch as it is.
        items: inferences of one call, where the batch does not tell.
        label: what the model is called in every view. Default: the callable's name.
        technique: a tag of the spans, as of ``%%energy``: ``"quantisation"``.
        metric: what the model is worth, as ``{"accuracy": 0.93}``: is logged beside, under the
            label as its run. Energy never stands without the quality it bought.
        runs: measured runs of each batch size. Fewer than five support no comparison.
        warmup: runs of each batch size that come before, and are discarded.
        seconds: length of a run, which may be longer by one call. Default: as long as the
            counters need (0.1 s for RAPL, 1 s for GPUs and models of the processor).

    Raises:
        SettingError: an argument makes no sense, or the batch cannot be cut.
        MetricError: a metric is no number; it is said before anything runs.
        RecorderError: nothing can be read here, or the recorder does not answer.

    What the model raises, and an interrupt, pass through. The runs that were finished by then
    are in the session.
    """
    _check(model, runs, warmup, seconds, technique)
    sizes = _sizes(batch, batch_sizes, items)
    name = str(label or name_of(model))[:FIRST_LINE]
    values = _worth(metric)
    tracker = here.tracker()
    tags = Tags(stage=STAGE, technique=technique, deliberate=True)
    subjects = [
        _Subject(model, batch if items else batches.cut(batch, size), size, name, tags, tracker)
        for size in sizes
    ]
    with span_around(tracker, name, INFERENCE, Tags(deliberate=True)) as study:
        with evaluating(model):
            _measure(tracker, subjects, runs, warmup, seconds)
        for subject in subjects:
            subject.tell_latency()
        for key, value in values.items():
            tracker.metric_logged(key, value, run=name)
    session = tracker.session()
    # A run without energy is an error here, and a study that is left out in a report.
    told(session, [number for subject in subjects for number in subject.spans], 1)
    found = figures_of(Logged(session), session.span(study))
    if found is None:
        raise RecorderError("the study has ended, but its runs have not reached the journal")
    return _shown(found)


def inference_of(session: Session, label: str | None = None) -> Inference:
    """The same result again from a session, as ``inference_of(session(), "int8")``.

    Args:
        label: as it was given to :func:`measure_inference`; the latest of several studies counts.
            Default: the latest study.

    Raises:
        SettingError: there is no such finished study in the session.
    """
    found = {one.label: one for one in inferences_of(session)}
    if not found:
        raise SettingError("no measure_inference() has finished in this session")
    if label is not None and label not in found:
        there = ", ".join(repr(one[:60]) for one in list(found)[:8])
        raise SettingError(f"no measure_inference() is called {label!r:.60}; there are: {there}")
    return _shown(found[label] if label is not None else list(found.values())[-1])


def _shown(found: Figures) -> Inference:
    return Inference(label=found.label, rows=found.rows, metrics=found.metrics, notes=found.notes)


# --- one batch size -----------------------------------------------------------------------


class _Subject:
    """The model at one batch size, and what has been measured of it."""

    def __init__(
        self,
        model: Callable[..., Any],
        batch: Any,
        size: int,
        label: str,
        tags: Tags,
        tracker: Tracker,
    ) -> None:
        self.size = size
        self.spans: list[int] = []
        self.latencies_s: list[float] = []
        self._tracker = tracker
        self._call = calling(model, batch)
        # The size comes first: of long names tables show the beginning.
        label = f"batch {size}, {label}"
        # Sizes under one label would be compared as repeats of each other.
        self._work = Work(self._loop, label, structs.replace(tags, label=label))
        self._loops = 1
        self._call_s = 0.0
        """Of the latest run, per call."""

    @property
    def _trial(self) -> Work:
        """The work as it is measured: whoever compares runs must know their loops."""

        def logged(loops: int) -> None:
            self._tracker.metric_logged(BATCH_SIZE, self.size, source=STUDY)
            if loops > 1:
                self._tracker.metric_logged(LOOPS, loops, source=STUDY)
            self._loop(loops)

        return replace(self._work, loop=logged)

    def _loop(self, loops: int) -> None:
        call = self._call
        result = None
        began_s = time.perf_counter()
        for _ in range(loops):
            result = call()
        self._wait(result)
        self._call_s = (time.perf_counter() - began_s) / loops

    def _wait(self, result: Any) -> None:
        """Until the work is done: GPUs here, and what JAX has only promised."""
        gpu_sync.synchronize(self._tracker.problems)
        jax = sys.modules.get("jax")
        if jax is not None and hasattr(jax, "block_until_ready"):
            jax.block_until_ready(result)

    def warm_up(self, runs: int, seconds: float | None) -> None:
        check_result(self._call())
        self._loops = warmed_up(self._tracker, self._work, seconds=seconds)
        for _ in range(runs - 1):
            one_run(self._tracker, self._work, self._loops, "warm-up")

    def run(self, least_calls: int, seconds: float) -> None:
        """One run, among single calls of the same kind: at both of its ends the power and the
        caches are those of this batch size, whichever was measured before.

        Args:
            least_calls: on each side.
            seconds: of single calls on each side.
        """
        if self._call_s >= LONGEST_LATENCY_S:
            self._run_once()
            self.latencies_s.append(self._call_s)
            return
        self._time_calls(least_calls, seconds)
        self._run_once()
        self._time_calls(least_calls, seconds)

    def _run_once(self) -> None:
        self.spans.append(one_run(self._tracker, self._trial, self._loops))

    def _time_calls(self, least: int, seconds: float) -> None:
        clock = time.perf_counter
        began_s = clock()
        for done in range(1, MOST_CALLS + 1):
            start_s = clock()
            self._wait(self._call())
            end_s = clock()
            self.latencies_s.append(end_s - start_s)
            passed_s = end_s - began_s
            if passed_s >= LONGEST_LATENCY_S or (done >= least and passed_s >= seconds):
                return

    def tell_latency(self) -> None:
        """Into the journal, which knows the runs and not the single calls."""
        for name, value in zip((LATENCY, LATENCY_P95), latencies(self.latencies_s), strict=True):
            if value is not None:
                self._tracker.metric_logged(name, value, run=self._work.name, source=STUDY)


def _measure(
    tracker: Tracker,
    subjects: Sequence[_Subject],
    runs: int,
    warmup: int,
    seconds: float | None,
) -> None:
    """Warm up and do all runs. Whatever is raised, by the model or by an interrupt, tells where."""
    subject = subjects[0]
    try:
        for subject in subjects:
            subject.warm_up(warmup, seconds)
        calls = math.ceil(LATENCY_CALLS / runs / 2)
        calls_s = LATENCY_SHARE * (seconds or shortest_run_s(tracker.session()))
        for subject in _in_random_order(subjects, runs):
            subject.run(calls, calls_s)
    except BaseException as error:
        done = sum(len(each.spans) for each in subjects)
        with suppress(Exception):  # an exception may be of a kind that takes no notes
            error.add_note(
                f"measure_inference was at batch size {subject.size} and gives no result; "
                f"{_finished(done, runs * len(subjects))}"
            )
        raise


def _finished(done: int, planned: int) -> str:
    if not done:
        return f"it had not finished any of its {planned} run{'s' * (planned > 1)}"
    are = "was finished and is a span" if done == 1 else "were finished and are spans"
    return f"{done} of {planned} runs {are} of the session"


def _in_random_order(subjects: Sequence[_Subject], runs: int) -> Iterator[_Subject]:
    """Every one once, then every one again: in rounds, each in an order of its own.

    The user's own random numbers are left as they are.
    """
    chance = random.Random()
    for _ in range(runs):
        yield from chance.sample(subjects, len(subjects))


# --- what was asked -----------------------------------------------------------------------


def _check(model: object, runs: int, warmup: int, seconds: float | None, technique: object) -> None:
    if not callable(model):
        raise SettingError(
            f"a {type(model).__name__} cannot be called: pass what makes a prediction, as "
            "model.predict"
        )
    for name, number in (("runs", runs), ("warmup", warmup)):
        arguments.whole(name, number, 1)
    if seconds is not None and not arguments.real("seconds", seconds) > 0:
        raise SettingError(f"seconds must be above 0, it is {seconds}")
    if technique is not None:
        arguments.text("technique", technique)


def _worth(metric: object) -> dict[str, float]:
    """What the user says the model is worth.

    Raises:
        SettingError: it has no name, or is not finite.
        MetricError: it is no number.
    """
    if metric is None:
        return {}
    if not isinstance(metric, Mapping):
        raise SettingError(
            "metric is a value with its name, as metric={'accuracy': 0.93}; it is "
            f"{arguments.shown(metric)}"
        )
    values = {}
    for key, value in metric.items():
        name = arguments.text("the name of a metric", key)
        values[name] = as_number(name, value)
        if not math.isfinite(values[name]):
            raise SettingError(f"metric {name!r:.60} must be finite, it is {values[name]}")
    return values


def _sizes(batch: Any, batch_sizes: object, items: int | None) -> list[int]:
    if items is not None:
        if batch_sizes is not None:
            raise SettingError(
                "items= is the number of inferences of one call, and batch_sizes= has it vary: "
                "give one of the two"
            )
        return [arguments.whole("items", items, 1)]
    if isinstance(batch, tuple) and not batch:
        raise SettingError(
            "there is nothing to infer from: pass a batch, as measure_inference(model.predict, "
            f"x); or, where the call brings its own, {batches.HINT}"
        )
    held = batches.size_of(batch)
    if batch_sizes is None:
        return [held]
    if isinstance(batch_sizes, str | bytes) or not isinstance(batch_sizes, Iterable):
        batch_sizes = [batch_sizes]
    wanted = sorted({arguments.whole("a batch size", size, 1) for size in batch_sizes})
    if not wanted:
        raise SettingError("batch_sizes is empty: give at least one")
    return wanted


# --- what is told -------------------------------------------------------------------------


def _record(result: Figures, row: InferenceAt) -> dict[str, Any]:
    return {
        "label": result.label,
        "batch_size": row.batch_size,
        "energy_per_item_j": row.energy_per_item_j,
        "deviation_per_item_j": row.deviation_per_item_j,
        "bound_per_item_j": row.bound_per_item_j,
        "per_1000_j": row.per_1000_j,
        "net_per_item_j": _or_nan(row.net_per_item_j),
        "net_per_1000_j": _or_nan(row.net_per_1000_j),
        "latency_s": row.latency_s,
        "latency_p95_s": _or_nan(row.latency_p95_s),
        "items_per_s": row.items_per_s,
        "power_w": row.power_w,
        "runs": len(row.calls.energies_j),
        "calls_per_run": row.calls.loops,
        "below_resolution": row.below_resolution,
        "missing": ", ".join(row.missing),
        "provenance": " + ".join(row.provenance),
        **{f"metric_{name}": value for name, value in result.metrics.items()},
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
