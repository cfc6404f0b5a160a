"""What cells are for and what a session may use: energy by stage, and the budget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from jupyter_green.events import BudgetSet, Intensity, IntensityChanged, Tags, encode
from jupyter_green.insight.stages import by_stage
from jupyter_green.units import format_energy
from tests.simulators.story import DRAM, EVERY, HOSTILE, PACKAGE

from .lab import Lab
from .page import LabPage, opened
from .plain import BUSY_W, DARK, GPU, IDLE_W, LIGHT, PlainPage, Tale, alone, training
from .said import SOME_WH_UJ, watt_hours
from .test_access import assert_accessible
from .test_looks import assert_well_laid_out

pytestmark = pytest.mark.browser

WH_UJ = 3_600_000_000
FRANCE = Intensity(g_per_kwh=44.0, place="France", year=2024, source="a table")


@pytest.fixture(scope="module", params=(LIGHT, DARK))
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[PlainPage]:
    with alone(browser, request.param) as page:
        yield page


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[PlainPage]:
    with alone(browser) as page:
        yield page


def staged(**header: Any) -> Tale:
    """Tagged, suggested, nested and without a stage; one runs."""
    tale = Tale(PACKAGE, DRAM, GPU, **header)
    cell(tale, "read_csv(path)", 8.0, suggested_stage="data")
    tale.power_w = BUSY_W
    tags = {"label": "mlp", "stage": "Training", "technique": "mixed precision"}
    number = tale.begin("fit(model)", tags)
    tale.sleep(9.0)
    tale.span(1, "validate", 2.0, cell=number, tags=Tags(stage="evaluation"))
    tale.end(number)
    cell(tale, "model.fit(x)", 5.0, suggested_stage="training")
    tale.power_w = IDLE_W
    cell(tale, "print(1)", 1.0)
    tale.sleep(5.0)
    tale.begin("evaluate(model)", suggested_stage="evaluation")
    tale.sleep(3.0)
    return tale


def cell(tale: Tale, line: str, seconds: float, **fields: Any) -> None:
    number = tale.begin(line, **fields)
    tale.sleep(seconds)
    tale.end(number)


def section(page: PlainPage | LabPage) -> Locator:
    return page.panel.get_by_role("region", name="Stages", exact=True)


def rows(page: PlainPage | LabPage) -> list[str]:
    listed = section(page).get_by_role("list", name="Energy by stage").get_by_role("listitem")
    return [" ".join(words.split()) for words in listed.all_inner_texts()]


def colours(page: PlainPage) -> list[str]:
    """Of the pieces of the bar, as they are painted."""
    found: list[str] = (
        section(page)
        .locator(".jg-split i")
        .evaluate_all(
            "all => all.map(one => { const { backgroundImage, backgroundColor } = "
            "getComputedStyle(one); return backgroundImage + ' ' + backgroundColor; })"
        )
    )
    return found


def more(tale: Tale, since: int) -> bytes:
    return b"".join(map(encode, tale._events[since:]))


# --- energy by stage ------------------------------------------------------------------------------


def test_every_stage_has_its_row(themed: PlainPage) -> None:
    """As Python tells it."""
    tale = staged()
    themed.live(tale.lines())
    themed.settle()
    expected = [(stage.label or "no stage", stage.total_uj) for stage in by_stage(tale.session())]
    assert [name for name, _ in expected] == [
        "training",
        "training (suggested)",
        "evaluation",
        "evaluation (suggested)",
        "data (suggested)",
        "no stage",
    ]
    shown = rows(themed)
    assert len(shown) == len(expected)
    for words, (name, uj) in zip(shown, expected, strict=True):
        assert words.startswith(f"{name} {format_energy(uj)} ")
        assert words.endswith(" %")
    assert sum(float(words.split()[-2]) for words in shown) == pytest.approx(100, abs=1)


def test_what_is_suggested_looks_different(themed: PlainPage) -> None:
    themed.live(staged().lines())
    themed.settle()
    painted = colours(themed)
    assert len(set(painted)) == len(painted) == 6
    hatched = ["gradient" in one for one in painted]
    assert hatched == [
        words.startswith(("t", "e", "d")) and "(s" in words for words in rows(themed)
    ]


def test_stages_are_well_laid_out(themed: PlainPage) -> None:
    tale = staged(intensity=FRANCE)
    tale.feed(BudgetSet(budget_uj=3 * WH_UJ, stop=True, **tale.stamp()))
    themed.live(tale.lines())
    expect(section(themed)).to_be_visible()
    assert_well_laid_out(themed, "stages and a budget")
    assert_accessible(themed)
    names = [name for name in HOSTILE if "\ud800" not in name]
    for index, name in enumerate((*names, "a long name of a stage " * 30)):
        number = tale.begin("x", {"stage": name})
        tale.sleep(9.0 + index)
        tale.end(number)
    themed.live(tale.lines())
    expect(section(themed)).to_contain_text("other stages")
    assert_well_laid_out(themed, "stages of any name")
    assert_accessible(themed)


def test_names_are_text(page: PlainPage) -> None:
    evil = '<img src=x onerror="alert(1)">\u202e\x1b[31m'
    tale = Tale()
    tale.cell("x", 1.0, stage=evil, technique=evil)
    page.live(tale.lines())
    page.settle()
    assert rows(page)[0].startswith('<img src=x onerror="alert(1)"> 12 J')
    assert section(page).locator("img").count() == 0


def test_no_stage_no_section(page: PlainPage) -> None:
    tale = training()
    page.live(tale.lines())
    page.settle()
    expect(section(page)).to_be_hidden()
    page.live(Tale(unread=EVERY).lines())
    page.settle()
    expect(section(page)).to_be_hidden()


def test_it_comes_and_grows_with_the_cell_that_runs(page: PlainPage) -> None:
    tale = Tale()
    tale.cell("1", 1.0)
    page.live(tale.lines())
    page.settle()
    expect(section(page)).to_be_hidden()
    told = len(tale._events)
    number = tale.begin("fit()", suggested_stage="training")
    tale.sleep(1.0)
    page.events(more(tale, told), 1)
    page.settle()
    assert rows(page)[0] == "training (suggested) 12 J 50 %"
    before = colours(page)[0]
    told = len(tale._events)
    tale.sleep(2.0)
    tale.end(number)
    tale.cell("evaluate()", 6.0, stage="evaluation")
    page.events(more(tale, told), 2)
    page.settle()
    assert rows(page) == [
        "evaluation 72 J 60 %",
        "training (suggested) 36 J 30 %",
        "no stage 12 J 10 %",
    ]
    assert colours(page)[1] == before, "a stage keeps its colour when others overtake it"


def test_a_cell_says_what_it_is_for(page: PlainPage) -> None:
    page.live(staged().lines())
    page.settle()

    def title(label: str) -> str:
        row = page.panel.locator(".jg-cell").filter(has_text=label).first
        row.hover()
        return row.get_attribute("title") or ""

    assert "stage: Training · technique: mixed precision" in title("mlp")
    assert "stage: training (suggested)" in title("model.fit(x)")
    assert "stage: evaluation (suggested)" in title("evaluate(model)")
    assert "stage" not in title("print(1)")


# --- budget ---------------------------------------------------------------------------------------


def bar(page: PlainPage | LabPage) -> Locator:
    return page.panel.get_by_role("progressbar", name="Budget")


def energy_tile(page: PlainPage | LabPage) -> Locator:
    return page.panel.locator(".jg-tile").first


def used_wh(wh: float) -> Tale:
    """12 W for so long."""
    tale = Tale(PACKAGE, DRAM)
    tale.cell("work()", wh * 300.0)
    return tale


@pytest.mark.parametrize(
    ("used", "words", "now", "tone"),
    [(3.7, "37 %", "37", "within"), (8.0, "80 %", "80", "near"), (12.0, "120 %", "100", "over")],
)
def test_how_much_of_the_budget_is_used(
    themed: PlainPage, used: float, words: str, now: str, tone: str
) -> None:
    tale = used_wh(used)
    tale.feed(BudgetSet(budget_uj=10 * WH_UJ, **tale.stamp()))
    themed.live(tale.lines())
    themed.settle()
    note = themed.panel.locator('[data-figure="energy-note"]')
    expect(note).to_have_text(re.compile(f"^{words} of 10 Wh · "))
    expect(bar(themed)).to_have_attribute("aria-valuetext", f"{words} of 10 Wh")
    expect(bar(themed)).to_have_attribute("aria-valuenow", now)
    expect(bar(themed)).to_have_attribute("data-tone", tone)
    total_uj = tale.session().total.total_uj
    assert total_uj is not None
    assert total_uj > SOME_WH_UJ
    expect(themed.panel.locator('[data-figure="energy"]')).to_have_text(watt_hours(total_uj))
    widths: list[float] = bar(themed).evaluate(
        "bar => [bar, bar.firstElementChild].map(one => one.getBoundingClientRect().width)"
    )
    assert widths[1] / widths[0] == pytest.approx(min(1.0, used / 10), abs=0.02)
    assert_accessible(themed)


def test_its_colours_tell_how_near_it_is(themed: PlainPage) -> None:
    painted = []
    for used in (3.7, 8.0, 10.0):
        tale = used_wh(used)
        tale.feed(BudgetSet(budget_uj=10 * WH_UJ, **tale.stamp()))
        themed.live(tale.lines())
        themed.settle()
        painted.append(
            bar(themed).evaluate("bar => getComputedStyle(bar.firstElementChild).backgroundColor")
        )
    assert len(set(painted)) == 3


def test_what_happens_at_its_end(page: PlainPage) -> None:
    tale = used_wh(3.7)
    for stop, words in ((True, "is interrupted"), (False, "no cell is interrupted")):
        tale.feed(BudgetSet(budget_uj=10 * WH_UJ, stop=stop, **tale.stamp()))
        page.live(tale.lines())
        page.settle()
        expect(energy_tile(page)).to_have_attribute("title", re.compile(f"budget 10 Wh: .*{words}"))


def test_a_budget_is_set_and_dropped(page: PlainPage) -> None:
    tale = used_wh(3.7)
    page.live(tale.lines())
    page.settle()
    expect(bar(page)).to_have_count(0)
    assert "budget" not in (energy_tile(page).get_attribute("title") or "")
    page.events(encode(BudgetSet(budget_uj=10 * WH_UJ, **tale.stamp(1.0))), 1)
    expect(bar(page)).to_be_visible()
    page.events(encode(BudgetSet(budget_uj=None, **tale.stamp(1.0))), 2)
    expect(bar(page)).to_have_count(0)
    expect(page.panel.locator('[data-figure="energy-note"]')).not_to_contain_text("of 10 Wh")


def test_a_budget_of_what_cannot_be_read(page: PlainPage) -> None:
    tale = Tale(unread=EVERY)
    tale.feed(BudgetSet(budget_uj=10 * WH_UJ, **tale.stamp()))
    page.live(tale.lines())
    page.settle()
    expect(bar(page)).to_have_count(0)
    expect(page.panel.locator('[data-figure="energy-note"]')).to_contain_text("budget 10 Wh")


# --- why an intensity is in force -----------------------------------------------------------------


def test_why_there_is_no_live_intensity(page: PlainPage) -> None:
    tale = used_wh(1.0)
    failed = "Electricity Maps did not answer within 10 s; no other value stands in"
    tale.feed(IntensityChanged(intensity=None, reason=failed, **tale.stamp()))
    page.live(tale.lines())
    page.settle()
    tile = page.panel.locator(".jg-tile").nth(1)
    expect(tile.locator("small")).to_have_text("no live intensity")
    expect(tile).to_have_attribute("title", f"no live intensity: {failed}")


# --- in JupyterLab --------------------------------------------------------------------------------

FIT = """\
import time
class Model:
    def fit(self, data):
        time.sleep(0.3)
Model().fit([1])"""
TAGGED = """\
%%energy --stage evaluation --technique pruning
import time
time.sleep(0.3)"""


def test_in_jupyterlab(browser: Browser, lab: Lab) -> None:
    """From the words of a cell, and from the magics, to the panel."""
    with opened(browser, lab) as page:
        page.open(lab.write_notebook([FIT, TAGGED, "%green budget 1 kWh --stop"]))
        page.show_panel().get_by_role("button", name="Start tracking").click()
        page.panel.locator('.jg-panel[data-phase="live"]').wait_for()
        expect(section(page)).to_be_hidden()
        for index in range(3):
            page.run(index)
        expect(section(page)).to_contain_text("training (suggested)")
        expect(section(page).locator("li").filter(has_text="evaluation")).to_have_count(1)
        expect(bar(page)).to_have_attribute("aria-valuetext", re.compile(" of 1 kWh$"))
        expect(energy_tile(page)).to_have_attribute("title", re.compile("is interrupted"))
    lab.end_sessions()
