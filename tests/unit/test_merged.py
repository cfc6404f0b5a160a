"""Several sessions as one value: what is counted once, what adds up, and what is never added."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.errors import JournalError, SessionNotFound
from jupyter_green.events import Intensity, OverlapSeen, Pricing
from jupyter_green.insight.judgement import findings_of
from jupyter_green.insight.stages import by_stage
from jupyter_green.report.merged import values as merged
from jupyter_green.report.merged.values import Group, Member, Merged
from jupyter_green.sessions import library
from jupyter_green.sessions.history import read_history, totals
from jupyter_green.sessions.merged import Chosen, choose
from jupyter_green.sessions.model import Session
from tests.golden.digest import HERE as GOLDEN
from tests.simulators.story import DRAM, FRANCE, MODEL, PACKAGE, Story, training
from tests.unit.test_history import MARKET, POLAND, START, session_id, write

J = 1_000_000
KWH_J = 3_600_000
DAY_S = 86_400


def recorded(data_dir: Path) -> Merged:
    return merged.load(choose(data_dir))


def names(groups: Iterable[Group]) -> list[str | None]:
    return [group.name for group in groups]


def energies_j(groups: Iterable[Group]) -> dict[str | None, float | None]:
    return {group.name: group.totals.summed.energy_j for group in groups}


# --- sum and union ---


def test_totals_are_those_of_the_history(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number, starts_s=START + 6 * number, project="thesis")
    made = recorded(tmp_path)

    assert made.totals == totals(read_history(tmp_path).sessions)
    assert made.totals.summed.total_uj == 4 * 100 * J
    # From the first start to the last end the machine drew 10 W for 28 s.
    assert made.totals.union.total_uj == pytest.approx(280 * J, abs=10)
    assert made.overlaps
    assert [one.summary.id for one in made.members] == [session_id(n) for n in (3, 2, 1, 0)]


def test_machines_share_nothing(tmp_path: Path) -> None:
    for number, host in enumerate(("here", "there")):
        write(tmp_path, number, starts_s=START, host=host)
    made = recorded(tmp_path)

    assert not made.overlaps
    assert made.totals.union.total_uj == made.totals.summed.total_uj == 200 * J
    assert energies_j(made.groups["machine"]) == {"here": 100.0, "there": 100.0}


def test_a_session_counts_once_whatever_it_is_called(tmp_path: Path) -> None:
    path = write(tmp_path / "data")
    copy = tmp_path / "copied" / path.name
    copy.parent.mkdir()
    # A copy that was taken while the session ran.
    copy.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    given_names = [session_id(0), session_id(0)[:-3], "train.ipynb", str(path), str(copy.parent)]
    made = merged.load(choose(tmp_path / "data", given_names))

    assert len(made.members) == 1
    assert made.repeated == 1  # its other names mean the same file
    assert made.totals.summed.total_uj == 100 * J
    for order in ([copy, path], [path, copy]):
        assert merged.load(Chosen(tuple(order))).totals == made.totals


def test_one_id_on_two_machines_is_two_sessions(tmp_path: Path) -> None:
    write(tmp_path / "a", host="a")
    write(tmp_path / "b", host="b")
    made = merged.load(choose(tmp_path, [str(tmp_path / "a"), str(tmp_path / "b")]))
    assert len(made.members) == 2


def test_what_was_not_read_is_a_lower_bound_and_no_zero(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 1, counters=())
    made = recorded(tmp_path)
    assert made.totals.summed.missing == ("a whole session",)
    assert made.totals.union.at_least

    alone = merged.load(choose(tmp_path, [session_id(1)]))
    assert alone.totals.union.total_uj is None
    assert alone.carbon == alone.cost == ()
    assert recorded(tmp_path).totals.summed.total_uj == 100 * J


# --- what adds up ---

PROJECTS = st.sampled_from(["thesis", "side", None])


@st.composite
def told(draw: st.DrawFn) -> list[Session]:
    """Sessions that run beside each other on two machines, with failures and stages."""
    sessions = []
    for number in range(draw(st.integers(1, 6))):
        story = Story(
            *draw(st.sampled_from([(PACKAGE,), (PACKAGE, DRAM), (MODEL,)])),
            session=session_id(number),
            host=draw(st.sampled_from(["here", "there"])),
            project=draw(PROJECTS),
            notebook=draw(st.sampled_from(["/a/x.ipynb", "/b/x.ipynb", None])),
            wall_s=START + draw(st.floats(0, 90 * DAY_S) | st.floats(0, 20)),
        )
        for seconds in draw(st.lists(st.floats(0.01, 50), max_size=4)):
            status = draw(st.sampled_from(["ok", "error"]))
            story.cell("fit()", seconds, status, stage=draw(st.sampled_from(["train", None])))
            story.sleep(draw(st.floats(0.01, 3)))
        sessions.append(story.close())
    return sessions


@settings(deadline=None, max_examples=60)
@given(told())
def test_parts_add_up_to_the_sum_of_the_sessions(sessions: list[Session]) -> None:
    made = Merged.of(sessions)
    whole_uj = sum(session.total.total_uj or 0 for session in sessions)

    assert made.totals.summed.total_uj == whole_uj
    assert (made.totals.union.total_uj or 0) <= whole_uj
    for groups in made.groups.values():
        assert sum(group.totals.summed.total_uj or 0 for group in groups) == whole_uj
        assert sum(len(group.members) for group in groups) == len(sessions)
    for shares in (made.ledger, made.stages):
        assert sum(share.total_uj for share in shares) == whole_uj
    assert Merged.of([*reversed(sessions), *sessions]).totals == made.totals
    assert Merged.of([*sessions, *sessions]).repeated == len(sessions)


def test_ledger_and_stages_are_those_of_the_sessions() -> None:
    sessions = [training(session=session_id(n), wall_s=START + 3600 * n) for n in range(3)]
    made = Merged.of(sessions)
    (one, *_) = sessions

    for share, (name, entry) in zip(made.ledger, one.ledger.entries.items(), strict=True):
        assert (share.name, share.total_uj) == (name, 3 * entry.total_uj)
        assert share.seconds == pytest.approx(3 * entry.seconds)
    assert {s.name: s.total_uj for s in made.stages} == {
        s.name: 3 * s.total_uj for s in by_stage(one)
    }
    assert made.stages[-1].name is None
    member = made.members[0]
    assert (member.runs, member.failed, member.superseded) == (4, 1, 1)


# --- groups ---


def test_groups(tmp_path: Path) -> None:
    write(tmp_path, 0, project="thesis", seconds=10)
    write(tmp_path, 1, project="side", seconds=40, notebook="/home/me/eval.ipynb")
    write(tmp_path, 30, project=None, seconds=20)
    made = recorded(tmp_path)

    assert energies_j(made.groups["project"]) == {"side": 400.0, None: 200.0, "thesis": 100.0}
    assert names(made.groups["project"]) == ["side", None, "thesis"]
    assert names(made.groups["notebook"]) == ["/home/me/eval.ipynb", "/home/me/train.ipynb"]
    assert energies_j(made.groups["day"]) == {"2026-01-01": 500.0, "2026-01-02": 200.0}
    assert names(made.groups["day"]) == ["2026-01-01", "2026-01-02"]


def test_months_from_two_months_on(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 60 * 24)
    assert recorded(tmp_path).period_name == "day"
    write(tmp_path, 61 * 24)
    made = recorded(tmp_path)
    assert energies_j(made.groups["month"]) == {"2026-01": 100.0, "2026-03": 200.0}
    assert made.period == (START, START + 61 * DAY_S + 10)


# --- carbon and cost ---


def worths(found: Iterable[merged.Worth]) -> dict[str, tuple[int, float, float | None]]:
    return {one.unit: (one.sessions, one.summed, one.union) for one in found}


def test_bases_are_never_added(tmp_path: Path) -> None:
    for number, intensity in enumerate((FRANCE, POLAND, MARKET, None)):
        write(tmp_path, number, intensity=intensity)
    made = recorded(tmp_path)
    lifecycle, market = (g * 100 / KWH_J for g in (44.0 + 600.0, 10.0))

    assert made.totals.co2_g is None
    assert worths(made.carbon) == {
        "lifecycle": (2, pytest.approx(lifecycle), pytest.approx(lifecycle)),
        "market": (1, pytest.approx(market), pytest.approx(market)),
    }


def test_a_session_that_changed_its_basis_has_no_grams(tmp_path: Path) -> None:
    story = Story(PACKAGE, intensity=FRANCE, session=session_id(0))
    story.sleep(5)
    from jupyter_green.events import IntensityChanged

    story.feed(IntensityChanged(intensity=MARKET, **story.stamp()))
    story.sleep(5)
    made = Merged.of([story.close()])
    assert made.carbon == ()


@pytest.mark.parametrize(
    ("second", "third", "grams_per_kwh_j"),
    [
        # One rate: the union of all has it.
        (FRANCE, FRANCE, 150 * 44 + 100 * 44),
        # Another rate elsewhere: each union at its own.
        (FRANCE, POLAND, 150 * 44 + 100 * 600),
        # Two rates for the same joules: nobody can say whose they are.
        (POLAND, FRANCE, None),
    ],
)
def test_grams_of_the_union(
    tmp_path: Path, second: Intensity, third: Intensity, grams_per_kwh_j: float | None
) -> None:
    write(tmp_path, 0, starts_s=START, intensity=FRANCE)
    write(tmp_path, 1, starts_s=START + 5, intensity=second)
    write(tmp_path, 2, starts_s=START, host="there", intensity=third)
    (found,) = recorded(tmp_path).carbon

    summed = 100 * (44 + second.g_per_kwh + third.g_per_kwh) / KWH_J
    assert found.summed == pytest.approx(summed)
    if grams_per_kwh_j is None:
        assert found.union is None
        assert found.value == found.summed
    else:
        assert found.union == pytest.approx(grams_per_kwh_j / KWH_J)
        assert found.value == found.union < found.summed


def test_cost_by_currency(tmp_path: Path) -> None:
    write(tmp_path, 0, pricing=Pricing(price_per_kwh=0.36, currency="EUR", pue=2.0))
    write(tmp_path, 1, pricing=Pricing(price_per_kwh=0.72, currency="CHF"))
    write(tmp_path, 2)
    # 100 J are 1/36 Wh.
    assert worths(recorded(tmp_path).cost) == {
        "EUR": (1, pytest.approx(2e-5), pytest.approx(2e-5)),
        "CHF": (1, pytest.approx(2e-5), pytest.approx(2e-5)),
    }


def test_all_are_revalued(tmp_path: Path) -> None:
    for number, intensity in enumerate((FRANCE, MARKET, None)):
        write(tmp_path, number, intensity=intensity)
    germany = intensity_of("DE")
    made = merged.load(choose(tmp_path), lambda session: session.with_intensity(germany))
    (found,) = made.carbon
    assert (found.unit, found.sessions) == ("lifecycle", 3)
    assert found.value == pytest.approx(300 * germany.g_per_kwh / KWH_J)


# --- findings ---


def test_findings_are_counted_and_never_added() -> None:
    sessions = [training(session=session_id(n), wall_s=START + 3600 * n) for n in range(3)]
    more = Story(session=session_id(9))
    more.cell("1 / 0", 30.0, "error", "ZeroDivisionError")
    sessions.append(more.close())
    made = Merged.of(sessions)

    found = {kind.kind: kind for kind in made.findings}
    own = {finding.kind for session in sessions for finding in findings_of(session)}
    assert set(found) == own
    assert found["failed"].sessions == 4
    assert found["failed"].largest == max(
        (f for s in sessions for f in findings_of(s) if f.kind == "failed"),
        key=lambda finding: finding.energy_uj,
    )
    assert found["failed"].where.id == session_id(9)
    assert [kind.largest.energy_uj for kind in made.findings] == sorted(
        (kind.largest.energy_uj for kind in made.findings), reverse=True
    )


def test_strangers_are_sessions_that_are_not_among_these() -> None:
    def session(number: int, other: int) -> Session:
        story = Story(session=session_id(number))
        story.feed(OverlapSeen(t=story.t, session=session_id(other), pid=9, notebook=None))
        return story.close()

    assert Merged.of([session(1, 2), session(2, 1)]).strangers == frozenset()
    assert Merged.of([session(1, 2)]).strangers == {session_id(2)}


def test_members_are_light() -> None:
    """A thousand sessions must not hold a thousand traces; what is kept is as it was."""
    session = training()
    kept = Member.of(session).session
    assert (len(kept.cells), len(kept.spans), len(kept.trace.t)) == (0, 0, 0)
    assert kept.total == session.total
    assert kept.ledger.entries == session.ledger.entries
    assert kept.co2_g(kept.total) == session.co2_g(session.total)
    assert kept.cost(kept.total) == session.cost(session.total)


# --- which ---


def ids(chosen: Chosen) -> list[str]:
    return [path.stem for path in chosen.paths]


def project(data_dir: Path, number: int, name: str | None, **header: Any) -> Path:
    return write(data_dir, number, project=name, **header)


def test_choosing_by_project_and_time(tmp_path: Path) -> None:
    for number, name in enumerate(("thesis", "side", "thesis", None)):
        project(tmp_path, number, name)

    assert ids(choose(tmp_path)) == [session_id(n) for n in range(4)]
    assert ids(choose(tmp_path, project="thesis")) == [session_id(0), session_id(2)]
    later = choose(tmp_path, project="thesis", since_wall_s=START + 3600)
    assert ids(later) == [session_id(2)]
    some = choose(tmp_path, [session_id(0), session_id(1)], project="side")
    assert ids(some) == [session_id(1)]


@pytest.mark.parametrize("inside", ["", "sessions"])
def test_a_directory_of_journals(tmp_path: Path, inside: str) -> None:
    for number in range(3):
        project(tmp_path / "data", number, "thesis" if number else None)
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "data" / "sessions", copied / inside)

    nowhere = tmp_path / "nowhere"
    assert ids(choose(nowhere, [str(copied)])) == [session_id(n) for n in range(3)]
    assert ids(choose(nowhere, [str(copied)], project="thesis")) == [session_id(1), session_id(2)]


def test_what_matches_nothing_is_an_error_that_tells_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound, match="no session is recorded"):
        choose(tmp_path, project="thesis")
    project(tmp_path, 0, None)
    with pytest.raises(SessionNotFound, match="none of 1 has any"):
        choose(tmp_path, project="thesis")
    project(tmp_path, 1, "side")
    project(tmp_path, 2, "reading")
    with pytest.raises(SessionNotFound, match=r"project 'thesis'; there are reading, side"):
        choose(tmp_path, project="thesis")
    with pytest.raises(SessionNotFound, match="none of 3 sessions has begun since then"):
        choose(tmp_path, project="side", since_wall_s=START + 30 * DAY_S)
    with pytest.raises(SessionNotFound, match="no session or notebook is called 'absent'"):
        choose(tmp_path, ["train", "absent"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SessionNotFound, match="holds no session journal"):
        choose(tmp_path, [str(empty)])


def test_journals_that_cannot_be_read_are_named_and_left_out(tmp_path: Path) -> None:
    good = write(tmp_path / "data", 0)
    directory = library.sessions_dir(tmp_path / "data")
    (directory / "garbage.ndjson").write_bytes(b"\x00\xffno journal\n" * 20)
    shutil.copy(GOLDEN / "newer_major.ndjson", directory)
    made = recorded(tmp_path / "data")

    assert [one.summary.id for one in made.members] == [session_id(0)]
    (garbage, newer) = made.problems
    assert "garbage.ndjson is no session journal" in garbage
    assert "newer_major.ndjson: this journal has format 2.0" in newer
    # Whether they are of a project cannot be told.
    assert choose(tmp_path / "data", since_wall_s=START).problems == made.problems

    good.unlink()
    with pytest.raises(JournalError, match=r"garbage\.ndjson is no session journal.*newer_major"):
        recorded(tmp_path / "data")
    with pytest.raises(JournalError, match=r"garbage\.ndjson is no session journal"):
        choose(tmp_path / "data", since_wall_s=START)


def test_a_torn_journal_counts_for_what_it_tells(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-40])
    write(tmp_path, 1)
    made = recorded(tmp_path)
    assert len(made.members) == 2
    assert made.problems == ()
    assert made.totals.summed.total_uj == 180 * J


def test_nothing_is_merged_of_nothing() -> None:
    with pytest.raises(JournalError, match="no session was given"):
        Merged.of([])
