"""One page of JupyterLab or Notebook 7, as its user has it before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
)

from .lab import Lab

PANEL = "#jupyter-green-panel"
WAIT_S = 30.0
OURS = ("jupyter-green", "jupyter_green")

_NOTEBOOK = "jupyterapp.shell.currentWidget"
_CELLS = f"{_NOTEBOOK}.content.widgets"


class LabPage:
    """What a person does in a notebook and sees of it. ``opened`` sees to it that it is closed."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        self.complaints: list[str] = []
        """What the browser's console said about us, as an error or a warning."""
        page.set_default_timeout(WAIT_S * 1000)
        page.on("console", self._hear)
        page.on("pageerror", self._hear_error)

    # --- notebooks

    def open(self, name: str, kernel: bool = True) -> None:
        """Open a notebook and wait for its kernel."""
        self.page.goto(self.lab.address(name))
        self.wait_open(kernel)

    def reload(self, kernel: bool = True) -> None:
        self.page.reload()
        self.wait_open(kernel)

    def wait_open(self, kernel: bool = True) -> None:
        self._wait(f"window.jupyterapp && {_NOTEBOOK}?.content?.widgets?.length > 0")
        if kernel:
            self._wait(f"{_NOTEBOOK}.sessionContext.session?.kernel?.connectionStatus=='connected'")

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the palette to its end; what it returns."""
        call = "([name, arguments]) => jupyterapp.commands.execute(name, arguments)"
        return self.page.evaluate(call, [name, arguments])

    def begin(self, number: int) -> None:
        """Begin to run a cell, counted from 0; does not wait for its end."""
        self.page.evaluate(f"n => void ({_NOTEBOOK}.content.activeCellIndex = n)", number)
        self._begin("notebook:run-cell")

    def begin_all(self) -> None:
        self._begin("notebook:run-all-cells")

    def run(self, number: int, timeout_s: float = WAIT_S) -> None:
        self.begin(number)
        self.wait_idle(timeout_s)

    def run_all(self, timeout_s: float = WAIT_S) -> None:
        self.begin_all()
        self.wait_idle(timeout_s)

    def wait_idle(self, timeout_s: float = WAIT_S) -> None:
        """Until no cell runs or waits to run. The kernel's own status tells less: see our comm."""
        idle = f"{_CELLS}.every(cell => cell.model.executionState !== 'running')"
        self._wait(f"!window.runsInTheTest && {idle}", timeout_s)

    def cell(self, number: int) -> Locator:
        """The element of a cell, counted from 0; far out of sight there is none."""
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')

    def output(self, number: int) -> str:
        """The text below a cell."""
        return self.cell(number).locator(".jp-OutputArea").inner_text()

    # --- the panel

    @property
    def panel(self) -> Locator:
        return self.page.locator(PANEL)

    def show_panel(self) -> Locator:
        """Open the panel if it is closed."""
        if not self.panel.is_visible():
            self.page.evaluate("id => jupyterapp.shell.activateById(id)", PANEL.removeprefix("#"))
        expect(self.panel).to_be_visible()
        return self.panel

    def figure(self, name: str) -> str:
        """The text of a figure of the panel, once it is there: ``[data-figure=NAME]``."""
        return self.panel.locator(f'[data-figure="{name}"]').first.inner_text()

    # --- the rest

    def _begin(self, command: str) -> None:
        """Cells look idle until their turn comes, so the commands themselves are counted, too."""
        self.page.evaluate(
            """async command => {
                window.runsInTheTest = (window.runsInTheTest ?? 0) + 1;
                const end = () => { window.runsInTheTest -= 1; };
                void jupyterapp.commands.execute(command).finally(end);
            }""",
            command,
        )

    def _wait(self, condition: str, timeout_s: float = WAIT_S) -> None:
        self.page.wait_for_function(f"() => Boolean({condition})", timeout=timeout_s * 1000)

    def _hear(self, message: ConsoleMessage) -> None:
        said = f"{message.text} ({message.location.get('url', '')})"
        if message.type in ("error", "warning") and _is_ours(said):
            self.complaints.append(f"{message.type}: {said}")

    def _hear_error(self, error: Error) -> None:
        said = f"{error.message}\n{error.stack or ''}"
        if _is_ours(said):
            self.complaints.append(f"uncaught: {said}")


def _is_ours(text: str) -> bool:
    """JupyterLab's words on how long a plugin took are words on how busy the machine is."""
    return any(name in text for name in OURS) and "ms to activate" not in text


@contextmanager
def opened(browser: Browser, lab: Lab, **how: Any) -> Iterator[LabPage]:
    """A page of a new profile; ``how`` is of playwright's ``new_context`` (``color_scheme`` ...).

    At its end it fails if the console had complaints about us.
    """
    context: BrowserContext = browser.new_context(
        **{"viewport": {"width": 1400, "height": 900}, "locale": "en-US", **how}
    )
    try:
        page = LabPage(context.new_page(), lab)
        yield page
    finally:
        context.close()
    assert not page.complaints, "the browser's console: " + "\n".join(page.complaints)
