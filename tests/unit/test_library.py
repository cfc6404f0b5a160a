"""Finding, loading, listing and deleting journals, and adding sessions up without doubles."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.errors import JournalError, NewerFormat, NotAJournal, SessionNotFound
from jupyter_green.events import (
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterInfo,
    CounterLost,
    CounterRestored,
    Event,
    PowerSampled,
    SessionEnded,
    SessionStarted,
    encode,
)
from jupyter_green.processes import boot_id, host_name, own_identity
from jupyter_green.sessions import library
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.library import find, journal_path, listed, load, union_uj
from jupyter_green.sessions.model import Session
from jupyter_green.sessions.retention import find_old, prune
from jupyter_green.sessions.running import Present, running_dir
from jupyter_green.sessions.union import Curve, curves, union

PACKAGE = CounterInfo(
    name="package-0", domain="package", source="rapl", provenance="measured", resolution_s=0.001
)
DRAM = CounterInfo(
    name="dram-0", domain="dram", source="rapl", provenance="measured", resolution_s=0.001
)
CPU_MODEL = CounterInfo(
    name="cpu-model",
    domain="cpu",
    source="modelled",
    provenance="modelled",
    resolution_s=0.01,
    band=0.4,
)
DRAM_MODEL = CounterInfo(
    name="dram-model",
    domain="dram",
    source="modelled",
    provenance="modelled",
    resolution_s=0.01,
    band=0.4,
)
CORE = CounterInfo(
    name="core-0",
    domain="core",
    source="rapl",
    provenance="measured",
    resolution_s=0.001,
    counted=False,
)


def header(session: str = "20260102T030405-abcdef", **fields: Any) -> SessionStarted:
    """Of this very process, so that it is alive."""
    pid, started = own_identity()
    usual: dict[str, Any] = {
        "t": 0.0,
        "format": "1.0",
        "version": "0.1.0",
        "wall_s": 1_767_323_045.0,
        "host": host_name(),
        "boot_id": boot_id(),
        "pid": pid,
        "process_started": started,
        "counters": [PACKAGE],
        "uj": {"package-0": 0},
    }
    return SessionStarted(session=session, **{**usual, **fields})


CELL: list[Event] = [
    CellStarted(t=1.0, uj={"package-0": 10}, number=1, cell="c", first_line="fit()"),
    CellFinished(t=2.0, uj={"package-0": 30}, number=1, status="ok"),
]


def write(data_dir: Path, *events: Event, name: str | None = None) -> Path:
    first = events[0]
    assert isinstance(first, SessionStarted)
    path = journal_path(data_dir, name or first.session)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encode(event) for event in events))
    return path


@pytest.fixture
def dead() -> tuple[int, float]:
    """Pid and start time of a process that has ended."""
    code = "from jupyter_green.processes import own_identity; print(*own_identity())"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    pid, started = told.split()
    return int(pid), float(started)


# --- load ---


def test_load(tmp_path: Path) -> None:
    session = load(write(tmp_path, header(), *CELL, SessionEnded(t=3.0, uj={"package-0": 40})))
    assert (session.state, session.reason) == ("closed", "goodbye")
    assert session.total.total_uj == 40
    assert [cell.first_line for cell in session.cells] == ["fit()"]


def test_running_kernel_has_an_open_session(tmp_path: Path) -> None:
    session = load(write(tmp_path, header(), CELL[0]))
    assert (session.state, session.reason) == ("open", None)
    assert [cell.number for cell in session.open_cells] == [1]


def test_orphan_of_a_dead_process(tmp_path: Path, dead: tuple[int, float]) -> None:
    pid, started = dead
    sample = PowerSampled(t=4.0, uj={"package-0": 70})
    session = load(write(tmp_path, header(pid=pid, process_started=started), CELL[0], sample))
    assert session.state == "ended without goodbye"
    assert session.reason == "kernel and recorder died"
    (cell,) = session.cells
    assert (cell.status, cell.finished_s, cell.energy.total_uj) == ("kernel died", 4.0, 60)


def test_orphan_whose_pid_was_given_away(tmp_path: Path) -> None:
    _, started = own_identity()
    session = load(write(tmp_path, header(process_started=started - 500)))
    assert session.state == "ended without goodbye"


def test_orphan_of_an_earlier_boot(tmp_path: Path) -> None:
    session = load(write(tmp_path, header(boot_id="before"), CELL[0]))
    assert session.state == "ended without goodbye"


def test_session_of_another_host_is_judged_by_its_silence(tmp_path: Path) -> None:
    path = write(tmp_path, header(host="elsewhere", pid=1, boot_id="theirs"), CELL[0])
    assert load(path).state == "open"
    long_ago = time.time() - library.SILENT_S - 10
    os.utime(path, (long_ago, long_ago))
    assert load(path).state == "ended without goodbye"


def announce(data_dir: Path, **fields: Any) -> Path:
    """What a recorder writes that lives in this very process."""
    pid, started = own_identity()
    usual = {
        "session": header().session,
        "host": host_name(),
        "boot_id": boot_id(),
        "pid": pid,
        "started": started,
        "kernel_pid": 1,
    }
    present = Present(**{**usual, **fields})
    path = running_dir(data_dir) / f"{present.session}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(present))
    return path


def test_session_of_a_dead_kernel_is_open_while_its_recorder_lives(
    tmp_path: Path, dead: tuple[int, float]
) -> None:
    """The recorder has yet to write the end."""
    path = write(tmp_path, header(pid=dead[0], process_started=dead[1]), CELL[0])
    running = announce(tmp_path)
    assert (load(path).state, load(path).reason) == ("open", None)
    assert [(one.alive, one.state) for one in listed(tmp_path)] == [(True, "open")]
    running.unlink()
    assert load(path).reason == "kernel and recorder died"
    assert [(one.alive, one.state) for one in listed(tmp_path)] == [
        (False, "ended without goodbye")
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"session": "20260102T030405-fedcba"},
        {"host": "elsewhere"},
        {"boot_id": "before"},
        {"started": 1.0},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_recorder_of_another_session_machine_or_time_is_none(
    tmp_path: Path, dead: tuple[int, float], fields: dict[str, Any]
) -> None:
    path = write(tmp_path, header(pid=dead[0], process_started=dead[1]), CELL[0])
    announce(tmp_path, **fields)
    assert load(path).reason == "kernel and recorder died"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b"[" * 100_000])
def test_damaged_file_of_a_recorder_says_nothing(
    tmp_path: Path, dead: tuple[int, float], content: bytes
) -> None:
    path = write(tmp_path, header(pid=dead[0], process_started=dead[1]), CELL[0])
    announce(tmp_path).write_bytes(content)
    assert load(path).reason == "kernel and recorder died"


def test_goodbye_counts_whoever_lives(tmp_path: Path, dead: tuple[int, float]) -> None:
    end = SessionEnded(t=3.0, reason="kernel died")
    session = load(write(tmp_path, header(pid=dead[0], process_started=dead[1]), *CELL, end))
    assert (session.state, session.reason) == ("ended without goodbye", "kernel died")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"{}\n", b"\x00" * 1000, b'{"cells": [], "nbformat": 4}', encode(CELL[0])],
    ids=["empty", "blank", "object", "zeros", "notebook", "no first line"],
)
def test_file_that_is_no_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(content)
    with pytest.raises(NotAJournal, match=r"x\.ndjson is no session journal"):
        load(path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        load(tmp_path / "missing.ndjson")
    with pytest.raises(JournalError, match="directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    "line", [encode(header(format="2.0")), b'{"kind":"session_started","format":"2.0","at":{}}\n']
)
def test_newer_version_says_what_to_do(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(line + encode(CELL[0]))
    with pytest.raises(NewerFormat, match=r"format 2\.0.*reads up to 1\.x.*pip install --upgrade"):
        load(path)


TORN = encode(header())[:70]


@pytest.mark.parametrize("before", [b"\n", TORN + b"\n", b"\n" + TORN + b"\n", b"\xff\x00\n"])
def test_first_line_that_was_torn_and_came_again(tmp_path: Path, before: bytes) -> None:
    """The recorder died while it wrote it, and the next one began a line of its own."""
    path = write(tmp_path, header(), *CELL)
    path.write_bytes(before + path.read_bytes())
    assert load(path).total.total_uj == 30
    assert [one.id for one in listed(tmp_path)] == [header().session]
    assert find(tmp_path) == path


def test_torn_last_line(tmp_path: Path) -> None:
    path = write(tmp_path, header(), *CELL)
    with open(path, "ab") as file:
        file.write(encode(CELL[0])[:40])
    session = load(path)
    assert (session.bad_lines, len(session.cells)) == (1, 1)


def test_ten_thousand_lines(tmp_path: Path) -> None:
    events: list[Event] = [header()]
    for number in range(1, 5001):
        uj = {"package-0": number * 1000}
        events.append(CellStarted(t=number, n=2 * number, uj=uj, number=number, cell="c"))
        uj = {"package-0": number * 1000 + 600}
        events.append(
            CellFinished(t=number + 0.5, n=2 * number + 1, uj=uj, number=number, status="ok")
        )
    path = write(tmp_path, *events)
    session = load(path)
    assert len(session.cells) == 5000
    assert session.ledger.superseded.total_uj == 4999 * 600
    assert session.ledger.between.total_uj == 1000 + 4999 * 400
    before_s = time.perf_counter()
    assert len(listed(tmp_path)) == 1
    assert time.perf_counter() - before_s < 0.1, "a list reads first lines only"


# --- list and find ---


def three(data_dir: Path) -> list[Path]:
    """Sessions of two notebooks, the oldest first."""
    return [
        write(data_dir, header(name, wall_s=1e9 + day, notebook=notebook))
        for day, (name, notebook) in enumerate(
            [
                ("20260101T000000-aaa111", "/home/me/train.ipynb"),
                ("20260102T000000-bbb222", "/home/me/train.ipynb"),
                ("20260102T000000-bbb333", "other.ipynb"),
            ]
        )
    ]


def test_list_is_newest_first_and_skips_the_rest(tmp_path: Path) -> None:
    paths = three(tmp_path)
    folder = paths[0].parent
    (folder / "notes.ndjson").write_text("hello\n")
    (folder / "long.ndjson").write_bytes(b"[" * 300_000)
    (folder / "torn.ndjson").write_bytes(TORN)
    (folder / "binary.ndjson").write_bytes(b"\xff\xfe" * 5000)
    (folder / "empty.ndjson").touch()
    (folder / "backwards.ndjson").write_bytes(encode(CELL[0]) + encode(header()))
    (folder / "x.txt").write_bytes(encode(header()))
    (folder / "directory.ndjson").mkdir()
    (folder / "dangling.ndjson").symlink_to(folder / "nowhere")
    assert [one.path for one in listed(tmp_path)] == paths[::-1]
    assert all(one.alive for one in listed(tmp_path))
    assert listed(tmp_path)[0].size_bytes == paths[-1].stat().st_size


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    assert listed(tmp_path / "nowhere") == []
    with pytest.raises(SessionNotFound, match="no session is recorded in"):
        find(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "which"),
    [
        (None, 2),
        ("20260101", 0),
        ("20260101T000000-aaa111", 0),
        ("20260102T000000-bbb2", 1),
        ("train.ipynb", 1),
        ("train", 1),
        ("/home/me/train.ipynb", 1),
        ("/home/me/train.executed.ipynb", 1),
        ("train.executed.ipynb", 1),
        ("other", 2),
    ],
)
def test_find(tmp_path: Path, name: str | None, which: int) -> None:
    paths = three(tmp_path)
    assert find(tmp_path, name) == paths[which]


def test_find_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = write(tmp_path / "elsewhere", header("20250101T000000-ccc"))
    three(tmp_path)
    assert find(tmp_path, str(elsewhere)) == elsewhere
    monkeypatch.chdir(elsewhere.parent)
    assert find(tmp_path, elsewhere.name).resolve() == elsewhere


def test_find_by_a_path_to_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = tmp_path / "work" / "study.ipynb"
    notebook.parent.mkdir()
    path = write(tmp_path, header(notebook=str(notebook)))
    monkeypatch.chdir(tmp_path)
    assert find(tmp_path, "work/study.ipynb") == path
    # What `jupyter green run` has saved beside it.
    assert find(tmp_path, "work/study.executed.ipynb") == path
    with pytest.raises(SessionNotFound):
        find(tmp_path, "elsewhere/study.ipynb")


def test_a_notebook_that_is_called_executed_itself(tmp_path: Path) -> None:
    own = write(tmp_path, header("20260101T000000-aaa", notebook="/home/me/a.executed.ipynb"))
    write(tmp_path, header("20260102T000000-bbb", notebook="/home/me/a.ipynb"))
    write(tmp_path, header("20260103T000000-ccc", notebook="/"))
    assert find(tmp_path, "a.executed.ipynb") == own


def test_find_says_what_is_ambiguous(tmp_path: Path) -> None:
    three(tmp_path)
    with pytest.raises(SessionNotFound, match=r"begins 2 session ids: .*bbb333, .*bbb222"):
        find(tmp_path, "20260102")
    with pytest.raises(SessionNotFound, match="no session or notebook is called 'nothing'"):
        find(tmp_path, "nothing")


def test_whole_id_is_never_ambiguous(tmp_path: Path) -> None:
    short = write(tmp_path, header("20260101-a"))
    write(tmp_path, header("20260101-ab"))
    assert find(tmp_path, "20260101-a") == short


# --- prune ---


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def test_prune_spares_the_young_and_the_living(tmp_path: Path, dead: tuple[int, float]) -> None:
    young = aged(write(tmp_path, header("young", boot_id="before")), 5)
    old = aged(write(tmp_path, header("old", boot_id="before")), 31)
    living = aged(write(tmp_path, header("living")), 31)
    foreign = aged(write(tmp_path, header("foreign", host="elsewhere")), 31)
    recorded = aged(write(tmp_path, header("recorded", pid=dead[0], process_started=dead[1])), 31)
    announce(tmp_path, session="recorded")
    assert set(find_old(tmp_path, 30 * 86400).paths) == {old, foreign}
    assert old.exists()
    assert set(prune(tmp_path, 30 * 86400).sessions) == {old, foreign}
    assert not old.exists()
    assert not foreign.exists()
    assert young.exists()
    assert living.exists()
    assert recorded.exists()
    assert prune(tmp_path, 30 * 86400).paths == ()


def test_prune_takes_damaged_journals_by_the_age_of_their_files(tmp_path: Path) -> None:
    folder = write(tmp_path, header("20260102T030405-aaaaaa")).parent
    damaged = folder / "20250101T000000-0a1b2c.ndjson"
    damaged.write_bytes(b"\x00" * 4096)
    young = folder / "20250101T000000-0a1b2d.ndjson"
    young.write_bytes(b"\x00" * 4096)
    held = folder / "20250101T000000-0a1b2e.ndjson"
    held.touch()
    announce(tmp_path, session=held.stem)
    notes = folder / "notes.ndjson"
    notes.write_text("mine\n")
    directory = folder / "20250101T000000-0a1b2f.ndjson"
    directory.mkdir()
    for path in (damaged, held, notes, directory):
        aged(path, 99)
    old = prune(tmp_path, 30 * 86400)
    assert (old.sessions, old.unreadable) == ((), (damaged,))
    assert not damaged.exists()
    assert all(path.exists() for path in (young, held, notes, directory))


# --- several sessions together ---

START = 1_767_000_000.0


def measured(
    truth: Callable[[float], float],
    begin: float,
    end: float,
    step_s: float = 1.0,
    extra: tuple[Event, ...] = (),
    **fields: Any,
) -> Session:
    """A session that reads a counter from one moment to another. Truth is in microjoules."""
    times = [begin + index * step_s for index in range(int((end - begin) / step_s) + 1)]
    times = [t for t in times if t < end] + [end]
    names = [info.name for info in fields.get("counters", [PACKAGE])]
    events: list[Event] = [
        header(wall_s=START + begin, **{"uj": _read(truth, names, begin), **fields})
    ]
    events += [PowerSampled(t=t - begin, uj=_read(truth, names, t)) for t in times[1:]]
    fold = Fold()
    for event in sorted([*events, *extra], key=lambda event: event.t):
        fold.feed(event)
    return fold.session()


def _read(truth: Callable[[float], float], names: list[str], t: float) -> dict[str, int]:
    return dict.fromkeys(names, 1000 + int(truth(t)))


def steady(t: float) -> float:
    """50 W."""
    return 50e6 * t


def total_uj(session: Session) -> int:
    assert session.total.total_uj is not None
    return session.total.total_uj


JOULE = 1_000_000


def test_one_session_is_its_own_union() -> None:
    session = measured(steady, 0, 100)
    assert union_uj([session]) == total_uj(session) == 5000 * JOULE
    assert union_uj([]) == 0


def test_sessions_apart_add_up_exactly() -> None:
    parts = [measured(steady, begin, begin + 10.5) for begin in (50, 0, 20)]
    assert union_uj(parts) == sum(map(total_uj, parts))


def test_same_session_twice_counts_once() -> None:
    session = measured(steady, 0, 100)
    assert union_uj([session, session]) == total_uj(session)


@pytest.mark.parametrize(
    ("stretches", "seconds"),
    [
        ([(0, 60), (40, 100)], 100),
        ([(0, 100), (20, 40)], 100),
        ([(0, 100), (20, 40), (60, 80)], 100),
        ([(0, 100), (20, 40), (30, 120)], 120),
        ([(0, 10), (20, 30), (40, 50)], 30),
        ([(0, 10), (5, 15), (30, 40), (35, 38)], 25),
        ([(0, 10), (10, 20)], 20),
        ([(0, 10), (0, 10), (0, 20)], 20),
    ],
)
def test_union_of_overlapping_stretches(
    stretches: list[tuple[float, float]], seconds: float
) -> None:
    for order in (stretches, stretches[::-1]):
        sessions = [measured(steady, *stretch, step_s=0.7) for stretch in order]
        assert union_uj(sessions) == pytest.approx(seconds * 50e6, abs=200)


stretches = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0.5, 60)).map(lambda s: (s[0], s[0] + s[1])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(stretches, st.lists(st.integers(0, 200), min_size=170, max_size=170), st.floats(0.1, 10))
def test_union_against_the_truth(
    parts: list[tuple[float, float]], watts: list[int], step_s: float
) -> None:
    """Each second has a power of its own; sessions are sampled more coarsely or finely."""
    energies = [0, *accumulate(w * JOULE for w in watts)]

    def truth(t: float) -> float:
        second = int(t)
        return energies[second] + (t - second) * watts[second] * JOULE

    sessions = [measured(truth, *part, step_s=step_s) for part in parts]
    union = union_uj(sessions)
    totals = [total_uj(session) for session in sessions]
    assert max(totals) <= union <= sum(totals)
    covered: list[tuple[float, float]] = []
    for begin, end in sorted(parts):
        if covered and begin <= covered[-1][1]:
            covered[-1] = covered[-1][0], max(end, covered[-1][1])
        else:
            covered.append((begin, end))
    true_uj = sum(truth(end) - truth(begin) for begin, end in covered)
    # A cut falls between two samples: at most their energy goes to the wrong side.
    tolerance = 2 * len(parts) * (max(watts) * min(step_s, 60) * JOULE + 100)
    assert abs(union - true_uj) <= tolerance
    if step_s < 0.2:
        assert union == pytest.approx(true_uj, rel=0.02, abs=len(parts) * 40 * JOULE)


@settings(max_examples=100, deadline=None)
@given(stretches)
def test_union_does_not_depend_on_the_order(parts: list[tuple[float, float]]) -> None:
    sessions = [measured(steady, *part) for part in parts]
    assert union_uj(sessions) == pytest.approx(union_uj(sessions[::-1]), abs=200)


def test_hole_of_one_session_is_filled_by_another() -> None:
    """What one had lost, another has measured: the long one does not hide it."""
    lost = (
        CounterLost(t=10.0, counter="package-0", since=10.0, reason="stuck"),
        CounterRestored(t=90.0, counter="package-0", since=10.0, lost=True),
    )

    def stuck(t: float) -> float:
        return steady(min(t, 10) + max(0, t - 90))

    holed = measured(stuck, 0, 100, extra=lost)
    assert total_uj(holed) == 20 * 50 * JOULE
    other = measured(steady, 30, 80)
    for sessions in ([holed, other], [other, holed]):
        assert union_uj(sessions) == pytest.approx((20 + 50) * 50 * JOULE, abs=200)
    assert union_uj([holed]) == total_uj(holed)


def test_counter_that_never_came_back() -> None:
    lost = (CounterLost(t=60.0, counter="package-0", since=60.0, reason="gone"),)

    def gone(t: float) -> float:
        return steady(min(t, 60))

    broken = measured(gone, 0, 100, extra=lost)
    other = measured(steady, 50, 100)
    assert union_uj([broken, other]) == pytest.approx(5000 * JOULE, abs=200)


def test_at_least_energy_of_a_hole_counts_if_nobody_knows_more() -> None:
    """A silence in which the counter may have wrapped: its difference is a lower bound."""
    lost = (
        CounterLost(t=50.0, counter="package-0", since=20.0, reason="silence"),
        CounterRestored(t=50.0, counter="package-0", since=20.0, lost=True),
    )
    alone = measured(steady, 0, 100, extra=lost)
    assert union_uj([alone]) == total_uj(alone) == 5000 * JOULE
    assert union_uj([alone, measured(steady, 200, 210)]) == 5500 * JOULE


def test_suspend_does_not_shift_what_follows() -> None:
    """Monotonic time stands still, so the older session's clock is behind from then on."""
    asleep_s = 1000.0

    def asleep(t: float) -> float:
        return steady(t if t < 50 else max(50.0, t - asleep_s))

    # In its own time the first session runs from 0 to 100; the second begins after the suspend.
    anchor = ClockAnchored(t=50.0, wall_s=START + 50 + asleep_s, suspended_s=asleep_s)
    first = measured(steady, 0, 100, extra=(anchor,))
    second = measured(asleep, 50 + asleep_s, 100 + asleep_s)
    assert total_uj(second) == 2500 * JOULE
    assert union_uj([first, second]) == pytest.approx(5000 * JOULE, abs=200)


def test_other_machines_boots_and_counters_add_up() -> None:
    sessions = [
        measured(steady, 0, 10),
        measured(steady, 0, 10, host="elsewhere"),
        measured(steady, 0, 10, boot_id="before"),
        measured(steady, 0, 10, counters=[DRAM]),
    ]
    assert union_uj(sessions) == 4 * 500 * JOULE


def test_details_are_no_part_of_the_union() -> None:
    session = measured(steady, 0, 10, counters=[PACKAGE, CORE])
    assert union_uj([session, session]) == 500 * JOULE


def test_session_without_readings_adds_nothing() -> None:
    silent = measured(steady, 0, 10, counters=[PACKAGE], uj={})
    fold = Fold()
    fold.feed(header(uj={}))
    assert union_uj([fold.session(), measured(steady, 0, 10)]) == 500 * JOULE
    assert union_uj([silent]) == total_uj(silent)


# --- measured and modelled sessions of one machine ---


def modelled(begin: float, end: float, **fields: Any) -> Session:
    """A session that assumes 200 W."""
    return measured(assumed, begin, end, **{"counters": [CPU_MODEL], **fields})


def assumed(t: float) -> float:
    return 200e6 * t


@pytest.mark.parametrize(
    ("real", "assumed", "joules"),
    [
        ([(0, 100)], [(40, 160)], 100 * 50 + 60 * 200),
        ([(0, 100)], [(20, 40)], 100 * 50),
        ([(20, 40)], [(0, 100)], 20 * 50 + 80 * 200),
        ([(0, 10), (50, 60)], [(5, 55)], 20 * 50 + 40 * 200),
        ([(0, 100)], [(200, 210)], 100 * 50 + 10 * 200),
        ([(0, 100)], [(50, 120), (110, 130)], 100 * 50 + 30 * 200),
    ],
)
def test_measured_energy_counts_before_modelled(
    real: list[tuple[float, float]], assumed: list[tuple[float, float]], joules: float
) -> None:
    sessions = [measured(steady, *stretch) for stretch in real]
    sessions += [modelled(*stretch) for stretch in assumed]
    for order in (sessions, sessions[::-1]):
        assert union_uj(order) == pytest.approx(joules * JOULE, abs=500)


@settings(max_examples=100, deadline=None)
@given(stretches, stretches, st.booleans())
def test_measured_and_modelled_against_the_truth(
    real: list[tuple[float, float]], assumed: list[tuple[float, float]], thin: bool
) -> None:
    sessions = [measured(steady, *stretch) for stretch in real]
    sessions += [modelled(*stretch) for stretch in assumed]
    told = [curve for session in sessions for curve in curves(session)]
    found = union(curve.thinned() if thin else curve for curve in told)
    measured_s, modelled_s = 0.0, 0.0
    edges = sorted({edge for stretch in (*real, *assumed) for edge in stretch})
    for begin, end in pairwise(edges):
        middle = (begin + end) / 2
        if any(stretch[0] < middle < stretch[1] for stretch in real):
            measured_s += end - begin
        elif any(stretch[0] < middle < stretch[1] for stretch in assumed):
            modelled_s += end - begin
    true_uj = (50 * measured_s + 200 * modelled_s) * JOULE
    assert abs(found.total_uj - true_uj) <= 2000 + found.cut_uj
    assert found.band_uj == pytest.approx(0.4 * 200 * modelled_s * JOULE, abs=2000 + found.cut_uj)


def test_model_elsewhere_or_before_the_boot_counts_in_full() -> None:
    real = measured(steady, 0, 100)
    for fields in ({"host": "elsewhere"}, {"boot_id": "before"}):
        assert union_uj([real, modelled(0, 100, **fields)]) == 25000 * JOULE


def test_model_fills_the_hole_of_a_measured_session() -> None:
    """What the broken counter counted at least is in the model's figure, and not on top of it."""
    lost = (
        CounterLost(t=50.0, counter="package-0", since=20.0, reason="silence"),
        CounterRestored(t=50.0, counter="package-0", since=20.0, lost=True),
    )
    holed = measured(steady, 0, 100, extra=lost)
    for order in ([holed, modelled(10, 60)], [modelled(10, 60), holed]):
        assert union_uj(order) == pytest.approx((70 * 50 + 30 * 200) * JOULE, abs=500)


def test_model_counts_for_what_is_not_measured() -> None:
    """An AMD processor has no counter of its DRAM; a GPU is no CPU."""
    gpu = CounterInfo(
        name="gpu-0", domain="gpu", source="x", provenance="modelled", resolution_s=1.0
    )
    both = modelled(0, 100, counters=[CPU_MODEL, DRAM_MODEL, gpu])
    assert union_uj([measured(steady, 0, 100), both]) == (50 + 200 + 200) * 100 * JOULE
    whole = measured(steady, 0, 100, counters=[PACKAGE, DRAM])
    assert union_uj([whole, both]) == (50 + 50 + 200) * 100 * JOULE


def test_integrated_stands_between_measured_and_modelled() -> None:
    def gpu(provenance: str) -> CounterInfo:
        return CounterInfo(
            name="gpu-0", domain="gpu", source="x", provenance=provenance, resolution_s=0.1
        )

    real = measured(steady, 0, 10, counters=[gpu("measured")])
    integrated = measured(lambda t: 100e6 * t, 5, 20, counters=[gpu("integrated")])
    assumed = modelled(0, 30, counters=[gpu("modelled")])
    joules = 10 * 50 + 10 * 100 + 10 * 200
    for order in ([real, integrated, assumed], [assumed, real, integrated]):
        assert union_uj(order) == pytest.approx(joules * JOULE, abs=500)


def test_lost_package_is_not_hidden_by_the_one_beside_it() -> None:
    other = CounterInfo(
        name="package-1", domain="package", source="rapl", provenance="measured", resolution_s=0.001
    )
    lost = (
        CounterLost(t=50.0, counter="package-0", since=20.0, reason="silence"),
        CounterRestored(t=50.0, counter="package-0", since=20.0, lost=True),
    )
    session = measured(steady, 0, 100, extra=lost, counters=[PACKAGE, other])
    assert union_uj([session]) == total_uj(session) == 10_000 * JOULE


# --- thinned curves ---


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 100_000_000), min_size=1, max_size=300), st.floats(0.01, 100))
def test_thinned_curve_is_near_and_has_the_same_total(steps: list[int], step_s: float) -> None:
    energies = [0, *accumulate(steps)]
    session = measured(
        lambda t: energies[min(round(t / step_s), len(steps))], 0, len(steps) * step_s, step_s
    )
    (curve,) = curves(session)
    thin = curve.thinned()
    assert (thin.total_uj, thin.whole) == (curve.total_uj, curve.whole)
    assert thin.tolerance_uj == pytest.approx(0.001 * curve.total_uj)
    for t, uj in zip(curve.wall_s, curve.uj, strict=True):
        assert abs(thin.between((curve.wall_s[0], t)) + curve.uj[0] - uj) <= thin.tolerance_uj + 2


def test_thinned_curve_of_a_long_session_is_short() -> None:
    work = [10e6 if second // 600 % 2 else 90e6 for second in range(50_000)]
    energies = [0.0, *accumulate(work)]
    (curve,) = curves(measured(lambda t: energies[int(t)], 0, 50_000))
    assert len(curve.wall_s) == 50_001
    assert len(curve.thinned().wall_s) < 200


def test_curve_of_one_reading_is_its_own_thin_one() -> None:
    fold = Fold()
    fold.feed(header())
    (curve,) = curves(fold.session())
    thin = curve.thinned()
    assert isinstance(thin, Curve)
    assert (thin.total_uj, thin.uj) == (0, [0])
    assert union([thin]).total_uj == 0
