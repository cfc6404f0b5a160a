"""Waiting for GPUs: only those in use, never in a capture, and whose error it is.

Each case runs in a process of its own, where the stand-ins are what is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.gpu_packages import GpuPackages

ROOT = Path(__file__).parents[2]
BEGIN = """
import json, sys, types
from jupyter_green.recorder.gpu_sync import busy_devices, synchronize
problems = []
def attempt():
    try:
        synchronize(problems)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
def tell(*values):
    print(json.dumps(values))
"""


@pytest.fixture
def gpus(tmp_path: Path) -> GpuPackages:
    return GpuPackages(tmp_path)


def run(gpus: GpuPackages, code: str) -> list[Any]:
    """What the code tells."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code],
        env={**os.environ, "PYTHONPATH": f"{gpus.directory}{os.pathsep}{ROOT}"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return told


BOTH = "tell(attempt(), busy_devices(problems), problems)"
NOTHING = [None, [], []]


def test_nothing_is_imported(gpus: GpuPackages) -> None:
    assert run(gpus, BOTH) == NOTHING
    assert gpus.calls("torch") == gpus.calls("cupy") == []


def test_cuda_is_not_initialised(gpus: GpuPackages) -> None:
    assert run(gpus, "import torch, cupy\n" + BOTH) == NOTHING
    assert gpus.calls("torch") == gpus.calls("cupy") == ["import"]


def test_only_devices_with_a_context(gpus: GpuPackages) -> None:
    code = """
import torch
torch.cuda.launch(60, 0)
torch.cuda.launch(0.1, 2)
before = busy_devices(problems)
torch.cuda.busy_until[0] = 0.0
tell(before, attempt(), busy_devices(problems), torch.cuda.current_device(), problems)
"""
    assert run(gpus, code) == [["cuda:0", "cuda:2"], None, [], 0, []]
    assert [call for call in gpus.calls() if call.startswith("sync")] == [
        "synchronize 0",
        "synchronize 2",
    ]
    assert "made a context" not in gpus.calls()


def test_a_torch_that_cannot_tell_its_contexts(gpus: GpuPackages) -> None:
    code = """
import torch
del torch._C._cuda_hasPrimaryContext
torch.cuda.launch(60, 1)
torch.cuda._current = 1
before = busy_devices(problems)
torch.cuda.forget()
tell(before, attempt(), problems)
"""
    assert run(gpus, code) == [["cuda:1"], None, []]
    assert gpus.calls()[-1] == "synchronize 1"


@pytest.mark.parametrize("device", [0, 2])
def test_a_capture_is_left_alone(gpus: GpuPackages, device: int) -> None:
    """On whichever device it is, no device is touched."""
    code = f"""
import torch, cupy
cupy.cuda.launch(60)
for index in (0, 2):
    torch.cuda.launch(60, index)
torch.cuda.capturing.add({device})
{BOTH}
"""
    assert run(gpus, code) == NOTHING
    assert gpus.calls("torch") == gpus.calls("cupy") == ["import"]


@pytest.mark.parametrize("capturing", ["yes", "implicit"])
def test_a_capture_of_cupy(gpus: GpuPackages, capturing: str) -> None:
    """``implicit``: the stream may not even be asked."""
    code = f"""
import torch, cupy
torch.cuda.launch(60)
cupy.cuda.launch(60)
cupy.cuda.capturing = {capturing!r}
{BOTH}
"""
    assert run(gpus, code) == NOTHING
    assert gpus.calls("torch") == gpus.calls("cupy") == ["import"]


def test_cupy(gpus: GpuPackages) -> None:
    code = """
import cupy
cupy.cuda.launch(0.2)
before = busy_devices(problems)
tell(before, cupy.cuda.last_error, attempt(), busy_devices(problems), problems)
"""
    # "Not ready" must not stay as the last error, where others would find it.
    assert run(gpus, code) == [["cuda:1"], 0, None, [], []]
    assert gpus.calls("cupy") == ["import", "query", "synchronize", "query"]


def test_errors_of_cuda_are_the_users(gpus: GpuPackages) -> None:
    code = """
import torch
torch.cuda.fail("device-side assert triggered")
tell(busy_devices(problems), attempt(), problems)
"""
    assert run(gpus, code) == [[], "AcceleratorError: device-side assert triggered", []]
    code = """
import cupy
cupy.cuda.launch(0)
cupy.cuda.failure = 700
tell(busy_devices(problems), attempt(), problems)
"""
    assert run(gpus, code) == [[], "CUDARuntimeError: cudaError700", []]


def test_an_error_that_the_capture_meets_first(gpus: GpuPackages) -> None:
    """A broken context answers every question with the error."""
    code = """
import torch
torch.cuda.fail("an illegal memory access")
def broken():
    raise torch.AcceleratorError(torch.cuda.failure)
torch.cuda.is_current_stream_capturing = broken
tell(attempt(), problems)
"""
    assert run(gpus, code) == ["AcceleratorError: an illegal memory access", []]


def test_interrupts_pass(gpus: GpuPackages) -> None:
    code = """
import torch
torch.cuda.launch(60)
def interrupted(index):
    raise KeyboardInterrupt
torch.cuda.synchronize = interrupted
tell(attempt(), problems)
"""
    assert run(gpus, code) == ["KeyboardInterrupt: ", []]


@pytest.mark.parametrize(
    "strange",
    [
        "None",
        "types.ModuleType('torch')",  # as while it is being imported
        "types.SimpleNamespace(cuda=types.ModuleType('torch.cuda'))",
        "type('Any', (), {'__getattr__': lambda s, _: s, '__call__': lambda s, *_: s})()",
        "42",
    ],
)
def test_what_is_no_torch(gpus: GpuPackages, strange: str) -> None:
    assert run(gpus, f"sys.modules['torch'] = sys.modules['cupy'] = {strange}\n{BOTH}") == NOTHING


@pytest.mark.parametrize(
    "damage",
    [
        "del torch._C",
        "del torch.cuda.device_count",
        "del torch.cuda.synchronize, torch.cuda.current_stream",
        "torch._C._cuda_hasPrimaryContext = None; torch.cuda.current_device = None",
        "torch.cuda.is_current_stream_capturing = 3",
    ],
)
def test_a_strange_torch_is_our_problem(gpus: GpuPackages, damage: str) -> None:
    """And keeps nobody from waiting for the GPU of another package."""
    code = f"import torch, cupy\ntorch.cuda.launch(60)\ncupy.cuda.launch(0)\n{damage}\n{BOTH}"
    error, busy, problems = run(gpus, code + "\nattempt()")
    assert (error, busy) == (None, [])
    assert problems
    assert len(set(problems)) == len(problems) <= 2
    assert all("Error: " in problem for problem in problems)
    assert "synchronize" in gpus.calls("cupy")
