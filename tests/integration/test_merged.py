"""``jupyter green report`` of several sessions, as a user has it, over sessions that ran."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.report import forms
from tests.simulators.machine import RaplMachine
from tests.unit.test_html_report import Page

from .at_once import IDLE_W, LEEWAY_J, drawn_j, finish, recorded, two_at_once, work
from .kernels import TIMEOUT_S, Home

GREEN = [sys.executable, "-m", "jupyter_green.cli.app"]


def green(home: Home, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GREEN, "report", *map(str, arguments)],
        cwd=home.work,
        env=home.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def said(home: Home, *arguments: str | Path) -> str:
    done = green(home, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def told(home: Home, *arguments: str | Path) -> Any:
    return json.loads(said(home, *arguments, "--format", "json"))


def complaint(home: Home, *arguments: str | Path) -> str:
    done = green(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"jupyter green: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


def from_elsewhere(home: Home, name: str) -> Path:
    """All journals as another machine would have written them, in a directory of their own."""
    directory = home.work / name
    directory.mkdir()
    for journal in home.journals():
        first, _, rest = journal.read_bytes().partition(b"\n")
        header = json.loads(first)
        header["host"], header["boot_id"] = name, "another"
        (directory / journal.name).write_bytes(json.dumps(header).encode() + b"\n" + rest)
    return directory


def test_two_at_once_and_another_machine(home: Home, machine: RaplMachine) -> None:
    sessions = two_at_once(home)
    truth_j = drawn_j(machine, sessions)

    here = told(home, *(one.id for one in sessions), sessions[0].id, "--place", "DE")
    total = here["total"]
    assert (total["sessions"], here["repeated"]) == (2, 0)
    assert total["union_j"] == pytest.approx(truth_j, abs=LEEWAY_J)
    assert total["sum_j"] > total["union_j"] + 0.4 * IDLE_W
    (co2,) = here["co2"]
    assert co2["union"] / co2["summed"] == pytest.approx(total["union_j"] / total["sum_j"])

    copied = from_elsewhere(home, "cluster")
    names = [*(str(path) for path in home.journals()), copied]
    both = told(home, *names)
    assert both["total"]["union_j"] == pytest.approx(2 * total["union_j"])
    machines = {each["group"]: each["union_j"] for each in both["groups"]["machine"]}
    assert machines == dict.fromkeys([sessions[0].host, "cluster"], pytest.approx(total["union_j"]))

    rows = list(csv.DictReader(io.StringIO(said(home, *names, "--format", "csv"))))
    assert sum(float(row["energy_j"]) for row in rows) == pytest.approx(both["total"]["sum_j"])
    page_path = home.work / "all.html"
    assert said(home, *names, "--output", page_path) == ""
    page = Page(page_path.read_text("utf-8"))
    assert page.text.startswith("4 sessions")
    assert {row["Machine"] for row in page.table("By machine.")} == {sessions[0].host, "cluster"}


def test_a_project(home: Home, machine: RaplMachine) -> None:
    finish(work(home, 0.1))
    for project in ("thesis", "side", "thesis"):
        home.configure(sysfs_root=str(machine.sysfs), project=project)
        finish(work(home, 0.1))
    sessions = recorded(home)

    report = told(home, "--project", "thesis")
    ids = {one.id for one in sessions if one.project == "thesis"}
    assert {one["id"] for one in report["sessions"]} == ids
    assert len(told(home, "--since", "1h")["sessions"]) == 4
    assert len(told(home, "--since", "1h", "--project", "side")["sessions"]) == 1
    text = said(home, "--project", "thesis")
    assert text.startswith("2 sessions of thesis, ")
    assert "script1.py" in text
    assert "over 2 sessions on one machine" in said(
        home, "--since", "1h", "--project", "thesis", "--format", "statement"
    )
    assert "there are side, thesis" in complaint(home, "--project", "thesys")
    assert "none of 4 sessions has begun since then" in complaint(home, "--since", "2999-01-01")


def test_what_cannot_be_merged(home: Home) -> None:
    finish(work(home, 0.1), work(home, 0.1))
    one, other = (session.id for session in recorded(home))

    for form in ("parquet", "model_card", "boamps"):
        words = complaint(home, one, other, "--format", form)
        assert f"{form} tells of one session alone" in words
        assert ", ".join(forms.MERGED) in words
    assert "tells of one session alone" in complaint(home, one, other, "--output", "x.parquet")
    assert "'absent'" in complaint(home, one, "absent")
    assert "holds no session journal" in complaint(home, home.work)
    assert "--basis needs a --place" in complaint(home, one, "--basis", "lifecycle")
    assert told(home, one, other, "--basis", "lifecycle")["co2"] == []

    (home.data / "sessions" / "damaged.ndjson").write_bytes(b"nothing\n")
    done = green(home, home.data, "--format", "json")
    assert done.returncode == 0
    assert re.fullmatch(
        r"jupyter green: left out: .*damaged\.ndjson is no session journal.*\n", done.stderr
    )
    assert len(json.loads(done.stdout)["problems"]) == 1


def test_one_session_is_shown_as_ever(home: Home, tmp_path: Path) -> None:
    finish(work(home, 0.1))
    (session,) = recorded(home)
    # A directory without journals does not hide the session of the script in it.
    (home.work / "script0").mkdir()
    assert json.loads(said(home, "script0", "--format", "json"))["session"]["id"] == session.id
    assert json.loads(said(home, "--format", "json"))["session"]["id"] == session.id
    assert json.loads(said(home, session.id, "--format", "json"))["session"]["id"] == session.id
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(home.journals()[0], alone)
    assert told(home, alone)["total"]["sessions"] == 1
