"""The panel beside a notebook in JupyterLab, held against the machine's truth and the journal."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from jupyter_green.units import format_energy, format_number, uj_to_j
from tests.integration.truth import Check, assert_partition
from tests.simulators.machine import RaplMachine

from . import said
from .lab import Lab
from .page import LabPage, opened
from .watched import (
    Clock,
    Watched,
    executed,
    open_notebook,
    running_joules,
    settings,
    wait_text,
)

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

BUSY_W, IDLE_W, DRAM_W = 80.0, 35.0, 3.0
PEAK_W = BUSY_W + DRAM_W
TRAIN = f"""%%energy --label 'train net'
draw('package-0', {BUSY_W})
for epoch in range(4):
    time.sleep(0.3)
    log(accuracy=1 - 0.5 ** (epoch + 1), step=epoch)
draw('package-0', {IDLE_W})"""
FAIL = "time.sleep(0.5); 1 / 0"
REST = "time.sleep(1.2)"


def test_watts_move_within_seconds_of_the_kernel_s_start(
    page: LabPage, machine: RaplMachine
) -> None:
    """The first screen of the tour: nobody has clicked anything. 5 s, on a machine that is free."""
    machine.square("package-0", 30, 90, 1.9)
    try:
        with settings(page, autoStart=True, openPanel=True):
            name = page.lab.write_notebook(["x = 1"], "first.ipynb")
            page.page.goto(page.lab.address(name))
            watched = Watched(page, name)
            first = watched.until(lambda: watched_watts(watched), "watts")
            shown_s = time.time()
            watched.until(lambda: watched_watts(watched) not in ("", first), "other watts")
            moved_s = time.time()
        started_s = psutil.Process(watched.session().pid).create_time()
    finally:
        machine.power("package-0", IDLE_W)
    print(f"\nwatts after {shown_s - started_s:.2f} s, moving after {moved_s - started_s:.2f} s")
    assert moved_s - started_s < 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def watched_watts(watched: Watched) -> str:
    power = watched.page.panel.locator('[data-figure="power"]')
    text = power.inner_text() if power.is_visible() else ""
    return text if any(map(str.isdigit, text)) else ""


def test_one_click_starts_another_notebook(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "click.ipynb", [REST], start=False)
    page.show_panel()
    watched.wait_phase("untracked")
    assert not watched.sessions()
    page.panel.get_by_role("button", name="Start tracking").click()
    clicked_s = time.monotonic()
    watched.until(lambda: watched.phase == "live" and watched_watts(watched), "watts")
    print(f"\nwatts {time.monotonic() - clicked_s:.2f} s after the click")
    assert watched.figure("power") == "38 W"
    assert watched.figure("provenance") == "measured"
    page.run(1)
    expect(watched.badge(1)).to_have_text(said.badge(watched.session(cells=1).cells[0]))


@pytest.fixture(scope="module")
def worked(browser: Browser, lab: Lab, machine: RaplMachine) -> Iterator[Watched]:
    """A notebook in which a training run was repeated, a cell failed, and others ran."""
    with opened(browser, lab, locale="de-AT") as page:
        watched = open_notebook(page, machine, "worked.ipynb", [TRAIN, FAIL, REST, "pass"])
        for cell in (1, 1, 2, 3, 4):
            page.run(cell)
        yield watched
    lab.end_sessions()


def test_earlier_runs_open_below_the_last_one(worked: Watched) -> None:
    session = worked.session(cells=5)
    first, second = session.cells[:2]
    expect(worked.row(second.number)).to_be_visible()
    expect(worked.row(first.number)).to_have_count(0)
    worked.row(second.number).get_by_role("button", name="\u00d72").click()
    assert worked.row_says(first.number) == said.row(session, first)
    expect(worked.row(first.number)).to_contain_text("superseded")
    failed = executed(session, FAIL)
    expect(worked.row(failed.number)).to_contain_text("ZeroDivisionError")


def test_badges_and_status_say_what_the_session_does(worked: Watched) -> None:
    session = worked.session(cells=5)
    for index, label in ((1, "train net"), (2, FAIL), (3, REST), (4, "pass")):
        expect(worked.badge(index)).to_have_text(said.badge(executed(session, label)))
    expect(worked.badge(0)).to_have_count(0)
    worked.shows(lambda now: (worked.status.inner_text().split(" · ")[1], said.total(now.total)))
    title = worked.status.get_attribute("title") or ""
    assert "No CO₂e: no place is set." in title
    worked.page.page.evaluate("jupyterapp.shell.collapseRight()")
    expect(worked.page.panel).to_be_hidden()
    worked.status.click()
    expect(worked.page.panel).to_be_visible()


def test_the_files_that_are_exported(worked: Watched) -> None:
    session = worked.session(cells=5)
    rows = list(csv.DictReader(io.StringIO(exported(worked, "CSV"))))
    totals = [round(float(row["energy_j"]) * 1e6) for row in rows]
    assert totals == [cell.energy.total_uj for cell in session.cells]
    assert [int(row["number"]) for row in rows] == [cell.number for cell in session.cells]
    report = json.loads(exported(worked, "JSON"))
    entries = [entry["energy_j"] for entry in report["ledger"].values()]
    assert report["session"]["id"] == session.id
    assert report["total"]["energy_j"] == pytest.approx(sum(entries), abs=1e-6)
    assert "train net" in exported(worked, "Markdown")


def exported(watched: Watched, form: str) -> str:
    with watched.page.page.expect_download() as download:
        watched.page.panel.get_by_role("button", name=form, exact=True).click()
    assert watched.session().id in download.value.suggested_filename
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_every_figure_is_the_journal_s_and_the_machine_s(
    worked: Watched, machine: RaplMachine
) -> None:
    session = worked.session(cells=5)
    clock = Clock(worked)
    for cell in session.cells:
        check = Check(clock, machine, cell, PEAK_W)
        check.assert_right()
        assert check.in_bound, str(check)
    # The place at one click, from the language of the browser.
    assert worked.figure("co2").startswith("\u2013")
    worked.page.panel.get_by_role("button", name="Use Austria").click()
    worked.until(lambda: worked.session().intensity, "the place in the journal")
    session = worked.shows(lambda now: (worked.figure("co2"), f"{said.co2(now, now.total)} CO₂e"))
    assert session.intensity is not None
    assert session.intensity.place == "Austria"
    figures_agree(worked)
    unloaded(worked)


def figures_agree(watched: Watched) -> None:
    session = watched.shows(lambda now: (watched.figure("energy"), said.total(now.total)))
    for cell in session.cells:
        if watched.row(cell.number).count():
            assert watched.row_says(cell.number) == said.row(session, cell)
    best = max(session.metrics, key=lambda metric: metric.value)
    assert watched.figure("metric") == f"{format_number(best.value, 4)} {best.name}"


def unloaded(watched: Watched) -> None:
    """A session that was ended stands still: all of it can be compared."""
    with watched.console() as console:
        assert console.run("%unload_ext jupyter_green") == "ok"
    watched.wait_phase("ended")
    session = watched.session()
    assert session.state == "closed"
    assert_partition(session)
    wait_text(watched.page.panel.locator('[data-figure="energy"]'), said.total(session.total))
    assert {name: watched.figure(name) for name in said.ledger(session)} == said.ledger(session)
    assert said.bound(session.total) in watched.figure("energy-note")


def test_the_curve_grows_while_its_cell_runs(page: LabPage, machine: RaplMachine) -> None:
    """Each epoch is waited for in the panel before the next one may begin."""
    epochs = 5
    body = (
        f"draw('package-0', {BUSY_W})\n"
        f"for epoch in range({epochs}):\n"
        "    time.sleep(0.2)\n"
        "    log(accuracy=1 - 0.5 ** (epoch + 1), step=epoch)\n"
        "    wait_for(f'seen-{epoch}')\n"
        f"draw('package-0', {IDLE_W})"
    )
    watched = open_notebook(page, machine, "curve.ipynb", [body])
    points = page.panel.locator(".jg-learn circle")
    page.begin(1)
    joules, waits_s = [], []
    for epoch in range(epochs):
        began_s = time.monotonic()
        step = f"step {epoch}"
        section = page.panel.get_by_role("region", name="Accuracy beside energy")
        watched.until(lambda step=step, s=section: s.count() and step in s.inner_text(), step)
        waits_s.append(time.monotonic() - began_s)
        if epoch:
            expect(points).to_have_count(epoch + 1)
        expect(watched.running()).to_have_count(1)
        joules.append(running_joules(watched))
        (watched.home.work / f"seen-{epoch}").touch()
    page.wait_idle()
    print(f"\nepochs seen after {', '.join(f'{wait:.2f}' for wait in waits_s)} s; {joules} J")
    assert joules == sorted(set(joules)), "the running cell's energy did not grow"
    cell = watched.session(cells=1).cells[0]
    watched.until(lambda: not watched.running().count(), "the end of the cell")
    assert watched.row_says(cell.number) == said.row(watched.session(), cell)
    session = watched.session()
    table = page.panel.get_by_role("table", name="Metric over energy").locator("tbody tr")
    expect(table).to_have_count(epochs)
    last = session.metrics[-1]
    assert table.last.locator("td").last.inner_text() == format_number(last.value, 4)


def test_pause_and_resume_by_button(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "pause.ipynb", [REST, REST])
    page.run(1)
    page.panel.get_by_role("button", name="Pause tracking").click()
    resume = page.panel.get_by_role("button", name="Resume tracking")
    expect(resume).to_be_visible()
    expect(page.panel).to_contain_text("Tracking is paused")
    assert watched.session().paused
    page.run(2)
    assert len(watched.session().cells) == 1
    resume.click()
    expect(page.panel.get_by_role("button", name="Pause tracking")).to_be_visible()
    page.run(2)
    session = watched.session(cells=2)
    assert not session.paused
    assert session.ledger.entries["paused"].total_uj > 0
    expect(watched.row(session.cells[-1].number)).to_be_visible()
    expect(page.panel.locator('[data-figure="paused"]')).to_contain_text("paused")


def test_units_are_chosen_in_the_settings(page: LabPage, machine: RaplMachine) -> None:
    watched = open_notebook(page, machine, "units.ipynb", ["time.sleep(0.5)"])
    page.run(1)
    cell = watched.session(cells=1).cells[0]
    energy = watched.row(cell.number).locator('[data-figure="cell-energy"]')
    uj = cell.energy.total_uj
    assert uj is not None
    expect(energy).to_have_text(format_energy(uj))
    page.command("settingeditor:open", query="Energy")
    units = page.page.locator("select[id$='jupyter-green:plugin_units']")
    for unit, text in (
        ("Wh", said.watt_hours(uj)),
        ("J", f"{format_number(uj_to_j(uj))} J"),
        ("auto", format_energy(uj)),
    ):
        units.select_option(label=unit)
        expect(energy).to_have_text(text)
    page.lab.configure({"jupyter-green:plugin": {}})


def test_rows_are_sorted_and_lead_to_their_cells(page: LabPage, machine: RaplMachine) -> None:
    """Sixty cells: the far ones are not even drawn until somebody goes there."""
    cells = [f"cell_{number} = {number}" for number in range(60)]
    cells[6] = f"draw('package-0', {BUSY_W}); time.sleep(0.6); draw('package-0', {IDLE_W})"
    watched = open_notebook(page, machine, "sixty.ipynb", cells)
    page.run_all()
    session = watched.session(cells=61)
    rows = page.panel.locator(".jg-cell")
    watched.until(lambda: watched.row(session.cells[-1].number).count(), "the last row")
    order = page.panel.get_by_label("Order of the cells")
    order.select_option("by energy")
    costly = max(session.cells, key=lambda cell: cell.energy.total_uj or 0)
    shown = page.panel.locator('.jg-cell[aria-rowindex="1"]')
    expect(shown).to_have_attribute("data-number", str(costly.number))
    assert rows.count() < 30, "all rows were made"
    shown.locator(".jg-label").click()
    expect(page.cell(7)).to_be_in_viewport()
    expect(page.cell(60)).not_to_be_in_viewport()
    order.select_option("latest first")
    last = session.cells[-1]
    expect(shown).to_have_attribute("data-number", str(last.number))
    shown.locator(".jg-label").click()
    expect(page.cell(60)).to_be_in_viewport()
    assert page.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex") == 60
    expect(watched.badge(60)).to_have_text(said.badge(last))
