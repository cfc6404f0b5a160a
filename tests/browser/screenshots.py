"""Makes the README's pictures: ``python -m tests.browser.screenshots``.

A real session in a real JupyterLab; only the machine is simulated, so that there is a GPU in every
picture. What the cells call draws power on it, and learns nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, expect, sync_playwright

from tests.integration.gpu import machines
from tests.integration.kernels import CELL_TOOLS, Home
from tests.simulators.gpu import GIB, Gpu, GpuProcess, NvmlMachine
from tests.simulators.machine import RaplMachine

from . import chrome
from .lab import Lab, serving
from .page import LabPage, opened
from .picture import save, simply_told
from .watched import Watched

PICTURES = Path(__file__).resolve().parents[2] / "labextension/pictures"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZE = {"width": 1100, "height": 860}
SCALE = 1.5
SETTLED_MS = 1500
"""A new theme has been drawn, the chart included."""
PANEL_WIDTH = 412
NOTEBOOK = "leaves.ipynb"
PLUGIN = {"autoStart": True, "openPanel": True}
IDLE_W, GPU_IDLE_W = 31.0, 62.0
ONE_LINE = "c.InteractiveShell.xmode = 'Minimal'\n"
"""Of a traceback."""

TITLE = """# How deep is deep enough?

Fine-tune a small ResNet first, then a deeper one."""
CELLS = (
    "from jupyter_green import log\nfrom vision import evaluate, leaves, search, train",
    "pictures = leaves(224)",
    """%%energy --label "resnet18" --stage training
for epoch, accuracy in train("resnet18", pictures):
    log(accuracy=accuracy, step=epoch)""",
    'evaluate("resnet18", pictures)',
    "search(pictures, depths=[18, 34, 101])",
    """%%energy --label "resnet34" --stage training
for epoch, accuracy in train("resnet34", pictures):
    log(accuracy=accuracy, step=epoch)""",
)
EPOCHS = 22
"""After so many of the last cell, which then trains on, the pictures are taken."""
RUNS = (0, 1, 2, 2, 3, 4)
"""The cells before it, in this order."""

VISION = '''
import math

{tools}
{gpu_tools}

# Epochs, the accuracy that is reached in the end, and how fast.
RUNS = iter(((7, 0.79, 0.25), (22, 0.893, 0.36), (40, 0.934, 0.22)))


def work(seconds, cpu_w, gpu_w=62.0):
    """Draws as much for so long."""
    draw("package-0", cpu_w)
    draw("dram-0", 2.5 + cpu_w / 16)
    gpu_power(0, gpu_w)
    time.sleep(seconds)


def rest():
    work(0, 31.0)


def leaves(size):
    for step in range(6):
        work(0.4, 78 + 9 * (step % 2))
    rest()


def train(name, pictures):
    epochs, best, speed = next(RUNS)
    draw_w = 390 if name == "resnet34" else 330
    for epoch in range(epochs):
        for step in range(2):
            work(0.24, 46 + 5 * step, draw_w + 30 * math.sin(2.1 * epoch + step))
        work(0.12, 41, 150)
        reached = best - 0.62 * math.exp(-speed * (epoch + 1))
        yield epoch + 1, round(reached + 0.005 * math.sin(5.0 * epoch), 3)
    rest()


def evaluate(name, pictures):
    work(1.1, 52, 240)
    rest()
    return "top-1 accuracy: 0.889 on 1,840 pictures"


def search(pictures, depths):
    work(1.6, 48, 300)
    rest()
    raise ValueError(f"no pretrained weights for a depth of {{depths[-1]}}")
'''


class Workstation(Home):
    """A user's directories on a machine with a GPU."""

    def __init__(self, root: Path, nvml: NvmlMachine, **settings: object) -> None:
        self._nvml = nvml
        super().__init__(root, **settings)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self._nvml.environment}


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    with workstation() as (lab, nvml), sync_playwright() as playwright:
        browser = chrome.launch(playwright.chromium)
        with browser:
            for name, picture in take_all(browser, lab, nvml).items():
                path = PICTURES / f"panel-{name}.png"
                save(simply_told(browser, picture), path)
                print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return 0


def take_all(browser: Browser, lab: Lab, nvml: NvmlMachine) -> dict[str, bytes]:
    with opened(browser, lab, viewport=SIZE, device_scale_factor=SCALE) as page:
        watched = begin(page)
        busy(nvml, watched.session().pid)
        work(page, watched)
        return {name: take(page, theme) for name, theme in THEMES.items()}


@contextmanager
def workstation() -> Iterator[tuple[Lab, NvmlMachine]]:
    with tempfile.TemporaryDirectory(prefix="green-") as place:
        cards = [Gpu(watts=GPU_IDLE_W)]
        with machines(Path(place), cards) as (cpu, nvml):
            home = Workstation(Path(place) / "home", nvml, sysfs_root=str(cpu.sysfs), place="DE")
            furnish(home, cpu, nvml)
            with serving(home, settings={"jupyter-green:plugin": PLUGIN}) as lab:
                yield lab, nvml


def furnish(home: Home, cpu: RaplMachine, nvml: NvmlMachine) -> None:
    """The notebook, and what it imports."""
    cpu.power("package-0", IDLE_W)
    tools = CELL_TOOLS.format(fifo=str(cpu.command_path), work=str(home.work))
    module = VISION.format(tools=tools, gpu_tools=nvml.tools())
    (home.work / "vision.py").write_text(module, encoding="utf-8")
    profile = home.ipython / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(ONE_LINE, encoding="utf-8")


def begin(page: LabPage) -> Watched:
    """The notebook with the panel beside it; tracking starts by itself."""
    file = page.lab.home.work / page.lab.write_notebook(CELLS, NOTEBOOK)
    notebook = nbformat.read(file, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(TITLE))
    nbformat.write(notebook, file)
    page.open(NOTEBOOK)
    page.command("application:toggle-left-area")
    expect(page.panel).to_be_visible()
    widen(page)
    watched = Watched(page, NOTEBOOK)
    watched.wait_phase("live")
    return watched


def widen(page: LabPage) -> None:
    """Drag the panel's edge."""
    box = page.page.locator("#jp-right-stack").bounding_box()
    assert box is not None
    mouse, y = page.page.mouse, SIZE["height"] / 2
    mouse.move(box["x"] - 2, y)
    mouse.down()
    mouse.move(box["x"] + box["width"] - PANEL_WIDTH, y, steps=5)
    mouse.up()


def busy(nvml: NvmlMachine, pid: int) -> None:
    """The kernel has a context on the GPU, and works there."""
    nvml.processes(0, [GpuProcess(pid, 23 * GIB, 97)])
    nvml.memory_used(0, 23 * GIB)
    nvml.utilisation(0, 97, 61)
    nvml.temperature(0, 64)


def work(page: LabPage, watched: Watched) -> None:
    """Run the cells, and look for a while at the last one."""
    for number in RUNS:
        page.run(number + 1)
        page.page.wait_for_timeout(900)
    page.begin(len(CELLS))
    watched.until(lambda: epochs(watched) >= EPOCHS, f"{EPOCHS} epochs")


def epochs(watched: Watched) -> int:
    """That the running cell has logged."""
    session = watched.session()
    running = [cell.number for cell in session.open_cells]
    return sum(metric.cell in running for metric in session.metrics)


def take(page: LabPage, theme: str) -> bytes:
    page.command("apputils:change-theme", theme=theme)
    body = page.page.locator(f'body[data-jp-theme-name="{theme}"]')
    body.wait_for(state="attached")
    page.page.mouse.move(SIZE["width"] / 2, SIZE["height"] - 60)
    page.page.wait_for_timeout(SETTLED_MS)
    return page.page.screenshot()


if __name__ == "__main__":
    sys.exit(main())
