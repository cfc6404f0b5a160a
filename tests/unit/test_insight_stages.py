"""Energy by stage: by cells and spans, and to the microjoule."""

import pytest
from hypothesis import given

from jupyter_green.events import SpanFinished, SpanStarted, Tags
from jupyter_green.insight.stages import Stage, by_stage
from jupyter_green.sessions.model import Session
from tests.simulators.story import MODEL, Story, training
from tests.unit.test_ledger_properties import any_event, first_lines, folded, st

W = 12_000_000
"""Counted microjoules a second in a story."""


def named(session: Session) -> dict[str | None, Stage]:
    return {stage.name: stage for stage in by_stage(session)}


def assert_adds_up(session: Session) -> None:
    assert sum(stage.total_uj for stage in by_stage(session)) == (session.total.total_uj or 0)


def test_cells_by_stage_and_the_rest() -> None:
    stages = named(training())

    assert list(stages) == ["train", None]
    assert stages["train"].total_uj == 15 * W
    assert (stages["train"].seconds, stages["train"].runs) == (15, 2)
    assert stages[None].total_uj == 10 * W
    assert_adds_up(training())


def test_a_stage_within_another_counts_there_alone() -> None:
    story = Story()
    number = story.begin("fit()", {"stage": "Training"})
    for span in range(3):
        story.sleep(4.0)
        story.span(span, "validate", 1.0, cell=number, tags=Tags(stage=" evaluation "))
    story.end(number)
    stages = named(story.close())

    assert stages["training"].total_uj == 12 * W
    assert stages["evaluation"].total_uj == 3 * W
    assert stages["evaluation"].runs == 3
    assert stages[None].total_uj == 0


def test_spans_within_spans() -> None:
    story = Story()
    number = story.begin("all()")
    outer = {"cell": number, "tags": Tags(stage="training")}
    story.feed(SpanStarted(span=1, name="fit", **outer, **story.stamp()))
    story.sleep(2.0)
    story.span(2, "validate", 1.0, cell=number, tags=Tags(stage="evaluation"))
    story.sleep(2.0)
    story.feed(SpanFinished(span=1, **story.stamp()))
    story.sleep(3.0)
    story.end(number)
    stages = named(story.close())

    assert stages["training"].total_uj == 4 * W
    assert stages["evaluation"].total_uj == W
    assert stages[None].total_uj == 3 * W


def test_of_overlapping_spans_the_first_counts() -> None:
    story = Story()
    number = story.begin("threads()")
    for span in (1, 2):
        tags = Tags(stage=f"s{span}")
        story.feed(SpanStarted(span=span, name="x", cell=number, tags=tags, **story.stamp()))
        story.sleep(1.0)
    for span in (1, 2):
        story.feed(SpanFinished(span=span, **story.stamp()))
        story.sleep(1.0)
    story.end(number)
    session = story.close()

    assert named(session)["s1"].total_uj == 2 * W
    assert "s2" not in named(session)
    assert_adds_up(session)


def test_a_running_cell_counts_so_far() -> None:
    story = Story()
    story.begin("fit()", {"stage": "training"})
    story.sleep(5.0)

    assert named(story.session())["training"].total_uj == 5 * W


def test_a_models_band_goes_with_its_energy() -> None:
    story = Story(MODEL, lag_uj=0)
    number = story.begin("fit()", {"stage": "training"})
    story.sleep(1.0)
    story.span(1, "validate", 9.0, cell=number, tags=Tags(stage="evaluation"))
    story.end(number)
    stages = named(story.close())

    assert stages["training"].bound_uj == pytest.approx(0.4 * 20_000_000)
    assert stages["evaluation"].bound_uj == pytest.approx(0.4 * 180_000_000)


def test_nothing_readable_has_no_stages() -> None:
    assert by_stage(Story(unread={"package-0", "dram-0", "core-0"}).session())[-1].total_uj == 0


@given(first_lines, st.lists(any_event, max_size=40))
def test_any_session_adds_up(first: object, events: list[object]) -> None:
    session = folded([first, *events]).session()  # type: ignore[list-item]
    assert_adds_up(session)
