"""From a tool's import to its first measured cell, in a fresh Jupyter kernel each."""

from __future__ import annotations

import subprocess

from jupyter_client.manager import KernelManager

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, SubjectFailed, for_each
from tests.benchmarks.subjects import NOTHING, OURS

FIRST_CELL = "to the first tracked cell"
FIRST_ANSWER = "to the first answer of session()"
STARTS = {
    OURS: "%load_ext, and pre_run_cell of the next cell; the recorder starts meanwhile.",
    "CodeCarbon": "Import, OfflineEmissionsTracker (country given, no file), start_task.",
    "Zeus": "Import, ZeusMonitor without GPUs, begin_window, which starts a process a zone.",
    "carbontracker": "Import, CarbonTracker, epoch_start; without the look-up of the place in "
    "the network that it begins with.",
    "pyRAPL": "Import, setup, Measurement.begin.",
}
CODE = """
import time
t0 = time.perf_counter()
subject = subjects.make({name!r}, {sysfs!r})
begin, end = subject.cell()
begin()
t1 = time.perf_counter()
end()
"""
ASK = """
from jupyter_green import session
session()
t2 = time.perf_counter()
"""


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """The tools take turns, a new kernel each time. The first round fills the caches."""
    table = Table("Start in a fresh kernel")
    problems: dict[str, str] = {}
    kept: Table | None = None

    def measure(name: str) -> None:
        cell_s, answer_s = _start(where, name)
        if kept is None:
            return
        aim = 0.1 if name == OURS else None
        kept.add(FIRST_CELL, name, cell_s, "s", aim=aim, note=kept.note(STARTS[name]))
        if answer_s:
            kept.add(FIRST_ANSWER, name, answer_s, "s")

    tools = [name for name in names if name != NOTHING]
    for_each(tools, problems, measure)
    kept = table
    for _ in range(effort.starts):
        for_each(tools, problems, measure)
    for name, problem in problems.items():
        table.row(FIRST_CELL, name, "s").problem = problem
    return table


def _start(where: Place, name: str) -> tuple[float, float]:
    """Seconds to the first cell, and (ours) to the first answer."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=where.environment, cwd=str(where.root), stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        # A kernel that has just started is still busy with itself.
        execute(client, "import time; time.sleep(0.5); from tests.benchmarks import subjects")
        code = CODE.format(name=name, sysfs=where.sysfs)
        code += ASK if name == OURS else "t2 = t0\n"
        printed = execute(client, f"{code}print('took', t1 - t0, t2 - t0)")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=name != OURS)
    words = printed.partition("took ")[2].split()
    return float(words[0]), float(words[1])


def execute(client: object, code: str) -> str:
    """Run a cell in a kernel; what it printed on stdout.

    Raises:
        SubjectFailed: the cell ended with an error.
    """
    printed: list[str] = []

    def collect(message: dict) -> None:  # type: ignore[type-arg]
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            printed.append(content["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=collect)  # type: ignore[attr-defined]
    content = reply["content"]
    if content["status"] != "ok":
        raise SubjectFailed(f"{content.get('ename')}: {content.get('evalue')}")
    return "".join(printed)
