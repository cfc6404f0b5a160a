"""For everybody: by keyboard alone, by a screen reader, with little motion, in both themes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from jupyter_green.events import Intensity, PowerSampled, Refusal, encode
from tests.simulators.story import EVERY, MODEL

from .lab import Lab
from .page import LabPage, opened
from .plain import DARK, LIGHT, PlainPage, Tale, alone, training

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
AXE = ROOT / "labextension/node_modules/axe-core/axe.min.js"
THEMES = (LIGHT, DARK)
LAB_THEMES = ("JupyterLab Light", "JupyterLab Dark")
OURS = (".jg-panel", ".jg-badge", ".jg-status-item")
FRANCE = Intensity(g_per_kwh=44.0, place="France", year=2024, source="a table")
REFUSAL = Refusal(source="rapl", reason="root only", remedy="sudo chmod -R a+r /sys/class/powercap")

_RUN_AXE = """async selectors => {
    const include = selectors.flatMap(one => [...document.querySelectorAll(one)]);
    const host = [...document.querySelectorAll('#panel > div')].find(div => div.shadowRoot);
    const {violations} = await axe.run(host ? {include: [host]} : {include}, {
        // Of a whole page, which is the host's.
        rules: {region: {enabled: false}},
        resultTypes: ['violations']
    });
    return violations.filter(({impact}) => ['serious', 'critical'].includes(impact)).map(
        ({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) =>
            html.slice(0, 200) + ' ' + failureSummary).join(' | ')}`);
}"""


def findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical about whatever is ours on the page."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_RUN_AXE, OURS)
    return found


def assert_accessible(page: PlainPage | LabPage) -> None:
    if isinstance(page, PlainPage):
        page.settle()
    assert not findings(page.page)


@pytest.fixture(params=THEMES)
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[PlainPage]:
    with alone(browser, request.param) as page:
        yield page


@pytest.fixture
def page(browser: Browser) -> Iterator[PlainPage]:
    with alone(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        yield page


# --- axe ----------------------------------------------------------------------------------


def test_axe_finds_what_is_wrong(page: PlainPage) -> None:
    page.live(training().lines())
    page.settle()
    page.panel.locator(".jg-pause").evaluate(
        "button => { button.removeAttribute('aria-label'); button.textContent = '';"
        "button.removeAttribute('title'); }"
    )
    assert any("button-name" in one for one in findings(page.page))


def test_axe(themed: PlainPage) -> None:
    """Empty, loading, live with all that can be opened, paused, asleep, ended."""
    page = themed
    page.begin()
    assert_accessible(page)
    page.welcome()
    page.snapshot(Tale().lines())
    page.phase("live")
    assert_accessible(page)
    page.live(training(intensity=FRANCE, refused=[REFUSAL]).lines())
    page.panel.get_by_role("button", name="More").click()
    page.panel.get_by_role("button", name="Place …").click()
    page.answer({"places": [{"code": "FR", "name": "France"}], "current": "FR"}, "places")
    for summary in page.panel.locator("summary").all():
        summary.click()
    assert_accessible(page)
    page.tell({"type": "asleep"})
    page.phase("asleep")
    assert_accessible(page)
    page.tell({"type": "goodbye"})
    page.phase("ended")
    assert_accessible(page)


def test_axe_where_less_is_known(themed: PlainPage) -> None:
    page = themed
    page.live(training(MODEL, refused=[REFUSAL]).lines())
    expect(page.panel.locator(".jg-remedy")).to_be_visible()
    assert_accessible(page)
    page.live(Tale(unread=EVERY).lines())
    assert_accessible(page)
    page.begin()
    page.welcome(protocol=7)
    page.phase("versions")
    assert_accessible(page)


def test_axe_in_jupyterlab(browser: Browser, lab: Lab) -> None:
    """Panel, badges and status item: untracked, live, paused, died."""
    with opened(browser, lab) as page:
        page.open(lab.write_notebook(["1", "1 / 0"]))
        page.show_panel()
        in_both_themes(page)
        page.panel.get_by_role("button", name="Start tracking").click()
        page.panel.get_by_role("button", name="Pause tracking").wait_for()
        page.run(0)
        page.run(1)
        expect(page.page.locator(".jg-badge")).to_have_count(2)
        in_both_themes(page)
        page.panel.get_by_role("button", name="Pause tracking").click()
        page.panel.get_by_text("Tracking is paused.").wait_for()
        in_both_themes(page)
        page.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        page.panel.locator('.jg-panel[data-phase="died"]').wait_for()
        in_both_themes(page)
    lab.end_sessions()


def in_both_themes(page: LabPage) -> None:
    for theme in LAB_THEMES:
        page.command("apputils:change-theme", theme=theme)
        dark = int(theme.endswith("Dark"))
        expect(page.panel.locator(".jg-panel.jg-dark")).to_have_count(dark)
        assert_accessible(page)


# --- keyboard -----------------------------------------------------------------------------

_FOCUSED = """() => {
    let focused = document.activeElement;
    while (focused?.shadowRoot) {
        focused = focused.shadowRoot.activeElement;
    }
    if (focused === null || focused === document.body) {
        return null;
    }
    const style = getComputedStyle(focused);
    const name = focused.getAttribute('aria-label') ?? focused.textContent.trim();
    return {
        name,
        tag: focused.tagName,
        outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1
    };
}"""


def focused(page: PlainPage) -> dict[str, Any] | None:
    found: dict[str, Any] | None = page.page.evaluate(_FOCUSED)
    return found


def tab_to(page: PlainPage, name: str) -> None:
    for _ in range(40):
        page.page.keyboard.press("Tab")
        now = focused(page)
        if now is not None and now["name"].startswith(name):
            assert now["outlined"], name
            return
    raise AssertionError(f"no way by tab to {name!r}")


def controls(panel: Locator) -> list[str]:
    """All that can be clicked, but the rows of the list that arrows reach."""
    found: list[str] = panel.evaluate(
        """panel => [...panel.querySelectorAll('button, select, summary, [tabindex="0"]')]
            .filter(one => one.checkVisibility() && one.tabIndex >= 0)
            .map(one => one.getAttribute('aria-label') ?? one.textContent.trim())"""
    )
    return found


def test_tab_reaches_every_control(page: PlainPage) -> None:
    page.live(training(intensity=None, refused=[REFUSAL]).lines())
    page.panel.get_by_role("button", name="More").click()
    page.settle()
    wanted = controls(page.panel)
    assert {"Pause tracking", "More", "Place …", "Markdown", "Order of the cells"} <= set(wanted)
    page.panel.get_by_role("button", name="Pause tracking").focus()
    reached: list[str] = []
    for _ in wanted:
        now = focused(page)
        assert now is not None
        assert now["outlined"] or not reached, now
        reached.append(now["name"])
        page.page.keyboard.press("Tab")
    assert reached == wanted, "the order is that of reading"


def test_enter_and_space(page: PlainPage) -> None:
    """Pause, menu, place, copy and hints, without a pointer."""
    page.live(training(MODEL, refused=[REFUSAL]).lines())
    page.settle()
    tab_to(page, "Pause tracking")
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Space")
    assert [message["on"] for message in page.sent("track")] == [False, False]
    tab_to(page, "More")
    page.page.keyboard.press("Enter")
    expect(page.panel.get_by_role("button", name="More")).to_have_attribute("aria-expanded", "true")
    tab_to(page, "Place …")
    page.page.keyboard.press("Space")
    page.answer({"places": [{"code": "FR", "name": "France"}], "current": None}, "places")
    place = page.panel.get_by_role("combobox", name="Place")
    expect(place).to_be_focused()
    page.page.keyboard.type("Fra")
    page.page.keyboard.press("Tab")
    page.page.keyboard.press("Enter")
    page.answer({"place": "France", "kept": "It is kept."}, "place")
    assert [ask["argument"] for ask in page.sent("ask")] == [None, "FR"]
    expect(page.panel.locator(".jg-status")).to_contain_text("France from now on. It is kept.")
    expect(place).to_be_hidden()
    assert focused(page) is not None, "the focus is not lost with what it was on"
    tab_to(page, "Copy")
    page.page.keyboard.press("Enter")
    expect(page.panel.get_by_role("button", name="Copied").first).to_be_visible()
    assert page.page.evaluate("() => navigator.clipboard.readText()") == REFUSAL.remedy
    tab_to(page, "CSV")
    page.page.keyboard.press("Enter")
    assert page.sent("ask")[-1]["argument"] == "csv"


def test_escape_closes_the_menu(page: PlainPage) -> None:
    page.live(training().lines())
    more = page.panel.get_by_role("button", name="More")
    more.press("Enter")
    tab_to(page, "Place …")
    page.page.keyboard.press("Enter")
    page.answer({"places": [], "current": None}, "places")
    place = page.panel.get_by_role("combobox", name="Place")
    expect(place).to_be_focused()
    page.page.keyboard.press("Escape")
    expect(place).to_be_hidden()
    expect(page.panel.get_by_role("button", name="Place …")).to_be_focused()
    page.page.keyboard.press("Escape")
    expect(page.panel.get_by_role("group", name="Actions")).to_be_hidden()
    expect(more).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "false")


def test_the_list_by_arrows(page: PlainPage) -> None:
    page.live(training().lines())
    page.settle()
    tab_to(page, "Order of the cells")
    page.page.keyboard.type("by name")
    page.settle()
    names = page.panel.locator(".jg-cell[aria-rowindex='1'] .jg-label")
    expect(names).to_have_text("1 / 0")
    page.page.keyboard.press("Tab")
    assert (focused(page) or {})["name"] == "1 / 0"
    page.page.keyboard.press("ArrowDown")
    assert (focused(page) or {})["name"] == "evaluate(model)"
    page.page.keyboard.press("ArrowRight")
    expect(page.panel.locator(".jg-earlier")).to_have_count(1)
    page.page.keyboard.press("ArrowLeft")
    expect(page.panel.locator(".jg-earlier")).to_have_count(0)
    page.page.keyboard.press("End")
    assert (focused(page) or {})["name"].startswith("while True")


def test_focus_survives_what_comes(page: PlainPage) -> None:
    """Also where the rows move: a run ends, another begins."""
    tale = training()
    page.live(tale.lines())
    page.settle()
    for name in ("More", "Time that the power line shows", "evaluate(model)", "JSON"):
        page.panel.locator("button, select").filter(has_text="").evaluate_all(
            """(all, name) => all.find(one =>
                (one.getAttribute('aria-label') ?? one.textContent).startsWith(name)).focus()""",
            name,
        )
        before = focused(page)
        assert before is not None
        for _ in range(2):
            tale.t += 1
            grow(page, tale)
        assert focused(page) == before


def test_focus_is_not_lost_with_what_it_was_on(page: PlainPage) -> None:
    """A button that is done hides: the next tab goes on from the panel."""
    page.live(training().lines())
    page.settle()
    page.panel.get_by_role("button", name="Pause tracking").focus()
    page.tell({"type": "goodbye"})
    page.phase("ended")
    page.settle()
    expect(page.panel).to_be_focused()
    page.page.keyboard.press("Tab")
    assert (focused(page) or {})["name"] == "Start tracking"
    page.page.evaluate(
        "() => { window.other = document.createElement('button');"
        "document.body.append(other); other.focus(); }"
    )
    page.welcome(session="another")
    page.snapshot(training().lines(), stream="two")
    page.phase("live")
    page.settle()
    assert page.page.evaluate("() => document.activeElement === other"), "nor taken from others"


def grow(page: PlainPage, tale: Tale) -> None:
    """One more second, and a cell that came and went."""
    start = page.page.evaluate("() => window.told = (window.told ?? 0) + 1")
    number = tale.begin(f"cell {start}")
    tale.end(number)
    sample = PowerSampled(**tale.stamp(1.0))
    lines = tale.lines().splitlines(keepends=True)[-2:]
    page.events(b"".join(lines) + encode(sample), start=start)
    expect(page.panel.locator(".jg-cell").filter(has_text=f"cell {start}").first).to_be_attached()
    page.settle()


def test_in_jupyterlab_by_keyboard(browser: Browser, lab: Lab) -> None:
    """Start, and from a row to its cell."""
    with opened(browser, lab) as page:
        page.open(lab.write_notebook([f"'number {n}'" for n in range(30)]))
        page.show_panel().get_by_role("button", name="Start tracking").press("Enter")
        page.panel.get_by_role("button", name="Pause tracking").wait_for()
        page.run(25)
        page.run(0)
        label = page.panel.get_by_role("button", name="'number 25'")
        label.press("Enter")
        page.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.content.activeCellIndex === 25"
        )
        expect(page.cell(25)).to_be_in_viewport()
        status = page.page.locator(".jg-status-item button")
        status.focus()
        page.page.keyboard.press("Tab")
        page.page.keyboard.press("Shift+Tab")
        expect(status).to_be_focused()
        assert status.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    lab.end_sessions()


# --- motion, roles, tables ----------------------------------------------------------------


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_motion(browser: Browser, motion: Any) -> None:
    """Nothing moves by itself for those who do not want it, nor much for others."""
    with alone(browser, reduced_motion=motion) as page:
        page.live(training().lines())
        page.settle()
        moving = page.panel.evaluate(
            """panel => [panel, ...panel.querySelectorAll('*')].filter(one => {
                const style = getComputedStyle(one);
                return style.animationName !== 'none'
                    || style.transitionDuration.split(',').some(time => parseFloat(time) > 0)
                    || style.scrollBehavior === 'smooth';
            }).map(one => one.className)"""
        )
        assert motion != "reduce" or not moving
        running = page.page.evaluate("() => document.getAnimations().length")
        assert motion != "reduce" or running == 0


def test_roles_and_names(page: PlainPage) -> None:
    page.live(training(intensity=FRANCE).lines())
    page.settle()
    panel = page.panel
    for name in ("Now", "This session", "Accuracy beside energy", "Cells"):
        expect(panel.get_by_role("region", name=name, exact=True)).to_be_visible()
    expect(panel.get_by_role("heading", name="Energy", exact=True)).to_be_visible()
    expect(panel.get_by_role("list", name="Where the energy went")).to_be_visible()
    expect(panel.get_by_role("list", name="Devices")).to_be_visible()
    expect(panel.get_by_role("status").first).to_be_attached()
    cells = panel.get_by_role("table", name="Cells and their energy")
    expect(cells).to_have_attribute("aria-rowcount", "6")
    chart = panel.get_by_role("img")
    expect(chart).to_have_count(1)
    expect(chart).to_have_attribute("aria-label", _said("accuracy"))
    expect(chart).to_have_attribute("aria-label", _said("best"))


def _said(word: str) -> Any:
    return re.compile(word)


def test_charts_have_tables_that_stay_small(page: PlainPage) -> None:
    tale = Tale()
    number = tale.begin("long")
    for step in range(1000):
        tale.sleep(1.0)
        tale.metric("loss", 1 / (step + 1), cell=number, step=step)
    page.live(tale.lines())
    page.settle()
    for caption in ("Power over time", "Metric over energy"):
        table = page.panel.locator("table").filter(has_text=caption)
        expect(table.locator("th").first).to_be_attached()
        rows = table.locator("tbody tr").count()
        assert 20 <= rows <= 61
        box = table.locator("..").bounding_box()
        assert box is not None
        assert box["width"] <= 1
        assert "NaN" not in table.inner_text()
