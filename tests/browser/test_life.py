"""What happens to notebooks, pages, kernels and recorders while the panel looks at them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from jupyter_green.sessions.model import Session
from tests.integration.kernels import Home, kill
from tests.integration.truth import Check
from tests.simulators.machine import RaplMachine

from . import said
from .lab import Lab, serving
from .page import LabPage, opened
from .watched import (
    Clock,
    Frames,
    Watched,
    agrees,
    more_than,
    open_notebook,
    running_joules,
    settings,
    tools,
)

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

BUSY_W, IDLE_W, DRAM_W = 80.0, 35.0, 3.0
PEAK_W = BUSY_W + DRAM_W
REST = "time.sleep(0.3)"
QUIET_S = 2.5
"""Without a message for so long there are none: they come once a second where they come."""


def long_cell(name: str) -> str:
    """Draws power until the test lets it end."""
    return f"draw('package-0', {BUSY_W})\nwait_for('end-{name}', 600)\ndraw('package-0', {IDLE_W})"


def release(watched: Watched, name: str) -> None:
    (watched.home.work / f"end-{name}").touch()


def slowness() -> float:
    """How much longer than on a free machine things may take."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


# --- pages and kernels --------------------------------------------------------------------


def test_a_reload_in_the_middle_of_a_cell(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "reload.ipynb", [long_cell("reload"), REST])
    page.begin(1)
    more_than(watched, 50)
    before_j = running_joules(watched)
    page.reload(kernel=False)
    shown_s = time.monotonic()
    page.show_panel()
    more_than(watched, before_j)
    wait_s = time.monotonic() - shown_s
    print(f"\ndata {wait_s:.2f} s after the notebook was shown again")
    assert wait_s < slowness()
    clock_end = time.monotonic()
    more_than(watched, running_joules(watched))
    print(f"live again {time.monotonic() - clock_end:.2f} s later")
    release(watched, "reload")
    session = agrees(watched, cells=1)
    expect(watched.badge(1)).to_have_text(said.badge(session.cells[0]))
    assert not session.gaps
    assert not session.holes
    Check(Clock(watched), machine, session.cells[0], PEAK_W).assert_right()
    page.run(2)
    agrees(watched, cells=2)


def test_a_kernel_that_is_restarted(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "restart.ipynb", [REST])
    page.run(1)
    old = agrees(watched, cells=1)
    page.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    watched.wait_phase("died")
    assert watched.row_says(old.cells[0].number) == said.row(old, old.cells[0])
    begin_again(watched, old)


def begin_again(watched: Watched, old: Session) -> None:
    """Start offers itself, and another session begins; nothing of the old one is in it."""
    watched.until(
        lambda: watched.page.panel.get_by_role("button", name="Start tracking").is_visible(),
        "the offer to start",
    )
    watched.page.run(0)
    watched.start()
    watched.until(lambda: watched.session().id != old.id, "another session")
    watched.page.run(1)
    new = agrees(watched, cells=1)
    assert new.id != old.id
    assert watched.page.panel.locator(".jg-cell").count() == 1
    expect(watched.badge(1)).to_have_text(said.badge(new.cells[0]))


def test_a_kernel_that_is_killed(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "killed.ipynb", [REST, long_cell("killed")])
    page.run(1)
    old = agrees(watched, cells=1)
    page.begin(2)
    more_than(watched, 20)
    kill(old.pid)
    watched.wait_phase("died")
    expect(page.panel).to_contain_text("The kernel died or was restarted.")
    assert watched.row_says(old.cells[0].number) == said.row(old, old.cells[0])
    # JupyterLab tells of it in a dialog, and the server starts the kernel again.
    dialog = page.page.get_by_role("dialog")
    if dialog.is_visible():
        dialog.get_by_role("button").last.click()
    begin_again(watched, old)


def test_a_recorder_that_is_killed_in_the_middle_of_a_cell(
    page: LabPage, machine: RaplMachine
) -> None:
    watched = open_notebook(page, machine, "recorder.ipynb", [long_cell("recorder"), REST])
    page.begin(1)
    more_than(watched, 50)
    session = watched.session()
    (recorder,) = (one for one in watched.home.recorders() if one.session == session.id)
    kill(recorder.pid)
    killed_s = time.monotonic()
    before_j = running_joules(watched)
    more_than(watched, before_j + 50)
    print(f"\nfigures go on {time.monotonic() - killed_s:.2f} s after the recorder's end")
    release(watched, "recorder")
    page.wait_idle()
    page.run(2)
    agrees(watched, cells=2)


# --- several of them ----------------------------------------------------------------------


def test_two_notebooks_side_by_side(page: LabPage, machine: RaplMachine) -> None:
    first = open_notebook(page, machine, "left.ipynb", ["left = 1; time.sleep(0.4)"])
    left = shown_notebook(page)
    source = ["right = 1; time.sleep(0.2)"]
    right_name = page.lab.write_notebook(
        [tools(page.lab.home.work, machine), *source], "right.ipynb"
    )
    page.command("docmanager:open", path=right_name, options={"mode": "split-right"})
    page.wait_open()
    second = Watched(page, right_name)
    right = shown_notebook(page)
    assert right != left
    second.wait_phase("untracked")
    page.run(0)
    second.start()
    page.run(1)
    agrees(second, cells=1)
    expect(page.panel).to_contain_text("right.ipynb")
    expect(page.panel).not_to_contain_text("left = 1")
    show_notebook(page, left)
    expect(page.panel).to_contain_text("left.ipynb")
    page.run(1)
    agrees(first, cells=1)
    expect(page.panel).not_to_contain_text("right = 1")
    show_notebook(page, right)
    agrees(second, cells=1)
    badges = page.page.locator(".jg-badge")
    told = [said.badge(watched.session().cells[0]) for watched in (first, second)]
    assert sorted(badges.all_inner_texts()) == sorted(told)


def shown_notebook(page: LabPage) -> str:
    return str(page.page.evaluate("jupyterapp.shell.currentWidget.id"))


def show_notebook(page: LabPage, identity: str) -> None:
    page.page.evaluate("id => jupyterapp.shell.activateById(id)", identity)
    page.page.wait_for_function("id => jupyterapp.shell.currentWidget.id === id", arg=identity)


def test_two_tabs_on_one_notebook(page: LabPage, machine: RaplMachine) -> None:
    first = open_notebook(page, machine, "tabs.ipynb", [long_cell("tabs"), REST])
    other = LabPage(page.page.context.new_page(), page.lab)
    other.open("tabs.ipynb")
    other.show_panel()
    second = Watched(other, "tabs.ipynb")
    second.wait_phase("live")
    page.begin(1)
    more_than(first, 20)
    more_than(second, 20)
    release(first, "tabs")
    page.wait_idle()
    agrees(first, cells=1)
    agrees(second, cells=1)
    other.page.close()
    page.run(2)
    agrees(first, cells=2)
    assert not other.complaints


def test_clients_that_know_no_comm(page: LabPage, machine: RaplMachine) -> None:
    """A console that was there first, and one that closes what it does not know."""
    watched = open_notebook(page, machine, "console.ipynb", [REST, REST], start=False)
    notebook = shown_notebook(page)
    page.command("console:create", kernelPreference={"name": "python3"})
    kernel = page.page.evaluate(
        """async notebook => {
            const own = jupyterapp.shell.currentWidget.sessionContext;
            await own.ready;
            const { id } = own.session.kernel;
            jupyterapp.shell.activateById(notebook);
            const [panel] = [...jupyterapp.shell.widgets('main')].filter(w => w.id === notebook);
            await panel.sessionContext.changeKernel({ id });
            return id;
        }""",
        notebook,
    )
    show_notebook(page, notebook)
    page.wait_open()
    assert watched.kernel_id == kernel
    page.run(0)
    watched.start()
    page.run(1)
    # The kernel was started for the console, and the session bears that one's name.
    watched.name = Path(watched.home.sessions()[-1].notebook or "").name
    agrees(watched, cells=1)
    with watched.console() as console:
        console.close_comm()
        assert console.run("time.sleep(0.2)") == "ok"
        console.close_comm()
    page.run(2)
    agrees(watched, cells=3)


# --- asleep -------------------------------------------------------------------------------


def test_nothing_is_sent_to_those_who_do_not_look(page: LabPage, machine: RaplMachine) -> None:
    frames = Frames(page)
    with settings(page, badges=False, statusBar=False):
        watched = open_notebook(page, machine, "hidden.ipynb", [REST])
        come(watched, frames)
        page.page.evaluate("jupyterapp.shell.collapseRight()")
        stop(watched, frames)
        page.run(1)
        stop(watched, frames)
        page.show_panel()
        agrees(watched, cells=1)
        come(watched, frames)
        see(page, "hidden")
        stop(watched, frames)
        see(page, "visible")
        come(watched, frames)


def see(page: LabPage, state: str) -> None:
    """As when another tab of the browser is looked at."""
    page.page.evaluate(
        """state => {
            const now = { value: state, configurable: true };
            Object.defineProperty(document, 'visibilityState', now);
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        state,
    )


def come(watched: Watched, frames: Frames) -> None:
    count = len(frames.kinds)
    watched.until(lambda: len(frames.kinds) >= count + 2, "messages")


def stop(watched: Watched, frames: Frames, timeout_s: float = 15.0) -> None:
    """Until none has come for some seconds."""
    seen, since_s = len(frames.kinds), time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since_s
        if len(frames.kinds) != seen:
            seen, since_s = len(frames.kinds), time.monotonic()
        return time.monotonic() - since_s > QUIET_S

    watched.until(quiet, "an end of the messages", timeout_s)


# --- culling ------------------------------------------------------------------------------

CULL_S = 8


@dataclass
class LeftAlone:
    """A notebook that is only looked at, and one whose page was closed while its cell runs."""

    lab: Lab
    idle: Watched
    frames: Frames
    idle_kernel: str
    busy_kernel: str
    since_s: float

    def kernels(self) -> list[str]:
        return [kernel["id"] for kernel in self.lab.api("kernels")]


@pytest.fixture(scope="module", autouse=True)
def left_alone(browser: Browser, place: Path, machine: RaplMachine) -> Iterator[LeftAlone]:
    """On a server that ends idle kernels soon. A panel falls asleep within a minute, and that
    one passes beside the other tests of this module."""
    home = Home(place / "culling", sysfs_root=str(machine.sysfs))
    options = {
        "MappingKernelManager.cull_idle_timeout": CULL_S,
        "MappingKernelManager.cull_interval": 1,
        "MappingKernelManager.cull_connected": True,
    }
    with serving(home, options=options) as lab, opened(browser, lab) as page:
        with opened(browser, lab) as closed:
            busy = open_notebook(closed, machine, "busy.ipynb", [long_cell("busy")])
            closed.begin(1)
            more_than(busy, 20)
            busy_kernel = busy.kernel_id
        frames = Frames(page)
        idle = open_notebook(page, machine, "idle.ipynb", [REST])
        page.run(1)
        machine.power("package-0", IDLE_W)
        yield LeftAlone(lab, idle, frames, idle.kernel_id, busy_kernel, time.monotonic())
        release(busy, "busy")


def test_idle_kernels_are_culled_and_busy_ones_are_not(left_alone: LeftAlone) -> None:
    """The panel keeps no idle kernel alive for long, and lets no busy one look idle."""
    frames, page = left_alone.frames, left_alone.idle.page
    left_alone.idle.until(lambda: "asleep" in frames.kinds, "the kernel's last word", 90)
    left_alone.idle.until(
        lambda: left_alone.idle_kernel not in left_alone.kernels(), "the end of the idle kernel", 30
    )
    last = frames.kinds.index("asleep")
    awake_s = frames.arrived_s[last] - left_alone.since_s
    print(f"\nasleep {awake_s:.0f} s after the last cell")
    assert 50 < awake_s < 75
    # Then nothing, until the kernel says goodbye.
    assert all(s > frames.arrived_s[last] + CULL_S - 2 for s in frames.arrived_s[last + 1 :])
    assert left_alone.busy_kernel in left_alone.kernels()
    expect(page.panel).to_contain_text(REST)
