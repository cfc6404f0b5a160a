"""``EnergyPanel()``: the panel in a cell's output, and what is left of it without its kernel."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Locator, Page, expect

from jupyter_green.sessions.model import Session
from tests.integration.kernels import TIMEOUT_S, Home, until

from . import said
from .lab import Lab
from .page import LabPage, opened
from .plain import ADDRESS, MODULE
from .watched import FIGURES

pytestmark = pytest.mark.browser

PANEL = "from jupyter_green import EnergyPanel\npanel = EnergyPanel()\npanel"
SLEEP = "import time; time.sleep(0.4)"
FAIL = "import time; time.sleep(0.2); 1 / 0"
LOG = "import time; from jupyter_green import log; time.sleep(0.3); log(accuracy=0.75)"
MANAGER = "@jupyter-widgets/jupyterlab-manager:plugin"
CLIENTS = """from jupyter_green.notebook import extension
panels = extension.panels_of(get_ipython())
print(sum(client.channel is panel for client in panels._clients.values()))"""
SAVE = "docmanager:save"
JAVASCRIPT = "text/javascript"
RENDER = """async () => {
    const model = { get: () => '', send() {}, on() {}, off() {} };
    const widget = (await import('./panel.js')).default;
    widget.render({ model, el: document.querySelector('main') });
}"""
# Of paper and ink: as the canvas paints them, whatever notation the colours are in.
BRIGHTNESS = """panel => ['--jg-bg', '--jg-fg'].map(name => {
    const context = document.createElement('canvas').getContext('2d');
    context.fillStyle = getComputedStyle(panel).getPropertyValue(name).trim();
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    return (red + green + blue) / 3;
})"""


def inline(page: LabPage, cell: int) -> Locator:
    """The panel below a cell."""
    return page.cell(cell).locator(".jp-OutputArea-output .jg-panel")


def wait_phase(panel: Locator, phase: str) -> None:
    expect(panel).to_have_attribute("data-phase", phase)


def show(page: LabPage, cell: int = 0) -> Locator:
    """Run the cell that makes a panel."""
    page.run(cell)
    wait_phase(inline(page, cell), "live")
    return inline(page, cell)


def recorded(page: LabPage, cells: int) -> Session:
    """The last session that began, as soon as so many cells have ended in it."""

    def look() -> Session | None:
        page.page.wait_for_timeout(20)  # the browser's events are heard meanwhile
        session = page.lab.home.sessions()[-1]
        return session if len(session.cells) >= cells else None

    session: Session = until(look, TIMEOUT_S, f"{cells} cells in the journal")
    return session


def assert_rows(panel: Locator, session: Session) -> None:
    """Every run has its figures in the panel; figures follow twice a second."""
    expect(panel.locator(".jg-cell")).to_have_count(len(session.cells))
    for cell in session.cells:
        row = panel.locator(f'.jg-cell[data-number="{cell.number}"]')
        words = said.row(session, cell)
        for name in FIGURES:
            expect(row.locator(f'[data-figure="cell-{name}"]')).to_have_text(words[name])


def assert_total(panel: Locator, session: Session) -> None:
    expect(panel.locator('[data-figure="energy"]')).to_have_text(said.total(session.total))


def test_figures_are_the_session_s_in_jupyterlab(page: LabPage) -> None:
    figures_are_the_session_s(page)


def test_figures_are_the_session_s_in_notebook_7(page7: LabPage) -> None:
    figures_are_the_session_s(page7)


def figures_are_the_session_s(page: LabPage) -> None:
    page.open(page.lab.write_notebook([PANEL, SLEEP, FAIL, LOG, "%unload_ext jupyter_green"]))
    panel = show(page)
    for cell in (1, 2, 3):
        page.run(cell)
    assert_rows(panel, recorded(page, 3))
    expect(panel.locator('[data-figure="power"]')).to_contain_text("38 W")
    expect(panel.locator('[data-figure="provenance"]')).to_have_text("measured")
    page.run(4)
    wait_phase(panel, "ended")
    session = until(lambda: page.lab.home.sessions()[-1])
    assert session.reason == "goodbye"
    assert_rows(panel, session)
    assert_total(panel, session)


def test_two_panels_in_one_notebook(page: LabPage) -> None:
    page.open(page.lab.write_notebook([PANEL, "EnergyPanel()", SLEEP, "panel.close()", SLEEP]))
    first, second = show(page, 0), show(page, 1)
    page.run(2)
    assert_rows(first, recorded(page, 2))
    assert_rows(second, recorded(page, 2))
    page.run(3)
    expect(first).to_have_count(0)
    page.run(4)
    assert_rows(second, recorded(page, 4))


def test_a_new_session_is_shown_after_the_old(page: LabPage) -> None:
    page.open(
        page.lab.write_notebook(
            [PANEL, SLEEP, "%unload_ext jupyter_green", "%load_ext jupyter_green", LOG]
        )
    )
    panel = show(page)
    page.run(1)
    assert_rows(panel, recorded(page, 1))
    page.run(2)
    wait_phase(panel, "ended")
    page.run(3)
    wait_phase(panel, "live")
    page.run(4)
    assert_rows(panel, recorded(page, 1))
    assert len(page.lab.home.sessions()) >= 2


def test_the_page_is_reloaded(page: LabPage) -> None:
    page.open(page.lab.write_notebook([PANEL, SLEEP, SLEEP]))
    show(page)
    page.run(1)
    page.command(SAVE)
    page.reload()
    panel = inline(page, 0)
    wait_phase(panel, "live")
    assert_rows(panel, recorded(page, 1))
    page.run(2)
    assert_rows(panel, recorded(page, 2))


def test_a_closed_panel_is_forgotten(page: LabPage) -> None:
    page.open(page.lab.write_notebook([PANEL, CLIENTS, "panel.close()", CLIENTS]))
    show(page)
    page.run(1)
    assert page.output(1).strip() == "1"
    page.run(2)
    page.run(3)
    assert page.output(3).strip() == "0"


def test_saved_state_without_its_kernel(browser: Browser, lab: Lab) -> None:
    lab.configure({MANAGER: {"saveState": True}})
    try:
        with opened(browser, lab) as page:
            page.open(page.lab.write_notebook([SLEEP, PANEL], "saved.ipynb"))
            page.run(0)
            show(page, 1)
            page.command(SAVE)
            lab.end_sessions()
            page.page.goto("about:blank")
            page.open("saved.ipynb")
            expect(page.cell(1).locator("pre", has_text="Energy")).to_be_visible()
    finally:
        lab.configure({MANAGER: {}})
        lab.end_sessions()


def test_nbconvert_shows_a_table(page: LabPage, browser: Browser) -> None:
    name = page.lab.write_notebook(["%load_ext jupyter_green", SLEEP, PANEL], "table.ipynb")
    page.open(name)
    page.run(0)
    page.run(1)
    show(page, 2)
    page.command(SAVE)
    session = recorded(page, 1)
    notebook = nbformat.read(page.lab.home.work / name, as_version=4)
    # The other templates load scripts of their own from a network, for formulas and widgets.
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    shown = as_page(browser, html)
    assert said.row(session, session.cells[0])["energy"] in shown
    assert "time.sleep(0.4)" in shown


def as_page(browser: Browser, html: str) -> str:
    """The text of a page that asks for nothing, and complains of nothing."""
    context = browser.new_context()
    try:
        page = context.new_page()
        asked: list[Any] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.on("pageerror", lambda error: asked.append(error.message))
        page.set_content(f"<!doctype html><title>saved</title>{html}", wait_until="load")
        shown = page.locator("body").inner_text()
    finally:
        context.close()
    assert not asked
    return shown


def test_the_module_needs_nothing_of_jupyterlab() -> None:
    module = MODULE.read_text(encoding="utf-8")
    assert re.findall(r"var\(--jp-[\w-]+,", module)
    assert not re.findall(r"var\(--jp-[\w-]+\)", module), "a variable without a fall-back"
    assert not re.findall(r"@jupyterlab|@lumino|jupyterapp|\brequire\(|\bimport\b", module)


def test_light_and_dark_as_the_system_has_it(browser: Browser) -> None:
    """Outside of Jupyter there is no theme to ask for."""
    with foreign(browser) as page:
        brightness = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator(".jg-panel.jg-dark")).to_have_count(int(scheme == "dark"))
            brightness.append(page.locator(".jg-panel").evaluate(BRIGHTNESS))
        page.evaluate("document.body.dataset.vscodeThemeKind = 'vscode-light'")
        expect(page.locator(".jg-panel.jg-dark")).to_have_count(0)
    (light_paper, light_ink), (dark_paper, dark_ink) = brightness
    assert light_paper - light_ink > 180
    assert dark_ink - dark_paper > 180


@contextmanager
def foreign(browser: Browser) -> Iterator[Page]:
    """A page that has never heard of Jupyter, with the panel in it."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.route("**/panel.js", lambda it: it.fulfill(path=MODULE, content_type=JAVASCRIPT))
        page.route("**/", lambda it: it.fulfill(body="<main></main>", content_type="text/html"))
        page.goto(ADDRESS)
        page.evaluate(RENDER)
        yield page
    finally:
        context.close()


def test_in_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    environment = {**Home(tmp_path / "home").environment, "TERM": "dumb"}
    command = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    shell = pexpect.spawn(
        sys.executable, command, env=environment, encoding="utf-8", timeout=TIMEOUT_S
    )
    try:
        shell.sendline("from jupyter_green import EnergyPanel; EnergyPanel()")
        shell.expect(r"RecorderError: EnergyPanel\(\) needs a notebook; in a terminal use %green")
    finally:
        shell.close(force=True)
