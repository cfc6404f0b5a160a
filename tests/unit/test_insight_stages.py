"""Energy by stage: by cells and spans, and to the microjoule."""

import pytest
from hypothesis import given
from msgspec import structs

from jupyter_green.events import CellStarted, Event, SpanFinished, SpanStarted, Tags
from jupyter_green.insight.stages import Stage, by_stage, joined
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


def test_a_script_has_no_cells_and_its_spans_count() -> None:
    story = Story(front_end="script")
    story.sleep(1.0)
    story.feed(SpanStarted(span=1, name="fit", tags=Tags(stage="training"), **story.stamp()))
    story.sleep(2.0)
    story.span(2, "validate", 1.0, tags=Tags(stage="evaluation"))
    story.feed(SpanFinished(span=1, **story.stamp()))
    story.sleep(3.0)
    script = story.close()
    stages = named(script)

    assert stages["training"].total_uj == 2 * W
    assert stages["evaluation"].total_uj == W
    assert stages[None].total_uj == 4 * W
    assert_adds_up(script)


def test_spans_between_cells_count_with_what_has_no_stage() -> None:
    """A thread's may overlap a cell that has a stage of its own."""
    story = Story()
    number = story.begin("fit()", {"stage": "training"})
    story.sleep(1.0)
    story.end(number)
    story.span(1, "validate", 1.0, tags=Tags(stage="evaluation"))

    assert set(named(story.close())) == {"training", None}


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


# --- suggestions ---


def test_a_suggestion_has_a_row_of_its_own() -> None:
    story = Story()
    for seconds, tags, suggested in (
        (2.0, {}, "training"),
        (5.0, {"stage": "Training"}, None),
        (4.0, {}, "data"),
        (1.0, {}, None),
    ):
        number = story.begin("cell", tags, suggested_stage=suggested)
        story.sleep(seconds)
        story.end(number)
    session = story.close()

    assert [
        (row.name, row.suggested, row.total_uj // W, row.runs) for row in by_stage(session)
    ] == [
        ("training", False, 5, 1),
        ("training", True, 2, 1),
        ("data", True, 4, 1),
        (None, False, 1, 0),
    ]
    assert sum(row.seconds for row in by_stage(session)) == 12
    assert [row.label for row in by_stage(session)] == [
        *("training", "training (suggested)", "data (suggested)", ""),
    ]
    assert [row.how for row in by_stage(session)] == [
        *("tagged", "suggested", "suggested", "none"),
    ]
    assert_adds_up(session)


def test_a_tag_wins_over_a_suggestion() -> None:
    story = Story()
    number = story.begin("fit()", {"stage": "evaluation"}, suggested_stage="training")
    story.sleep(3.0)
    story.end(number)

    assert [row.name for row in by_stage(story.close())] == ["evaluation", None]


def test_a_blank_tag_is_none() -> None:
    story = Story()
    number = story.begin("fit()", {"stage": "  "}, suggested_stage="training")
    story.sleep(3.0)
    story.end(number)
    [row, _] = by_stage(story.close())

    assert (row.name, row.suggested) == ("training", True)


def test_a_tagged_span_counts_apart_from_what_its_cell_seems_to_be() -> None:
    story = Story()
    number = story.begin("fit()", suggested_stage="training")
    story.sleep(5.0)
    story.span(1, "validate", 2.0, cell=number, tags=Tags(stage="evaluation"))
    story.span(2, "epoch", 1.0, cell=number)
    story.end(number)
    session = story.close()

    assert [(row.name, row.suggested, row.total_uj // W) for row in by_stage(session)] == [
        ("training", True, 6),
        ("evaluation", False, 2),
        (None, False, 0),
    ]
    assert_adds_up(session)


def test_a_running_cell_with_a_suggestion_counts_so_far() -> None:
    story = Story()
    story.begin("fit()", suggested_stage="training")
    story.sleep(5.0)
    [row, _] = by_stage(story.session())

    assert (row.name, row.suggested, row.total_uj) == ("training", True, 5 * W)


def test_what_owns_no_time_counts_in_no_stage() -> None:
    story = Story()
    outer = story.begin("outer", suggested_stage="training")
    inner = story.begin("inner", parent=outer, suggested_stage="data")
    story.sleep(1.0)
    story.end(inner)
    story.begin("beside", thread="subshell", suggested_stage="data")
    story.sleep(1.0)
    story.end(outer)

    assert [row.name for row in by_stage(story.close())] == ["training", None]


def test_sessions_joined() -> None:
    sessions = []
    for tags, suggested in (
        ({"stage": "data"}, None),
        ({}, "data"),
        ({}, "training"),
        ({}, "data"),
    ):
        story = Story()
        number = story.begin("cell", tags, suggested_stage=suggested)
        story.sleep(2.0)
        story.end(number)
        story.sleep(1.0)
        sessions.append(story.close())
    rows = joined(map(by_stage, sessions))

    assert [(row.label, row.total_uj // W, row.seconds, row.runs) for row in rows] == [
        ("data", 2, 2.0, 1),
        ("data (suggested)", 4, 4.0, 2),
        ("training (suggested)", 2, 2.0, 1),
        ("", 4, 4.0, 0),
    ]
    assert joined([]) == (Stage(None, 0, 0, 0, 0),)
    assert joined([by_stage(sessions[0])]) == by_stage(sessions[0])


def test_nothing_readable_has_no_stages() -> None:
    assert by_stage(Story(unread={"package-0", "dram-0", "core-0"}).session())[-1].total_uj == 0


def suggesting(event: Event) -> Event:
    """Cells that begin with a suggestion; their tags stay as they are."""
    if isinstance(event, CellStarted):
        return structs.replace(event, suggested_stage="Data" if event.number % 2 else "training")
    return event


@given(first_lines, st.lists(any_event.map(suggesting), max_size=40))
def test_any_session_adds_up(first: object, events: list[object]) -> None:
    session = folded([first, *events]).session()  # type: ignore[list-item]
    rows = by_stage(session)

    assert_adds_up(session)
    assert len({(row.name, row.suggested) for row in rows}) == len(rows)
    assert rows[-1].name is None
    assert all(row.total_uj >= 0 and row.runs > 0 for row in rows[:-1])
    assert {row.name for row in rows if row.suggested} <= {"data", "training"}
