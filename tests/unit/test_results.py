"""What a study logs about its own runs is no result: no view takes it for the user's metric."""

import pytest

from jupyter_green.events import SpanFinished, SpanStarted, Tags
from jupyter_green.insight.compare import contest
from jupyter_green.insight.repeated import LOOPS
from jupyter_green.report import comparison, curves, forms, fragment, text
from jupyter_green.report.summary import Result
from jupyter_green.sessions import frames
from jupyter_green.sessions.model import STUDY, Session
from jupyter_green.sessions.summary import summarize
from tests.simulators.story import Story

NAME = "how often"
"""Instead of ``loops``, which is a word of ours in many views."""


def studied(noted: str = NAME) -> Session:
    """Trials that log an accuracy and, last of all, their loops."""
    story = Story()
    number = story.begin("compare(f, g)", {"label": "study"})
    for span, label in enumerate("abab"):
        tags = Tags(label=label)
        story.feed(
            SpanStarted(
                span=span, name=label, type="trial", tags=tags, cell=number, **story.stamp()
            )
        )
        story.sleep(0.5)
        story.metric("accuracy", 0.9, cell=number, run=f"{label}#{span}", direction="higher")
        story.sleep(0.5)
        story.metric(noted, 64.0, cell=number, run=f"{label}#{span}", source=STUDY)
        story.sleep(0.5)
        story.feed(SpanFinished(span=span, **story.stamp()))
    story.end(number)
    return story.close()


def test_results_are_what_was_logged_but_for_that() -> None:
    session = studied()

    assert {metric.name for metric in session.metrics} == {"accuracy", NAME}
    assert {metric.name for metric in session.results} == {"accuracy"}
    assert {metric.name for metric in session.metrics_of(1)} == {"accuracy"}
    assert len(session.results) == 4


def test_the_metric_that_stands_for_a_session() -> None:
    session = studied()

    assert curves.chosen_metric(session) == "accuracy"
    assert curves.curves(session, NAME) == []
    best = summarize(session).metric
    assert best is not None
    assert best.name == "accuracy"
    assert contest(session).metric == "accuracy"


def test_cells_and_spans() -> None:
    session = studied()

    (cell,) = frames.cell_records(session)
    assert cell["metric"] == "accuracy"
    assert {record["name"] for record in frames.metric_records(session)} == {"accuracy"}
    for window in (*session.cells, *session.spans):
        assert Result.of(session, window).metrics == {"accuracy": 0.9}


@pytest.mark.parametrize("form", [one.name for one in forms.FORMS if not one.binary])
def test_no_form_shows_it(form: str) -> None:
    assert NAME not in forms.form_of(form).render(studied())


def test_no_other_view_shows_it() -> None:
    session = studied()

    assert NAME not in text.render(session, everything=True)
    assert NAME not in fragment.render(session)
    assert NAME not in comparison.render(session, session)


def test_loops_of_trials_are_divided_by() -> None:
    found = contest(studied(LOOPS))

    assert [one.loops for one in found.side("a").compared] == [64, 64]
    assert found.side("a").durations_s == pytest.approx((1.5 / 64, 1.5 / 64))
