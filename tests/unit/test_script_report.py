"""Reports of a plain script, which has no cells: nothing is told of cells, and its windows are."""

import json
from collections.abc import Callable

import pytest

from jupyter_green.events import SpanFinished, SpanStarted, Tags
from jupyter_green.report import fragment, markdown, statement, text
from jupyter_green.report.exports import boamps
from jupyter_green.report.html import page as html
from jupyter_green.sessions.model import Session
from tests.simulators.story import Story


@pytest.fixture(scope="module")
def script() -> Session:
    """12 W for 10 s: 3 s in a training with a validation, 2 s in one that failed."""
    story = Story(notebook="/home/me/train.py", front_end="script")
    story.sleep(1.0)
    story.feed(SpanStarted(span=1, name="fit", tags=Tags(stage="training"), **story.stamp()))
    story.sleep(2.0)
    story.span(2, "validate", 1.0, parent=1)
    story.feed(SpanFinished(span=1, **story.stamp()))
    story.feed(SpanStarted(span=3, name="again", **story.stamp()))
    story.sleep(2.0)
    story.feed(SpanFinished(span=3, status="error", error="ValueError", **story.stamp()))
    story.sleep(4.0)
    return story.close()


def test_windows_stand_where_cells_would(script: Session) -> None:
    assert [span.name for span in script.windows] == ["fit", "again"]
    told = text.render(script)
    assert "Time: 10 s, 2 measured windows, closed" in told
    for words in ("outside cells", "between cells", "other cells", "0 cells"):
        assert words not in told
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  ")] == [
        "fit",
        "validate",
        "again",
    ]


def test_the_stages_of_its_windows(script: Session) -> None:
    lines = text.render(script).splitlines()
    assert [line.split()[-2:] for line in lines if line.startswith("training")] == [["30", "%"]]
    assert [line.split()[-2:] for line in lines if line.startswith("no stage ")] == [["70", "%"]]


def test_windows_within_one_that_is_still_open() -> None:
    """As a script sees it that reports in its outermost window."""
    story = Story(front_end="script")
    story.feed(SpanStarted(span=1, name="main", **story.stamp()))
    story.span(2, "validate", 1.0, parent=1)
    told = text.render(story.fold.session())
    assert "1 measured window, open" in told


def test_a_notebook_before_its_first_cell_is_no_script() -> None:
    story = Story(front_end="ipykernel")
    story.sleep(2.0)
    story.span(1, "fit", 1.0, tags=Tags(stage="training"))
    notebook = story.close()
    assert notebook.windows == ()
    told = markdown.render(notebook)
    assert "0 cells" in told
    assert "| between cells | 100 % |" in told
    assert "training" not in told


def test_exports_tell_the_stages_of_windows(script: Session) -> None:
    assert json.loads(boamps.render(script))["task"]["taskStage"] == "training"


def test_what_is_cited(script: Session) -> None:
    told = statement.render(script)
    assert "2 measured windows of a program without cells, with 1 failed ones included" in told
    assert "idle power included" in told
    assert "between cells" not in told


WORDS = ("between cells", "0 cells", "cells without a tag", "No cell", ">Cell<", "| Cell |")


@pytest.mark.parametrize(
    "told",
    [markdown.render, fragment.render, html.render_light],
    ids=["markdown", "fragment", "html"],
)
def test_no_form_tells_of_cells(script: Session, told: Callable[[Session], str]) -> None:
    shown = told(script)
    for words in WORDS:
        assert words not in shown
    assert "validate" in shown
    assert "training" in shown
