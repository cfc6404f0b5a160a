from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A soak runs only where the command line names the marker."""
    if "soak" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("soak") is not None:
            item.add_marker(pytest.mark.skip(reason="a soak: ask for it with -m soak"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users of the machine can reach as well."""
    path = Path(tempfile.mkdtemp(prefix="green-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def machine(place: Path) -> Iterator[RaplMachine]:
    with RaplMachine(place / "machine", one_socket()) as machine:
        yield machine


@pytest.fixture
def home(place: Path, machine: RaplMachine) -> Iterator[Home]:
    home = Home(place / "home", sysfs_root=str(machine.sysfs))
    yield home
    home.close()


@pytest.fixture
def kernel(home: Home, machine: RaplMachine) -> Iterator[Kernel]:
    """A kernel with the extension loaded, on a machine of its own."""
    kernel = Kernel(home, fifo=machine.command_path)
    yield kernel
    kernel.close()


# Even root may not read everything without these capabilities of Linux.
UNPRIVILEGED = """\
import ctypes, os, sys
DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2
if os.getuid() == 0:
    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        assert ctypes.CDLL(None).prctl(DROP, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])
"""


@pytest.fixture
def unprivileged(place: Path) -> list[str]:
    """The command of a kernel that is held to the permissions of files, also where root runs it."""
    wrapper = place / "unprivileged.py"
    wrapper.write_text(UNPRIVILEGED, encoding="utf-8")
    return [sys.executable, str(wrapper), "-f", "{connection_file}"]
