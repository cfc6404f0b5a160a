"""``compare``: techniques side by side, by energy and by quality.

Callables are run for it: warmed up, repeated in rounds of random order, each run a span of the
session. Labels and runs that were measured before are taken from a session. Either way nothing
is claimed that the repeats do not carry (see :mod:`jupyter_green.insight.verdict`).
"""

from __future__ import annotations

import inspect
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jupyter_green.configurable import load_settings
from jupyter_green.errors import MetricError, RecorderError, SettingError
from jupyter_green.events import Tags
from jupyter_green.insight import compare as insight
from jupyter_green.insight.compare import How
from jupyter_green.insight.contest import Contest, Pair, Side
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.insight.windows import TRIAL
from jupyter_green.recorder import gpu_sync, here
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.names import as_number, likely_direction
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report import charts
from jupyter_green.report.studies import compared, compared_drawn
from jupyter_green.sessions import library
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.studies import arguments
from jupyter_green.studies.repeat import (
    SHORTEST_RUN_S,
    Work,
    enough_loops,
    one_run,
    shortest_run_s,
)
from jupyter_green.studies.spans import span_around
from jupyter_green.units import format_energy

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_green.report.charts import Chart

REPEATS = 7
RESULT = "result"
"""What the number that a callable returns is called, where nobody says."""
CLEARLY = 10.0
"""A first call that took so many times what counters need is long enough without its beginnings
(imports, compilation); a shorter one is timed again."""
LONGEST_ERROR = 200

Subject = str | Callable[..., Any] | Mapping[str, Callable[..., Any]]
Recorded = Session | str


@dataclass(frozen=True, repr=False)
class Compared:
    """Techniques side by side: shows itself as a verdict, a table and a drawing."""

    contest: Contest
    """All figures."""

    @property
    def verdict(self) -> str:
        """The outcome in sentences. They hold names that the user gave."""
        return self.contest.verdict

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and what limits the trust in the figures."""
        return self.contest.notes

    @property
    def sides(self) -> tuple[Side, ...]:
        """The techniques, the baseline first."""
        return self.contest.sides

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The baseline with every other one."""
        return self.contest.pairs

    def __getitem__(self, name: str) -> Side:
        return self.contest.side(name)

    def dataframe(self) -> pd.DataFrame:
        """All attempts as a pandas DataFrame, one row each."""
        return compared.runs_dataframe(self.contest)

    def chart(self) -> Chart:
        """Runs, means and intervals as an Altair chart."""
        return charts.chart(compared_drawn.spec(self.contest))

    def markdown(self) -> str:
        """Verdict, table and notes as Markdown, for a pull request."""
        return compared.render_markdown(self.contest)

    def __repr__(self) -> str:
        return compared.render(self.contest)

    def _repr_html_(self) -> str:
        return compared.fragment(self.contest)


def compare(  # noqa: PLR0913  (a study has that many choices)
    *subjects: Subject,
    metric: str | None = None,
    direction: str | None = None,
    value: str = "last",
    session: Recorded | Sequence[Recorded] | None = None,
    repeats: int = REPEATS,
    warmup: int = 1,
    loops: int | None = None,
    seed: int | None = None,
    rest_s: float = 0.0,
) -> Compared:
    """Compare techniques by energy and by quality; the first is the baseline.

    ::

        compare("baseline", "quantised", metric="accuracy")
        compare({"baseline": f, "quantised": g}, metric="accuracy")
        compare(f, g, repeats=10, seed=1)

    Texts are labels (``%%energy --label``, ``measure(label=)``) or names of runs that have been
    measured. Callables are run: warmed up, then in ``repeats`` rounds of random order, each as a
    span that carries its name as label. They return their quality: a number, a mapping of
    metrics, or nothing; it is logged with the run ``name#round``. One that needs an argument
    (without a default) gets the number of its round, 0 in warm-ups: a seed, which all techniques
    share. One that is too short for the counters is called several times a run. What one of them
    raises is recorded, and the others go on; an interrupt ends the study, and what was measured by
    then stays in the session.

    GPUs are waited for at both ends of a run. The sides are compared by Welch's t test and a
    permutation test, corrected for their number after Holm; the same repeated against itself is
    told apart in at most one study of twenty. Figures that are modelled show no saving.

    Args:
        subjects: labels, callables, or one mapping of names to callables; two at least.
        metric: what quality is measured by. Default: what was logged last and should be high.
        direction: ``"higher"`` or ``"lower"`` is better. Default: as the metric was logged.
        value: the ``"last"`` or the ``"best"`` value of each run is compared.
        session: where labels are looked for: a Session, or a recorded one by its id, journal or
            notebook, or several. Default: this process's.
        repeats: runs of each callable. Where runs vary by 1 %, five find a difference of 5 % in
            99 studies of a hundred, and one of 2 % in 70; fewer find only large ones.
        warmup: runs of each callable that come first and do not count; 0 or more.
        loops: calls in each run. Default: so many that the counters resolve it, as the warm-up
            shows; one without a warm-up.
        seed: of the order of the runs, for repeating a study. Default: another each time.
        rest_s: seconds of rest before each run, for machines that slow down when they are hot.

    Raises:
        SettingError: an argument makes no sense, or a label has not been measured.
        RecorderError: nothing has been tracked yet, or the recorder does not answer.
        SessionNotFound: no recorded session answers to the name.
    """
    plan = _plan(repeats, warmup, loops, seed, rest_s)
    if metric is not None:
        arguments.text("metric", metric)
    how = How(
        metric=metric, direction=direction, value=value, seed=0 if seed is None else plan.seed
    )
    labels = [subject for subject in subjects if isinstance(subject, str)]
    if labels and len(labels) == len(subjects):
        return Compared(insight.contest(_sessions(session), labels, how))
    callables = _callables(subjects)
    if session is not None:
        raise SettingError("callables are measured in the session of this process: leave session")
    if value == "best" and metric and not (direction or likely_direction(metric)):
        raise SettingError(
            f"nobody knows which {metric!r:.60} is better: say direction='higher' or 'lower'"
        )
    study = _Study(here.tracker(), callables, how, plan)
    return Compared(study.run())


# --- what is compared ---------------------------------------------------------------------


def _sessions(given: Any) -> list[Session]:
    if given is None:
        tracker = trackers.latest()
        if tracker is None:
            raise RecorderError(
                "nothing is tracked in this process yet: `%load_ext jupyter_green` in a notebook, "
                "or `with measure('name', label='baseline'):` in a script"
            )
        return [tracker.session()]
    is_one = isinstance(given, Session | str) or not isinstance(given, Iterable)
    several = [given] if is_one else given
    return [_recorded(one) for one in several]


def _recorded(given: object) -> Session:
    if isinstance(given, Session):
        return given
    if not isinstance(given, str):
        raise SettingError(
            "session must be a Session, or the id, journal or notebook of a recorded one, or a "
            f"list of them; it is {arguments.shown(given)}"
        )
    return library.load(library.find(load_settings().settings.data_dir, given))


def _callables(subjects: Sequence[Subject]) -> dict[str, Callable[..., Any]]:
    """What is run, by name.

    Raises:
        SettingError: it is something else, or names are missing or doubled.
    """
    given: list[tuple[str, Any]] = []
    for place, subject in enumerate(subjects, 1):
        if isinstance(subject, Mapping) and len(subjects) == 1:
            for name, function in subject.items():
                _check_callable(f"{str(name)!r:.60}", function)
                given.append((str(name), function))
        else:
            _check_callable(f"argument {place}", subject)
            given.append((str(getattr(subject, "__name__", type(subject).__name__)), subject))
    found = arguments.named(given)
    if len(found) < 2 or not all(name.strip() for name in found):
        raise SettingError("a comparison needs two callables at least, each with a name")
    return dict(found)


def _check_callable(which: str, subject: object) -> None:
    if callable(subject) and not inspect.iscoroutinefunction(subject):
        return
    what = "a coroutine function" if callable(subject) else arguments.shown(subject)
    raise SettingError(
        "compare() takes labels, or callables, or one mapping of names to callables, and all of "
        f"one kind; {which} is {what}"
    )


# --- the study ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    repeats: int
    warmup: int
    loops: int | None
    seed: int
    rest_s: float


def _plan(repeats: object, warmup: object, loops: object, seed: object, rest_s: object) -> _Plan:
    """All numbers of a study.

    Raises:
        SettingError: one makes no sense.
    """
    return _Plan(
        repeats=arguments.whole("repeats", repeats, 1),
        warmup=arguments.whole("warmup", warmup, 0),
        loops=None if loops is None else arguments.whole("loops", loops, 1),
        seed=secrets.randbits(32) if seed is None else arguments.whole("seed", seed),
        rest_s=arguments.rest("rest_s", rest_s),
    )


@dataclass
class _Technique:
    """One callable, and what became of its calls."""

    tracker: Tracker
    name: str
    function: Callable[..., Any]
    how: How
    loops: int = 1
    round: int = 0
    """That is being run, from 1 on; 0: a warm-up."""
    troubles: dict[str, None] = field(default_factory=dict)
    """What it raised, or returned that is no metric, in sentences."""

    def warm_up(self) -> float | None:
        """Seconds of one call; None: it failed."""
        began_s = time.perf_counter()
        if not self._run(self.loop, "warm-up", Tags(deliberate=True)):
            return None
        return (time.perf_counter() - began_s) / self.loops

    def trial(self, count: int) -> None:
        """A run that counts."""
        self.round = count

        def logged(loops: int) -> None:
            run = f"{self.name}#{count}"
            if loops > 1:
                self.tracker.metric_logged(LOOPS, loops, run=run, source=STUDY)
            self._log(self.loop(loops), run)

        self._run(logged, TRIAL, Tags(label=self.name, deliberate=True))

    def loop(self, loops: int) -> Any:
        """Call it so often, and wait for its work; returns what the last call did."""
        function, returned = self.function, None
        needed = _needed_argument(function)
        by_name = needed is not None and needed.kind is needed.KEYWORD_ONLY
        given = () if needed is None or by_name else (self.round,)
        named = {needed.name: self.round} if needed is not None and by_name else {}
        for _ in range(loops):
            returned = function(*given, **named)
        gpu_sync.synchronize(self.tracker.problems)
        return returned

    def choose_loops(self, seconds: float) -> None:
        """So many that a run takes at least so long."""
        try:
            self.loops = enough_loops(self.loop, seconds)
        except Exception as error:
            self._trouble(error)

    def _run(self, loop: Callable[[int], Any], type_: str, tags: Tags) -> bool:
        try:
            # What somebody else has begun on a GPU is not to be this run's.
            gpu_sync.synchronize(self.tracker.problems)
        except Exception as error:
            self._trouble(error)
        try:
            one_run(self.tracker, Work(loop, self.name, tags), self.loops, type_)
        except Exception as error:
            self._trouble(error)
            return False
        return True

    def _trouble(self, error: Exception) -> None:
        told = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
        self.troubles[f"{self.name} raised {told}"] = None

    def _log(self, returned: Any, run: str) -> None:
        given = returned if isinstance(returned, Mapping) else {self.how.metric or RESULT: returned}
        for key, value in given.items():
            name = str(key)[: arguments.LONGEST_NAME]
            try:
                number = as_number(name, value)
            except MetricError:
                if returned is not None and name == (self.how.metric or name):
                    told = f"{name} of {self.name} is no number but a {type(value).__name__}"
                    self.troubles[told[:LONGEST_ERROR]] = None
                continue
            direction = self.how.direction if name == (self.how.metric or name) else None
            self.tracker.metric_logged(name, number, run=run, direction=direction)


class _Study:
    """Runs callables, and compares what that took."""

    def __init__(
        self, tracker: Tracker, callables: Mapping[str, Callable[..., Any]], how: How, plan: _Plan
    ) -> None:
        self._tracker = tracker
        self._how = how
        self._plan = plan
        self._techniques = [
            _Technique(tracker, name, function, how, plan.loops or 1)
            for name, function in callables.items()
        ]

    def run(self) -> Contest:
        """All of it, as one span."""
        names = [technique.name for technique in self._techniques]
        title = f"compare {', '.join(names)}"[:LONGEST_ERROR]
        with span_around(self._tracker, title, "task") as span:
            self._warm_up()
            self._repeat()
        session = self._tracker.session()
        trials = {one.span for one in session.spans if one.parent == span and one.type == TRIAL}
        found = insight.contest(session, names, replace(self._how, spans=trials))
        return replace(found, notes=(*found.notes, *self._notes(session, span)))

    def _warm_up(self) -> None:
        if not self._plan.warmup:
            return
        took_s = [technique.warm_up() for technique in self._techniques]
        if self._plan.loops is None:
            needed_s = _needed_s(self._tracker.session())
            for technique, seconds in zip(self._techniques, took_s, strict=True):
                if seconds is not None and seconds < CLEARLY * needed_s:
                    technique.choose_loops(needed_s)
        for _ in range(self._plan.warmup - 1):
            for technique in self._techniques:
                technique.warm_up()

    def _repeat(self) -> None:
        source = random.Random(self._plan.seed)
        for count in range(1, self._plan.repeats + 1):
            order = list(self._techniques)
            source.shuffle(order)
            for technique in order:
                if self._plan.rest_s:
                    time.sleep(self._plan.rest_s)
                technique.trial(count)

    def _notes(self, session: Session, span: int) -> list[str]:
        plan, whole = self._plan, session.span(span).energy
        spent = (
            "" if whole.total_uj is None else f"; all of it took {format_energy(whole.total_uj)}"
        )
        rounds = f"{plan.repeats} round{'s' * (plan.repeats != 1)}"
        notes = [
            f"{rounds} in random order (seed {plan.seed}), {plan.warmup} "
            f"warm-up{'s' * (plan.warmup != 1)} each{spent}."
        ]
        return [*notes, *(f"{told}." for one in self._techniques for told in one.troubles)]


def _needed_argument(function: Callable[..., Any]) -> inspect.Parameter | None:
    """The one argument without which it cannot be called; None: it needs none, or several."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of some callables nobody knows
        return None
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [one for one in known if one.default is one.empty and one.kind not in many]
    return needed[0] if len(needed) == 1 else None


def _needed_s(session: Session) -> float:
    """How long a run must be. Where nothing can be read it is time alone that is compared."""
    if any(info.counted for info in session.counters.values()):
        return shortest_run_s(session)
    return SHORTEST_RUN_S
