from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from .lab import Lab
from .page import LabPage, opened

pytestmark = pytest.mark.browser

THROW = """new Promise(resolve => {
    setTimeout(() => { throw new Error('jupyter-green: thrown'); });
    setTimeout(resolve, 100);
})"""


def test_jupyterlab_shows_the_panel(page: LabPage) -> None:
    open_and_run(page)


def test_notebook_7_shows_the_panel(page7: LabPage) -> None:
    open_and_run(page7)


def open_and_run(page: LabPage) -> None:
    page.open(page.lab.write_notebook(["print(6 * 7)", "import time; time.sleep(0.5); 'done'"]))
    expect(page.show_panel()).to_be_visible()
    page.run_all()
    assert page.output(0).strip() == "42"
    assert "done" in page.output(1)


def test_jupyterlab_has_the_extension_enabled(page: LabPage) -> None:
    page.open(page.lab.write_notebook(["1"]))
    plugins = page.page.evaluate("[...jupyterapp.listPlugins()]")
    ours = [plugin for plugin in plugins if plugin.startswith("jupyter-green:")]
    assert ours
    states = page.page.evaluate("ids => ids.map(id => jupyterapp.isPluginActivated(id))", ours)
    assert all(states), dict(zip(ours, states, strict=True))


def test_a_complaint_of_ours_fails_the_test(browser: Browser, lab: Lab) -> None:
    with pytest.raises(AssertionError, match="made up"), opened(browser, lab) as page:
        page.page.evaluate("console.warn('jupyter-green: made up')")
    with pytest.raises(AssertionError, match="thrown"), opened(browser, lab) as page:
        page.page.evaluate(THROW)
    with opened(browser, lab) as page:
        page.page.evaluate("console.warn('of somebody else'); console.info('jupyter-green: fine')")
