"""Findings: what each says and about what, and that nothing in a journal can trip them."""

from typing import Any

import pytest
from hypothesis import given

from jupyter_green.events import (
    ModelDescribed,
    OverlapSeen,
    Refusal,
    SpanFinished,
    SpanStarted,
    Tags,
)
from jupyter_green.insight.findings import Finding, energy_text
from jupyter_green.insight.judgement import findings_of
from jupyter_green.insight.told import told
from jupyter_green.report import fragment, text
from jupyter_green.report.table import Table
from jupyter_green.sessions.model import Session
from tests.simulators.story import EVERY, HOSTILE, MODEL, PACKAGE, Story, hostile, training
from tests.unit.test_ledger_properties import any_event, first_lines, folded, st


def found(session: Session, kind: str) -> Finding:
    (finding,) = (each for each in findings_of(session) if each.kind == kind)
    return finding


def kinds(session: Session) -> list[str]:
    return [finding.kind for finding in findings_of(session)]


# --- what they say ---


def test_superseded() -> None:
    finding = found(training(), "superseded")

    assert finding.title == "The result of 1 run was replaced by a later run of the same cell"
    assert finding.energy_uj == 60_000_000 == training().ledger.superseded.total_uj
    assert finding.share == pytest.approx(0.2)
    assert energy_text(finding) == "60.00 ± 0.13 J"
    (fact,) = finding.evidence
    assert (fact.words, fact.name, fact.cell, fact.count) == ("1 earlier run, 60 J", "mlp 64", 2, 2)
    assert finding.note == ""


def test_failed() -> None:
    finding = found(training(), "failed")

    assert finding.energy_uj == 24_000_000
    assert finding.evidence[0].words == "the error came after 2 s and 24 J"


def test_a_kernel_that_died() -> None:
    story = Story()
    story.begin("fit()")
    story.sleep(60)
    session = story.close("kernel died")

    assert found(session, "failed").evidence[0].words == "the kernel died after 1:00 min and 720 J"


def test_past_the_knee() -> None:
    story = Story()
    number = story.begin("fit()", {"label": "mlp"})
    values = (0.5, 0.8, 0.9, 0.903, 0.904, 0.904, 0.904, 0.904)
    for step, value in enumerate(values):
        story.sleep(1.0)
        story.metric("accuracy", value, step=step, direction="higher", cell=number)
    story.end(number)
    finding = found(story.close(), "past the knee")

    assert finding.title == "The last 62 % of a training's energy brought 0.99 % of what it gained"
    assert finding.energy_uj == 60_000_000
    assert finding.evidence[0].name == "accuracy"
    assert finding.evidence[0].words == "0.9 at 36 J (step 2), 0.904 at 96 J, 0.4 points more"
    assert finding.evidence[1].name == "mlp"


@pytest.mark.parametrize("where", ["labelled spans", "cells"])
def test_single_values_of_several_trainings_are_no_training(where: str) -> None:
    """A grid of settings, each with its result: nobody could have stopped it early."""
    story = Story()
    number = story.begin("grid()")
    for count, value in enumerate((0.5, 0.8, 0.9, 0.903, 0.904, 0.904, 0.904, 0.904)):
        if where == "cells" and count:
            story.end(number)
            number = story.begin(f"fit({count})")
        story.feed(
            SpanStarted(
                span=count, name="fit", tags=Tags(label=f"n={count}"), cell=number, **story.stamp()
            )
        )
        story.sleep(1.0)
        story.metric("accuracy", value, direction="higher", cell=number)
        story.feed(SpanFinished(span=count, **story.stamp()))
    story.end(number)
    assert "past the knee" not in kinds(story.close())


def test_a_metric_that_still_gains_speaks_for_the_epochs() -> None:
    story = Story()
    number = story.begin("fit()")
    for step, value in enumerate((0.5, 0.8, 0.9, 0.903, 0.904, 0.904, 0.904, 0.904)):
        story.sleep(1.0)
        story.metric("accuracy", value, step=step, direction="higher", cell=number)
        story.metric("f1", step / 10, step=step, direction="higher", cell=number)
    story.end(number)

    assert kinds(story.close()) == []


def test_dominating_cell_names_its_dearest_parts() -> None:
    story = Story()
    for line in "abcd":
        story.cell(line)
    number = story.begin("simulate()")
    story.span(1, "warm up", 2.0, cell=number)
    story.span(2, "steps", 20.0, cell=number)
    story.end(number)
    finding = found(story.close(), "dominating cell")

    assert finding.energy_uj == 22 * 12_000_000
    assert [fact.name for fact in finding.evidence] == ["simulate()", "steps", "warm up"]
    assert finding.evidence[0].words == "264 J, 85 % of what all cells took"


def test_evaluation_dearer_than_training() -> None:
    story = Story()
    number = story.begin("fit()", {"stage": "training"})
    story.sleep(5.0)
    story.span(1, "validate", 9.0, cell=number, tags=Tags(stage="Evaluation"))
    story.end(number)
    finding = found(story.close(), "evaluation")

    assert finding.energy_uj == 4 * 12_000_000
    assert finding.evidence[0].words == "evaluation 108 J, training 60 J"


def test_modelled_where_a_permission_would_measure() -> None:
    refused = [
        Refusal(source="pyrapl", reason="not asked for", remedy="ask", by_choice=True),
        Refusal(source="perf", reason="paranoid", remedy="sudo sysctl"),
        Refusal(source="rapl", reason="readable by root only", remedy="sudo chmod"),
    ]
    story = Story(MODEL, refused=refused)
    story.cell("fit()", 10.0)
    finding = found(story.close(), "modelled")

    assert (finding.remedy, finding.note) == ("sudo chmod", "modelled")
    assert finding.evidence[0].words == "so rapl was refused"
    assert finding.evidence[0].name == "readable by root only"


# --- what is not said ---


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_what_is_small_is_not_told(seconds: float) -> None:
    story = Story()
    story.cell("fit()", 100.0)
    story.cell("1 / 0", seconds, "error", "ZeroDivisionError")
    for line in "abcd":
        story.cell(line, 40.0)

    assert "failed" not in kinds(story.close())


def test_what_was_told_is_told_while_nothing_runs() -> None:
    """Idle power makes a session dearer, and what was found in it no smaller."""
    story = Story()
    story.cell("fit()", 5, status="error")
    story.cell("study()", 40)
    assert kinds(story.session()) == ["failed"]

    story.sleep(3600)

    assert kinds(story.session()) == ["failed"]


def test_without_cells_there_is_nothing_to_save() -> None:
    story = Story()
    story.sleep(3600)

    assert kinds(story.session()) == []


def test_less_than_its_bound_is_not_told() -> None:
    def session(lag_uj: int) -> Session:
        story = Story(PACKAGE, lag_uj=lag_uj)
        story.cell("1 / 0", 2.0, "error")
        return story.close()

    assert "failed" in kinds(session(100_000))
    assert "failed" not in kinds(session(40_000_000))


def test_deliberate_repeats_are_never_told() -> None:
    story = Story()
    for _ in range(3):
        story.cell("sort()", 10.0, deliberate=True)
    for span in range(3):
        number = story.begin("energyit()")
        story.span(span, "trial", 10.0, cell=number, tags=Tags(deliberate=True))
        story.end(number)

    assert kinds(story.close()) == []


def test_an_interrupted_cell_saved_energy() -> None:
    story = Story()
    story.cell("fit()", 10.0, "interrupted", "KeyboardInterrupt")

    assert kinds(story.close()) == []


def test_a_model_in_fp32_without_a_card() -> None:
    story = Story()
    number = story.begin("fit()")
    story.feed(ModelDescribed(t=story.t, precision="fp32", cell=number))
    story.sleep(10.0)
    story.end(number)

    assert kinds(story.close()) == []


def test_nothing_readable_and_nothing_run() -> None:
    assert findings_of(Story().session()) == ()
    assert findings_of(Story(unread=EVERY).session()) == ()


# --- all of them ---


def test_the_largest_comes_first_and_another_session_is_named() -> None:
    story = Story()
    for _ in range(2):
        story.cell("fit()", 30.0)
    story.cell("1 / 0", 10.0, "error")
    story.feed(OverlapSeen(t=story.t, session="other", pid=9))
    session = story.close()

    assert kinds(session) == ["superseded", "failed"]
    assert found(session, "failed").note == "another session ran on this machine at the time"


@given(first_lines, st.lists(any_event, max_size=40))
def test_any_session_can_be_judged(first: Any, events: list[Any]) -> None:
    session = folded([first, *events]).session()
    for finding in findings_of(session):
        assert finding.energy_uj > 0
        assert finding.evidence
        assert finding.title
        assert finding.remedy
    Table.of(session)


# --- shown ---


def test_in_the_text() -> None:
    lines = text.render(training(), width=100).splitlines()
    start = lines.index("What could be saved (parts overlap and do not add up)")

    assert lines[start + 1] == (
        "- The result of 1 run was replaced by a later run of the same cell: 60.00 ± 0.13 J, 20 %"
    )
    assert lines[start + 2] == "    in [2] mlp 64: 1 earlier run, 60 J"
    assert lines[start + 3].startswith("    To try: make changes on a part of the data")


def test_a_session_without_findings_has_no_such_section() -> None:
    story = Story()
    story.cell("x")

    assert "could be saved" not in text.render(story.close())
    assert "could be saved" not in fragment.render(story.close())


def test_in_html() -> None:
    html = fragment.render(training())

    assert "a later run of the same cell: <b>60.00 ± 0.13 J, 20 %</b>" in html
    assert "<bdi>in [2] mlp 64: 1 earlier run, 60 J</bdi>" in html


def test_as_plain_values() -> None:
    first = told(training())[0]

    assert set(first) == {"kind", "title", "detail", "remedy", "energy_j", "share"}
    assert first["kind"] == "superseded"
    assert first["title"].endswith(": 60.00 ± 0.13 J, 20 %")
    assert first["detail"] == "in [2] mlp 64: 1 earlier run, 60 J"
    assert (first["energy_j"], first["share"]) == (60.0, pytest.approx(0.2))


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_names_are_harmless(label: str) -> None:
    story = Story()
    story.cell(label, 10.0, "error", label=label)
    story.cell("x", 10.0)
    (finding,) = told(story.close())
    shown = text.render(story.session()).partition("What could be saved")[2]

    for words in (finding["detail"], *shown.splitlines()):
        assert words.isprintable()
        assert len(words) < 300
    assert finding["detail"].endswith("the error came after 10 s and 120 J")


def test_hostile_sessions_stay_text() -> None:
    html = fragment.render(hostile())

    assert "What could be saved" in html
    assert "<script" not in html
    assert "<img" not in html
