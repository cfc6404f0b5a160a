"""One line, and the object that users keep."""

import pickle
from dataclasses import FrozenInstanceError

import pytest

from jupyter_green.report.summary import Result, describe, describe_html
from jupyter_green.sessions.model import Session
from tests.simulators.story import (
    EVERY,
    FRANCE,
    HOSTILE,
    MODEL,
    PACKAGE,
    Story,
    hostile,
    training,
)


@pytest.fixture(scope="module")
def session() -> Session:
    return training()


def test_a_cell(session: Session) -> None:
    assert describe(session, session.cell(1)) == (
        "import torch · 12.00 ± 0.13 J · 1 s · 12 W · CPU package-0 10 J, dram-0 2 J · "
        "0.147 mg CO₂e (France 2024) · measured"
    )


def test_a_span(session: Session) -> None:
    line = describe(session, session.span(4))

    assert line.startswith("epoch 1 · 30.00 ± 0.13 J · 2.5 s · 12 W · ")
    assert " · acc 0.5 · measured" in line


def test_an_open_cell(session: Session) -> None:
    line = describe(session, session.open_cells[0])

    assert line.startswith("while True: pass · 36.00 ± 0.13 J so far · 3 s · 12 W · ")


def test_a_failed_cell_says_why(session: Session) -> None:
    assert " · failed: ZeroDivisionError · " in describe(session, session.cell(4))


def test_one_counter_needs_no_split() -> None:
    story = Story(PACKAGE)
    number = story.cell("x")
    assert "package-0" not in describe(story.session(), story.session().cell(number))


def test_a_model_says_so_with_its_bound() -> None:
    story = Story(MODEL)
    number = story.cell("x")
    line = describe(story.session(), story.session().cell(number))
    assert line == "x · 20.0 ± 8.1 J · 1 s · 20 W · modelled"


def test_a_missing_part() -> None:
    story = Story(unread={"dram-0"})
    number = story.cell("x", 1.2)
    line = describe(story.session(), story.session().cell(number))
    assert line == "x · ≥ 12 J (dram-0 missing) · 1.2 s · measured"


def test_no_counter() -> None:
    story = Story(unread=EVERY, intensity=FRANCE)
    number = story.cell("x")
    assert describe(story.session(), story.session().cell(number)) == "x · no counter · 1 s"


def test_too_short() -> None:
    story = Story()
    number = story.cell("x", 0.001)
    assert describe(story.session(), story.session().cell(number)) == (
        "x · 12 mJ · 1 ms · too short for its counters: %%energyit repeats it · measured"
    )


@pytest.mark.parametrize("number", range(1, len(HOSTILE) + 1))
def test_hostile_names_stay_on_one_harmless_line(number: int) -> None:
    session = hostile()
    line = describe(session, session.cell(number))
    html = describe_html(session, session.cell(number))

    assert len(line.splitlines()) == 1
    assert not set("\x1b\x9b\x00\u202e\u2066\ud800") & set(line + html)
    assert "<script" not in html
    assert "<img" not in html
    assert line.split(" · ")[0]
    assert len(line.split(" · ")[0]) <= 60


def test_html_holds_the_same_text(session: Session) -> None:
    html = describe_html(session, session.cell(1))

    assert html.startswith("<div style=")
    assert "<bdi>import torch</bdi> · <b>12.00 ± 0.13 J</b> · 1 s" in html


# --- the object ---


def test_result_of_a_cell(session: Session) -> None:
    result = Result.of(session, session.cell(3))

    assert (result.name, result.kind, result.number, result.status) == ("mlp 64", "cell", 3, "ok")
    assert result.energy_j == session.cell(3).energy.energy_j == pytest.approx(120.0)
    assert result.bound_j == session.cell(3).energy.bound_j
    assert result.duration_s == pytest.approx(10.0)
    assert result.power_w == pytest.approx(12.0)
    assert result.co2_g == pytest.approx(120 / 3.6e6 * 44.0)
    assert result.by_counter_j == pytest.approx(
        {"package-0": 100.0, "dram-0": 20.0, "core-0": 70.0}
    )
    assert result.metrics == {"acc": 0.9}
    assert (result.provenance, result.missing, result.at_least) == (("measured",), (), False)
    assert repr(result) == describe(session, session.cell(3))
    assert result._repr_html_() == describe_html(session, session.cell(3))


def test_result_of_a_span_has_the_metrics_of_its_time(session: Session) -> None:
    result = Result.of(session, session.span(4))

    assert (result.name, result.kind, result.number) == ("epoch 1", "span", 4)
    assert result.metrics == {"acc": 0.5}


def test_result_of_an_open_cell(session: Session) -> None:
    result = Result.of(session, session.open_cells[0])

    assert (result.status, result.number) == ("running", 5)
    assert result.energy_j == pytest.approx(36.0)
    assert result.power_w == pytest.approx(12.0)


def test_result_without_a_counter_is_none_and_not_zero() -> None:
    story = Story(unread=EVERY)
    number = story.cell("x")
    result = Result.of(story.session(), story.session().cell(number))

    assert result.energy_j is None
    assert result.bound_j is None
    assert result.power_w is None
    assert result.co2_g is None
    assert result.at_least


def test_results_are_frozen_and_travel(session: Session) -> None:
    result = Result.of(session, session.cell(1))

    with pytest.raises(FrozenInstanceError):
        result.energy_j = 0.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(result)) == result


def test_the_line_tells_of_the_quality_and_not_of_what_was_logged_last() -> None:
    story = Story()
    number = story.begin("fit()")
    story.sleep(1)
    story.metric("accuracy", 0.97, cell=number, direction="higher")
    story.metric("reached", 1.0, cell=number)
    story.end(number)
    session = story.close()
    assert "accuracy 0.97" in describe(session, session.cells[0])
    assert "reached" not in describe(session, session.cells[0])
