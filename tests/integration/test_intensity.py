"""Live carbon intensities in real kernels, from a server on this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from jupyter_green.carbon.choice import TOKEN_VARIABLE
from jupyter_green.events import IntensityChanged
from jupyter_green.report import text
from jupyter_green.sessions.model import Session
from tests.simulators.intensities import (
    IntensityServer,
    echoes_token,
    electricity_maps,
    says,
    sleeps,
    uk_national,
)
from tests.simulators.machine import RaplMachine

from .kernels import Home, Kernel, kill, running, until, wait_gone
from .truth import PACKAGE_AND_DRAM, true_uj

pytestmark = pytest.mark.kernel

TOKEN = "s3cret-t0ken"
UJ_PER_KWH = 3.6e12
PROMPTLY_S = 4.0


@pytest.fixture
def server() -> Iterator[IntensityServer]:
    with IntensityServer() as server:
        yield server


def started(home: Home, machine: RaplMachine, url: str, **settings: Any) -> Kernel:
    """A kernel that asks the server every second."""
    home.configure(
        sysfs_root=str(machine.sysfs),
        intensity_url=url,
        intensity_interval_s=1.0,
        **settings,
    )
    return Kernel(
        home, fifo=machine.command_path, ELECTRICITY_MAPS_TOKEN=TOKEN, no_proxy="127.0.0.1"
    )


@pytest.fixture
def kernel(home: Home, machine: RaplMachine, server: IntensityServer) -> Iterator[Kernel]:
    server.reply = says(electricity_maps(30))
    kernel = started(home, machine, server.url, intensity_provider="electricity_maps", zone="FR")
    yield kernel
    kernel.close()


def changes(kernel: Kernel) -> list[IntensityChanged]:
    if not kernel.journal.exists():
        return []
    return [event for event in kernel.events() if isinstance(event, IntensityChanged)]


def in_force(kernel: Kernel) -> float | None:
    session = kernel.so_far()
    if session is None or session.intensity is None:
        return None
    return session.intensity.g_per_kwh


def ended(kernel: Kernel) -> Session:
    recorder = kernel.recorder()
    kernel.shutdown()
    wait_gone(recorder, PROMPTLY_S)
    return kernel.session()


def test_totals_by_stretch(kernel: Kernel, machine: RaplMachine, server: IntensityServer) -> None:
    until(lambda: in_force(kernel) == 30)
    before = kernel.measured("draw('package-0', 80)\ntime.sleep(0.5)")
    message = kernel.send("say('running')\ntime.sleep(3)")
    until((kernel.home.work / "running").exists)
    server.reply = says(electricity_maps(60))
    across = kernel.cell(kernel.reply(message))
    until(lambda: in_force(kernel) == 60)
    after = kernel.measured("time.sleep(0.5)")
    session = ended(kernel)

    table, live, later = session.periods
    assert table.intensity is not None
    assert table.intensity.place == "France"
    assert (live.intensity, later.intensity) == tuple(one.intensity for one in changes(kernel))
    assert session.co2_g(before.energy) == pytest.approx(
        before.energy.by_period[1] / UJ_PER_KWH * 30
    )
    assert session.co2_g(after.energy) == pytest.approx(after.energy.by_period[2] / UJ_PER_KWH * 60)
    assert set(across.energy.by_period) == {1, 2}
    assert sum(across.energy.by_period.values()) == across.energy.total_uj
    # The machine's own account of the two parts of the cell.
    began, changed, finished = map(kernel.ns, (across.started_s, later.since_s, across.finished_s))
    parts = (
        true_uj(machine, PACKAGE_AND_DRAM, began, changed),
        true_uj(machine, PACKAGE_AND_DRAM, changed, finished),
    )
    for period, part in zip((1, 2), parts, strict=True):
        assert across.energy.by_period[period] == pytest.approx(part, rel=0.01, abs=1e6)
    whole = sum(
        session.total.by_period[period] * grams
        for period, grams in enumerate((table.intensity.g_per_kwh, 30, 60))
    )
    assert session.co2_g(session.total) == pytest.approx(whole / UJ_PER_KWH)


def test_the_report_says_what_it_was(kernel: Kernel) -> None:
    until(lambda: in_force(kernel) == 30)
    told = kernel.ok("%green place").out
    assert "30 gCO2e/kWh" in told
    report = text.render(ended(kernel))
    assert "FR 2026" in report
    assert "lifecycle" in report
    assert "Electricity Maps" in report


def test_a_failure_is_recorded_once_and_the_table_stands_in(
    kernel: Kernel, server: IntensityServer
) -> None:
    until(lambda: in_force(kernel) == 30)
    server.reply = says({"message": "on fire"}, 500)
    until(lambda: in_force(kernel) != 30)
    asked = server.asked
    until(lambda: server.asked >= asked + 2, what="further requests")
    server.reply = says(electricity_maps(31))
    until(lambda: in_force(kernel) == 31)
    live, failed, back = changes(kernel)
    assert failed.intensity is not None
    assert (failed.intensity.place, failed.intensity.year) == ("France", 2024)
    assert "status 500 (on fire)" in failed.reason
    assert live.intensity != back.intensity
    session = ended(kernel)
    assert session.co2_g(session.total) is not None, "one basis throughout"


def test_busy_means_later(kernel: Kernel, server: IntensityServer) -> None:
    until(lambda: in_force(kernel) == 30)
    server.reply = says({"message": "slow down"}, 429, Retry_After="30")
    until(lambda: in_force(kernel) != 30)
    asked = server.asked
    time.sleep(2.5)
    assert server.asked == asked


def test_the_token_stays_where_it_is(
    home: Home, machine: RaplMachine, server: IntensityServer
) -> None:
    server.reply = echoes_token(401)
    kernel = started(home, machine, server.url, intensity_provider="electricity_maps", zone="FR")
    try:
        until(lambda: changes(kernel))
        (failed,) = changes(kernel)
        assert "[token]" in failed.reason
        said = [
            kernel.ok(code).everything
            for code in (
                "%green",
                "%green place",
                "%green doctor",
                "from jupyter_green import session; s = session(); s",
                "s.problems, s.periods, s",
                "from jupyter_green.recorder.tracker import current; current().settings",
                "vars(current()), vars(current()._client)",
            )
        ]
        recorder = psutil.Process(kernel.recorder().pid)
        said.append(" ".join(recorder.cmdline()))
        said.append(text.render(ended(kernel)))
    finally:
        kernel.close()
    assert not [words for words in said if TOKEN in words]
    kept = [path for path in home.root.rglob("*") if path.is_file()]
    assert kernel.journal in kept
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
    sent = {name.lower(): value for name, value in server.headers[0].items()}
    assert sent["auth-token"] == TOKEN, "it did go where it belongs"


@pytest.mark.parametrize("settings", [{}, {"place": "FR"}], ids=["nothing", "a place"])
def test_nobody_is_asked_unless_it_is_configured(
    home: Home, machine: RaplMachine, server: IntensityServer, settings: dict[str, str]
) -> None:
    kernel = started(home, machine, server.url, zone="FR", **settings)
    try:
        kernel.measured("time.sleep(1.5)")
        kernel.ok("%green")
        kernel.ok("%green doctor")
        ended(kernel)
    finally:
        kernel.close()
    assert server.asked == 0
    assert changes(kernel) == []


def test_nothing_waits_for_a_provider_that_hangs(
    home: Home, machine: RaplMachine, server: IntensityServer
) -> None:
    server.reply = sleeps(8)
    kernel = started(home, machine, server.url, intensity_provider="uk")
    try:
        until(lambda: server.asked)
        began = time.monotonic()
        cell = kernel.measured("time.sleep(0.2)")
        kernel.ok("%green")
        session = ended(kernel)
        assert time.monotonic() - began < PROMPTLY_S
    finally:
        kernel.close()
    assert cell.duration_s < 0.5
    assert session.state == "closed"
    assert session.intensity is not None
    assert session.intensity.place == "London (gcp:europe-west2)"
    assert session.co2_g(session.total)


def test_the_user_has_the_last_word(kernel: Kernel, server: IntensityServer) -> None:
    until(lambda: in_force(kernel) == 30)
    kernel.ok("%green place DE")
    until(lambda: in_force(kernel) not in (None, 30))
    germany = in_force(kernel)
    server.reply = says(electricity_maps(99))
    time.sleep(1.5)
    asked = server.asked
    recorder = kernel.recorder()
    kill(recorder.pid)
    kernel.recorder(other_than=recorder.pid)
    kernel.measured("time.sleep(1.5)")
    assert server.asked == asked
    assert in_force(kernel) == germany


def test_a_new_recorder_goes_on_asking(kernel: Kernel, server: IntensityServer) -> None:
    until(lambda: in_force(kernel) == 30)
    recorder = kernel.recorder()
    kill(recorder.pid)
    kernel.recorder(other_than=recorder.pid)
    server.reply = says(electricity_maps(70))
    until(lambda: in_force(kernel) == 70)


def test_great_britain_without_an_actual_value(
    home: Home, machine: RaplMachine, server: IntensityServer
) -> None:
    server.reply = says(uk_national(None, 170))
    kernel = started(home, machine, server.url, intensity_provider="uk", place="GB")
    try:
        until(lambda: in_force(kernel) == 170)
        kernel.measured("time.sleep(0.1)")
        report = text.render(ended(kernel))
    finally:
        kernel.close()
    assert "Great Britain 2026, estimated" in report
    assert "direct" in report
    assert "lifecycle" not in report
    assert "UK Carbon Intensity (forecast)" in report
    assert not any(name.lower() == "auth-token" for name in server.headers[0])


def test_a_missing_token_is_said(home: Home, machine: RaplMachine) -> None:
    home.configure(sysfs_root=str(machine.sysfs), intensity_provider="electricity_maps", zone="FR")
    with running(home, fifo=machine.command_path, ELECTRICITY_MAPS_TOKEN="") as kernel:
        until(lambda: changes(kernel))
        (failed,) = changes(kernel)
    assert TOKEN_VARIABLE in failed.reason
    assert failed.intensity is not None
    assert failed.intensity.place == "France"


def test_paris_and_california_by_hand(home: Home, machine: RaplMachine) -> None:
    with running(home, fifo=machine.command_path, TZ="Europe/Paris") as kernel:
        guessed = kernel.ok("%green place").out
        assert "No place is set" in guessed
        assert "A guess from the time zone Europe/Paris" in guessed
        assert "France (%green place FR)" in guessed
        kernel.measured("time.sleep(0.2)")
        assert in_force(kernel) is None, "a guess is no setting"
        told = kernel.ok("%green place US-CA").out
        assert "California (US-CA): 179.06 gCO2e/kWh" in told
        assert "direct" in told
        assert "did you mean" in kernel.run("%green place eu-west-3").everything
        ended(kernel)
    green = [sys.executable, "-m", "jupyter_green.cli.app", "report"]
    for place, said in (
        ("aws:eu-west-3", ("Paris (aws:eu-west-3) 2024, 44.2 g/kWh", "lifecycle")),
        ("gcp:europe-west9", ("Paris (gcp:europe-west9) 2024, 16.3 g/kWh", "direct")),
        ("us-ca", ("California (US-CA) 2023, 179 g/kWh", "direct")),
    ):
        done = subprocess.run(
            [*green, "--place", place],
            env=home.environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        assert all(words in done.stdout for words in said), done
