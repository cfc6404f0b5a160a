"""All sessions together: the index, the totals, what is shown of them, and retention."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.configurable import load_settings
from jupyter_green.events import (
    CellFinished,
    CellStarted,
    CounterInfo,
    Event,
    Intensity,
    MetricLogged,
    PowerSampled,
    SessionEnded,
    SessionStarted,
    Tags,
    encode,
)
from jupyter_green.processes import boot_id, host_name, own_identity
from jupyter_green.report import history as view
from jupyter_green.report.lines import display_width
from jupyter_green.sessions import index, library
from jupyter_green.sessions.history import History, read_history, totals
from jupyter_green.sessions.index import index_path
from jupyter_green.sessions.retention import prune_expired
from jupyter_green.sessions.summary import summarize
from jupyter_green.settings import Settings
from tests.simulators.story import DRAM, FRANCE, HOSTILE, MODEL, PACKAGE, Story

ROOT = Path(__file__).parents[2]
START = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""
DAY_S = 86_400
POLAND = Intensity(g_per_kwh=600.0, place="Poland", year=2024)
MARKET = Intensity(g_per_kwh=10.0, place="Green Ltd", basis="market")


def session_id(number: int) -> str:
    return f"20260101T{number:06d}-abcdef"


def write(
    data_dir: Path,
    number: int = 0,
    *,
    seconds: float = 10.0,
    starts_s: float | None = None,
    more: Iterable[Event] = (),
    end: str | None = "goodbye",
    counters: Sequence[CounterInfo] = (PACKAGE,),
    **header: Any,
) -> Path:
    """A journal with one cell; sessions follow each other hour by hour."""
    begins_s = START + 3600 * number if starts_s is None else starts_s

    def stamp(t: float) -> dict[str, Any]:
        names = [info.name for info in counters]
        uj = dict.fromkeys(names, round(10 * (begins_s - START + 1e5 + t) * 1e6))
        return {"t": t, "uj": uj, "error_uj": dict.fromkeys(names, (1000, 1000))}

    usual: dict[str, Any] = {
        "format": "1.0",
        "session": session_id(number),
        "version": "0.1.0",
        "wall_s": begins_s,
        "host": "here",
        "boot_id": "boot",
        "pid": 7,
        "process_started": 1.0,
        "notebook": "/home/me/train.ipynb",
        "front_end": "ipykernel",
        "counters": list(counters),
    }
    events: list[Event] = [
        SessionStarted(**{**usual, **header}, **stamp(0.0)),
        CellStarted(number=1, cell="c", first_line="fit()", **stamp(0.2 * seconds)),
        *more,
        CellFinished(number=1, status="ok", **stamp(0.8 * seconds)),
    ]
    if end is not None:
        events.append(SessionEnded(reason=end, **stamp(seconds)))
    path = library.journal_path(data_dir, usual["session"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(encode, events)))
    return path


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def in_place(path: Path, content: bytes) -> None:
    """Other content of the same length, which the file's size and time do not betray."""
    stat = path.stat()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# --- the index ---


def test_history_is_newest_first(tmp_path: Path) -> None:
    for number in (1, 2, 0):
        write(tmp_path, number)
    history = read_history(tmp_path)
    assert [one.id for one in history.sessions] == [session_id(n) for n in (2, 1, 0)]
    assert history.problems == ()
    loaded = [library.load(path) for path, _ in library.journals(tmp_path)]
    assert history.sessions == tuple(map(summarize, reversed(loaded)))
    assert [one.id for one in history.since(START + 3600).sessions] == [
        session_id(2),
        session_id(1),
    ]


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    assert read_history(tmp_path / "nowhere") == History(())
    assert not (tmp_path / "nowhere").exists()


def test_finished_journal_is_folded_once(tmp_path: Path) -> None:
    path = write(tmp_path)
    first = read_history(tmp_path)
    assert index_path(tmp_path).stat().st_mode & 0o777 == 0o600
    written_ns = index_path(tmp_path).stat().st_mtime_ns
    in_place(path, b"x" * path.stat().st_size)
    assert read_history(tmp_path) == first
    assert index_path(tmp_path).stat().st_mtime_ns == written_ns, "nothing is new"


def test_journal_that_changed_is_folded_again(tmp_path: Path) -> None:
    path = write(tmp_path, end=None, host="elsewhere")
    os.utime(path, (START, START))
    assert read_history(tmp_path).sessions[0].state == "ended without goodbye"
    write(tmp_path, seconds=20.0, host="elsewhere")
    assert read_history(tmp_path).sessions[0].duration_s == 20.0
    later = path.stat().st_mtime + 5
    in_place(path, path.read_bytes().replace(b"train", b"TRAIN"))
    assert read_history(tmp_path).sessions[0].title == "/home/me/train.ipynb"
    os.utime(path, (later, later))
    assert read_history(tmp_path).sessions[0].title == "/home/me/TRAIN.ipynb"


def test_open_session_is_folded_each_time(tmp_path: Path) -> None:
    pid, started = own_identity()
    live = {"host": host_name(), "boot_id": boot_id(), "pid": pid, "process_started": started}
    path = write(tmp_path, end=None, **live)
    (one,) = read_history(tmp_path).sessions
    assert (one.state, one.energy.total_uj) == ("open", 80_000_000)
    assert index.read(tmp_path) == {}
    in_place(path, path.read_bytes().replace(b"train", b"TRAIN"))
    assert read_history(tmp_path).sessions[0].title == "/home/me/TRAIN.ipynb"


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:3],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: flipped(data, len(data) // 2),
        lambda data: flipped(data, 0),
        lambda data: b"\x00" * len(data),
        lambda data: data.replace(index.VERSION.encode(), index.VERSION[::-1].encode()),
    ],
    ids=["empty", "torn", "shorter", "longer", "flipped", "check", "zeros", "version"],
)
def test_damaged_index_is_made_again(tmp_path: Path, damage: Any) -> None:
    for number in range(5):
        write(tmp_path, number)
    first = read_history(tmp_path)
    whole = index_path(tmp_path).read_bytes()
    index_path(tmp_path).write_bytes(damage(whole))
    assert index.read(tmp_path) == {}
    assert read_history(tmp_path) == first
    assert index.read(tmp_path).keys() == {f"{session_id(n)}.ndjson" for n in range(5)}


def test_index_of_another_version_is_made_again(tmp_path: Path) -> None:
    """It is whole, and its check sum is right."""
    write(tmp_path)
    first = read_history(tmp_path)
    entries = index.read(tmp_path)
    code = (
        "import sys, jupyter_green; jupyter_green.__version__ = '0.0.0'\n"
        "from jupyter_green.sessions import history, index\n"
        "assert index.read(sys.argv[1]) == {}\n"
        "history.read_history(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    assert index.read(tmp_path) == {}
    assert read_history(tmp_path) == first
    assert index.read(tmp_path) == entries


def test_index_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    write(tmp_path)
    index_path(tmp_path).mkdir()
    (index_path(tmp_path) / "in the way").touch()
    first = read_history(tmp_path)
    assert len(first.sessions) == 1
    assert read_history(tmp_path) == first
    assert {path.name for path in tmp_path.iterdir()} == {"sessions", index.NAME}


def test_index_forgets_journals_that_have_gone(tmp_path: Path) -> None:
    gone, stays = write(tmp_path, 0), write(tmp_path, 1)
    read_history(tmp_path)
    gone.unlink()
    assert [one.id for one in read_history(tmp_path).sessions] == [stays.stem]
    assert index.read(tmp_path).keys() == {stays.name}


def test_interrupted_reader_keeps_what_it_has_folded(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, number)

    def impatient(journals: Sequence[Path]) -> Iterable[Path]:
        yield from journals[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_history(tmp_path, impatient)
    assert len(index.read(tmp_path)) == 2
    assert len(read_history(tmp_path, lambda journals: journals[1:]).sessions) == 4


def test_many_readers_at_once_damage_nothing(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path, number)
    code = (
        "import sys\n"
        "from jupyter_green.sessions import index, history\n"
        "for _ in range(10):\n"
        "    found = history.read_history(sys.argv[1])\n"
        "    assert len(found.sessions) == 100 and not found.problems\n"
        "    assert len(index.read(sys.argv[1])) in (0, 100)\n"
        "    index.index_path(sys.argv[1]).unlink(missing_ok=True)\n"
        "history.read_history(sys.argv[1])\n"
    )
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for _ in range(3)
    ]
    for reader in readers:
        _, errors = reader.communicate(timeout=60)
        assert (reader.returncode, errors) == (0, "")
    read_history(tmp_path)
    assert len(index.read(tmp_path)) == 100
    assert {path.name for path in tmp_path.iterdir()} == {"sessions", index.NAME}


def test_journals_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path).parent
    (folder / "torn.ndjson").write_bytes(b"\xff\x00")
    write(tmp_path, 1, format="2.0")
    for _ in range(2):
        history = read_history(tmp_path)
        assert [one.id for one in history.sessions] == [session_id(0)]
        newer, torn = history.problems
        assert "reads up to 1.x" in newer
        assert "torn.ndjson is no session journal" in torn


# --- summaries ---


def test_summary_of_a_session(tmp_path: Path) -> None:
    story = Story(PACKAGE, DRAM, intensity=FRANCE, project="thesis")
    story.cell("a", 10)
    for value in (0.5, 0.9, 0.7):
        story.metric("accuracy", value, direction="higher")
    session = story.close()
    one = summarize(session)
    assert one.energy.total_uj == session.total.total_uj == 120_000_000
    assert (one.energy.lag_uj, one.energy.bound_uj) == (
        session.total.lag_uj,
        session.total.bound_uj,
    )
    assert one.metric is not None
    assert (one.metric.name, one.metric.value) == ("accuracy", 0.9)
    assert one.co2_g == pytest.approx(120 / 3.6e6 * 44)
    assert (one.co2_basis, one.project, one.cells) == ("lifecycle", "thesis", 1)
    assert one.title == "/home/me/train.ipynb"


@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("higher", [0.1, 0.3, 0.2], 0.3),
        ("lower", [0.1, 0.3, 0.2], 0.1),
        (None, [0.1, 0.3, 0.2], 0.2),
        ("lower", [0.1, math.nan], 0.1),
        ("higher", [math.nan], None),
    ],
)
def test_best_metric(direction: str | None, values: list[float], best: float | None) -> None:
    story = Story()
    for value in values:
        finite = value if math.isfinite(value) else None
        story.metric("m", finite, direction=direction, text=None if finite else str(value))
    found = summarize(story.close()).metric
    assert (found and found.value) == best


def test_command_is_called_by_its_line(tmp_path: Path) -> None:
    write(tmp_path, front_end="exec", notebook=None)
    assert read_history(tmp_path).sessions[0].title == "fit()"
    labelled = Story(front_end="exec")
    labelled.begin("python train.py", {"label": "resnet"})
    assert summarize(labelled.session()).title == "resnet"
    assert summarize(Story(front_end="script", notebook=None).close()).title == "script"


# --- totals ---


def test_sum_and_union(tmp_path: Path) -> None:
    write(tmp_path, 0, seconds=100)
    write(tmp_path, 1, seconds=100, starts_s=START + 40)
    write(tmp_path, 2, seconds=100, starts_s=START + 40, host="elsewhere")
    history = read_history(tmp_path)
    total = totals(history.sessions)
    assert (total.sessions, total.duration_s) == (3, 300.0)
    assert total.summed.total_uj == 3000_000_000
    assert total.union.total_uj == pytest.approx(2400_000_000, abs=100)
    assert total.summed.provenance == total.union.provenance == ("measured",)
    lags = [one.energy.lag_uj for one in history.sessions]
    assert total.summed.bound_uj == pytest.approx(math.sqrt(sum(lag**2 for lag in lags)))
    assert total.union.bound_uj >= total.summed.bound_uj


def test_bands_of_models_add_up_and_count_once(tmp_path: Path) -> None:
    write(tmp_path, 0, seconds=100, counters=[MODEL])
    write(tmp_path, 1, seconds=100, counters=[MODEL])
    total = totals(read_history(tmp_path).sessions)
    assert total.summed.bound_uj - total.summed.lag_uj == pytest.approx(0.4 * 2000e6)
    write(tmp_path, 2, seconds=200, starts_s=START, counters=[PACKAGE])
    total = totals(read_history(tmp_path).sessions)
    assert total.summed.total_uj == 4000_000_000
    # The first model is hidden by what was measured at the same time.
    assert total.union.total_uj == pytest.approx(3000_000_000, abs=100)
    assert total.union.bound_uj - total.union.lag_uj == pytest.approx(0.4 * 1000e6, rel=0.01)
    assert total.union.provenance == ("measured", "modelled")


def test_what_is_missing_in_one_makes_totals_lower_bounds(tmp_path: Path) -> None:
    write(tmp_path, 0)
    assert not totals(read_history(tmp_path).sessions).summed.missing
    write(tmp_path, 1, counters=[])
    total = totals(read_history(tmp_path).sessions)
    assert total.summed.total_uj == 100_000_000
    assert total.summed.missing == total.union.missing == ("a whole session",)
    (tmp_path / "sessions" / f"{session_id(0)}.ndjson").unlink()
    total = totals(read_history(tmp_path).sessions)
    assert (total.summed.total_uj, total.union.total_uj) == (None, None)


def test_co2_of_those_that_have_a_place(tmp_path: Path) -> None:
    write(tmp_path, 0)
    assert totals(read_history(tmp_path).sessions).co2_g is None
    write(tmp_path, 1, intensity=FRANCE)
    write(tmp_path, 2, intensity=POLAND)
    total = totals(read_history(tmp_path).sessions)
    assert (total.co2_g, total.co2_sessions) == (pytest.approx(100 / 3.6e6 * (44 + 600)), 2)
    assert "≥ " in view.as_text(read_history(tmp_path))
    write(tmp_path, 3, intensity=MARKET)
    history = read_history(tmp_path)
    assert totals(history.sessions).co2_g is None, "bases must not be mixed"
    assert "different bases" in view.as_text(history)


# --- what is shown ---


@pytest.fixture
def several(tmp_path: Path) -> History:
    """Two notebooks and a command, in two months; the first two sessions overlap."""
    write(tmp_path, 0, seconds=100, project="thesis", intensity=FRANCE)
    write(tmp_path, 1, seconds=100, starts_s=START + 50, notebook="/home/me/other.ipynb")
    command = {"front_end": "exec", "notebook": None, "end": None}
    aged(write(tmp_path, 2, starts_s=START + 40 * DAY_S, **command), 1)
    metric = MetricLogged(t=3.0, name="acc", value=0.914, direction="higher", cell=1)
    write(tmp_path, 3, starts_s=START + 41 * DAY_S, project="thesis", more=[metric])
    return read_history(tmp_path)


def test_text(several: History) -> None:
    lines = view.as_text(several).splitlines()
    assert lines[0].split() == [
        *("SESSION", "STARTED", "TIME", "ENERGY", "ORIGIN", "CO2E", "METRIC", "NOTEBOOK")
    ]
    assert [line.split()[0] for line in lines[1:5]] == [session_id(n) for n in (3, 2, 1, 0)]
    assert lines[1].endswith("acc 0.914  /home/me/train.ipynb")
    assert "100.0 ± 0.1 J" in lines[1]
    assert "measured" in lines[1]
    assert lines[2].endswith("fit()")
    assert "12.2 mg" in lines[4]
    text = "\n".join(lines)
    assert "Sum of sessions  2.18" in text
    assert "Union in time    1.68" in text
    assert "4 sessions, 3:38 min" in text


def test_columns_that_are_empty_are_left_out(tmp_path: Path) -> None:
    write(tmp_path)
    header = view.as_text(read_history(tmp_path)).splitlines()[0].split()
    assert header == ["SESSION", "STARTED", "TIME", "ENERGY", "ORIGIN", "NOTEBOOK"]


@pytest.mark.parametrize(
    ("by", "names", "counts"),
    [
        ("month", ["2026-01", "2026-02"], ["2", "2"]),
        ("project", ["thesis", "(no project)"], ["2", "2"]),
        ("notebook", ["/home/me/train.ipynb", "/home/me/other.ipynb", "fit()"], ["2", "1", "1"]),
    ],
)
def test_groups(several: History, by: str, names: list[str], counts: list[str]) -> None:
    table, _, sums = view.as_text(several, by).partition("\n\n")
    header, *rows = table.splitlines()
    assert header.split()[0] == by.upper()
    assert [row[: max(map(len, names))].strip() for row in rows] == names
    assert [row[max(map(len, names)) :].split()[0] for row in rows] == counts
    assert "Union in time" in sums
    groups = json.loads(view.as_json(several, by))["groups"]
    assert [group["group"] or "(no project)" for group in groups] == names
    assert sum(group["sum_j"] for group in groups) == pytest.approx(2180)
    records = list(csv.DictReader(io.StringIO(view.as_csv(several, by))))
    assert [record[by] or "(no project)" for record in records] == names


def test_group_has_its_own_union(several: History) -> None:
    january, _ = json.loads(view.as_json(several, "month"))["groups"]
    assert (january["sum_j"], january["union_j"]) == (2000, pytest.approx(1500))


def test_only_the_newest_unless_all_are_asked_for(tmp_path: Path) -> None:
    for number in range(view.NEWEST + 3):
        write(tmp_path, number)
    history = read_history(tmp_path)
    some = view.as_text(history)
    assert "\n+ 3 older ones (--all shows them)\n" in some
    assert session_id(2) not in some
    assert "23 sessions" in some
    everything = view.as_text(history, everything=True)
    assert "older ones" not in everything
    assert session_id(0) in everything


def test_json_and_csv(several: History) -> None:
    told = json.loads(view.as_json(several))
    assert told["format"] == view.FORMAT
    assert told["total"]["sum_j"] == pytest.approx(2180)
    assert told["total"]["union_j"] == pytest.approx(1680)
    first, second = told["sessions"][:2]
    assert (first["metric"], first["metric_value"]) == ("acc", 0.914)
    assert (second["state"], second["title"]) == ("ended without goodbye", "fit()")
    assert "groups" not in told
    records = list(csv.DictReader(io.StringIO(view.as_csv(several))))
    assert [float(record["energy_j"]) for record in records] == [
        one["energy_j"] for one in told["sessions"]
    ]
    assert records[0]["co2_g"] == ""
    assert view.as_csv(History(())) == "\n"
    assert json.loads(view.as_json(History(())))["total"]["sum_j"] is None


@pytest.mark.parametrize("by", ["", *view.GROUPS])
def test_hostile_names(tmp_path: Path, by: str) -> None:
    for number, text in enumerate(HOSTILE):
        name = text.encode("utf-8", "replace").decode()
        metric = MetricLogged(t=3.0, name=name, value=1.0, cell=1)
        write(tmp_path, number, notebook=name or None, project=name, more=[metric])
    history = read_history(tmp_path)
    text = view.as_text(history, by, everything=True)
    assert not {"\x1b", "\x9b", "\x00", "\r", "\t", "\u202e"} & set(text)
    assert len(text.split("\n\n")[0].splitlines()) <= 1 + len(HOSTILE)
    assert max(map(display_width, text.split("\n\n")[0].splitlines())) < 220
    for record in csv.reader(io.StringIO(view.as_csv(history, by))):
        assert not any(field.startswith(("=", "+", "-", "@", "\t")) for field in record)
    json.loads(view.as_json(history, by))


# --- retention ---


def test_retention_deletes_what_is_older(tmp_path: Path) -> None:
    old, young = aged(write(tmp_path, 0), 31), aged(write(tmp_path, 1), 29)
    prune_expired(Settings(data_dir=str(tmp_path)))
    assert old.exists(), "all are kept unless the user says otherwise"
    prune_expired(Settings(data_dir=str(tmp_path), retention_days=30))
    assert (old.exists(), young.exists()) == (False, True)
    prune_expired(Settings(data_dir=str(tmp_path / "nowhere"), retention_days=30))


@pytest.mark.parametrize("days", [0, 0.5, -1, math.nan, math.inf])
def test_retention_that_would_surprise_is_refused(days: float) -> None:
    """What was configured before stays in force: here nothing, so that all is kept."""
    loaded = load_settings(overrides={"retention_days": days})
    assert loaded.settings.retention_days is None
    (problem,) = loaded.problems
    assert "retention_days must be at least 1" in problem


def test_retention_is_a_setting() -> None:
    loaded = load_settings(overrides={"retention_days": 90})
    assert (loaded.settings.retention_days, loaded.problems) == (90, ())
    assert load_settings(overrides={"retention_days": None}).problems == ()


def test_deleted_session_leaves_nothing_in_the_index(tmp_path: Path) -> None:
    aged(write(tmp_path, 0, notebook="/secret.ipynb"), 31)
    aged(write(tmp_path, 1), 1)
    read_history(tmp_path)
    assert b"secret" in index_path(tmp_path).read_bytes()
    prune_expired(Settings(data_dir=str(tmp_path), retention_days=30))
    assert b"secret" not in index_path(tmp_path).read_bytes()
    assert index.read(tmp_path).keys() == {f"{session_id(1)}.ndjson"}


def test_retention_says_nothing_of_what_cannot_be_deleted(tmp_path: Path) -> None:
    """Another session's end comes, and tries again."""
    paths = [aged(write(tmp_path, number), 31) for number in range(3)]
    paths[1].unlink()
    paths[1].mkdir()  # no file, so it cannot be unlinked
    (paths[1] / "inside").touch()
    aged(paths[1], 31)
    prune_expired(Settings(data_dir=str(tmp_path), retention_days=30))
    assert [path.exists() for path in paths] == [False, True, False]


def test_tags_of_a_cell_are_no_part_of_a_title() -> None:
    story = Story(front_end="ipykernel")
    story.feed(
        CellStarted(number=1, cell="c", first_line="a", tags=Tags(label="b"), **story.stamp())
    )
    story.feed(PowerSampled(**story.stamp(1.0)))
    assert summarize(story.session()).title == "/home/me/train.ipynb"
