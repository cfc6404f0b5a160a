"""``session().charts`` in JupyterLab: drawn, in the theme's colours, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from .lab import Lab
from .page import LabPage, opened

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

NAMES = ("power", "cells", "sources", "stages", "ledger", "accuracy", "labels")
LONG = "a_label_that_is_longer_than_any_chart_has_room_for_beside_it"
WORK = f"""from time import sleep
from jupyter_green import log, measure, session
with measure("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM", stage="data"):
    sleep(0.3)
with measure({LONG!r}):
    sleep(0.2)"""
TRAIN = """%%energy --label "net" --stage training
for step in range(4):
    sleep(0.2)
    log(accuracy=0.5 + step / 10, step=step)"""
BEFORE = ("%load_ext jupyter_green", WORK, TRAIN, f"%%energy --label {LONG}\nsleep(0.3)", "1 / 0")
FIRST = len(BEFORE)
CHARTS = tuple(f"session().charts.{name}()" for name in NAMES)
NOTEBOOK = "charts.ipynb"
THEMES = {"JupyterLab Light": 255, "JupyterLab Dark": 17}
"""With the brightness of the paper."""

# Contrast as WCAG has it, of each word that is seen, to the first ground below it that is painted.
# Words of other browsers' themes are taken as the canvas paints them, whatever their notation.
CONTRASTS = """chart => {
    const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const painted = colour => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const light = ([red, green, blue]) => {
        const [r, g, b] = [red, green, blue].map(one => one / 255).map(
            one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = () => {
        for (let at = chart; at; at = at.parentElement) {
            const colour = painted(getComputedStyle(at).backgroundColor);
            if (colour[3] > 0) {
                return colour;
            }
        }
        return [255, 255, 255, 255];
    };
    const under = light(ground());
    const ratio = colour => {
        const over = light(painted(colour));
        return (Math.max(over, under) + 0.05) / (Math.min(over, under) + 0.05);
    };
    return [...chart.querySelectorAll('text')]
        .filter(word => word.textContent && getComputedStyle(word).opacity !== '0')
        .map(word => ratio(getComputedStyle(word).fill));
}"""
GROUND = """chart => [...chart.querySelectorAll('*')].filter(
    one => one.matches('.background') && !['none', 'transparent'].includes(
        getComputedStyle(one).fill)).length"""
OUTSIDE = """chart => {
    const frame = chart.getBoundingClientRect();
    return [...chart.querySelectorAll('text')].filter(word => {
        const { left, right } = word.getBoundingClientRect();
        return left < frame.left - 1 || right > frame.right + 1;
    }).map(word => word.textContent);
}"""


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """The addresses that the page asked for."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab, asked: list[str]) -> Iterator[LabPage]:
    """The notebook, all of it run."""
    with opened(browser, lab, viewport={"width": 1200, "height": 5000}) as page:
        page.page.on("request", lambda request: asked.append(request.url))
        page.open(lab.write_notebook((*BEFORE, *CHARTS), NOTEBOOK))
        for number in range(FIRST + len(CHARTS)):
            page.run(number)
        yield page


def charts(page: LabPage) -> dict[str, Locator]:
    """The drawing below each cell."""
    found = {}
    for number, name in enumerate(NAMES, FIRST):
        cell = page.cell(number)
        cell.scroll_into_view_if_needed()
        found[name] = cell.locator(".jp-OutputArea-output .jupyter-green-chart > svg")
    return found


def choose(page: LabPage, theme: str) -> None:
    page.command("apputils:change-theme", theme=theme)
    page.page.locator(f'body[data-jp-theme-name="{theme}"]').wait_for(state="attached")
    page.page.wait_for_function(
        f"getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor.includes"
        f"('{THEMES[theme]}')"
    )


@pytest.mark.parametrize("theme", THEMES)
def test_every_chart_is_readable_in_the_theme(page: LabPage, theme: str) -> None:
    choose(page, theme)
    for name, chart in charts(page).items():
        assert chart.evaluate("svg => svg.getBoundingClientRect().width") > 300, name
        contrasts = chart.evaluate(CONTRASTS)
        assert len(contrasts) >= 3, name
        assert min(contrasts) >= 4.5, name
        assert chart.evaluate(GROUND) == 0, f"{name} has a ground of its own"


def test_no_word_hangs_over_the_edge(page: LabPage) -> None:
    for name, chart in charts(page).items():
        assert chart.evaluate(OUTSIDE) == [], name


def test_a_notebook_that_is_not_trusted_says_so(page: LabPage, lab: Lab, browser: Browser) -> None:
    page.command("docmanager:save")
    expect(page.cell(FIRST).get_by_text("trust the notebook")).to_be_hidden()
    work = lab.home.work
    copy = json.loads((work / NOTEBOOK).read_text(encoding="utf-8"))
    copy["cells"] = copy["cells"][FIRST:]
    # Whether a notebook is trusted is told by what it holds.
    copy["metadata"]["from"] = "elsewhere"
    (work / "theirs.ipynb").write_text(json.dumps(copy), encoding="utf-8")

    with opened(browser, lab) as other:
        other.open("theirs.ipynb")
        expect(other.cell(0).get_by_text("trust the notebook")).to_be_visible()
        expect(other.cell(0).locator(".jp-OutputArea-output svg")).to_have_count(0)


def test_nobody_but_the_server_is_asked(page: LabPage, lab: Lab, asked: list[str]) -> None:
    assert asked
    own = (lab.url, lab.url.replace("http", "ws", 1), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
