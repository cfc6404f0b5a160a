"""The panel in Notebook 7, which has one notebook a page and another shell around it."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.integration.kernels import until
from tests.integration.truth import Check
from tests.simulators.machine import RaplMachine

from . import said
from .page import LabPage
from .watched import Clock, Watched, agrees, more_than, open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

CELL = "draw('package-0', 80)\nwait_for('end-seven')\ndraw('package-0', 35)"


@pytest.fixture
def watched(page7: LabPage, machine: RaplMachine) -> Watched:
    """The panel as it is opened: by the menu."""
    watched = open_notebook(page7, machine, "seven.ipynb", [CELL], start=False)
    page7.run(0)
    page7.page.get_by_role("menuitem", name="View", exact=True).click()
    page7.page.get_by_role("menuitem", name="Energy Panel").click()
    expect(page7.panel).to_be_visible()
    watched.start()
    return watched


def test_figures_are_live_and_right(watched: Watched, machine: RaplMachine) -> None:
    page = watched.page
    watched.until(lambda: watched.figure("power") == "38 W", "38 W")
    page.begin(1)
    more_than(watched, 20)
    (watched.home.work / "end-seven").touch()
    page.wait_idle()
    session = agrees(watched, cells=1)
    Check(Clock(watched), machine, session.cells[0], 83).assert_right()
    expect(watched.badge(1)).to_have_text(said.badge(session.cells[0]))


def test_a_restart_and_a_reload(watched: Watched) -> None:
    page = watched.page
    page.run(1)
    old = agrees(watched, cells=1)
    page.reload()
    reloaded_s = time.monotonic()
    page.command("jupyter-green:open")
    agrees(watched, cells=1)
    print(f"\nall figures {time.monotonic() - reloaded_s:.2f} s after the reload")
    page.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    watched.wait_phase("died")
    assert watched.row_says(old.cells[0].number) == said.row(old, old.cells[0])
    watched.until(lambda: page.panel.get_by_role("button", name="Start tracking").count(), "Start")
    page.run(0)
    watched.start()
    until(lambda: watched.session().id != old.id, what="another session")
    page.run(1)
    expect(watched.badge(1)).to_have_text(said.badge(agrees(watched, cells=1).cells[0]))
