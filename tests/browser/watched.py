"""A notebook with its panel in a page, the session that is recorded of it, and its kernel."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Locator, WebSocket, expect

from jupyter_green.errors import JournalError
from jupyter_green.notebook.protocol import COMM_ID
from jupyter_green.sessions.model import Cell, Session
from tests.integration.kernels import CELL_TOOLS, PATIENCE_S, TIMEOUT_S, until
from tests.simulators.machine import RaplMachine

from . import said
from .page import LabPage

FIGURES = ("energy", "bound", "co2", "metric")
OURS = re.compile(rb'"comm_id": ?"%s", ?"data": ?{"type": ?"(\w+)"' % COMM_ID.encode())
TRACKER = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"


class Watched:
    """One notebook in one page, and what the journal on the disk says of it."""

    def __init__(self, page: LabPage, name: str) -> None:
        self.page = page
        self.name = name
        self.home = page.lab.home

    # --- tracking

    def start(self) -> None:
        """The one click that it takes."""
        self.page.show_panel().get_by_role("button", name="Start tracking").click()
        self.wait_phase("live")

    @property
    def phase(self) -> str:
        return self.page.panel.locator(".jg-panel").get_attribute("data-phase") or ""

    def wait_phase(self, *phases: str, timeout_s: float = PATIENCE_S) -> None:
        self.until(lambda: self.phase in phases, f"one of {phases}", timeout_s)

    def until(self, look: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """As ``kernels.until``; the browser's events are heard meanwhile."""

        def heard() -> Any:
            self.page.page.wait_for_timeout(20)
            return look()

        try:
            return until(heard, timeout_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the panel: {self.page.panel.inner_text()}") from None

    # --- what the panel shows

    def figure(self, name: str) -> str:
        return " ".join(self.page.figure(name).split())

    def row(self, number: int) -> Locator:
        """The row of a run, by its number in the session."""
        return self.page.panel.locator(f'.jg-cell[data-number="{number}"]')

    def row_says(self, number: int) -> dict[str, str]:
        row = self.row(number)
        return {name: row.locator(f'[data-figure="cell-{name}"]').inner_text() for name in FIGURES}

    def running(self) -> Locator:
        """The rows of the cells that run."""
        return self.page.panel.locator(".jg-cell.jg-run")

    def badge(self, cell: int) -> Locator:
        return self.page.cell(cell).locator(".jg-badge")

    @property
    def status(self) -> Locator:
        return self.page.page.locator(".jg-status-item button")

    # --- what was recorded

    def sessions(self) -> list[Session]:
        """All of this notebook, the oldest first."""
        try:
            sessions = self.home.sessions()
        except JournalError:
            return []  # one that is just being begun
        return [one for one in sessions if Path(one.notebook or "").name == self.name]

    def session(self, cells: int = 0) -> Session:
        """The latest one, as soon as so many cells have ended in it."""

        def look() -> Session | None:
            sessions = self.sessions()
            return sessions[-1] if sessions and len(sessions[-1].cells) >= cells else None

        session: Session = self.until(look, f"{cells} cells in the journal of {self.name}")
        return session

    def shows(self, said: Callable[[Session], tuple[str, str]]) -> Session:
        """Wait until the panel says what the session on the disk does; returns that one."""
        told: list[tuple[str, str]] = []

        def look() -> Session | None:
            session = self.session()
            told.append(said(session))
            return session if told[-1][0] == told[-1][1] else None

        try:
            session: Session = self.until(look, "what the journal says")
        except AssertionError as error:
            raise AssertionError(f"panel and journal: {told[-1]}") from error
        return session

    # --- its kernel

    @property
    def kernel_id(self) -> str:
        expression = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.id"
        return str(self.page.page.evaluate(expression))

    def console(self) -> Console:
        return Console(self.home.runtime / f"kernel-{self.kernel_id}.json")


class Console:
    """A second client of a kernel, beside the page. It knows no comms."""

    def __init__(self, connection: Path) -> None:
        self.client = BlockingKernelClient(connection_file=str(connection))
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT_S)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()

    def ask(self, expression: str) -> Any:
        """The value of an expression, without a cell."""
        reply = self.client.execute(
            "", silent=True, user_expressions={"it": expression}, reply=True, timeout=TIMEOUT_S
        )
        return ast.literal_eval(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def run(self, code: str) -> str:
        """The status of a cell that was entered here."""
        reply = self.client.execute(code, reply=True, timeout=TIMEOUT_S)
        return str(reply["content"]["status"])

    def close_comm(self) -> None:
        """As a client does to a comm whose target it does not know."""
        message = self.client.session.msg("comm_close", {"comm_id": COMM_ID, "data": {}})
        self.client.shell_channel.send(message)


class Clock:
    """The times of a session, as the simulated machine tells them."""

    def __init__(self, watched: Watched) -> None:
        with watched.console() as console:
            self._start_ns = int(console.ask(f"{TRACKER}._client._hello.start_ns"))

    def ns(self, t: float) -> int:
        return self._start_ns + round(t * 1e9)


class Frames:
    """Our messages as they arrive at a page."""

    def __init__(self, page: LabPage) -> None:
        self.kinds: list[str] = []
        self.arrived_s: list[float] = []
        page.page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)

    def _take(self, frame: str | bytes) -> None:
        data = frame.encode() if isinstance(frame, str) else frame
        if found := OURS.search(data):
            self.kinds.append(found[1].decode())
            self.arrived_s.append(time.monotonic())


def tools(lab_work: Path, machine: RaplMachine) -> str:
    """The first cell of a notebook: power by command, and metrics."""
    text = CELL_TOOLS.format(fifo=str(machine.command_path), work=str(lab_work))
    return f"{text}\nfrom jupyter_green import log\n"


def open_notebook(
    page: LabPage, machine: RaplMachine, name: str, cells: Iterable[str], start: bool = True
) -> Watched:
    """A notebook that is measured; its first cell, the tools, has been run before that."""
    first = tools(page.lab.home.work, machine)
    page.open(page.lab.write_notebook([first, *cells], name))
    watched = Watched(page, name)
    if start:
        page.run(0)
        watched.start()
    return watched


def agrees(watched: Watched, cells: int) -> Session:
    """The rows of all cells and the total are what the journal says."""
    session = watched.session(cells=cells)
    for cell in session.cells:
        told = said.row(session, cell)
        watched.until(lambda c=cell, t=told: row_or_none(watched, c.number) == t, f"row {told}")
    return watched.shows(lambda now: (watched.figure("energy"), said.total(now.total)))


def row_or_none(watched: Watched, number: int) -> dict[str, str] | None:
    return watched.row_says(number) if watched.row(number).count() == 1 else None


def running_joules(watched: Watched) -> float:
    """What the running cell's row says; 0 before the first figure."""
    if watched.running().count() == 0:
        return 0.0
    text = watched.running().locator('[data-figure="cell-energy"]').inner_text()
    number, _, unit = text.removeprefix("≥ ").partition(" ")
    return float(number) * {"mJ": 1e-3, "J": 1.0, "kJ": 1e3}[unit] if unit else 0.0


def more_than(watched: Watched, joules: float) -> None:
    watched.until(lambda: running_joules(watched) > joules, f"more than {joules:g} J")


def executed(session: Session, label: str) -> Cell:
    """The last finished run of a label."""
    return [cell for cell in session.cells if cell.label == label][-1]


@contextmanager
def settings(page: LabPage, **values: Any) -> Any:
    """Settings of ours, from the next load of the page on."""
    page.lab.configure({"jupyter-green:plugin": values})
    try:
        yield
    finally:
        page.lab.configure({"jupyter-green:plugin": {}})


def wait_text(locator: Locator, text: str) -> None:
    expect(locator).to_have_text(text, timeout=PATIENCE_S * 1000)
