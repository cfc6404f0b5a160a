"""Labels and runs compared: what counts, what does not, and sentences that claim no more."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from jupyter_green.errors import SettingError
from jupyter_green.events import (
    CounterInfo,
    IntensityChanged,
    Machine,
    ModelDescribed,
    OverlapSeen,
    SpanFinished,
    SpanStarted,
    Tags,
)
from jupyter_green.insight.compare import How, contest, contests, labels
from jupyter_green.insight.contest import Contest, Side
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.insight.statistics import Contrast, contrast
from jupyter_green.insight.verdict import change_of, percent_of
from jupyter_green.sessions.model import STUDY, Session
from tests.simulators.story import DRAM, FRANCE, MODEL, PACKAGE, Story

POLAND = structs.replace(FRANCE, place="Poland", g_per_kwh=600.0)
NAMES = ("baseline", "quantised")
CLAIMS = ("less energy", "more energy", "saves")


def repeated(
    *counters: CounterInfo,
    ratio: float = 0.69,
    repeats: int = 7,
    accuracies: Sequence[float] = (0.914, 0.910),
    noise: float = 0.01,
    **header: Any,
) -> Session:
    """Two labels side by side, 12 W of 10 s and of ``ratio`` times that."""
    source = random.Random(3)
    story = Story(*counters, **{"intensity": FRANCE, **header})
    for _ in range(repeats):
        for name, seconds, accuracy in zip(NAMES, (10.0, 10.0 * ratio), accuracies, strict=True):
            run(story, name, seconds * source.gauss(1, noise), accuracy + source.gauss(0, 0.002))
    return story.close()


def run(
    story: Story, label: str, seconds: float, accuracy: float | None = None, **logged: Any
) -> int:
    """One labelled cell."""
    number = story.begin("fit()", {"label": label})
    story.sleep(seconds)
    if accuracy is not None:
        fields = {"direction": "higher", "cell": number, **logged}
        story.metric("accuracy", accuracy, **fields)
    story.end(number)
    return number


def claims_nothing(verdict: str) -> bool:
    return not any(claim in verdict for claim in CLAIMS)


# --- the verdict --------------------------------------------------------------------------


def test_less_energy_and_less_accuracy() -> None:
    found = contest(repeated())
    assert found.verdict == (
        "quantised used 30.8 % less energy than baseline (95 % interval 30.0 to 31.6 %, 7 runs "
        "each), and its accuracy was 0.4 points lower (0.2 to 0.6)."
    )
    (pair,) = found.pairs
    assert pair.energy is not None
    assert pair.energy.found
    assert pair.energy.delta == -1
    assert (found.metric, found.lower, found.notes) == ("accuracy", False, ())
    baseline = found.side("baseline")
    assert baseline.energy is not None
    assert baseline.energy.mean == pytest.approx(120, rel=0.02)
    assert baseline.grams is not None
    assert baseline.grams.mean == pytest.approx(baseline.energy.mean / 3.6e6 * 44)


def test_the_first_name_is_the_baseline() -> None:
    found = contest(repeated(), ["quantised", "baseline"])
    assert found.verdict.startswith("baseline used 44 % more energy than quantised (95 % interval")
    assert "its accuracy was 0.4 points higher" in found.verdict


def test_the_same_twice() -> None:
    found = contest(repeated(ratio=1.0, accuracies=(0.9, 0.9)))
    assert found.verdict.startswith(
        "no difference in energy between quantised and baseline was found: the interval is -"
    )
    assert "and no difference in accuracy was found (-0." in found.verdict
    assert claims_nothing(found.verdict)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_said_of_energy_is_true(seed: int) -> None:
    """The sentence against the truth behind it, for differences of all sizes."""
    source = random.Random(seed)
    ratio = source.choice((0.5, 0.8, 0.9, 1.0, 1.1, 2.0))
    found = contest(repeated(ratio=ratio, noise=0.002, repeats=5))
    if ratio == 1.0:
        assert claims_nothing(found.verdict)
    else:
        claim = "less" if ratio < 1 else "more"
        assert f"% {claim} energy than baseline" in found.verdict
        assert float(found.verdict.split(" used ")[1].split(" %")[0]) == pytest.approx(
            100 * abs(ratio - 1), abs=0.6
        )


def test_one_run_each() -> None:
    found = contest(repeated(repeats=1))
    assert found.verdict == "quantised and baseline cannot be judged: one run each."
    (pair,) = found.pairs
    assert (pair.energy, pair.duration, pair.quality) == (None, None, None)


def test_one_run_of_each_of_many() -> None:
    story = Story()
    for name in ("a", "b", "c"):
        run(story, name, 1.0, 0.5)
    assert contest(story.close()).verdict == "none of the 3 can be judged: one run each."


def test_one_run_of_one_of_them() -> None:
    story = Story()
    for name in ("a", "a", "a", "b"):
        run(story, name, 1.0, 0.5)
    assert contest(story.close()).verdict == "b and a cannot be judged: one run of b."


def test_three_techniques_are_corrected_for_their_number() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(6):
        for name, seconds in (("a", 10.0), ("b", 5.0), ("c", 10.0)):
            run(story, name, seconds * source.gauss(1, 0.01))
    found = contest(story.close())
    first, second = found.sentences
    assert first.startswith("b used 50.0 % less energy than a")
    assert second.startswith("no difference in energy between c and a was found")
    assert [pair.energy.pairs for pair in found.pairs if pair.energy] == [2, 2]
    assert found.pairs[0].energy is not None
    assert found.pairs[0].energy.p_adjusted == 2 * found.pairs[0].energy.welch.p
    assert any("corrected for their number (Holm)" in note for note in found.notes)


def test_few_runs_are_said_to_be_few() -> None:
    assert any("Fewer than 5 runs" in note for note in contest(repeated(repeats=4)).notes)
    assert contest(repeated(repeats=5)).notes == ()


# --- quality ------------------------------------------------------------------------------


def test_without_a_metric() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(5):
        run(story, "a", source.gauss(10, 0.1))
        run(story, "b", source.gauss(5, 0.1))
    found = contest(story.close())
    assert found.metric is None
    assert found.verdict.endswith("and what that bought is not known: no metric was logged.")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.9, 0.9), "and its accuracy was the same in every run."),
        ((0.914, 0.910), "and its accuracy was 0.4 points lower in every run."),
        ((0.910, 0.914), "and its accuracy was 0.4 points higher in every run."),
    ],
)
def test_accuracy_without_any_spread(values: tuple[float, float], said: str) -> None:
    story, source = Story(), random.Random(1)
    for _ in range(5):
        run(story, "a", source.gauss(10, 0.1), values[0])
        run(story, "b", source.gauss(5, 0.1), values[1])
    assert contest(story.close()).verdict.endswith(said)


def test_few_accuracies_without_any_spread() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(3):
        run(story, "a", source.gauss(10, 0.1), 0.914)
        run(story, "b", source.gauss(5, 0.1), 0.910)
    assert contest(story.close()).verdict.endswith(
        "and its accuracy was 0.4 points lower in every run; so few runs cannot tell it from "
        "chance."
    )


def test_grams_of_other_places() -> None:
    story = Story(intensity=FRANCE)
    for label in "aabb":
        run(story, label, 1.0)
        if story.t == 2.0:
            story.feed(IntensityChanged(intensity=POLAND, **story.stamp()))
    found = contest(story.close())
    assert any("Carbon intensity or PUE changed" in note for note in found.notes)
    grams = [side.grams for side in found.sides]
    assert all(grams)
    assert repr(found) == "<Contest of 'a', 'b'>"
    assert repr(found.sides[0]) == "<Side 'a': 2 of 2 runs>"
    assert not any("Carbon" in note for note in contest(repeated()).notes)


def test_a_loss_is_worse_when_it_is_higher() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(5):
        for name, loss in (("a", 0.30), ("b", 0.35)):
            number = story.begin("fit()", {"label": name})
            story.sleep(source.gauss(10, 0.1))
            story.metric("loss", source.gauss(loss, 0.005), cell=number, direction="lower")
            story.end(number)
    found = contest(story.close())
    assert found.lower is True
    # A loss is told in its own units, also where it lies between 0 and 1.
    assert "the loss of b was 0.0" in found.verdict
    assert " higher, which is worse (" in found.verdict
    assert "points" not in found.verdict


def test_metrics_by_name_and_direction() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(4):
        for name in ("a", "b"):
            number = story.begin("fit()", {"label": name})
            for value in (0.7, 0.9, 0.8):
                story.metric("acc", value + source.gauss(0, 0.001), cell=number)
            story.metric("other", 3.0, cell=number)
            story.sleep(1.0)
            story.end(number)
    session = story.close()
    assert contest(session).metric == "other"
    last = contest(session, how=How(metric="acc")).side("a")
    best = contest(session, how=How(metric="acc", direction="higher", value="best")).side("a")
    lowest = contest(session, how=How(metric="acc", direction="lower", value="best")).side("a")
    means = [side.quality.mean for side in (last, best, lowest) if side.quality]
    assert means == [pytest.approx(one, abs=0.003) for one in (0.8, 0.9, 0.7)]
    with pytest.raises(SettingError, match="direction='higher'"):
        contest(session, how=How(metric="acc", value="best"))


@pytest.mark.parametrize("wrong", [{"direction": "up"}, {"value": "mean"}])
def test_settings_that_make_no_sense(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="must be"):
        How(**wrong)


def test_a_value_that_is_not_finite() -> None:
    story, source = Story(), random.Random(1)
    for step in range(5):
        run(story, "a", source.gauss(10, 0.1), source.gauss(0.9, 0.01))
        run(story, "b", source.gauss(10, 0.1), None if step else source.gauss(0.9, 0.01))
        if step == 1:
            number = story.begin("fit()", {"label": "b"})
            story.metric("accuracy", None, text="nan", cell=number, direction="higher")
            story.end(number)
    found = contest(story.close(), ["a", "b"])
    assert found.verdict.endswith("the accuracy of b cannot be judged: fewer than two values of b.")
    assert any("b: 5 runs have no finite accuracy." in note for note in found.notes)
    assert len(found.side("b").values) == 1


def test_a_metric_that_nobody_logged() -> None:
    found = contest(repeated(), how=How(metric="f1"))
    assert found.verdict.endswith("its f1 cannot be judged: no value of it was logged.")
    # Said once, with what there is: most often the name is misspelt.
    assert found.notes == ("No value of 'f1' was logged; logged were: accuracy.",)
    # Nor does it raise once all has been measured.
    assert contest(repeated(), how=How(metric="f1", value="best")).notes == found.notes
    story = Story()
    for label in "aabb":
        run(story, label, 1.0)
    nothing = contest(story.close(), how=How(metric="f1")).notes
    assert "No value of 'f1' was logged; nothing was logged." in nothing


def told_by(
    energies: Sequence[Sequence[float]], values: Sequence[float] = (), **logged: Any
) -> Any:
    """Labels a and b with runs of so many seconds, and a metric of each label."""
    story = Story()
    for round_ in range(len(energies[0])):
        for place, label in enumerate("ab"):
            number = story.begin("fit()", {"label": label})
            story.sleep(energies[place][round_])
            if values:
                story.metric("thing", values[place], cell=number, **logged)
            story.end(number)
    return contest(story.close(), ["a", "b"])


ALIKE = ([10.0, 10.1, 9.9, 10.0, 10.05],) * 2


def test_a_metric_of_unknown_kind_is_told_in_its_own_unit() -> None:
    found = told_by(ALIKE, (0.5, 0.1))
    assert found.verdict.endswith("the thing of b was 0.4 lower in every run.")
    assert not found.is_fraction
    known = told_by(ALIKE, (0.5, 0.1), direction="higher")
    assert known.verdict.endswith("was 40 points lower in every run.")
    assert known.is_fraction


def test_a_lower_loss_in_few_runs() -> None:
    few = tuple(side[:3] for side in ALIKE)
    found = told_by(few, (0.5, 0.1), direction="lower")
    assert found.verdict.endswith(
        "was 0.4 lower in every run, which is better; so few runs cannot tell it from chance."
    )
    many = told_by(ALIKE, (0.5, 0.1), direction="lower")
    assert many.verdict.endswith("was 0.4 lower in every run, which is better.")


# --- percentages that are possible --------------------------------------------------------


def judged(first: Sequence[float], second: Sequence[float]) -> Contrast:
    return contrast(first, second)


NOISE = (0.9, 1.0, 1.1, 0.95, 1.05)


def times(factor: float) -> list[float]:
    return [factor * one for one in NOISE]


@pytest.mark.parametrize(
    ("second", "value", "ends", "cell"),
    [
        # Fieller's interval would reach beyond everything: 100.0002 %.
        ([1e-6 * one for one in (0, 0, 0, 0, 7)], "> 99.9", ("> 99.9", "> 99.9"), "< -99.9 %"),
        (times(2e-6), "> 99.9", ("> 99.9", "> 99.9"), "< -99.9 %"),
        (times(0.00201), "99.8", ("99.8", "99.8"), "-99.8 %"),
        ([0.0, 0.0, 0.0, 0.0, 0.04], "99", ("97", "100"), "-99 %"),
        ([0.0] * 5, "100", (), "-100 %"),
        (times(0.5), "50", ("43", "56"), "-50 %"),
        (times(3.0), "200", ("163", "242"), "+200 %"),
    ],
)
def test_percentages(second: Sequence[float], value: str, ends: tuple[str, ...], cell: str) -> None:
    found = judged(NOISE, second)
    percent = percent_of(found)
    assert percent is not None
    assert (percent.value, percent.ends, change_of(found)) == (value, ends, cell)


@pytest.mark.parametrize("seed", range(200))
def test_no_percentage_is_impossible_or_too_precise(seed: int) -> None:
    """Whatever is measured: the ends hold the value, and nothing takes more than 100 % less."""
    source = random.Random(seed)
    noise, ratio = 10 ** source.uniform(-7, -0.5), 10 ** source.uniform(-8, 2)
    first, second = (
        [abs(size * source.gauss(1, noise)) for _ in range(5)] for size in (1.0, ratio)
    )
    found = judged(first, second)
    percent = percent_of(found)
    assert percent is not None
    low, value, high = (
        float(text.removeprefix("> "))
        for text in (percent.ends[0], percent.value, percent.ends[-1])
    )
    assert low <= value <= high
    if ratio < 1:
        assert high <= 100
        assert percent.value != "100"
    assert len(percent.value.removeprefix("> ").replace(".", "")) <= 4 or value >= 1000
    if found.found:
        # The table says what the sentence does.
        assert change_of(found).strip("<+- %") == percent.value.strip("> ")


def test_an_interval_without_a_difference_stays_possible() -> None:
    found = told_by(([1.0, 1.0, 30.0, 30.0, 30.0], [1.0, 0.1, 0.1, 30.0, 0.1]))
    assert not found.pairs[0].duration.found
    low = found.verdict.partition("the interval is ")[2].split(" ")[0]
    assert low in ("-100", "-100.0", "too")


def test_why_nothing_is_claimed_where_an_interval_has_no_0_in_it() -> None:
    """The test of one pair alone is not that of several side by side."""
    story = Story()
    for count in range(5):
        for label in "abcdefgh":
            run(story, label, 10.0 + 0.55 * (count - 2) + 1.5 * (label == "b"))
    found = contest(story.close(), "abcdefgh")
    energy = found.pairs[0].energy
    assert energy is not None
    assert energy.welch.low > 0
    assert not energy.found
    assert "(5 runs each; of this pair alone: among 7 it may be chance)" in found.sentences[0]


def test_an_interval_that_says_nothing_is_called_so() -> None:
    found = told_by(([1.0, 1.0, 90.0, 1.0, 1.0], [1.0, 60.0, 1.0, 1.0, 90.0]))
    assert "the interval is too wide to tell (5 runs each)" in found.verdict


def study(story: Story, number: int, type_: str, *labels: str) -> None:
    """A finished study with five trials of each label."""
    story.feed(SpanStarted(span=number, name=f"study {number}", type=type_, **story.stamp()))
    for count in range(5 * len(labels)):
        label = labels[count % len(labels)]
        own = {"span": number + 1 + count, "name": label, "type": "trial", "parent": number}
        story.feed(SpanStarted(tags=Tags(label=label, deliberate=True), **own, **story.stamp()))
        story.sleep(1.0 + 0.01 * count + len(label))
        story.feed(SpanFinished(span=number + 1 + count, **story.stamp()))
    story.feed(SpanFinished(span=number, **story.stamp()))


def test_what_a_session_compares_unasked() -> None:
    """Each compare() by itself; studies of other kinds tell of themselves; the other labels."""
    story = Story()
    study(story, 100, "task", "narrow", "narrower")
    study(story, 200, "task", "wide", "wider")
    study(story, 300, "inference", "batch 1, net", "batch 64, net")
    study(story, 400, "layers", "forward of net", "training of net")
    for count in range(3):
        run(story, "before", 10.0 + count)
        run(story, "after", 5.0 + count)
    run(story, "once", 3.0)
    found = contests(story.close())
    assert [[side.name for side in one.sides] for one in found] == [
        ["narrow", "narrower"],
        ["wide", "wider"],
        ["before", "after"],
    ]
    assert {len(side.repeats) for one in found[:2] for side in one.sides} == {5}


def test_labels_of_single_runs_are_shown_where_there_is_nothing_else() -> None:
    story = Story()
    run(story, "before", 10.0)
    run(story, "after", 5.0)
    (found,) = contests(story.close())
    assert [side.name for side in found.sides] == ["before", "after"]
    alone = Story()
    study(alone, 1, "inference", "batch 1, net", "batch 64, net")
    assert not contests(alone.close())


# --- what the counters carry --------------------------------------------------------------


@pytest.mark.parametrize("counters", [(MODEL,), (PACKAGE, MODEL)], ids=["alone", "among others"])
def test_modelled_figures_show_no_saving(counters: tuple[CounterInfo, ...]) -> None:
    found = contest(repeated(*counters))
    assert found.verdict.startswith(
        "modelled: joules are seconds times assumed watts, so that no saving in energy is told; "
        "quantised took 30.8 % less time than baseline"
    )
    assert claims_nothing(found.verdict)
    assert found.pairs[0].energy is None
    assert found.pairs[0].doubt == "modelled"
    energy = found.side("baseline").energy
    assert energy is not None


def test_of_several_modelled_labels_it_is_said_once() -> None:
    story = Story(MODEL)
    for count in range(5):
        for label, seconds in (("a", 10.0), ("b", 7.0), ("c", 5.0)):
            run(story, label, seconds + 0.01 * count)
    first, *others = contest(story.close(), "abc").sentences
    assert first.startswith("Modelled: joules are seconds times assumed watts")
    assert [one.partition(" than ")[0] for one in others] == [
        "b took 29.9 % less time",
        "c took 49.9 % less time",
    ]


def test_nothing_could_be_read() -> None:
    found = contest(repeated(unread=["package-0", "dram-0", "core-0"]))
    assert found.verdict.startswith("no energy counter could be read; quantised took 30.8 % less")
    assert claims_nothing(found.verdict)
    assert found.side("baseline").energy is None
    assert found.side("baseline").spent_j is None


def missing_dram(story: Story, label: str, seconds: float) -> None:
    number = story.begin("fit()", {"label": label})
    story.unread.add("dram-0")
    story.sleep(seconds)
    story.end(number)
    story.unread.discard("dram-0")
    story.sleep(0.1)


def bounded(partly: Sequence[str], others: int = 0, ratio: float = 0.5) -> Contest:
    """Labels of which some runs lack a counter: all of them, beside ``others`` that do not."""
    story, source = Story(), random.Random(1)
    for _ in range(6):
        for name, seconds in (("a", 10.0), ("b", 10.0 * ratio)):
            took = seconds * source.gauss(1, 0.01)
            if name in partly:
                missing_dram(story, name, took)
            else:
                run(story, name, took)
    for _ in range(others):
        for name in partly:
            run(story, name, (10.0 if name == "a" else 10.0 * ratio) * source.gauss(1, 0.01))
    return contest(story.close(), ["a", "b"])


def test_runs_that_lack_a_counter_are_left_out_where_others_are_whole() -> None:
    found = bounded(["a"], others=5)
    side = found.side("a")
    assert (len(side.repeats), len(side.measured), len(side.compared)) == (11, 5, 11)
    assert not side.at_least
    assert "a: 6 runs are not in the mean energy (dram-0 missing)." in found.notes
    assert found.verdict.startswith("b used 50.1 % less energy than a")
    assert "6 runs against 5" in found.verdict


def test_a_baseline_that_is_a_lower_bound_carries_a_saving_at_least() -> None:
    found = bounded(["a"])
    assert found.side("a").at_least == ("dram-0",)
    # 10 W of 12 W were read: 60 J against at least 100 J.
    assert found.verdict.startswith("b used at least 39 % less energy than a (6 runs each; the ")
    assert "the energy of a is a lower bound, dram-0 missing)" in found.verdict
    saved = found.pairs[0].least_saving
    assert saved is not None
    assert saved <= 0.5


def test_a_technique_that_is_a_lower_bound_may_still_have_used_more() -> None:
    found = bounded(["b"], ratio=2.0)
    assert found.verdict.startswith("b used at least 6")
    assert "% more energy than a" in found.verdict


@pytest.mark.parametrize(("partly", "ratio"), [("b", 0.5), ("a", 2.0), ("ab", 0.5), ("a", 1.0)])
def test_lower_bounds_that_carry_nothing(partly: str, ratio: float) -> None:
    found = bounded(list(partly), ratio=ratio)
    assert found.verdict.startswith("whether b used less energy than a cannot be told: the energy")
    assert "than a (95 % interval" not in found.verdict.partition(";")[0]
    assert found.pairs[0].doubt == "lower bounds"
    if ratio != 1.0:
        assert "; b took " in found.verdict


def test_runs_that_are_too_short_for_the_counters() -> None:
    story, source = Story(), random.Random(1)
    for _ in range(5):
        run(story, "a", 10.0 * source.gauss(1, 0.01))
        run(story, "b", 0.001)
    found = contest(story.close())
    assert found.verdict.startswith(
        "energy cannot be judged: no run of b tells it (too short for the counters); b took "
    )
    assert claims_nothing(found.verdict)
    assert any("b: 5 runs are not in the mean energy (too short" in note for note in found.notes)


# --- machines and other sessions ----------------------------------------------------------


def halves(**later: Any) -> list[Session]:
    """The baseline in one session, the other technique in a later one."""
    sessions = []
    for number, (name, seconds) in enumerate((("a", 10.0), ("b", 5.0))):
        header = {"session": f"s{number}", "wall_s": 1e9 + 1000 * number}
        story, source = Story(**{**header, **(later if number else {})}), random.Random(number)
        for _ in range(5):
            run(story, name, seconds * source.gauss(1, 0.01), 0.9)
        sessions.append(story.close())
    return sessions


def test_two_sessions_of_one_machine() -> None:
    found = contest(halves(), ["a", "b"])
    assert found.verdict.startswith("b used 49.7 %")
    assert "less energy than a" in found.verdict
    assert contest([*halves(), *halves()], ["a", "b"]) == found


@pytest.mark.parametrize(
    "later",
    [
        {"host": "there"},
        {"machine": Machine(cpu="another", cores=8)},
        {"counters": [structs.replace(PACKAGE, source="perf"), DRAM]},
        {"counters": [PACKAGE]},
        {"counters": [structs.replace(PACKAGE, provenance="modelled"), DRAM]},
    ],
)
def test_other_machines_and_counters_are_not_subtracted(later: dict[str, Any]) -> None:
    found = contest(halves(**later), ["a", "b"])
    assert found.verdict == (
        "b and a were measured on different machines or with different counters: their energies "
        "are not subtracted, and the accuracy of b was the same in every run."
    )
    assert found.pairs[0].energy is None


def test_sessions_at_the_same_time() -> None:
    """Each has the other's work in its energy."""
    found = contest(halves(wall_s=1e9), ["a", "b"])
    assert found.verdict == "b cannot be judged: all of its runs are left out."
    assert {one.left_out for one in found.side("b").repeats} == {
        "another run of this comparison was going on at the same time"
    }


def beside_another(before: int, after: int) -> Contest:
    """Another session is seen after so many rounds."""
    story, source = Story(), random.Random(1)
    for number in range(before + after):
        if number == before:
            story.feed(OverlapSeen(t=story.t, session="other", pid=9))
            story.sleep(0.1)
        for name, seconds in (("a", 10.0), ("b", 5.0)):
            run(story, name, seconds * source.gauss(1, 0.01))
    return contest(story.close())


def test_runs_beside_another_session_are_left_out() -> None:
    found = beside_another(4, 3)
    assert [len(side.compared) for side in found.sides] == [4, 4]
    assert "a: 3 runs are not in the mean energy (another session used the machine)." in found.notes
    assert "Another session" not in found.verdict


def test_where_all_ran_beside_another_session_it_is_said() -> None:
    found = beside_another(1, 4)
    assert [len(side.compared) for side in found.sides] == [5, 5]
    assert found.verdict.endswith(
        "Another session used the machine at the time: what it took is in these figures."
    )


# --- attempts -----------------------------------------------------------------------------


def test_attempts_that_failed_cost_and_count_in_no_mean() -> None:
    story, source = Story(), random.Random(1)
    for number in range(5):
        run(story, "a", 10.0 * source.gauss(1, 0.01))
        run(story, "b", 5.0 * source.gauss(1, 0.01))
        if number in (1, 2):
            story.cell("fit()", 100.0, "error", "ValueError", label="b")
    story.cell("fit()", 1.0, "interrupted", "KeyboardInterrupt", label="b")
    found = contest(story.close())
    side = found.side("b")
    assert (len(side.repeats), side.succeeded, side.failed, side.interrupted) == (8, 5, 2, 1)
    assert len(side.energies_j) == 5
    assert side.energy is not None
    assert side.energy.mean == pytest.approx(60, rel=0.02)
    assert side.spent_j == pytest.approx(5 * 60 + 200 * 12 + 12, rel=0.02)
    assert any(
        note.startswith("b: 2 failed (ValueError) and 1 interrupted of 8 runs; all its attempts")
        for note in found.notes
    )


def test_a_technique_that_never_succeeds() -> None:
    story = Story()
    for _ in range(3):
        run(story, "a", 1.0)
        story.cell("fit()", 1.0, "error", "ValueError", label="b")
    found = contest(story.close(), ["a", "b"])
    assert found.verdict == "b cannot be judged: none of its 3 runs succeeded."


# --- windows ------------------------------------------------------------------------------


def span(story: Story, number: int, label: str | None, seconds: float = 1.0, **fields: Any) -> None:
    story.span(number, "span", seconds, tags=Tags(label=label), **fields)


def energies(session: Session, *names: str) -> dict[str, list[float]]:
    found = contest(session, names)
    return {side.name: [round(one, 6) for one in side.energies_j] for side in found.sides}


def test_spans_and_cells_of_one_label() -> None:
    story = Story()
    run(story, "a", 1.0)
    span(story, 1, "a", 2.0)
    span(story, 2, "b", 3.0)
    span(story, 3, None, 9.0)
    assert energies(story.close(), "a", "b") == {"a": [12, 24], "b": [36]}


def test_a_span_within_a_cell_of_its_label_counts_once() -> None:
    story = Story()
    for seconds in (1.0, 2.0):
        number = story.begin("fit()", {"label": "a"})
        span(story, 2 * number, "a", seconds, cell=number)
        story.end(number)
    story.feed(SpanStarted(span=100, name="outer", tags=Tags(label="b"), **story.stamp()))
    span(story, 101, "b", 5.0, parent=100)
    story.sleep(1.0)
    story.feed(SpanFinished(span=100, **story.stamp()))
    assert energies(story.close(), "a", "b") == {"a": [12, 24], "b": [72]}


def test_a_cell_within_a_cell() -> None:
    story = Story()
    outer = story.begin("run()", {"label": "a"})
    inner = story.begin("fit()", {"label": "a"}, parent=outer)
    story.sleep(1.0)
    story.metric("acc", 0.7, cell=inner)
    story.end(inner)
    story.end(outer)
    run(story, "b", 2.0)
    session = story.close()
    assert energies(session, "a", "b") == {"a": [12], "b": [24]}
    assert contest(session, how=How(metric="acc")).side("a").values == (0.7,)


def test_trials_count_and_not_the_cell_that_holds_them() -> None:
    story = Story()
    number = story.begin("compare(f, g)", {"label": "a"})
    story.feed(SpanStarted(span=1, name="study", type="task", cell=number, **story.stamp()))
    span(story, 2, "a", 50.0, cell=number, parent=1, type="warm-up")
    for index, label in enumerate("abab"):
        span(story, 10 + index, label, 1.0 + index, cell=number, parent=1, type="trial")
    story.feed(SpanFinished(span=1, **story.stamp()))
    story.end(number)
    assert energies(story.close(), "a", "b") == {"a": [12, 36], "b": [24, 48]}


def test_only_some_spans() -> None:
    story = Story()
    for index, label in enumerate("ababab"):
        span(story, index, label, 1.0 + index)
    run(story, "a", 9.0)
    found = contest(story.close(), ["a", "b"], How(spans={2, 3, 4}))
    assert [len(side.repeats) for side in found.sides] == [2, 1]


def test_spans_of_threads_that_overlap_are_left_out() -> None:
    story = Story()
    for number, label in ((1, "a"), (2, "b")):
        story.feed(SpanStarted(span=number, name="x", tags=Tags(label=label), **story.stamp(1.0)))
    for number in (1, 2):
        story.feed(SpanFinished(span=number, **story.stamp(1.0)))
    for index, label in enumerate("aabb"):
        span(story, 10 + index, label)
    found = contest(story.close())
    assert [len(side.repeats) for side in found.sides] == [3, 3]
    assert [len(side.compared) for side in found.sides] == [2, 2]
    assert any("1 run is not in the mean energy (another run of" in note for note in found.notes)


def test_labels_are_those_of_outermost_windows() -> None:
    story = Story()
    for label in ("second", "first", "second"):
        number = story.begin("fit()", {"label": label})
        span(story, 10 * number, "within", 1.0, cell=number)
        story.end(number)
    session = story.close()
    assert labels(session) == ("second", "first")
    assert [side.name for side in contest(session).sides] == ["second", "first"]


def test_loops_of_a_trial() -> None:
    story = Story()
    for number, label in enumerate("abab"):
        story.feed(
            SpanStarted(
                span=number, name=label, type="trial", tags=Tags(label=label), **story.stamp()
            )
        )
        story.sleep(0.001)
        if label == "b":
            story.metric(LOOPS, 10.0, source=STUDY)
        story.metric("acc", 0.5)
        story.sleep(0.999)
        story.feed(SpanFinished(span=number, **story.stamp()))
    found = contest(story.close())
    assert found.metric == "acc"
    assert found.side("a").energies_j == pytest.approx((12, 12))
    assert found.side("b").energies_j == pytest.approx((1.2, 1.2))
    assert found.side("b").durations_s == pytest.approx((0.1, 0.1))
    assert found.side("b").spent_j == pytest.approx(24)
    assert "b: energy and time are those of one of 10 loops a run." in found.notes


def test_models() -> None:
    story = Story()
    for label in "aabb":
        number = story.begin("fit()", {"label": label})
        story.metric("acc", 0.5, cell=number, run=f"run of {label}")
        if label == "a":
            described = ModelDescribed(parameters=7, flops=9, cell=number, **story.stamp())
            story.feed(described)
        story.sleep(1.0)
        story.end(number)
    story.feed(ModelDescribed(run="run of b", parameters=3, size_bytes=12, **story.stamp()))
    found = contest(story.close())
    models = [side.model for side in found.sides]
    assert [model.parameters for model in models if model] == [7, 3]


# --- names --------------------------------------------------------------------------------


def test_runs_by_name() -> None:
    """The cell is a run's, where it logs no other; else the span around its values is."""
    story = Story()
    for seconds in (1.0, 2.0):
        number = story.begin("fit()", cell="one")
        story.sleep(seconds)
        story.metric("acc", 0.9, cell=number, run="adam")
        story.end(number)
    number = story.begin("both()", cell="two")
    for index, name in enumerate(("sgd", "other")):
        story.feed(SpanStarted(span=index, name=name, cell=number, **story.stamp()))
        story.sleep(3.0 + index)
        story.metric("acc", 0.8, cell=number, run=name)
        story.feed(SpanFinished(span=index, **story.stamp()))
    story.end(number)
    assert energies(story.close(), "adam", "sgd", "other") == {
        "adam": [12, 24],
        "sgd": [36],
        "other": [48],
    }


def test_runs_without_a_window_of_their_own() -> None:
    story = Story()
    number = story.begin("both()")
    for name in ("a", "b"):
        story.sleep(1.0)
        story.metric("acc", 0.8, cell=number, run=name)
    story.end(number)
    for line in ("train()", "test()"):
        number = story.begin(line)
        story.metric("acc", 0.8, cell=number, run="c")
        story.end(number)
    session = story.close()
    with pytest.raises(SettingError, match="'a' has no window of its own: measure"):
        contest(session, ["a", "b"])
    with pytest.raises(SettingError, match="'c' was logged in 2 different cells"):
        contest(session, ["c", "a"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["baseline"], "two labels or runs at least, not 1"),
        (["baseline", "baseline"], "named twice"),
        (["baseline", "pruned"], r"called 'pruned': there are 'baseline', 'quantised'"),
        (["baseline", "x" * 10_000], r"x…': there"),
    ],
)
def test_names_that_nothing_carries(names: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        contest(repeated(repeats=1), names)


def test_nothing_is_labelled() -> None:
    with pytest.raises(SettingError, match="not 0"):
        contest(Story().close())
    with pytest.raises(SettingError, match="--label NAME"):
        contest(Story().close(), ["a", "b"])
    with pytest.raises(KeyError):
        contest(repeated(repeats=1)).side("nobody")


def test_open_cells_are_not_compared() -> None:
    story = Story()
    for label in "aabb":
        run(story, label, 1.0)
    story.begin("fit()", {"label": "b"})
    story.sleep(5.0)
    assert len(contest(story.session()).side("b").repeats) == 2


def test_no_energy_at_all_is_a_measurement() -> None:
    """A device that rests: zero, and no percent of it."""
    quiet = CounterInfo(
        name="gpu-0", domain="gpu", source="nvml", provenance="measured", resolution_s=0.001
    )
    story = Story(quiet, lag_uj=0, unread=["gpu-0"])
    story.unread.clear()
    session = repeated(repeats=2)
    sides = contest(session).sides
    assert all(isinstance(side, Side) and side.spent_j for side in sides)
    assert not any(math.isnan(value) for side in sides for value in side.energies_j)


def test_a_long_session_is_quick_enough() -> None:
    """Not quadratic in cells or values: a minute would be, for the largest of reports."""
    story = Story()
    for number in range(1500):
        run(story, "ab"[number % 2], 0.5, 0.5 + number % 7 / 100)
    found = contest(story.close())
    assert [len(side.repeats) for side in found.sides] == [750, 750]
    assert found.pairs[0].quality is not None
