"""Two sessions beside each other: right differences, and none where there is none to be had."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from jupyter_green.events import CounterLost, Machine, OverlapSeen
from jupyter_green.report import comparison
from jupyter_green.report.comparison import COLUMNS, Comparison
from jupyter_green.sessions.model import Session
from tests.golden.digest import HERE
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import FRANCE, MODEL, PACKAGE, Story


def told(*seconds: float, **header: Any) -> Session:
    """A session with one cell, ``fit``, that ran so often and so long; 12 W."""
    story = Story(**{"intensity": FRANCE, **header})
    for one in seconds:
        number = story.begin("fit()", {"label": "fit"})
        story.sleep(one)
        story.metric("acc", round(one / 10, 3), cell=number)
        story.end(number)
    return story.close()


def line(name: str, before: Session, after: Session) -> dict[str, str]:
    found = [one for one in Comparison.of(before, after).lines if one[0] == name]
    assert len(found) == 1
    titles = [title or str(index) for index, title in enumerate(COLUMNS)]
    return dict(zip(titles, found[0], strict=True))


def notes(before: Session, after: Session) -> str:
    return "\n".join(Comparison.of(before, after).notes)


def test_less() -> None:
    fit = line("fit", told(10.0), told(5.0))

    assert fit["Before"] == "120.0 ± 0.2 J"
    assert fit["After"].startswith("60.00 ± 0.1")
    assert fit["Difference"].startswith("-60.00 ± 0.")
    assert fit["Change"] == "-50 %"
    assert fit["Time"] == "10 s → 5 s"
    assert fit["CO2e"] == "1.47 mg → 0.733 mg"
    assert fit["Metric"] == "acc 1 → acc 0.5"
    assert fit["Remarks"] == ""


def test_bounds_add_up() -> None:
    before, after = told(10.0), told(5.0)
    sides = [session.cells[0].energy for session in (before, after)]
    (_, (old, new)) = comparison._pairs(before, after)
    assert comparison._delta(old, new) == (-60_000_000, sum(side.bound_uj for side in sides))


def test_more() -> None:
    fit = line("fit", told(5.0), told(10.0))
    assert fit["Difference"].startswith("+60.00 ± ")
    assert fit["Change"] == "+100 %"


def test_all_runs_count() -> None:
    fit = line("fit", told(5.0, 5.0), told(5.0))
    assert fit["Before"].startswith("120.0 ±")
    assert fit["Remarks"] == "2 → 1 runs"


def test_within_the_bounds_nothing_is_seen() -> None:
    fit = line("fit", told(10.0), told(10.01))
    assert fit["Change"] == "no difference seen"


def test_a_session_differs_from_itself_in_nothing() -> None:
    session = told(10.0)
    assert all(one[4] == "no difference seen" for one in Comparison.of(session, session).lines)


def test_cells_of_one_side_only() -> None:
    story = Story(intensity=FRANCE)
    story.cell("other()")
    other = story.close()
    assert line("fit", told(1.0), other)["Remarks"] == "only before"
    assert line("other()", told(1.0), other)["Remarks"] == "only after"
    assert line("fit", told(1.0), other)["Difference"] == ""


def test_a_headless_run_and_a_notebook_are_matched_by_their_first_lines() -> None:
    """The same cells have other identities there."""
    sessions = []
    for where in ("headless", "front end"):
        story = Story(intensity=FRANCE)
        for source in ("load()", "fit()", "twice()", "twice()"):
            number = story.begin(source)
            story.sleep(2.0)
            story.end(number)
        session = story.close()
        cells = tuple(structs.replace(one, cell=f"{where} {one.number}") for one in session.cells)
        sessions.append(structs.replace(session, cells=cells))
    names = [one[0] for one in Comparison.of(*sessions).lines]
    assert sorted(names) == sorted(["whole session", "load()", "fit()", *["twice()"] * 4])
    assert line("fit()", *sessions)["Remarks"] == ""


def test_lower_bounds_have_no_difference() -> None:
    story = Story(intensity=FRANCE)
    number = story.begin("fit()", {"label": "fit"})
    story.sleep(1.0)
    story.feed(CounterLost(t=1.0, counter="dram-0", since=0.5, reason="gone"))
    story.unread.add("dram-0")
    story.sleep(1.0)
    story.end(number)
    fit = line("fit", told(2.0), story.close())
    assert fit["After"].startswith("≥ ")
    assert (fit["Difference"], fit["Change"]) == ("", "")
    assert fit["Remarks"] == "a lower bound"


def modelled() -> Session:
    story = Story(MODEL, intensity=FRANCE)
    story.cell("fit()", 5.0, label="fit")
    return story.close()


def test_modelled_is_said() -> None:
    assert line("fit", modelled(), modelled())["Remarks"] == "modelled"
    assert "do not show that one technique saves energy" in notes(modelled(), modelled())
    assert "modelled" not in notes(told(1.0), told(1.0)).lower()


def test_different_sources_are_not_subtracted() -> None:
    assert line("fit", told(5.0), modelled())["Difference"] == ""
    assert "different sources" in notes(told(5.0), modelled())


def test_a_device_that_is_used_now_is_subtracted() -> None:
    card = structs.replace(
        PACKAGE, name="cpu-model", domain="gpu", source="nvml", device="A100", scope="device"
    )
    story = Story(PACKAGE, card, intensity=FRANCE)
    story.cell("fit()", 1.0, label="fit")
    plain = Story(PACKAGE, intensity=FRANCE)
    plain.cell("fit()", 5.0, label="fit")
    assert line("fit", plain.close(), story.close())["Difference"].startswith("-20.0")


def test_other_places_machines_and_sessions() -> None:
    poland = structs.replace(FRANCE, place="Poland", g_per_kwh=600.0)
    assert line("fit", told(5.0), told(5.0, intensity=poland))["CO2e"] == ""
    assert "CO2e is not compared" in notes(told(5.0), told(5.0, intensity=poland))
    assert "machines differ" in notes(told(1.0), told(1.0, machine=Machine(cpu="other")))
    story = Story(intensity=FRANCE)
    story.feed(OverlapSeen(t=0.0, session="other", pid=9))
    assert "Another session used the machine after" in notes(told(1.0), story.close())
    assert "repeat both" in notes(told(1.0), told(1.0))


def test_long_sessions_show_what_costs_most() -> None:
    story = Story(intensity=FRANCE)
    for index in range(60):
        story.cell(f"cell {index}", 0.1 + index / 100)
    session = story.close()
    compared = Comparison.of(session, session)
    assert len(compared.lines) == 41
    assert [one[0] for one in compared.lines[:2]] == ["whole session", "cell 59"]
    assert "20 cells that cost less are not shown." in compared.notes


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_hostile_names_stay_in_their_line(text: str) -> None:
    session, plain = evil(text), evil("plain")
    usual = comparison.render(plain, plain).splitlines()
    assert len(comparison.render(session, session).splitlines()) == len(usual)
    marked = comparison.render_markdown(session, session)
    assert len(marked.splitlines()) == len(comparison.render_markdown(plain, plain).splitlines())
    assert "<script" not in marked


def green(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jupyter_green.cli.app", "compare", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    plain, reruns = str(HERE / "plain.ndjson"), str(HERE / "reruns.ndjson")
    done = green(plain, reruns)
    assert done.returncode == 0
    assert "whole session   136.0 ± 0.1 J   395.0 ± 0.1 J" in done.stdout
    assert "different sources" in done.stdout
    assert green(plain, reruns, "--format", "markdown").stdout.startswith("## Energy: ")
    assert "CO2e is not compared" not in green(plain, plain, "--place", "FR").stdout
    alone = green(plain)
    assert alone.returncode == 2
    assert "give both" in alone.stderr
