"""GPUs under %%energy, in real kernels, with a stand-in for PyTorch whose work is sleeping."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.simulators.gpu_packages import GpuPackages
from tests.simulators.machine import RaplMachine

from .kernels import Home, Kernel, Reply, running, until

pytestmark = pytest.mark.kernel

FOREVER = "torch.cuda.launch(600)"
FAILS = "torch.cuda.fail('device-side assert triggered')"
WATCH = """
seen, shell = [], get_ipython()
shell.events.register(
    "post_run_cell", lambda result: seen.append((result.success, shell.last_execution_succeeded))
)
"""
"""What other extensions see of a cell."""


@pytest.fixture
def gpus(home: Home) -> GpuPackages:
    """Kernels find their modules in the directory in which they work."""
    return GpuPackages(home.work / "packages")


@pytest.fixture
def kernel(home: Home, machine: RaplMachine, gpus: GpuPackages) -> Iterator[Kernel]:
    with running(home, fifo=machine.command_path) as kernel:
        kernel.ok(f"sys.path.insert(0, {str(gpus.directory)!r})", silent=True)
        yield kernel


def waits(gpus: GpuPackages) -> int:
    return gpus.calls().count("synchronize 0")


def assert_failed(reply: Reply, name: str = "AcceleratorError") -> str:
    """Once, and with a traceback that begins in the user's library; returns it."""
    assert (reply.status, reply.ename) == ("error", name)
    (traceback,) = reply.errors
    assert traceback.count("device-side assert triggered") >= 1
    return traceback


def test_nothing_is_imported(kernel: Kernel, gpus: GpuPackages) -> None:
    for cell in ("%%energy\n1", "%energy 1", "%energyit -n 1 -r 1 pass", "1", "%green"):
        kernel.ok(cell)
    assert kernel.ask("'torch' in sys.modules or 'cupy' in sys.modules") is False
    assert gpus.calls() == gpus.calls("cupy") == []
    kernel.ok("%%energy\nimport torch, cupy")
    assert gpus.calls() == gpus.calls("cupy") == ["import"]
    assert not kernel.session().problems


def test_energy_waits(kernel: Kernel, gpus: GpuPackages) -> None:
    reply = kernel.ok("%%energy\nimport torch\ntorch.cuda.launch(0.5)")
    cell = kernel.cell(reply)
    assert cell.duration_s >= 0.5
    assert cell.energy.energy_j == pytest.approx(38 * cell.duration_s, rel=0.1)
    assert cell.devices_busy == ()
    assert waits(gpus) == 1


def test_energy_waits_after_an_await(kernel: Kernel, gpus: GpuPackages) -> None:
    code = "%%energy -q\nimport torch, asyncio\nawait asyncio.sleep(0)\ntorch.cuda.launch(0.5)"
    assert kernel.measured(code).duration_s >= 0.5
    assert waits(gpus) == 1


@pytest.mark.parametrize("line", ["", "%%energy -q --no-sync\n"])
def test_cells_that_are_not_waited_for(kernel: Kernel, gpus: GpuPackages, line: str) -> None:
    """They are flagged instead, until the device is quiet."""
    cell = kernel.measured(f"{line}import torch\n{FOREVER}")
    assert cell.devices_busy == ("cuda:0",)
    assert kernel.measured(f"{line}1").devices_busy == ("cuda:0",)
    kernel.ok("torch.cuda.forget()")
    assert kernel.measured(f"{line}2").devices_busy == ()
    assert waits(gpus) == 0
    assert "cuda:0 still busy at its end" in kernel.ok("%green").everything


def test_asked_for(kernel: Kernel, gpus: GpuPackages) -> None:
    kernel.ok("%%energy --sync\nimport torch\ntorch.cuda.launch(0.1)")
    assert waits(gpus) == 1


@pytest.mark.parametrize("awaits", ["", "import asyncio; await asyncio.sleep(0)\n"])
def test_an_error_that_surfaces_is_the_users(
    kernel: Kernel, gpus: GpuPackages, awaits: str
) -> None:
    kernel.ok(f"import torch\n{WATCH}")
    reply = kernel.run(f"%%energy\n{awaits}{FAILS}\n'the last expression'")
    traceback = assert_failed(reply)
    assert traceback.index("synchronize") < traceback.index("_wait")
    assert "jupyter_green" not in traceback
    assert kernel.ask("seen")[-1] == (False, False)
    cell = kernel.cell(reply)
    assert (cell.status, cell.error) == ("error", "AcceleratorError")
    assert kernel.session().ledger.category_of[cell.number] == "failed"
    assert len(reply.shown) == 2  # the last expression, and the cell's energy
    assert waits(gpus) == 1
    assert kernel.ok("1 + 1").shown == ["2"]
    assert not kernel.session().problems


def test_silent_cells_meet_no_error_of_ours(kernel: Kernel) -> None:
    kernel.ok(f"import torch\n{FAILS}")
    assert kernel.measured("1").status == "ok"
    assert_failed(kernel.run("torch.cuda.synchronize()"))
    assert not kernel.session().problems


def test_a_failed_cell_is_not_waited_for(kernel: Kernel, gpus: GpuPackages) -> None:
    reply = kernel.run(f"%%energy\nimport torch\n{FOREVER}\n1 / 0")
    assert (reply.status, reply.ename) == ("error", "ZeroDivisionError")
    cell = kernel.cell(reply)
    assert (cell.error, cell.devices_busy) == ("ZeroDivisionError", ("cuda:0",))
    assert waits(gpus) == 0


def test_interrupt_while_waiting(kernel: Kernel, gpus: GpuPackages) -> None:
    message = kernel.send(f"%%energy\nimport torch\n{FOREVER}")
    until(lambda: waits(gpus), what="the kernel to wait")
    kernel.interrupt()
    reply = kernel.reply(message)
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    assert len(reply.errors) == 1
    cell = kernel.cell(reply)
    assert (cell.status, cell.error) == ("interrupted", "KeyboardInterrupt")
    assert cell.devices_busy == ("cuda:0",)
    assert kernel.measured("1").status == "ok"


def test_a_capture_is_left_alone(kernel: Kernel, gpus: GpuPackages) -> None:
    kernel.ok("import torch\ntorch.cuda.launch(0)\ntorch.cuda.capturing.add(0)")
    before = gpus.calls()
    kernel.ok(f"%%energy\n{FOREVER}")
    kernel.ok("1")
    assert gpus.calls() == before


def test_statements(kernel: Kernel, gpus: GpuPackages) -> None:
    kernel.ok("import torch")
    kernel.ok("%energy -q -o kept torch.cuda.launch(0.3)")
    assert kernel.ask("kept.duration_s") >= 0.3
    kernel.ok("%energy -q --no-sync torch.cuda.launch(0)")
    assert waits(gpus) == 1
    reply = kernel.run(f"%energy {FAILS}")
    assert_failed(reply)
    span = kernel.spans(FAILS)
    assert [(one.status, one.error) for one in span] == [("error", "AcceleratorError")]


def test_every_run_of_energyit(kernel: Kernel, gpus: GpuPackages) -> None:
    kernel.ok("import torch")
    kernel.ok("%energyit -n 1 -r 2 -q -o kept torch.cuda.launch(0.2)")
    assert kernel.ask("min(kept.durations_s)") >= 0.2
    assert waits(gpus) == 3  # one for warming up
    kernel.ok("%energyit -n 1 -r 2 -q --no-sync torch.cuda.launch(0)")
    assert waits(gpus) == 3
    assert_failed(kernel.run(f"%energyit -n 1 -r 2 {FAILS}"))


def test_loops_are_counted_with_the_work_that_they_begin(kernel: Kernel) -> None:
    """A launch takes microseconds. Counted by itself, it would be looped a million times."""
    kernel.ok("import torch")
    kernel.ok("%energyit -r 1 -q -o kept torch.cuda.launch(0.2)")
    assert kernel.ask("kept.loops") == 1


def test_a_strange_torch(kernel: Kernel) -> None:
    kernel.ok("import torch\ntorch.cuda.launch(0)\ndel torch.cuda.device_count")
    assert kernel.ok("%%energy -q\n1 + 1").shown == ["2"]
    assert kernel.measured("1").status == "ok"
    shown = kernel.ok("%green").shown[0]
    assert shown.count("torch did not tell which GPUs it uses: AttributeError") == 1


def test_a_forked_child_that_returns_from_its_cell(kernel: Kernel, gpus: GpuPackages) -> None:
    """Its GPUs are its parent's, and not to be touched."""
    code = """%%energy -q
import cupy
cupy.cuda.launch(0)
child = os.fork()
if child == 0:
    # What runs after the hooks: the kernel's own end of the cell must not be reached twice.
    get_ipython().events.register("post_run_cell", lambda _: os._exit(9))
else:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
    kernel.ok(code)
    assert kernel.ask("code") == 9
    assert gpus.calls("cupy").count("synchronize") == 1


NBCLIENT = """
import sys, nbclient, nbformat
notebook = nbformat.read("in.ipynb", 4)
try:
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
except nbclient.exceptions.CellExecutionError as error:
    print("stopped by", error.ename)
nbformat.write(notebook, "out.ipynb")
"""
PAPERMILL = """
import papermill
try:
    papermill.execute_notebook("in.ipynb", "out.ipynb", kernel_name="python3", progress_bar=False)
except papermill.PapermillExecutionError as error:
    print("stopped by", error.ename)
"""


@pytest.mark.parametrize("program", [NBCLIENT, PAPERMILL], ids=["nbclient", "papermill"])
def test_the_error_stops_the_notebook(home: Home, gpus: GpuPackages, program: str) -> None:
    sources = [
        f"import sys\nsys.path.insert(0, {str(gpus.directory)!r})\nimport torch",
        "%load_ext jupyter_green",
        f"%%energy\n{FAILS}",
        "print('must not run')",
    ]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbformat.write(notebook, home.work / "in.ipynb")
    done = home.script(program)
    out, err = done.communicate(timeout=60)
    assert out == "stopped by AcceleratorError\n", err
    executed = nbformat.read(home.work / "out.ipynb", as_version=4)
    failed = next(cell for cell in executed.cells if cell.source == sources[2])
    kinds = [output.output_type for output in failed.outputs]
    assert kinds == ["error", "display_data"]
    assert not next(cell for cell in executed.cells if cell.source == sources[3]).outputs
    until(lambda: home.sessions()[0].state == "closed", what="a closed session")
    (session,) = home.sessions()
    assert [(cell.status, cell.error) for cell in session.cells] == [("error", "AcceleratorError")]
