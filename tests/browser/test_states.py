"""Every state and fault has its plain sentence and its next step, in a real JupyterLab."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from jupyter_green.events import PowerSampled
from jupyter_green.notebook.protocol import PROTOCOL
from tests.integration.conftest import UNPRIVILEGED
from tests.integration.kernels import Home, kill
from tests.simulators.gpu import GIB, Gpu, GpuProcess, NvmlMachine
from tests.simulators.machine import RaplMachine, one_socket
from tests.simulators.story import EVERY

from .lab import serving
from .page import LabPage, opened
from .plain import Tale, alone, training

pytestmark = pytest.mark.browser

PLUGIN = "jupyter-green:plugin"
SECONDS = 20_000
"""For what the recorder looks at from time to time only."""

ZERO = re.compile(r"(^|\s)0 ?[µmk]?(J|Wh|W|g)\b")

LAUNCH = "from ipykernel import kernelapp; kernelapp.launch_new_instance()"
REFUSES = """\
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name == "jupyter_green":
            raise {error}

sys.meta_path.insert(0, Refuses())
{launch}
"""
MISSING = "ModuleNotFoundError(\"No module named 'jupyter_green'\", name=name)"
BROKEN = "ImportError('libgreen.so: cannot open shared object file')"


class Kernels:
    """Kernels of other kinds, as kernelspecs of a server."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def add(
        self, name: str, *command: str, language: str = "python", env: dict[str, str] | None = None
    ) -> str:
        argv = command or ("-m", "ipykernel_launcher")
        spec = {
            "argv": [sys.executable, *argv, "-f", "{connection_file}"],
            "display_name": name,
            "language": language,
            "env": env or {},
        }
        directory = self._home.jupyter / "kernels" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        return name

    def configured(self, name: str, *command: str, **settings: object) -> str:
        """One with settings of its own."""
        config = self._home.root / f"config-{name}"
        config.mkdir()
        text = json.dumps({"JupyterGreen": settings})
        (config / "jupyter_green_config.json").write_text(text, encoding="utf-8")
        return self.add(name, *command, env={"JUPYTER_CONFIG_DIR": str(config)})


@pytest.fixture(scope="module")
def kernels(home: Home) -> Kernels:
    return Kernels(home)


def open_panel(page: LabPage, *cells: str, kernel: str = "python3") -> None:
    page.open(page.lab.write_notebook(cells or ["1"], kernel=kernel))
    page.show_panel()


def start(page: LabPage, *cells: str, kernel: str = "python3") -> None:
    """Open a notebook and start tracking by the panel's button."""
    open_panel(page, *cells, kernel=kernel)
    page.panel.get_by_role("button", name="Start tracking").click()
    in_phase(page, "live")


def in_phase(page: LabPage, phase: str) -> None:
    expect(page.panel.locator(".jg-panel")).to_have_attribute("data-phase", phase)


def says(page: LabPage, *sentences: str) -> None:
    for sentence in sentences:
        expect(page.panel.locator(".jg-banner")).to_contain_text(sentence)


def row(page: LabPage, label: str) -> Locator:
    return page.panel.locator(".jg-cell").filter(has_text=label)


def hint(page: LabPage, words: str) -> Locator:
    """A hint, with all that it says."""
    found = page.panel.locator(".jg-hint").filter(has_text=words)
    expect(found).to_be_visible(timeout=SECONDS)
    if found.locator("summary").count():
        found.locator("summary").click()
    return found


# --- before there is anything to track ----------------------------------------------------


def test_no_notebook(page: LabPage) -> None:
    page.page.goto(f"{page.lab.url}lab?token={page.lab.token}&reset")
    page.page.wait_for_function("() => window.jupyterapp")
    page.page.evaluate("async () => { await jupyterapp.restored; }")
    page.show_panel()
    says(page, "Open a notebook to see what its cells use.")
    expect(page.panel.get_by_role("button")).to_have_count(0)


def test_no_kernel(page: LabPage) -> None:
    open_panel(page)
    page.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    in_phase(page, "no-kernel")
    says(page, "This notebook has no kernel.", "Choose a kernel for it")


def test_not_tracked_yet(page: LabPage) -> None:
    open_panel(page)
    says(page, "This notebook is not measured yet.", "No code is needed")
    page.panel.get_by_role("button", name="Start tracking").click()
    in_phase(page, "live")
    expect(page.panel.locator(".jg-banner")).to_be_hidden()
    assert [cell["source"] for cell in saved_cells(page)] == ["1"]


def saved_cells(page: LabPage) -> Any:
    return page.page.evaluate("() => jupyterapp.shell.currentWidget.content.model.toJSON().cells")


def test_another_language(page: LabPage, kernels: Kernels) -> None:
    open_panel(page, kernel=kernels.add("r", language="R"))
    says(page, "This kernel speaks R; only Python kernels can be measured.", "jupyter green exec")
    expect(page.panel.get_by_role("button")).to_have_count(0)


def test_not_installed(page: LabPage, kernels: Kernels) -> None:
    code = REFUSES.format(error=MISSING, launch=LAUNCH)
    open_panel(page, kernel=kernels.add("bare", "-c", code))
    page.panel.get_by_role("button", name="Start tracking").click()
    says(page, "environment does not have jupyter-green.")
    says(page, "No module named 'jupyter_green'", "then start again")
    says(page, "pip install jupyter-green")
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.panel.get_by_role("button", name="Copy").click()
    expect(page.panel.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == "pip install jupyter-green"
    assert page.panel.get_by_role("button", name="Start tracking").is_visible()


def test_cannot_be_loaded(page: LabPage, kernels: Kernels) -> None:
    code = REFUSES.format(error=BROKEN, launch=LAUNCH)
    open_panel(page, kernel=kernels.add("broken", "-c", code))
    page.panel.get_by_role("button", name="Start tracking").click()
    says(page, "Tracking could not be started.", "ImportError: libgreen.so: cannot open")
    page.panel.get_by_role("button", name="Try again").click()
    says(page, "Tracking could not be started.")


# --- the session --------------------------------------------------------------------------


def test_paused(page: LabPage) -> None:
    start(page, "1", "2")
    page.run(0)
    page.panel.get_by_role("button", name="Pause tracking").click()
    expect(page.panel.get_by_text("Tracking is paused.")).to_be_visible()
    page.panel.get_by_role("button", name="Resume tracking").click()
    expect(page.panel.get_by_text("Tracking is paused.")).to_be_hidden()
    page.run(1)
    expect(page.panel.locator(".jg-cell")).to_have_count(2)


def test_ended_and_begun_again(page: LabPage) -> None:
    start(page, "'first session'", "%unload_ext jupyter_green", "'second session'")
    page.run(0)
    page.run(1)
    says(page, "Tracking has ended.", "The session can be read below.")
    expect(row(page, "first session")).to_be_visible()
    page.panel.get_by_role("button", name="Start tracking").click()
    in_phase(page, "live")
    page.run(2)
    expect(row(page, "second session")).to_be_visible()
    expect(row(page, "first session")).to_have_count(0)


def test_the_kernel_died(page: LabPage) -> None:
    start(page, "'before the end'", "import time; time.sleep(60)", "import os; os.getpid()")
    page.run(2)
    page.run(0)
    expect(row(page, "before the end")).to_contain_text("[2]")
    page.begin(1)
    expect(row(page, "sleep(60)")).to_contain_text("J")
    kill(int(page.output(2).split()[-1]))
    in_phase(page, "died")
    says(page, "The kernel died or was restarted.", "What was used until then is below")
    expect(row(page, "before the end")).to_contain_text("[2]")
    expect(row(page, "sleep(60)")).to_contain_text("kernel died")
    page.page.get_by_role("button", name="Ok", exact=True).click()
    page.panel.get_by_role("button", name="Start tracking").click()
    in_phase(page, "live")


def test_the_server_is_gone(browser: Browser, place: Path, machine: RaplMachine) -> None:
    home = Home(place / "gone", sysfs_root=str(machine.sysfs))
    with serving(home, settings={PLUGIN: {"autoStart": True}}) as lab, opened(browser, lab) as page:
        open_panel(page, "'while it lasted'")
        in_phase(page, "live")
        page.run(0)
        expect(row(page, "while it lasted")).to_be_visible()
        kill(lab._process.pid)
        in_phase(page, "disconnected")
        says(page, "There is no connection to the server.", "goes on by itself when it is back")
        says(page, "What was used until then is below")
        expect(row(page, "while it lasted")).to_be_visible()


# --- what cannot be measured --------------------------------------------------------------


def test_every_counter_is_lost(page: LabPage, kernels: Kernels, place: Path) -> None:
    """Nothing is known of a cell: it says so, and nowhere is there a zero."""
    with RaplMachine(place / "dark", one_socket()) as machine:
        start(
            page, "'unmeasured'", kernel=kernels.configured("dark", sysfs_root=str(machine.sysfs))
        )
        for zone in machine.zones:
            machine.vanish(zone.key)
        hint(page, "package-0 cannot be read")
        page.run(0)
        expect(row(page, "unmeasured")).to_contain_text("not readable")
        expect(page.panel.locator(".jg-now")).to_contain_text("W not readable")
        expect(page.page.locator(".jg-badge")).to_contain_text("not readable")
        expect(page.page.locator(".jg-status-item")).to_contain_text(re.compile("^\\u2013 W"))
        assert not ZERO.search(row(page, "unmeasured").inner_text())
        page.lab.end_sessions()


def test_no_counter_at_all(browser: Browser) -> None:
    tale = Tale(unread=EVERY)
    tale.cell("unmeasured")
    with alone(browser) as page:
        page.live(tale.lines())
        expect(page.panel.locator(".jg-now")).to_contain_text("W not readable")
        expect(page.panel.locator(".jg-tile").first).to_contain_text("not readable")
        expect(page.panel.locator(".jg-cell")).to_contain_text("not readable")
        assert not ZERO.search(page.panel.locator(".jg-tiles, .jg-now").first.inner_text())


def test_a_clock_that_is_far_off(browser: Browser) -> None:
    """Of a damaged journal: beside such a time a second is nothing, and steps do not get on."""
    tale = Tale()
    tale.cell("unhurt", 5.0)
    tale.t = 1e300
    tale.feed(PowerSampled(t=tale.t, uj={"package-0": 10**9}))
    with alone(browser) as page:
        page.live(tale.lines())
        page.settle()
        expect(page.panel.locator(".jg-cell")).to_contain_text("unhurt")


@pytest.fixture
def locked(place: Path) -> Iterator[RaplMachine]:
    """A machine whose counters only root may read."""
    with RaplMachine(place / "locked", one_socket()) as machine:
        for zone in machine.zones:
            machine.energy_file(zone.key).chmod(0)
        yield machine


def test_modelled(page: LabPage, kernels: Kernels, locked: RaplMachine) -> None:
    script = locked.root / "unprivileged.py"
    script.write_text(UNPRIVILEGED, encoding="utf-8")
    settings = {"sysfs_root": str(locked.sysfs), "cpu_idle_w": 5, "cpu_max_w": 20}
    start(page, "sum(range(10**6))", kernel=kernels.configured("model", str(script), **settings))
    page.run(0)
    chip = page.panel.locator(".jg-chip")
    expect(chip).to_have_text("modelled")
    expect(chip).to_have_attribute("title", _contains("5 + 15 W"))
    remedy = page.panel.locator(".jg-remedy")
    expect(remedy).to_contain_text("To have it measured:")
    expect(remedy.locator("code")).to_contain_text("chmod")
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    remedy.get_by_role("button", name="Copy").click()
    expect(remedy.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == remedy.locator("code").inner_text()
    expect(page.page.locator(".jg-badge")).to_have_attribute("title", _contains("modelled"))


def _contains(text: str) -> Any:
    return re.compile(re.escape(text))


def test_a_counter_is_lost(page: LabPage, machine: RaplMachine) -> None:
    """In the middle of a session: the sentence has reason and remedy, and figures are "≥"."""
    start(page, "import time", "time.sleep(0.2)  # one counter less")
    page.run(0)
    machine.vanish("package-0")
    try:
        lost = hint(page, "package-0 cannot be read")
        page.run(1)
        expect(row(page, "one counter less")).to_contain_text("≥")
        expect(row(page, "one counter less")).to_contain_text("package-0 missing")
        expect(page.panel.locator(".jg-watts")).to_contain_text("≥")
        expect(page.panel.locator(".jg-tile b").first).to_contain_text("≥")
        expect(page.page.locator(".jg-badge").last).to_contain_text("≥")
        expect(lost).to_contain_text("energy_uj")
        assert lost.locator(".jg-detail").inner_text().strip()
    finally:
        machine.restore("package-0")
    expect(page.panel.locator(".jg-watts")).not_to_contain_text("≥", timeout=SECONDS)


def test_the_journal_cannot_be_written(page: LabPage, kernels: Kernels, home: Home) -> None:
    data = home.root / "unwritable"
    data.mkdir()
    (data / "sessions").write_text("a file in the way")
    settings = {"sysfs_root": str(home.root.parent / "machine/sys"), "data_dir": str(data)}
    start(page, "'unwritten'", kernel=kernels.configured("unwritable", **settings))
    page.run(0)
    expect(row(page, "unwritten")).to_contain_text("J")
    problem = hint(page, "cannot be written")
    assert "jg-problem" in (problem.get_attribute("class") or "")
    expect(problem).to_contain_text(str(data))
    (data / "sessions").unlink()
    expect(problem).to_be_hidden(timeout=SECONDS)


def test_two_sessions_read_the_same_counters(page: LabPage) -> None:
    start(page, "1")
    name = page.lab.write_notebook(["2"], name="other.ipynb")
    page.page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path})", name)
    page.wait_open()
    page.panel.get_by_role("button", name="Start tracking").click()
    in_phase(page, "live")
    found = hint(page, "used this machine, too")
    expect(found).to_contain_text("do not add them up")


def test_devices(page: LabPage, kernels: Kernels, home: Home, place: Path) -> None:
    with NvmlMachine(place / "gpus", [Gpu(watts=250.0)]) as nvml:
        kernel = kernels.add("gpu", env=nvml.environment)
        start(page, "import os; os.getpid()", "import time; time.sleep(1)", kernel=kernel)
        page.run(0)
        nvml.processes(0, [GpuProcess(int(page.output(0).split()[-1]), 20 * GIB, 90)])
        nvml.utilisation(0, 93)
        nvml.memory_used(0, 20 * GIB)
        page.run(1)
        devices = page.panel.get_by_role("list", name="Devices")
        expect(devices).to_contain_text("GPU 0: 93 % busy, 2")
        expect(devices).to_contain_text("of 80 GiB")
        expect(page.panel.get_by_role("list", name="Power by source")).to_contain_text("GPU 0")
        expect(page.panel.locator("footer")).to_contain_text("NVML")
        expect(page.page.locator(".jg-badge").last).to_have_attribute("title", _contains("gpu-0"))
        page.lab.end_sessions()


# --- versions that are too far apart ------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "version", "older"),
    [(PROTOCOL + 1, "99.0.0", "This panel"), (PROTOCOL - 1, "0.0.1", "The package")],
)
def test_versions(browser: Browser, protocol: int, version: str, older: str) -> None:
    with alone(browser) as page:
        page.begin()
        page.welcome(protocol=protocol, version=version)
        panel = page.phase("versions")
        expect(panel).to_contain_text("do not understand each other")
        expect(panel).to_contain_text(f"{older}")
        expect(panel).to_contain_text(version)
        expect(panel).to_contain_text("pip install --upgrade jupyter-green")
        assert not page.sent("watch")


def test_a_newer_format(browser: Browser) -> None:
    """Of the journal: the same package that speaks the same protocol may write another one."""
    lines = training().lines().replace(b'"format":"1.0"', b'"format":"7.3"', 1)
    with alone(browser) as page:
        page.begin()
        page.welcome()
        page.snapshot(lines)
        panel = page.phase("versions")
        expect(panel).to_contain_text("this journal has format 7.3")
        expect(panel).to_contain_text("pip install --upgrade jupyter-green")


def test_a_kernel_that_does_not_answer(browser: Browser) -> None:
    """A saved notebook: what was saved with it is shown in its place."""
    with alone(browser) as page:
        page.begin(fallback="total 1.00 kJ <b>measured</b>")
        expect(page.panel).to_contain_text("Loading the session")
        expect(page.page.get_by_text("total 1.00 kJ <b>measured</b>")).to_be_visible()
