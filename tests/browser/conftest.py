from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.integration.kernels import Home
from tests.simulators.machine import RaplMachine, one_socket

from . import chrome
from .lab import Lab, serving
from .page import LabPage, opened


# Playwright's event loop runs in this thread as long as it is started: not in other tests'.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = chrome.launch(playwright.chromium)
        except chrome.NoBrowserError as error:
            pytest.fail(str(error), pytrace=False)
        with browser:
            yield browser


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="green-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def machine(place: Path) -> Iterator[RaplMachine]:
    with RaplMachine(place / "machine", one_socket()) as machine:
        yield machine


@pytest.fixture(scope="module")
def home(place: Path, machine: RaplMachine) -> Home:
    return Home(place / "home", sysfs_root=str(machine.sysfs))


@pytest.fixture(scope="module")
def lab(home: Home) -> Iterator[Lab]:
    """JupyterLab, whose kernels read the simulated machine."""
    with serving(home) as lab:
        yield lab


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[LabPage]:
    with opened(browser, lab) as page:
        yield page
    lab.end_sessions()


@pytest.fixture(scope="module")
def notebook7(place: Path, machine: RaplMachine) -> Iterator[Lab]:
    """Notebook 7, likewise."""
    with serving(Home(place / "home7", sysfs_root=str(machine.sysfs)), "notebook") as server:
        yield server


@pytest.fixture
def page7(browser: Browser, notebook7: Lab) -> Iterator[LabPage]:
    with opened(browser, notebook7) as page:
        yield page
    notebook7.end_sessions()
