"""The report in a real browser without a network: drawn, inert, readable on screen and paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from jupyter_green.report.html import page as html
from jupyter_green.report.merged import html as merged_html
from jupyter_green.report.merged.values import Merged
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session
from tests.benchmarks.folding import write_journal
from tests.golden.digest import HERE as GOLDEN
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import Story, hostile, training
from tests.unit.test_compare_view import told as compared
from tests.unit.test_merged_forms import mixed as merged

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
AXE = ROOT / "labextension/node_modules/axe-core/axe.min.js"
DRAWN = """() => [...document.querySelectorAll('.chart')].every(
    chart => chart.querySelector('svg')?.getBoundingClientRect().width > 100)"""
_RUN_AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(({impact}) => ['serious', 'critical'].includes(impact))
    .map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 200)).join(' | ')}`)"""


@dataclass
class Seen:
    """A page, and all that it did unasked."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """In the console, as errors, in dialogs."""


Show = Callable[..., Seen]
Told = Session | Merged


def page_of(told: Told, light: bool = False) -> str:
    """The report of a session, or of several as one."""
    view = merged_html if isinstance(told, Merged) else html
    return view.render(told, light=light)


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a report, with the network cut off."""
    contexts = []

    def opened(told: Told, light: bool = False, **options: object) -> Seen:
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(page_of(told, light), encoding="utf-8", newline="\n")
        context = browser.new_context(
            **{"offline": True, "viewport": {"width": 1000, "height": 900}, **options}
        )
        contexts.append(context)
        seen = Seen(context.new_page())
        listen(seen)
        seen.page.goto(path.as_uri())
        seen.page.wait_for_function(DRAWN)
        return seen

    yield opened
    for context in contexts:
        context.close()


def listen(seen: Seen) -> None:
    page = seen.page
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("dialog", lambda dialog: (seen.said.append("a dialog"), dialog.dismiss()))


def killed() -> Session:
    return library.load(GOLDEN / "kernel_died.ndjson")


@pytest.mark.parametrize("light", [False, True], ids=["whole", "light"])
@pytest.mark.parametrize(
    "told", [training, killed, hostile, compared, merged], ids=lambda told: told.__name__
)
def test_it_asks_for_nothing_and_complains_of_nothing(
    told: Callable[[], Told], light: bool, show: Show
) -> None:
    seen = show(told(), light)

    assert [url.partition("://")[0] for url in seen.requests] == ["file"]
    assert seen.said == []
    assert seen.page.locator(".chart svg").count() >= 3


@pytest.mark.parametrize(
    "told", [training, hostile, compared, merged], ids=lambda told: told.__name__
)
@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_hangs_over_the_edge(told: Callable[[], Told], width: int, show: Show) -> None:
    page = show(told(), viewport={"width": width, "height": 800}).page

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("light", [False, True], ids=["whole", "light"])
def test_long_names_are_seen_from_their_start_and_leave_room(light: bool, show: Show) -> None:
    story = Story()
    for label in ("M" * 40, "i" * 40, "a_label_that_is_longer_than_any_chart_has_room_for"):
        story.cell("x", label=label)
    page = show(
        story.close(), light, viewport={"width": 1000 if light else 420, "height": 800}
    ).page
    chart = page.locator(".chart[aria-label='Energy of the dearest cells']")
    edge = chart.bounding_box()
    names = chart.get_by_text("[").all()
    bar = chart.locator(".mark-rect.role-mark path").first.bounding_box()

    assert edge is not None
    assert bar is not None
    assert len(names) == 3
    for name in names:
        box = name.bounding_box()
        assert box is not None
        assert box["x"] >= edge["x"] - 1
    assert bar["width"] > 0.4 * edge["width"]


@pytest.mark.parametrize("text", [NASTY[2], NASTY[3], *NASTY[-25:-23], NASTY[-1]], ids=range(5))
def test_words_of_others_do_nothing(text: str, show: Show) -> None:
    seen = show(evil(text))

    assert seen.said == []
    assert len(seen.requests) == 1
    assert seen.page.locator("img, iframe, a, base, object, embed, input").count() == 0
    assert seen.page.locator("[onload], [onerror]").count() == 0


@pytest.mark.parametrize("told", [training, compared, merged], ids=lambda told: told.__name__)
@pytest.mark.parametrize("light", [False, True], ids=["whole", "light"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_in_both_schemes(
    told: Callable[[], Told], scheme: str, light: bool, show: Show
) -> None:
    """Contrast is axe-core's; here, that words of charts are as bright as all others."""
    page = show(told(), light, color_scheme=scheme).page
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    words = page.evaluate("getComputedStyle(document.querySelector('.chart svg text')).fill")
    body = page.evaluate("getComputedStyle(document.body).color")

    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}[scheme]
    assert words == body


@pytest.mark.parametrize("told", [training, compared, merged], ids=lambda told: told.__name__)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, told: Callable[[], Told], scheme: str) -> None:
    """Without the page's policy, which would not let axe-core in."""
    with browser.new_context(bypass_csp=True, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_content(page_of(told()))
        page.wait_for_function(DRAWN)
        page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
        assert page.evaluate(_RUN_AXE) == []


def test_labels_are_compared_in_words_a_picture_and_a_table(show: Show) -> None:
    page = show(compared()).page
    section = page.locator("section").filter(has_text="Labels compared")
    chart = section.locator(".chart[aria-label='Energy by label']")

    assert "quantised used 49.9 % less energy than baseline" in section.inner_text()
    assert section.get_by_role("row").count() == 3
    assert chart.locator(".mark-symbol.role-mark path").count() == 10
    for name in ("baseline", "quantised"):
        assert chart.get_by_text(name).is_visible()


def test_cells_are_sorted_by_a_click(show: Show) -> None:
    page = show(training()).page
    names = page.locator("table.cells tbody[data-order] tr:first-child td:nth-child(2)")
    before = names.all_inner_texts()

    page.get_by_role("button", name="Sort by Energy").click()
    dearest = names.all_inner_texts()
    page.get_by_role("button", name="Sort by Energy").click()
    cheapest = names.all_inner_texts()
    page.get_by_role("button", name="Sort by Number").click()
    page.get_by_role("button", name="Sort by Number").click()

    assert dearest == ["mlp 64", "mlp 64", "while True: pass", "1 / 0", "import torch"]
    assert cheapest[0] == "import torch"
    assert names.all_inner_texts() == before


def test_charts_tell_the_value_under_the_pointer(show: Show) -> None:
    page = show(training()).page
    page.locator("[data-chart='chart-2'] .mark-rect.role-mark path").first.hover()

    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "energy" in page.locator("#vg-tooltip-element").inner_text()


def test_it_prints_light_and_whole(show: Show) -> None:
    story = Story()
    for index in range(120):
        story.cell(f"cell {index}")
    page = show(story.close(), color_scheme="dark").page
    on_screen = page.locator(".frame").nth(1).bounding_box()
    page.emulate_media(media="print", color_scheme="dark")
    on_paper = page.locator(".frame").nth(1).bounding_box()

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert on_screen is not None
    assert on_paper is not None
    assert on_screen["height"] < 1000 < on_paper["height"], "on paper nothing can be scrolled"
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.slow
def test_ten_thousand_cells_open_at_once(show: Show, tmp_path: Path) -> None:
    journal = tmp_path / "day.ndjson"
    write_journal(journal)
    seen = show(library.load(journal))

    opened_ms = seen.page.evaluate("performance.now()")
    assert seen.said == []
    assert opened_ms < 10_000
