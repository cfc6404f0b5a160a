"""Nothing is cut, lies over something else or sticks out: all widths, both themes, long names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from jupyter_green.events import CounterLost, Intensity, OverlapSeen, Pricing, Refusal
from tests.golden.digest import journals
from tests.simulators.machine import RaplMachine
from tests.simulators.story import DRAM, MODEL, PACKAGE

from .lab import Lab
from .page import LabPage, opened
from .plain import DARK, GPU, LIGHT, PlainPage, Tale, alone, training

pytestmark = pytest.mark.browser

LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
WIDTHS = (220, 300, 330, 500, 800)
THEMES = (LIGHT, DARK)
LAB_THEMES = ("JupyterLab Light", "JupyterLab Dark")

FRANCE = Intensity(g_per_kwh=44.0, place="France", year=2024, source="a table")
FAR = Intensity(
    g_per_kwh=1234.5678,
    place="Bosnia and Herzegovina and South Georgia and the South Sandwich Islands",
    year=2024,
    source="a table",
    estimated=True,
)
MODEL_REFUSAL = Refusal(
    source="rapl",
    counter="package-0",
    reason="/sys/class/powercap/intel-rapl:0/energy_uj is readable by root only",
    remedy="sudo chmod -R a+r /sys/class/powercap/intel-rapl:0  # until the next boot",
)


LONG = "an_identifier_without_any_space_" * 32


def problems(panel: Locator) -> list[str]:
    """What is wrong with a panel's layout."""
    found: list[str] = panel.evaluate(LAYOUT)
    return found


def assert_well_laid_out(page: PlainPage, what: str) -> None:
    page.settle()
    for width in WIDTHS:
        page.page.set_viewport_size({"width": width, "height": 1100})
        page.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))"
        )
        assert not problems(page.panel), f"{what} at {width} px"


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[PlainPage]:
    with alone(browser) as page:
        yield page


@pytest.fixture(scope="module", params=THEMES)
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[PlainPage]:
    with alone(browser, request.param) as page:
        yield page


# --- the layout itself can be found wrong -------------------------------------------------


@pytest.mark.parametrize(
    ("style", "complaint"),
    [
        (".jg-tile b { position: absolute }", "overlap"),
        (".jg-tile { overflow: hidden; height: 20px }", "cut"),
        (".jg-watts { margin-left: -60px }", "sticks out"),
        (".jg-line > .jg-chart { width: 40px }", "a chart of"),
        (".jg-body { width: 900px }", "scrollbar"),
        (".jg-cell > .jg-e { max-width: 10px; min-width: 0 !important }", "a figure that is cut"),
    ],
)
def test_what_is_wrong_is_found(page: PlainPage, style: str, complaint: str) -> None:
    page.live(training().lines())
    page.settle()
    assert not problems(page.panel)
    page.panel.evaluate(
        """(panel, style) => {
            const sheet = document.createElement('style');
            sheet.textContent = style;
            panel.before(sheet);
        }""",
        style,
    )
    page.settle()
    assert any(complaint in one for one in problems(page.panel)), problems(page.panel)


# --- sessions -----------------------------------------------------------------------------


def everything() -> Tale:
    return training(intensity=FRANCE, pricing=Pricing(price_per_kwh=0.25))


def many_devices() -> Tale:
    """Eight of them, and every kind of hint."""
    tale = training(PACKAGE, DRAM, GPU, MODEL, intensity=FAR, refused=[MODEL_REFUSAL])
    tale.feed(
        CounterLost(
            t=tale.t,
            counter="package-0",
            since=tale.t - 1,
            reason="/sys/class/powercap/intel-rapl/intel-rapl:0/energy_uj cannot be read",
            remedy="check dmesg for the driver's complaints",
        )
    )
    tale.feed(OverlapSeen(t=tale.t, session="other", pid=2**22, notebook="/home/me/other.ipynb"))
    tale.unread.add("package-0")
    tale.sleep(1.0)
    return tale


def modelled() -> Tale:
    return training(MODEL, refused=[MODEL_REFUSAL])


def long_names() -> Tale:
    """Names and numbers of any length."""
    price = Pricing(price_per_kwh=123456.789, currency="A VERY LONG CURRENCY")
    tale = training(intensity=FAR, pricing=price)
    number = tale.begin("x" * 5000, {"label": "label " * 200}, execution_count=9_999_999_999)
    for step in range(5):
        tale.sleep(1.0)
        value = 123456.789012 * step
        tale.metric(LONG, value, cell=number, step=1e9 + step, run=LONG, direction="lower")
    tale.end(number, "error", "AnExceptionWithAVeryLongName" * 10)
    tale.begin(LONG, execution_count=10_000_000_000)
    tale.sleep(1.0)
    return tale


def nothing_yet() -> Tale:
    return Tale()


SESSIONS = (everything, many_devices, modelled, long_names, nothing_yet)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
def test_sessions(themed: PlainPage, session: Any) -> None:
    themed.live(session().lines())
    assert_well_laid_out(themed, session.__name__)


def test_a_long_metric(page: PlainPage) -> None:
    page.live(long_names().lines())
    page.panel.get_by_role("combobox", name="Metric").select_option(LONG)
    assert_well_laid_out(page, "a long metric")


def test_golden_journals(page: PlainPage) -> None:
    for journal in journals():
        if journal.stem != "newer_major":
            page.live(journal.read_bytes())
            assert_well_laid_out(page, journal.stem)


def test_open_menus_and_hints(page: PlainPage) -> None:
    page.live(many_devices().lines())
    page.tell({"type": "state", "problems": ["the journal /a/b cannot be written: it is full"]})
    page.panel.get_by_role("button", name="More").click()
    page.panel.get_by_role("button", name="What is measured here?").click()
    finding = {
        "title": "Processor: measured by RAPL, with everything that can be said of it",
        "detail": "4 counters in /sys/class/powercap, updated every millisecond. " * 3,
        "remedy": "",
        "commands": ["sudo chmod -R a+r /sys/class/powercap/*/*/energy_uj && echo done"],
        "severity": "note",
    }
    page.answer({"findings": [finding] * 3}, "examine")
    page.panel.get_by_role("button", name="Place …").click()
    places = [{"code": "BA", "name": "Bosnia and Herzegovina " * 3}, {"code": "FR", "name": "F"}]
    page.answer({"places": places, "current": "BA"}, "places")
    expect(page.panel.get_by_role("combobox", name="Place")).to_be_visible()
    for summary in page.panel.locator("summary").all():
        summary.click()
    assert_well_laid_out(page, "all that can be opened")


def test_what_went_wrong_with_an_export_is_told_beside_its_button(page: PlainPage) -> None:
    page.live(everything().lines())
    button = page.panel.get_by_role("button", name="Markdown")
    button.click()
    asked = page.page.wait_for_function("sent.findLast(m => m.type === 'ask')").json_value()
    reason = f"the markdown of this session is too much: /{LONG}"
    known = {key: asked[key] for key in ("request", "client")}
    page.tell({"type": "refused", **known, "reason": reason})

    told = page.panel.get_by_text("is too much")
    expect(told).to_be_visible()
    below, above = button.bounding_box(), told.bounding_box()
    assert below is not None
    assert above is not None
    assert 0 <= below["y"] - (above["y"] + above["height"]) < 40
    assert_well_laid_out(page, "an export that failed")


def test_phases(page: PlainPage) -> None:
    page.begin()
    assert_well_laid_out(page, "loading")
    page.welcome(protocol=2, version="99.0.0")
    page.phase("versions")
    assert_well_laid_out(page, "versions")
    page.live(everything().lines())
    page.tell({"type": "asleep"})
    page.phase("asleep")
    assert_well_laid_out(page, "asleep")
    page.tell({"type": "goodbye"})
    page.phase("ended")
    assert_well_laid_out(page, "ended")


# --- in JupyterLab ------------------------------------------------------------------------


def test_in_jupyterlab(browser: Browser, lab: Lab, machine: RaplMachine) -> None:
    with opened(browser, lab) as page:
        page.open(lab.write_notebook([CELL, "1 / 0"], name="a notebook with a long name.ipynb"))
        page.show_panel().get_by_role("button", name="Start tracking").click()
        page.panel.locator('.jg-panel[data-phase="live"]').wait_for()
        page.run(0)
        page.run(1)
        expect(page.panel.get_by_text("ZeroDivisionError")).to_be_visible()
        for theme in LAB_THEMES:
            page.command("apputils:change-theme", theme=theme)
            assert_follows_theme(page, dark=theme.endswith("Dark"))
            for width in WIDTHS:
                assert_well_at(page, width)
    lab.end_sessions()


CELL = """\
import time
from jupyter_green import log
for step in range(5):
    time.sleep(0.1)
    log(accuracy=1 - 0.5**step, step=step)
"""


def assert_follows_theme(page: LabPage, dark: bool) -> None:
    expect(page.panel.locator(".jg-panel.jg-dark")).to_have_count(int(dark))


def assert_well_at(page: LabPage, width: int) -> None:
    """The width is given to the widget itself: Lab's own splitter has a least one."""
    page.panel.evaluate(
        """(panel, width) => {
            panel.style.cssText += `;min-width:${width}px!important;width:${width}px!important`;
        }""",
        width,
    )
    page.page.evaluate("() => new Promise(done => setTimeout(done, 60))")
    assert not problems(page.panel.locator(".jg-panel")), f"{width} px"
