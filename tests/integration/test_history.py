"""``jupyter green history`` and ``prune`` as a user has them, over sessions that were recorded."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.sessions import library
from tests.simulators.machine import RaplMachine

from .at_once import IDLE_W, LEEWAY_J, drawn_j, finish, recorded, two_at_once, work
from .kernels import TIMEOUT_S, Home, until

GREEN = [sys.executable, "-m", "jupyter_green.cli.app"]
DAY_S = 86_400


def green(home: Home, *arguments: str) -> Any:
    return subprocess.run(
        [*GREEN, *arguments],
        cwd=home.work,
        env=home.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def told(home: Home, *arguments: str) -> Any:
    done = green(home, "history", "--format", "json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_two_sessions_at_once_count_once(home: Home, machine: RaplMachine) -> None:
    sessions = two_at_once(home)
    truth_j = drawn_j(machine, sessions)
    for _ in ("without an index", "with it"):
        total = told(home)["total"]
        assert total["union_j"] == pytest.approx(truth_j, abs=LEEWAY_J)
        assert total["sum_j"] > total["union_j"] + 0.4 * IDLE_W
        assert total["sum_j"] == pytest.approx(sum(one.total.energy_j or 0 for one in sessions))
        assert total["provenance"] == "measured"
    assert (home.data / "history.index").is_file()


def test_history_of_real_sessions(home: Home, machine: RaplMachine) -> None:
    finish(work(home, 0.2))
    home.configure(sysfs_root=str(machine.sysfs), place="FR", project="thesis")
    finish(work(home, 0.2))
    recorded(home)
    done = green(home, "history")
    assert (done.returncode, done.stderr) == (0, "")
    header, newest, oldest = done.stdout.splitlines()[:3]
    assert re.search(r"TIME +ENERGY +ORIGIN +CO2E +METRIC +NOTEBOOK", header)
    assert re.search(r" J  measured  [\d.]+ [µm]g  accuracy 0\.9  script1\.py$", newest), newest
    assert re.search(r" J  measured  .*  accuracy 0\.9  script0\.py$", oldest), oldest
    assert re.search(r"^CO₂e of the sum  ≥ .* a place was set in 1 of them$", done.stdout, re.M)
    groups = told(home, "--by", "project")["groups"]
    assert {group["group"]: group["sessions"] for group in groups} == {"thesis": 1, None: 1}
    by_month = green(home, "history", "--by", "month").stdout
    assert re.search(rf"^{time.strftime('%Y-%m')} +2 ", by_month, re.M)

    target = home.work / "history.csv"
    assert green(home, "history", "--format", "csv", "--output", str(target)).stdout == ""
    records = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [record["project"] for record in records] == ["thesis", ""]


def test_open_session_is_shown_so_far(home: Home) -> None:
    script = work(home, 30)
    try:
        until(home.journals, what="the journal")
        sessions = until(lambda: told(home)["sessions"])
        assert sessions[0]["state"] == "open"
        so_far_j = sessions[0]["energy_j"]
        until(lambda: told(home)["sessions"][0]["energy_j"] > so_far_j, what="more energy")
        assert green(home, "history").stdout.splitlines()[1].endswith("script0.py (open)")
    finally:
        script.kill()
        script.communicate()


def test_since(home: Home) -> None:
    finish(work(home, 0.1))
    recorded(home)
    today = time.strftime("%Y-%m-%d", time.localtime(time.time() - 3600))
    for since, count in (("1h", 1), ("2d", 1), ("2026-01-01", 1), (today, 1), ("2999-01-01", 0)):
        assert len(told(home, "--since", since)["sessions"]) == count, since
    done = green(home, "history", "--since", "2999-01-01")
    assert (done.returncode, done.stdout) == (0, "No session has begun since 2999-01-01.\n")


def test_no_session_yet(home: Home) -> None:
    done = green(home, "history")
    assert done.returncode == 0
    assert done.stdout.startswith("No session is recorded in ")
    assert told(home)["sessions"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["history", "--by", "year"], "'year'"),
        (["history", "--since", "soon"], "--since must be a date (2026-01-31) or an age"),
        (["history", "--since", "2026-13-01"], "'2026-13-01'"),
        (["history", "--format", "xml"], "'xml'"),
        (["history", "--output", "no/such/file"], "no/such/file cannot be written"),
        (["history", "extra"], "'extra'"),
        (["prune"], "--older-than 90d, or set JupyterGreen.retention_days"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors_are_one_line(home: Home, arguments: list[str], words: str) -> None:
    (home.data / "sessions").mkdir(parents=True)
    (home.data / "sessions" / "20260101T000000-abcdef.ndjson").write_bytes(
        b'{"kind":"session_started","t":0,"format":"1.0","session":"20260101T000000-abcdef",'
        b'"version":"0","wall_s":1.7e9,"host":"x","boot_id":"y","pid":1,"process_started":1}\n'
    )
    done = green(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"jupyter green: [^\n]+\n", done.stderr), done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("command", ["history", "exec", "prune"])
def test_help_has_examples(home: Home, command: str) -> None:
    done = green(home, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^    jupyter green {command}\b", done.stdout, re.M)


# --- prune ---


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def test_prune_by_the_setting(home: Home, machine: RaplMachine) -> None:
    finish(work(home, 0.1))
    finish(work(home, 0.1))
    recorded(home)
    old, young = (aged(path, days) for path, days in zip(home.journals(), (31, 29), strict=True))
    home.configure(sysfs_root=str(machine.sysfs), retention_days=30)
    dry = green(home, "prune", "--dry-run")
    assert dry.stdout == f"{old.stem}\n1 session would be deleted.\n"
    assert green(home, "prune", "--older-than", "40d").stdout == "0 sessions deleted.\n"
    assert green(home, "prune").stdout == f"{old.stem}\n1 session deleted.\n"
    assert (old.exists(), young.exists()) == (False, True)


def test_prune_says_which_were_damaged(home: Home) -> None:
    folder = home.data / "sessions"
    folder.mkdir(parents=True)
    damaged = folder / "20250101T000000-0a1b2c.ndjson"
    damaged.write_bytes(b"\x00" * 1000)
    assert green(home, "prune", "--older-than", "30d").stdout == "0 sessions deleted.\n"
    aged(damaged, 31)
    done = green(home, "prune", "--older-than", "30d")
    assert done.stdout == (
        f"{damaged.stem} (damaged: it has no first line; by the age of its file)\n"
        "1 session deleted.\n"
    )
    assert not damaged.exists()


# --- the moment of a kernel's death ---


def test_dead_kernel_is_not_taken_for_an_orphan_while_its_recorder_writes(home: Home) -> None:
    """Whoever looks at the wrong moment sees a session that is open, and then its end."""
    script = work(home, 30)
    (journal,) = until(home.journals, what="the journal")
    (recorder,) = until(home.recorders, what="the recorder")
    # It stands still between the kernel's death and its own last line.
    os.kill(recorder.pid, signal.SIGSTOP)
    try:
        script.kill()
        script.communicate()
        for _ in range(5):
            session = library.load(journal)
            assert (session.state, session.reason) == ("open", None)
            (listed,) = library.listed(home.data)
            assert (listed.state, listed.alive) == ("open", True)
    finally:
        os.kill(recorder.pid, signal.SIGCONT)
    until(lambda: library.load(journal).reason == "kernel died", what="the recorder's last line")
