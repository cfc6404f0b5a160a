"""Searches as text, Markdown, HTML, chart, section of the report and data frame."""

import re

import pytest

from jupyter_green.events import CounterInfo
from jupyter_green.insight.searches import outcome, studies_of
from jupyter_green.insight.searches_values import Outcome
from jupyter_green.report import vega_parts
from jupyter_green.report.studies import searched, searched_drawn
from jupyter_green.sessions.model import Session
from jupyter_green.studies.search import Searches, searches_of
from tests.simulators.evil import NASTY
from tests.simulators.story import DRAM, MODEL, PACKAGE, Story
from tests.unit.test_compare_view import OURS, Page
from tests.unit.test_searches import Run, outcome_of, session_of, two

DRAWN = OURS | {"path", "rect"}
GRID = [Run(f"grid#{n}", [(4.0, "ValueError"), (4.0, 0.3)], stopped="space") for n in range(1, 6)]


def told(*counters: CounterInfo) -> Session:
    """Of five searches each, TPE takes half of what random search takes; the grid never arrives."""
    return session_of([*two(), *GRID], *counters, target=0.8)


def told_of(*counters: CounterInfo) -> Outcome:
    return outcome(told(*counters))


def test_text() -> None:
    lines = searched.render(told_of()).splitlines()
    assert lines[0].startswith("tpe won here, by energy to accuracy 0.8: it took ")
    head = next(number for number, line in enumerate(lines) if line.startswith("Strategy"))
    assert re.split(r"\s{2,}", lines[head]) == [
        *("Strategy", "Searches", "Reached", "Energy to target", "Time to target"),
        *("Energy in all", "Trials", "Best accuracy", "Remarks"),
    ]
    grid = re.split(r"\s{2,}", lines[head + 1])
    assert grid[:3] == ["grid", "5", "0 of 5"]
    # It had tried its whole space: no number of joules would have taken it there.
    assert grid[3:] == ["-", "-", "96 ± 0 J", "10", "0.3", "5 failed"]
    assert re.split(r"\s{2,}", lines[head + 2])[:3] == ["random", "5", "5 of 5"]
    assert "grid: of 10 trials 5 failed (ValueError); their energy counts." in lines
    assert "grid: of 5 searches 5 had tried the whole space." in lines
    assert any(line.startswith("The front of accuracy and joules of single") for line in lines)


def test_what_did_not_arrive_is_shown_as_a_bound() -> None:
    """Also where the horizon is the strategy's own end."""
    runs = [Run("a#1", [(10.0, 0.9)]), Run("a#2", [(12.0, 0.9)])]
    runs += [Run(f"b#{n}", [(20.0 + n, 0.1)]) for n in (0, 1)]
    runs += [Run("c#1", [(11.0, 0.9)]), Run("c#2", [(30.0, 0.9)])]
    a, b, c = searched.rows(outcome_of(runs, target=0.9))
    assert a[2:5] == ("2 of 2", "132 ± 153 J", "11 s ± 12.7 s")
    assert a[8] == ""
    assert b[2:5] == ("0 of 2", "≥ 240 J", "≥ 20 s")
    assert b[8] == "limited to the horizon"
    # All of its searches arrived, one of them beyond the horizon.
    assert c[2:5] == ("2 of 2", "≥ 186 J", "≥ 15.5 s")
    assert c[8] == "limited to the horizon"


def test_what_trials_raised_is_shown() -> None:
    evil = "tpe raised ValueError: <script>alert(1)</script>\x1b[31m\n" + "x" * 5000
    errors = (evil, *(f"tpe raised KeyError: '{n}'" for n in range(6)))
    shown = Searches(told_of(), errors)
    for text in (repr(shown), shown.markdown(), shown._repr_html_()):
        assert "tpe raised ValueError: " in text
        assert "tpe raised KeyError: " in text
        assert "2 more messages are in .errors" in text
        assert "\x1b" not in text
        assert "x" * 400 not in text
    page = Page(shown._repr_html_())
    assert set(page.seen) <= DRAWN
    assert "raised" not in repr(Searches(told_of()))


def test_the_front_is_without_what_lies_within_the_bounds() -> None:
    story = Story(lag_uj=2_000_000)
    runs = [Run("a#1", [(10.0, 0.5), (10.1, 0.51), (10.2, 0.52), (100.0, 0.9)])]
    (told, *_) = searched.front_words(outcome_of(runs, story=story, target=0.4))
    assert told == (
        "The front of accuracy and joules of single trials: 0.52 for 122 J (a#1, trial 3), 0.9 for "
        "1.2 kJ (a#1, trial 4); 2 more trials are worse, and cheaper only within the bounds."
    )


def test_modelled_figures_are_told_and_drawn_as_time() -> None:
    found = told_of(MODEL)
    text = searched.render(found)
    assert "modelled" in text
    assert "joules of single trials (modelled): " in text
    assert "time (s): thin lines" in searched.fragment(found)
    assert searched_drawn.spec(found)["description"] == "best accuracy over time, by strategy"
    assert "energy (kJ): thin lines" in searched.fragment(told_of())


def test_a_lower_bound_is_shown_as_one() -> None:
    found = outcome_of(two(), story=Story(PACKAGE, DRAM, unread=["dram-0"]), target=0.8)
    assert all(row[3].startswith("≥ ") and row[5].startswith("≥ ") for row in searched.rows(found))


def test_markdown() -> None:
    lines = searched.render_markdown(told_of()).splitlines()
    assert lines[0].startswith("tpe won here")
    assert sum(line.startswith("|") for line in lines) == 5


def test_html() -> None:
    page = Page(searched.fragment(told_of()))
    assert set(page.seen) <= DRAWN
    assert page.seen["rect"] == 3
    # A line for each search, one for each median, the axes and the target.
    assert page.seen["path"] == 15 + 3 + 2
    assert "currentColor" in {value for _, value in page.attributes}
    words = " ".join(page.text)
    assert "won here" in words
    assert "target 0.8" in words


def test_lines_are_the_best_value_over_what_was_taken() -> None:
    runs = [
        Run("a#1", [(10.0, 0.2), (10.0, 0.1), (20.0, 0.8)]),
        Run("a#2", [(20.0, 0.4), (60.0, 0.6)]),
        Run("a#3", [(30.0, 0.6), (10.0, 0.5)]),
    ]
    drawn = searched_drawn.drawn_of(outcome_of(runs, target=0.7))
    assert (drawn.quantity, drawn.unit, drawn.target) == ("energy", "J", 0.7)
    *searches, median = drawn.lines
    assert [line.corners for line in searches] == [
        ((120.0, 0.2), (480.0, 0.8), (480.0, 0.8)),
        ((240.0, 0.4), (960.0, 0.6), (960.0, 0.6)),
        ((360.0, 0.6), (480.0, 0.6)),
    ]
    assert median.is_median
    # From where two of three have a value, to where two have ended.
    assert median.corners == ((240.0, 0.2), (360.0, 0.4), (480.0, 0.6))
    assert drawn.ends[0] < 0.4
    assert drawn.ends[1] > 0.8


def test_of_a_loss_the_best_lies_below() -> None:
    runs = [Run(f"a#{n}", [(10.0, 1e6), (10.0, 2.0), (10.0, 1.0), (9.0, 0.5)]) for n in range(8)]
    found = outcome_of(runs, metric="loss", direction="lower", target=0.7)
    drawn = searched_drawn.drawn_of(found)
    assert drawn.lines[0].corners[-1][1] == 0.5
    assert drawn.ends[0] < 0.5
    for shape in re.findall(r'd="(M[^"]+)"', searched.fragment(found)):
        heights = [float(y) for y in re.findall(r"V([\d.]+)", shape)]
        assert all(20 <= y <= 260 for y in heights)


def test_nothing_is_drawn_of_searches_without_a_value() -> None:
    found = outcome_of([Run("a#1", [(1.0, "ValueError")]), Run("b#1", [])])
    assert "<svg" not in searched.fragment(found)
    assert searched.render(found).startswith("Nothing can be judged")
    assert len(searched.trials_dataframe(found)) == 1
    for part in searched.parts(found):
        Page(part)


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_stay_names(name: str) -> None:
    evil = name[:150]
    runs = [Run(f"{evil} {one}#{n}", [(1.0, 0.5), (1.0, evil)]) for n in (1, 2) for one in "ab"]
    session = session_of(runs, metric=evil or "m", target=0.4)
    found = outcome(session)
    assert len(found.strategies) == 2
    page = Page(searched.fragment(found))
    assert set(page.seen) <= DRAWN
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert not [value for key, value in page.attributes if key in ("href", "src")]
    text = searched.render(found)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert len(text) < 8000
    markdown = searched.render_markdown(found)
    assert sum(line.startswith("|") for line in markdown.splitlines()) == 4
    section = "".join(searched.parts(found))
    assert "<script>alert" not in section
    assert " style=" not in section
    Page(section)
    assert "\n" not in searched.sentence(found)
    assert vega_parts.svg(searched_drawn.spec(found)).startswith("<svg")


def test_parts_of_a_report() -> None:
    (found,) = studies_of(told())
    parts = list(searched.parts(found))
    assert "won here" in parts[0]
    assert sum("<svg" in part for part in parts) == 1
    assert not any(" style=" in part for part in parts)
    assert searched.name(found) == "accuracy by grid, random, tpe"
    assert searched.sentence(found) == found.verdict


def test_the_chart_is_drawn() -> None:
    spec = searched_drawn.spec(told_of())
    assert vega_parts.svg(spec).startswith("<svg")
    thin, thick, target = spec["layer"]
    assert {row["name"] for row in thin["data"]["values"]} == {"grid", "random", "tpe"}
    assert len({row["line"] for row in thin["data"]["values"]}) == 15
    assert len({row["line"] for row in thick["data"]["values"]}) == 3
    assert target["data"]["values"] == [{"y": 0.8}]


def test_data_frame() -> None:
    found = told_of()
    frame = searched.trials_dataframe(found)
    assert list(frame.columns) == list(searched.TRIAL_COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: dtype.partition("[")[0] if dtype.startswith("string") else dtype
        for name, dtype in searched.TRIAL_COLUMNS.items()
    }
    assert len(frame) == 110
    assert frame["on_front"].sum() == len(found.front)
    first = frame[frame["at_target"].fillna(False)].groupby("search")["search_energy_j"].min()
    assert tuple(first.filter(like="tpe#")) == pytest.approx(found.strategy("tpe").energies_j)
    failed = frame[frame["outcome"] == "failed"]
    assert failed["value"].isna().all()
    assert set(failed["error"]) == {"ValueError"}


def test_the_result_shows_itself() -> None:
    session = told()
    found = searches_of(session)
    assert isinstance(found, Searches)
    assert repr(found).startswith(found.verdict.split(".")[0])
    assert found._repr_html_().startswith("<div")
    assert found.markdown().startswith("tpe won here")
    assert found.chart().to_dict()["description"] == "best accuracy over energy, by strategy"
    assert [one.name for one in found.strategies] == ["grid", "random", "tpe"]
    assert found["tpe"].reached == 5
    assert found.target == 0.8
    assert len(found.pairs) == 3
    assert found.front == found.outcome.front
    with pytest.raises(KeyError):
        found["gp"]
