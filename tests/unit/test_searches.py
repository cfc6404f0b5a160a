"""Searches compared: what is read, what counts, and sentences that claim no more."""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jupyter_green.errors import SettingError
from jupyter_green.events import CounterInfo, MetricLogged, OverlapSeen, SpanFinished, SpanStarted
from jupyter_green.insight.searches import (
    PLAN,
    RANDOM_FIRST,
    SEARCHES,
    SEED,
    STOPPED,
    STRATEGY,
    TARGET,
    TRIALS,
    clear_front,
    default_target,
    front,
    judged,
    outcome,
    rivals,
    studies_of,
)
from jupyter_green.insight.searches_values import Outcome, Search, Strategy, Trial
from jupyter_green.sessions.model import STUDY, Session
from tests.simulators.story import DRAM, MODEL, PACKAGE, Story

W = 12.0
"""Package and DRAM of a story."""
CLAIMS = ("less energy", "won here, by energy")


@dataclass
class Run:
    """One search: seconds and value of each trial; a text instead of a value is how it failed."""

    name: str
    trials: Sequence[tuple[float, float | str | None]]
    stopped: str = ""
    status: str = "ok"
    error: str | None = None
    between_s: float = 0.0
    """What the sampler takes before each trial."""


@dataclass
class Teller:
    """Tells studies as compare_searches leaves them in a journal."""

    story: Story = field(default_factory=Story)
    spans: int = 0

    def begin(self, name: str, type_: str, parent: int | None = None) -> int:
        self.spans += 1
        self.story.feed(
            SpanStarted(span=self.spans, name=name, type=type_, parent=parent, **self.story.stamp())
        )
        return self.spans

    def end(self, span: int, status: str = "ok", error: str | None = None) -> None:
        stamp = self.story.stamp()
        self.story.feed(SpanFinished(span=span, status=status, error=error, **stamp))

    def fact(self, name: str, value: float, run: str, direction: str | None = None) -> None:
        self.log(name, value, run, direction=direction, source=STUDY)

    def log(self, name: str, value: float, run: str, **more: Any) -> None:
        finite = math.isfinite(value)
        told = {"value": value} if finite else {"value": None, "text": str(value)}
        self.story.feed(
            MetricLogged(name=name, run=run, **told, **more, **self.story.stamp())  # type: ignore[arg-type]
        )

    def study(  # noqa: PLR0913  (facts of a study)
        self,
        runs: Sequence[Run],
        target: float | None = None,
        metric: str = "accuracy",
        direction: str = "higher",
        status: str = "ok",
        *,
        planned: Sequence[str] = (),
        seeds: int | None = None,
        random_first: int = 0,
        error: str | None = None,
        suffix: str = "",
    ) -> None:
        whole = self.begin("searches", "task")
        self.fact(metric, math.nan if target is None else target, TARGET, direction)
        self.fact(TRIALS, max(len(run.trials) for run in runs), PLAN)
        names = {*planned, *(run.name.rpartition("#")[0] for run in runs)}
        if seeds is not None:
            self.fact(SEARCHES, seeds, PLAN)
        for place, name in enumerate(sorted(names)):
            self.fact(STRATEGY + name, place, PLAN)
            if random_first:
                self.fact(RANDOM_FIRST + name, random_first, PLAN)
        for run in runs:
            self._search(replace(run, name=run.name + suffix), whole, metric, direction)
        self.end(whole, status, error)
        self.story.sleep(0.5)

    def _search(self, run: Run, whole: int, metric: str, direction: str) -> None:
        span = self.begin(run.name, "run", whole)
        self.fact(SEED, 7, run.name)
        for number, (seconds, value) in enumerate(run.trials, 1):
            self.story.sleep(run.between_s)
            trial = self.begin(f"trial {number}", "trial", span)
            self.story.sleep(seconds)
            if isinstance(value, float):
                self.log(metric, value, run.name, step=number, direction=direction)
            failed = isinstance(value, str)
            status = str(value) if value in ("pruned", "interrupted") else "error"
            error = str(value) if status == "error" else None
            self.end(trial, status if failed else "ok", error if failed else None)
        if run.stopped:
            self.fact(STOPPED[run.stopped], len(run.trials), run.name)
        self.end(span, run.status, run.error)


def session_of(
    runs: Sequence[Run], *counters: CounterInfo, story: Story | None = None, **how: Any
) -> Session:
    teller = Teller(story or Story(*counters, lag_uj=1000))
    teller.study(runs, **how)
    return teller.story.close()


def outcome_of(runs: Sequence[Run], *counters: CounterInfo, **how: Any) -> Outcome:
    return outcome(session_of(runs, *counters, **how))


def climbing(name: str, each_s: float, seed: int, trials: int = 10, top: float = 0.9) -> Run:
    """A search that gains evenly, with trials that vary by a tenth."""
    source = random.Random(f"{name} {seed}")
    own_s = each_s * source.gauss(1, 0.1)
    values = [top * (number / trials) for number in range(1, trials + 1)]
    return Run(f"{name}#{seed}", [(own_s * source.uniform(0.95, 1.05), value) for value in values])


def two(seeds: int = 5, ratio: float = 0.5, **how: Any) -> list[Run]:
    names = ("random", 10.0), ("tpe", 10.0 * ratio)
    return [climbing(*one, seed, **how) for seed in range(1, seeds + 1) for one in names]


def claims_nothing(verdict: str) -> bool:
    return not any(claim in verdict for claim in CLAIMS)


# --- what is read -------------------------------------------------------------------------


def test_energy_to_the_target_counts_from_the_start_of_the_search() -> None:
    """The sampler's work before and between the trials belongs to it, as failed trials do."""
    runs = [
        Run("tpe#1", [(2.0, 0.5), (1.0, "ValueError"), (1.0, "pruned"), (2.0, 0.95)], between_s=0.5)
    ]
    found = outcome_of(runs, target=0.9)
    (search,) = found.strategies[0].searches
    assert search.reached is not None
    assert search.reached.number == 4
    assert search.reached.at_j == pytest.approx(W * 8.0)
    assert search.reached.at_s == pytest.approx(8.0)
    assert search.energy_j == pytest.approx(W * 8.0)
    assert search.seed == 7
    assert [trial.outcome for trial in search.trials] == [
        "completed",
        "failed",
        "pruned",
        "completed",
    ]
    assert [trial.energy_j for trial in search.trials] == pytest.approx([24.0, 12.0, 12.0, 24.0])
    assert [trial.best for trial in search.trials] == [0.5, 0.5, 0.5, 0.95]
    assert any(
        note == "tpe: of 4 trials 1 failed (ValueError), 1 pruned; their energy counts."
        for note in found.notes
    )


def test_strategies_come_in_the_users_order() -> None:
    runs = [climbing(name, 1.0, 1) for name in ("tpe", "grid", "a#b")]
    assert [one.name for one in outcome_of(runs).strategies] == ["a#b", "grid", "tpe"]


def test_several_studies_of_a_session() -> None:
    teller = Teller()
    teller.study([climbing("tpe", 1.0, 1)], target=0.5)
    teller.study([climbing("tpe", 2.0, 1)], target=0.7)
    session = teller.story.close()
    assert [one.target for one in studies_of(session)] == [0.5, 0.7]
    assert outcome(session).target == 0.7
    assert outcome(session, 0).target == 0.5
    assert len(outcome(session, 0).strategies[0].searches) == 1
    assert outcome(session, 0).strategies[0].searches[0].duration_s < 15
    with pytest.raises(SettingError, match="has 2 finished search studies, and none with number 5"):
        outcome(session, 5)


def test_a_later_studys_searches_have_names_of_their_own() -> None:
    teller = Teller()
    teller.study([climbing("tpe", 1.0, 1)], target=0.5)
    teller.study([climbing("tpe", 2.0, 1)], target=0.7, suffix=" (2)")
    found = outcome(teller.story.close())
    assert [one.name for one in found.strategies] == ["tpe"]
    (search,) = found.strategies[0].searches
    assert search.name == "tpe#1 (2)"
    assert search.best == pytest.approx(0.9)
    assert search.seed == 7


def test_a_study_within_another_one() -> None:
    teller = Teller()
    outer = teller.begin("all experiments", "task")
    teller.study([climbing("tpe", 1.0, 1)], target=0.5)
    teller.end(outer)
    found = outcome(teller.story.close())
    assert [one.name for one in found.strategies] == ["tpe"]


def test_one_that_is_still_going_on() -> None:
    teller = Teller()
    teller.begin("searches", "task")
    teller.fact("accuracy", 0.5, TARGET, "higher")
    assert studies_of(teller.story.session()) == ()


def test_a_session_without_one() -> None:
    session = Story().close()
    assert studies_of(session) == ()
    with pytest.raises(
        SettingError, match=r"0 finished search studies.*compare_searches\(\) makes"
    ):
        outcome(session)


# --- the target ---------------------------------------------------------------------------


def test_default_targets() -> None:
    assert default_target([], False) is None
    assert default_target([0.2, 0.8, 0.5], False) == pytest.approx(0.76)
    # No fraction, or lower is better: zero may mean nothing.
    assert default_target([1.0, 3.0, 101.0], True) == pytest.approx(1.1)
    assert default_target([-100.0, -3.0, -1.0], False) == pytest.approx(-1.1)
    for shift in (0.0, -1000.0, 1000.0):
        values = [shift + value for value in (4.0, 8.0, 9.0)]
        assert default_target(values, False) == pytest.approx(shift + 8.95)
    # All equal: all have reached it.
    assert default_target([3.3] * 7, True) == 3.3


def test_by_default_it_is_told_from_all_searches() -> None:
    found = outcome_of(two())
    assert found.target == pytest.approx(0.95 * 0.9)
    assert not found.is_given
    assert "The target is 95 % of the best accuracy of all searches." in found.notes
    lower = outcome_of(
        [Run("a#1", [(1.0, 3.0), (1.0, 2.0), (1.0, 1.0)]), Run("b#1", [(1.0, 2.0)])],
        metric="loss",
        direction="lower",
    )
    assert lower.target == pytest.approx(1.05)
    assert any(note.startswith("The target lies 95 % of the way from") for note in lower.notes)
    first, second = lower.strategies
    assert (first.reached, second.reached) == (1, 0)


# --- the horizon --------------------------------------------------------------------------


def test_a_search_that_did_not_arrive_sets_the_horizon() -> None:
    runs = [
        Run("a#1", [(10.0, 0.9)]),
        Run("a#2", [(50.0, 0.9)]),
        Run("b#1", [(30.0, 0.1)]),
        Run("b#2", [(20.0, 0.9)]),
    ]
    found = outcome_of(runs, target=0.9)
    assert found.horizon_j == pytest.approx(W * 30)
    assert found.horizon_s == pytest.approx(30)
    first, second = found.strategies
    assert first.energies_j == pytest.approx((W * 10, W * 30))
    assert second.energies_j == pytest.approx((W * 30, W * 20))
    assert (first.reached, second.reached) == (2, 1)
    assert "accuracy 0.9 was reached by a 2 of 2, b 1 of 2; a search that did not counts with " in (
        found.verdict
    )
    assert (
        "Searches are compared up to 360 J, where b#1 ended without reaching the target."
        in found.notes
    )


def test_of_several_that_did_not_arrive_the_shortest_sets_it() -> None:
    runs = [Run("a#1", [(10.0, 0.9)]), Run("b#1", [(30.0, 0.1)]), Run("b#2", [(20.0, 0.1)])]
    found = outcome_of(runs, target=0.9)
    assert (found.horizon_j, found.horizon_s) == (pytest.approx(W * 20), pytest.approx(20))


@pytest.mark.parametrize("stopped", ["space", "returns"])
def test_one_that_never_would_have_sets_no_horizon(stopped: str) -> None:
    runs = [
        Run("grid#1", [(3.0, 0.1)], stopped=stopped),
        Run("tpe#1", [(20.0, 0.9)]),
        Run("tpe#2", [(30.0, 0.9)]),
    ]
    found = outcome_of(runs, target=0.9)
    assert found.horizon_j == pytest.approx(W * 30)
    assert found.strategies[0].energies_j == pytest.approx((W * 30,))
    assert found.strategies[1].energies_j == pytest.approx((W * 20, W * 30))
    budget = outcome_of([Run("grid#1", [(3.0, 0.1)], stopped="budget"), *runs[1:]], target=0.9)
    assert budget.horizon_j == pytest.approx(W * 3)


def test_of_what_never_arrived_only_a_bound_is_told() -> None:
    """All that is known of them is the limit: an interval of it says nothing."""
    never = [Run(f"b#{n}", [(20.0 + n / 10, 0.1)]) for n in (1, 2)]
    runs = [Run("a#1", [(15.0, 0.9)]), Run("a#2", [(15.6, 0.9)]), *never]
    for counter in (PACKAGE, MODEL):
        found = outcome_of(runs, counter, target=0.9)
        what = "time" if counter is MODEL else "energy"
        (told,) = [one for one in found.sentences if one.startswith("a won here")]
        (least,) = re.findall(rf"it took at least ([\d.]+) % less {what} than b\.", told)
        assert 0 < float(least) < 24
        assert "interval" not in told
        a, b = found.strategies
        assert [one.is_limited(what == "time") for one in (a, b)] == [False, True]
    # Some of the winner's own did not arrive: what it takes is open, too.
    mixed = [
        *(Run(f"a#{n}", [(10.0 + n / 10, 0.9)]) for n in range(4)),
        Run("a#4", [(100.0, 0.1)]),
        *(Run(f"b#{n}", [(100.0 + n / 10, 0.1)]) for n in range(5)),
    ]
    open_ = outcome_of(mixed, target=0.9)
    assert "it took less energy than b (by how many percent is open)." in open_.verdict


def test_nobody_reached_it() -> None:
    found = outcome_of(two(), target=0.99)
    assert "No search reached accuracy 0.99: nobody won here." in found.verdict
    assert "reached by random 0 of 5, tpe 0 of 5." in found.verdict
    assert found.judged == ()
    assert claims_nothing(found.verdict)


# --- who won ------------------------------------------------------------------------------


def test_one_twice_as_fast_wins() -> None:
    found = outcome_of(two(), target=0.8)
    (pair,) = found.energy
    assert (pair.first, pair.second) == ("random", "tpe")
    assert pair.contrast.found
    assert pair.contrast.welch.ratio == pytest.approx(0.5, abs=0.1)
    assert found.verdict.startswith("tpe won here, by energy to accuracy 0.8: it took ")
    assert "% less energy than random (95 % interval " in found.verdict
    assert "accuracy 0.8 was reached by random 5 of 5, tpe 5 of 5." in found.verdict
    assert "No difference in the best accuracy was found (on average random 0.9, tpe 0.9)." in (
        found.verdict
    )


@pytest.mark.parametrize("seed", range(20))
def test_one_twice_as_fast_is_found_among_four(seed: int) -> None:
    times = {"grid": 10.0, "random": 10.0, "tpe": 10.0, "gp": 5.0}
    runs = [
        climbing(name, each_s, 100 * seed + number)
        for number in range(1, 6)
        for name, each_s in times.items()
    ]
    found = outcome_of(runs, target=0.8)
    assert found.verdict.startswith("gp won here, by energy to accuracy 0.8: it took ")
    assert len(found.energy) == 6


def test_the_best_of_some_only_has_not_won() -> None:
    times = {"a": 10.0, "b": 5.0, "c": 5.0}
    runs = [climbing(name, times[name], seed) for seed in range(1, 6) for name in times]
    found = outcome_of(runs, target=0.8)
    assert "Nobody won here against all others by energy to accuracy 0.8, but " in found.verdict
    assert "; in the other pair no difference was found." in found.verdict


def test_nothing_between_them() -> None:
    found = outcome_of(two(ratio=1.0), target=0.8)
    assert found.verdict.startswith(
        "Nobody won here: no difference in energy to accuracy 0.8 was found between random and tpe."
    )
    assert claims_nothing(found.verdict)


def test_a_better_best_value_is_told_beside() -> None:
    source = random.Random(1)
    runs = [
        Run(f"{name}#{seed}", [(10.0, top + source.gauss(0, 0.002)), (5.0, 0.1)])
        for seed in range(1, 6)
        for name, top in (("a", 0.90), ("b", 0.95))
    ]
    found = outcome_of(runs, target=0.5)
    (pair,) = found.quality
    assert (pair.first, pair.second) == ("a", "b")
    assert "The best accuracy: b +5" in found.verdict
    assert " points against a (on average a 0.8998, b 0.9498)" in found.verdict


def test_of_a_loss_less_is_better() -> None:
    source = random.Random(1)
    runs = [
        Run(f"{name}#{seed}", [(10.0, low + source.gauss(0, 0.01)), (5.0, 9.0)])
        for seed in range(1, 6)
        for name, low in (("a", 2.0), ("b", 1.0))
    ]
    found = outcome_of(runs, metric="loss", direction="lower", target=3.0)
    (pair,) = found.quality
    assert (pair.first, pair.second) == ("a", "b")
    assert "The best loss: b -1" in found.verdict
    assert [one.reached for one in found.strategies] == [5, 5]


# --- doubts -------------------------------------------------------------------------------


def test_modelled_energies_claim_nothing() -> None:
    found = outcome_of(two(), MODEL, target=0.8)
    assert found.doubt == "modelled"
    assert found.energy == ()
    assert found.verdict.startswith("Modelled: joules are seconds times assumed watts, so that ")
    assert "tpe won here, by time to accuracy 0.8: it took " in found.verdict
    assert "% less time than random" in found.verdict
    assert claims_nothing(found.verdict)
    assert any("(modelled)" in note for note in found.notes)


def test_without_a_counter_time_is_told() -> None:
    story = Story(PACKAGE, DRAM, unread=["package-0", "dram-0"])
    found = outcome_of(two(), story=story, target=0.8)
    assert found.doubt == "no counter"
    assert found.verdict.startswith("No energy counter could be read. tpe won here, by time")
    assert found.horizon_j is None
    assert all(one.energies_j == () and one.energy is None for one in found.strategies)
    assert found.front == ()


def test_lower_bounds_claim_nothing() -> None:
    story = Story(PACKAGE, DRAM, unread=["dram-0"])
    found = outcome_of(two(), story=story, target=0.8)
    assert found.doubt == "lower bounds"
    assert "Energies are lower bounds: dram-0 missing." in found.notes
    assert claims_nothing(found.verdict)
    assert "won here, by time" in found.verdict


def test_what_counters_cannot_resolve_claims_nothing() -> None:
    runs = [climbing(name, each_s, seed) for seed in range(5) for name, each_s in SHORT.items()]
    found = outcome_of(runs, story=Story(lag_uj=1_000_000), target=0.2)
    assert found.doubt == "short"
    assert "too short for the counters" in found.verdict
    assert claims_nothing(found.verdict)


SHORT = {"random": 0.02, "tpe": 0.01}


def test_another_session_at_the_time_is_told() -> None:
    story = Story()
    story.feed(OverlapSeen(t=0.0, session="another", pid=9))
    found = outcome_of(two(), story=story, target=0.8)
    assert any(note.startswith("Another session used the machine") for note in found.notes)


# --- edges --------------------------------------------------------------------------------


def test_one_search_each() -> None:
    found = outcome_of(two(seeds=1), target=0.8)
    assert found.verdict == (
        "accuracy 0.8 was reached by random 1 of 1, tpe 1 of 1. Nobody can be said to have won: "
        "one search each."
    )
    assert (
        "Fewer than 5 searches of a strategy: only large differences can be found." in found.notes
    )


def test_one_strategy_alone() -> None:
    found = outcome_of([climbing("tpe", 1.0, seed) for seed in (1, 2, 3)], target=0.8)
    assert found.verdict.startswith("One strategy alone: there is nothing to compare it with.")


@pytest.mark.parametrize("value", ["ValueError", math.nan, math.inf, -math.inf, 1e300, None])
def test_no_search_has_a_value(value: float | str | None) -> None:
    runs = [Run(f"{name}#{n}", [(1.0, value)] * 3) for n in (1, 2) for name in ("a", "b")]
    found = outcome_of(runs)
    assert found.verdict == "Nothing can be judged: no search ended with a finite accuracy."
    assert found.target is None
    assert found.front == ()
    assert any(
        "2 searches are left out of the comparison (no finite value)" in n for n in found.notes
    )
    given = outcome_of(runs, target=0.5)
    assert given.verdict == found.verdict


def test_a_value_that_is_none_is_no_gain() -> None:
    runs = [Run("a#1", [(1.0, math.nan), (1.0, 0.5), (1.0, math.inf)])]
    found = outcome_of(runs, target=0.6)
    (search,) = found.strategies[0].searches
    assert [trial.value for trial in search.trials] == [None, 0.5, None]
    assert search.best == 0.5
    assert search.reached is None
    assert any("2 without a finite value" in note for note in found.notes)


def test_all_equal() -> None:
    runs = [Run(f"{name}#{n}", [(1.0, 0.5)] * 4) for n in range(1, 6) for name in ("a", "b")]
    found = outcome_of(runs)
    assert [one.reached for one in found.strategies] == [5, 5]
    assert found.verdict.startswith("Nobody won here: no difference in energy")


def test_interrupted_and_failed_searches_are_left_out() -> None:
    runs = [
        *two(),
        Run("tpe#6", [(1.0, 0.9), (1.0, "interrupted")], status="interrupted"),
        Run("random#6", [(1.0, 0.85)], status="error", error="RuntimeError"),
    ]
    found = outcome_of(runs, target=0.8, status="interrupted")
    assert [len(one.compared) for one in found.strategies] == [5, 5]
    assert "tpe: 1 search is left out of the comparison (interrupted)." in found.notes
    assert "random: 1 search is left out of the comparison (RuntimeError)." in found.notes
    assert found.energy[0].contrast.found


def test_rivals_need_two_values_each() -> None:
    assert rivals({"a": (1.0, 2.0), "b": (1.0,)}) == ()
    assert rivals({}) == ()
    (pair,) = rivals({"a": (1.0, 2.0), "b": (3.0, 4.0)}, lower=False)
    assert (pair.first, pair.second) == ("a", "b")


def test_a_study_that_did_not_come_to_its_end_says_so() -> None:
    runs = [climbing("a", 1.0, 1), climbing("b", 1.0, 1)]
    runs.append(Run("a#2", [(1.0, 0.9), (1.0, "interrupted")], status="interrupted"))
    how: dict[str, Any] = {"target": 0.8, "planned": ("c",), "seeds": 2}
    found = outcome_of(runs, status="interrupted", **how)
    assert found.sentences[0] == "The study was interrupted: 2 of 6 searches were finished."
    assert [(one.name, len(one.searches)) for one in found.strategies] == [
        ("a", 2),
        ("b", 1),
        ("c", 0),
    ]
    ended = outcome_of(runs[:1], status="error", error="MetricError", **how)
    assert ended.sentences[0] == "The study ended with MetricError: 1 of 4 searches was finished."
    # A journal of an earlier version does not say how many were planned.
    old = outcome_of(runs, status="interrupted", target=0.8)
    assert old.sentences[0] == "The study was interrupted: 2 searches were finished."


def test_random_trials_at_the_beginning_are_told() -> None:
    runs = [
        Run(f"tpe#{n}", [(1.0, 0.9 if number == at else 0.1) for number in range(1, 13)])
        for n, at in enumerate((3, 10, 11), 1)
    ]
    found = outcome_of(runs, target=0.8, random_first=10)
    assert (
        "tpe draws the first 10 of 12 trials at random; 2 of 3 arrivals were among them."
    ) in found.notes
    never = outcome_of(runs, target=0.95, random_first=10)
    assert "tpe draws the first 10 of 12 trials at random." in never.notes
    few = outcome_of([climbing("tpe", 1.0, 1)], target=0.8, random_first=10)
    assert any("it is random search under another name" in note for note in few.notes)
    assert not any("at random" in note for note in outcome_of(runs, target=0.8).notes)


# --- the front ----------------------------------------------------------------------------


def trial_of(value: float | None, energy_j: float | None, number: int = 1, **more: Any) -> Trial:
    usual: dict[str, Any] = {
        "strategy": "a",
        "search": "a#1",
        "number": number,
        "span": number,
        "started_s": 0.0,
        "duration_s": 1.0,
        "status": "ok",
        "error": None,
        "bound_j": 0.0,
        "below_resolution": False,
        "missing": (),
        "provenance": ("measured",),
        "best": value,
        "at_j": energy_j,
        "at_s": energy_j,
    }
    return Trial(**{**usual, "value": value, "energy_j": energy_j, **more})


def test_the_front_of_values_and_joules() -> None:
    points = [(0.5, 1.0), (0.4, 2.0), (0.9, 3.0), (0.9, 3.0), (0.8, 9.0), (0.95, 8.0)]
    trials = [trial_of(*point, number) for number, point in enumerate(points)]
    trials += [trial_of(None, 0.1), trial_of(1.0, None), trial_of(1.0, 0.2, missing=("dram-0",))]
    assert [one.span for one in front(trials, lower=False)] == [0, 2, 5]
    assert [one.span for one in front(trials, lower=True)] == [0, 1]


def test_a_front_of_noise_is_none() -> None:
    """A worse value is on it where it is cheaper by more than the bounds of both."""
    points = [(0.5, 1.0, 0.1), (0.8, 3.2, 0.5), (0.85, 3.6, 0.5), (0.9, 4.1, 0.5), (0.95, 9.0, 0.5)]
    trials = [
        trial_of(value, energy_j, number, bound_j=bound_j)
        for number, (value, energy_j, bound_j) in enumerate(points)
    ]
    assert [one.span for one in clear_front(trials)] == [0, 3, 4]
    assert clear_front(()) == ()
    noisy = [
        trial_of(0.8 + n / 100, 0.4 + n / 100, n, bound_j=0.15, provenance=("modelled",))
        for n in range(10)
    ]
    assert [one.span for one in clear_front(noisy)] == [9]


@pytest.mark.parametrize("lower", [True, False])
def test_the_front_is_what_nobody_beats(lower: bool) -> None:
    source = random.Random(5)
    trials = [
        trial_of(source.randrange(9) / 9, float(source.randrange(9)), number)
        for number in range(40)
    ]
    sign = 1 if lower else -1
    points = {(one.energy_j or 0.0, sign * (one.value or 0.0)) for one in trials}
    best = {
        point
        for point in points
        if not any(
            other != point and other[0] <= point[0] and other[1] <= point[1] for other in points
        )
    }
    found = front(trials, lower)
    assert {(one.energy_j or 0.0, sign * (one.value or 0.0)) for one in found} == best
    assert len(found) == len(best)


# --- statistics with a known truth --------------------------------------------------------


def random_search(source: random.Random, name: str, number: int, target: float) -> Search:
    """Independent trials that vary in energy, in a search that varies as a whole."""
    own_j, at_j, best = 10.0 * source.lognormvariate(0, 0.1), 0.0, 0.0
    trials = []
    for place in range(1, 16):
        at_j += own_j * source.lognormvariate(0, 0.3)
        value = source.random()
        best = max(best, value)
        trials.append(trial_of(value, at_j, place, strategy=name, best=best, at_j=at_j, at_s=at_j))
    return Search(
        strategy=name,
        name=f"{name}#{number}",
        seed=number,
        span=number,
        started_s=0.0,
        duration_s=at_j,
        status="ok",
        error=None,
        energy_j=at_j,
        lag_j=0.0,
        missing=(),
        provenance=("measured",),
        trials=tuple(trials),
        stopped="",
        reached=next((one for one in trials if (one.value or 0.0) >= target), None),
    )


def study_of(seed: int, names: str, target: float, seeds: int = 5) -> Outcome:
    source = random.Random(seed)
    strategies = []
    for name in names:
        searches = [random_search(source, name, number, target) for number in range(seeds)]
        strategies.append(Strategy(name, tuple(searches)))
    return judged(
        Outcome(
            strategies=tuple(strategies),
            metric="accuracy",
            lower=False,
            planned=15,
            target=target,
            is_given=True,
        )
    )


@pytest.mark.parametrize(
    ("target", "names", "seeds"), [(0.7, "ab", 5), (0.7, "abc", 5), (0.95, "ab", 5), (0.7, "ab", 3)]
)
def test_with_nothing_between_them_little_is_claimed(target: float, names: str, seeds: int) -> None:
    """At most one study of twenty, with searches that arrive and with many that do not."""
    studies = 500
    told = [study_of(seed, names, target, seeds) for seed in range(studies)]
    claims = sum(not claims_nothing(one.verdict) for one in told)
    better = sum(any(pair.contrast.found for pair in one.quality) for one in told)
    assert any(one.reached for one in told[0].strategies)
    assert claims <= 0.065 * studies
    assert better <= 0.065 * studies
