"""Runs of a design out of a session: labels say the factors, and nothing is lost unsaid."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from jupyter_green.errors import SettingError, StatisticsError
from jupyter_green.events import Tags
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.report.studies.factorial import DECIDES
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.studies.factorial import main_effects
from jupyter_green.studies.factorial_session import runs_of
from tests.simulators.story import HOSTILE, MODEL, Story, hostile

FACTORS = ["conv", "relu"]


def run(story: Story, label: str | None, seconds: float, accuracy: float, **span: Any) -> None:
    """One labelled cell, or a span in a cell of its own where ``span`` says more."""
    tags = {} if span else {"label": label}
    number = story.begin(f"fit({label})", tags)
    if span:
        story.metric("loss", 9.0, cell=number)
        story.span(number, cell=number, **{"seconds": seconds, "type": "measure", **span})
    else:
        story.sleep(seconds)
    story.metric("accuracy", accuracy, direction="higher", cell=number)
    story.end(number)


def designed(*counters: Any) -> Session:
    """Conv doubles the time at 12 W and adds two points, relu does nothing; two repeats."""
    story = Story(*counters)
    story.cell("import torch")
    for conv, relu, repeat in product((1, 4), ("absent", "present"), (0, 1)):
        seconds = (20.0 if conv == 4 else 10.0) + repeat / 10
        run(story, f"conv={conv} relu={relu}", seconds, 0.92 if conv == 4 else 0.9)
    return story.close()


# --- rows ---------------------------------------------------------------------------------


def test_labels_become_rows() -> None:
    rows = runs_of(designed(), FACTORS, "accuracy")

    assert len(rows) == 8
    assert rows[0] == {
        "conv": 1, "relu": "absent", "energy_j": pytest.approx(120), "accuracy": 0.9,
        "duration_s": pytest.approx(10), "provenance": "measured", "at_least": False,
        "left_out": "", "label": "conv=1 relu=absent", "cell": 2, "span": None,
    }  # fmt: skip
    assert runs_of(designed(), metric="accuracy") == rows
    assert "accuracy" not in runs_of(designed())[0]


def test_a_session_is_a_design() -> None:
    effects = main_effects(designed(), FACTORS, metric="accuracy")
    (conv,) = effects.of("conv").changes

    assert conv.percent == pytest.approx(100, abs=1)
    assert effects.of("conv", "time").changes[0].percent == pytest.approx(100, abs=1)
    assert effects.of("conv", "metric").changes[0].difference == pytest.approx(0.02)
    assert effects.of("relu").changes[0].percent == pytest.approx(0, abs=0.1)
    assert effects.smallest_within(1).levels == (4, "absent")
    assert effects.smallest_within(2).levels == (1, "absent")
    assert effects.notes == (DECIDES,)
    assert not effects.modelled


def test_modelled_energy_stays_modelled() -> None:
    effects = main_effects(designed(MODEL), FACTORS)

    assert effects.modelled
    assert "modelled energy" in effects.sentences[0]


def test_names_of_measured_blocks_say_factors_as_well() -> None:
    story = Story()
    for conv in (1, 4):
        run(story, None, 10.0 * conv, 0.9, name=f"conv={conv}")
    # What a library calls its spans says nothing, and neither does a line of Python.
    run(story, None, 3.0, 0.1, name="conv=7", type="epoch")
    story.cell("conv=9")
    rows = runs_of(story.close(), "conv", "accuracy")

    assert [(row["conv"], row["duration_s"]) for row in rows] == [
        (1, pytest.approx(10)),
        (4, pytest.approx(40)),
    ]
    assert [row["accuracy"] for row in rows] == [0.9, 0.9]


@pytest.mark.parametrize("label", ["", " of the grid"])
def test_logged_runs_say_factors_where_no_label_does(label: str) -> None:
    story = Story()
    for conv in (1, 4):
        number = story.begin("fit()", {"label": f"conv={conv}{label}" if label else "fit"})
        story.sleep(5.0)
        story.metric("accuracy", 0.9, run=f"conv={conv} seed=0", cell=number)
        story.end(number)
    rows = runs_of(story.close(), "conv", "accuracy")

    assert [(row["conv"], row["accuracy"], row["left_out"]) for row in rows] == [
        (1, 0.9, ""),
        (4, 0.9, ""),
    ]
    assert rows[0]["label"] == f"conv=1{label or ' seed=0'}"


@pytest.mark.parametrize(
    ("label", "level"),
    [
        ("lr=1e-3", 0.001), ("lr=-2", -2), ("lr=3x3", "3x3"), ("lr=3_3", "3_3"), ("lr=nan", "nan"),
        ("lr=1e999", "1e999"), ("cnn, lr = 7; deep", 7), ("lr=no;", "no"), ("lr=True", "True"),
    ],
)  # fmt: skip
def test_levels(label: str, level: object) -> None:
    story = Story()
    story.cell("fit()", 5.0, label=label)
    story.cell("fit()", 5.0, label="lr=0")

    assert runs_of(story.close())[0]["lr"] == level


def test_work_that_was_done_several_times_counts_once() -> None:
    story = Story()
    for conv in (1, 4):
        number = story.begin("fit()", {"label": f"conv={conv}"})
        story.sleep(10.0)
        story.metric(LOOPS, 5, source=STUDY, cell=number)
        story.end(number)
    (one, _) = runs_of(story.close())

    assert (one["duration_s"], one["energy_j"]) == (pytest.approx(2), pytest.approx(24))


def test_a_run_that_failed_is_counted_and_in_no_mean() -> None:
    story = Story()
    for conv in (1, 4, 1, 4):
        story.cell("fit()", 10.0, label=f"conv={conv}")
    story.cell("fit()", 99.0, "error", "MemoryError", label="conv=4")
    session = story.close()
    failed = next(row for row in runs_of(session) if row["left_out"])

    assert (failed["left_out"], failed["energy_j"], failed["conv"]) == ("MemoryError", None, 4)
    effects = main_effects(session, "conv")
    assert effects.of("conv").changes[0].percent == pytest.approx(0, abs=0.1)
    assert "1 row without a finite value of energy_j: left out" in effects.notes
    assert "1 run without figures: MemoryError" in effects.notes


def test_too_short_for_the_counters() -> None:
    story = Story()
    for conv in (1, 4):
        story.cell("fit()", 0.01, label=f"conv={conv}")
    session = story.close()
    (row, _) = runs_of(session)

    assert (row["energy_j"], row["left_out"]) == (None, "too short for the counters")
    assert row["duration_s"] == pytest.approx(0.01)
    with pytest.raises(StatisticsError, match="an energy in 'energy_j'; too short for the counter"):
        main_effects(session, "conv")


def test_labels_of_something_else_do_not_disturb() -> None:
    story = Story()
    outer = story.begin("for ...", {"label": "the design"})
    for number, conv in enumerate((1, 4)):
        story.span(number, "train", 10.0, cell=outer, tags=Tags(label=f"conv={conv} relu=1"))
    story.end(outer)
    story.cell("fit()", 5.0, label="width==3")
    story.cell("fit()", 5.0, label="depth=2 width=8")
    story.cell("fit()", 5.0, label="conv=1 rleu=1")
    rows = runs_of(story.close(), FACTORS)

    assert [row["left_out"] for row in rows] == ["", "", "the label does not say relu"]
    assert (rows[2]["conv"], rows[2]["relu"], rows[2]["energy_j"]) == (1, None, None)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("conv=", "the label 'conv=' has no value beside '='"),
        ("conv=1 conv=2", "the label 'conv=1 conv=2' says 'conv' twice"),
    ],
)
@pytest.mark.parametrize("factors", ["conv", None])
def test_one_bad_label_is_left_out_by_its_name(bad: str, why: str, factors: str | None) -> None:
    session = labelled("conv=1", bad, "conv=4", "conv=1", "conv=4")
    rows = runs_of(session, factors)

    assert [row["conv"] for row in rows] == [1, 1, 4, 4, None]
    assert (rows[-1]["left_out"], rows[-1]["energy_j"]) == (why, None)
    effects = main_effects(session, "conv")
    assert effects.of("conv").changes[0].percent == pytest.approx(0, abs=0.1)
    assert f"1 run without figures: {why}" in effects.notes


def test_labels_that_are_bad_leave_what_logged_runs_say() -> None:
    story = Story()
    for conv in (1, 4):
        number = story.begin("fit()", {"label": "conv="})
        story.sleep(5.0)
        story.metric("accuracy", 0.9, run=f"conv={conv}", cell=number)
        story.end(number)

    assert [row["conv"] for row in runs_of(story.close(), "conv")] == [1, 4]


# --- errors -------------------------------------------------------------------------------


def labelled(*labels: str) -> Session:
    story = Story()
    for label in labels:
        number = story.begin("fit()", {"label": label})
        story.sleep(5.0)
        story.metric("accuracy", 0.9, cell=number)
        story.end(number)
    return story.close()


@pytest.mark.parametrize(
    ("labels", "more", "said"),
    [
        ([], {}, "no label says a factor: .* no label was given"),
        (["mlp 64", "mlp 16"], {}, "label='conv=4 relu=1'.; there are 'mlp 64', 'mlp 16'"),
        (["mlp 64"], {"factors": "conv"}, "no label says the factor .*; no label has a word"),
        (["conv=1", "conv=4"], {"factors": "cnov"}, "factor 'cnov', as 'cnov=1'; there are 'conv'"),
        (["conv=1", "conv="], {}, "the label 'conv=' has no value beside '=': write each factor"),
        (["conv=", "conv="], {"factors": "conv"}, "the label 'conv=' has no value beside '='"),
        (["conv=1", "=4"], {}, "the label '=4' has no name beside '='"),
        (["conv=1", "conv==4"], {"factors": "conv"}, "the label 'conv==4' has no value"),
        (["conv=1 conv=4", "conv=1"], {}, "the label 'conv=1 conv=4' says 'conv' twice"),
        (["conv=1 relu=1"], {}, "'conv=1 relu=1' is the only label that says conv, relu"),
        (["conv=1", "relu=1"], {}, "no label says all of conv, relu: .* are 'conv=1', 'relu=1'"),
        (["label=1", "label=2"], {}, "'label' is a figure of each run"),
        (["conv=1", "conv=4"], {"metric": "acc"}, "no metric 'acc' was .*; there are 'accuracy'"),
        (["conv=1", "conv=4"], {"metric": "span"}, "the metric 'span' has the name of another"),
        (["accuracy=1", "accuracy=2"], {"metric": "accuracy"}, "'accuracy' is a figure of"),
        (["conv=1", "conv=4"], {"metric": 3}, "metric must be a text"),
        (["conv=1", "conv=4"], {"factors": 3}, "factors must be names"),
        (["conv=1", "conv=4"], {"factors": [3]}, "a factor must be a text"),
    ],
)  # fmt: skip
def test_labels_that_say_no_design(labels: list[str], more: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        runs_of(labelled(*labels), **more)


def test_a_metric_that_nobody_logged() -> None:
    story = Story()
    story.cell("fit()", label="conv=1")
    with pytest.raises(SettingError, match=r"log\(accuracy=\.\.\.\) inside each run"):
        runs_of(story.close(), metric="accuracy")


def test_one_level_only() -> None:
    with pytest.raises(StatisticsError, match="relu has one level only, 1, in 2 rows"):
        main_effects(labelled("conv=1 relu=1", "conv=4 relu=1"), FACTORS)


def test_hostile_labels_are_rows_or_errors_that_are_inert() -> None:
    with pytest.raises(SettingError) as caught:
        runs_of(hostile())
    assert not any(bad in str(caught.value) for bad in "\x1b\x07\u202e\n")
    assert len(str(caught.value)) < 1000

    story = Story()
    for text in HOSTILE:
        story.cell("fit()", 5.0, label=f"{text} conv=1")
        story.cell("fit()", 5.0, label=f"conv=2 {text}")
    assert len(runs_of(story.close(), "conv")) > 2 * len(HOSTILE) - 4
