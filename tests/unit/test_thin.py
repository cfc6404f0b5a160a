"""What a panel gets adds up to what the whole stream adds up to."""

from __future__ import annotations

import itertools
import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.errors import NewerFormat
from jupyter_green.events import (
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterLost,
    CounterNoted,
    CounterRestored,
    DeviceState,
    Event,
    JournalThinned,
    MetricLogged,
    OverlapSeen,
    PowerSampled,
    RecorderRestarted,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Stamped,
    Tags,
    decode,
    encode,
)
from jupyter_green.insight.stages import by_stage
from jupyter_green.recorder.feed import packed
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Cell, Energy, Entry, Metric, Session
from jupyter_green.sessions.thin import (
    BUCKETS,
    MOST_METRICS,
    RECENT_S,
    Thinner,
    at_once,
    over_session,
    slim,
)
from tests.golden.digest import journals
from tests.unit.test_ledger_properties import (
    COUNTERS,
    NAMES,
    any_event,
    first_lines,
    folded,
    header,
    stamped,
    told,
)

COUNTED = [info.name for info in COUNTERS if info.counted]


# --- what must be the same -------------------------------------------------------------------


def figures(session: Session) -> dict[str, Any]:
    """All that a panel shows, but for the trace and the metrics."""
    same = (
        "id", "format", "version", "state", "reason", "started_wall_s", "duration_s", "host",
        "notebook", "machine", "refused", "baselines", "periods", "holes", "gaps",
        "overlaps", "paused", "suspends", "devices", "devices_s", "problems", "samples_dropped",
    )  # fmt: skip
    return {
        **{name: getattr(session, name) for name in same},
        "counters": {name: info for name, info in session.counters.items() if info.counted},
        "models": [fields(model, "n", "uj", "error_uj") for model in session.models],
        "total": energy(session, session.total),
        "ledger": {name: entry(session, e) for name, e in session.ledger.entries.items()},
        "category_of": session.ledger.category_of,
        "cells": [cell(session, one) for one in session.cells],
        "open_cells": [
            {**fields(one, "so_far"), "so_far": energy(session, one.so_far)}
            for one in session.open_cells
        ],
    }


def fields(value: Any, *without: str) -> dict[str, Any]:
    return {n: getattr(value, n) for n in value.__struct_fields__ if n not in without}


def of_counted(session: Session, uj: dict[str, int]) -> dict[str, int]:
    return {n: value for n, value in uj.items() if n in COUNTED or _is_counted(session, n)}


def _is_counted(session: Session, name: str) -> bool:
    return name in session.counters and session.counters[name].counted


def energy(session: Session, energy: Energy) -> dict[str, Any]:
    return {**fields(energy, "uj"), "uj": of_counted(session, energy.uj)}


def entry(session: Session, entry: Entry) -> dict[str, Any]:
    whole = fields(entry, "uj", "seconds")
    seconds = pytest.approx(entry.seconds, abs=1e-6)
    return {**whole, "uj": of_counted(session, entry.uj), "seconds": seconds}


def cell(session: Session, cell: Cell) -> dict[str, Any]:
    share = None if cell.tree_share is None else pytest.approx(cell.tree_share, abs=0.0006)
    whole = fields(cell, "energy", "source", "tree_share")
    return {**whole, "energy": energy(session, cell.energy), "tree_share": share}


def metrics(session: Session) -> list[str]:
    """As text, because NaN is not itself."""
    return [repr(fields(metric)) for metric in session.metrics]


def assert_same(shown: Session, whole: Session) -> None:
    """Nothing that is added up differs."""
    found = figures(shown)
    for name, expected in figures(whole).items():
        assert found[name] == expected, name
    odd = set(metrics(shown)) - set(metrics(whole))
    assert not odd, metrics(whole)
    assert telling(shown.metrics) == telling(whole.metrics)
    stages = [(row.name, row.suggested, row.runs, row.total_uj) for row in by_stage(whole)]
    assert [(row.name, row.suggested, row.runs, row.total_uj) for row in by_stage(shown)] == stages


def telling(metrics: Sequence[Metric]) -> dict[tuple[str, str | None], tuple[object, ...]]:
    """Of each run: the last value, the lowest and the highest."""
    runs: defaultdict[tuple[str, str | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        runs[metric.name, metric.run].append(metric)
    return {run: (repr(of[-1]), *extremes([m.value for m in of])) for run, of in runs.items()}


def extremes(values: Iterable[float]) -> tuple[float, float] | tuple[()]:
    finite = [value for value in values if abs(value) < float("inf")]
    return (min(finite), max(finite)) if finite else ()


# --- sessions as recorders tell them ---------------------------------------------------------


def once(events: Iterable[Event]) -> list[Event]:
    """Each mark once, as a recorder hands them on."""
    marks, kept = 0, []
    for event in events:
        if event.n is None or event.n > marks:
            kept.append(event)
            marks = event.n or marks
    return kept


def recorded(rng: random.Random, steps: int = 60) -> list[Event]:
    """A sensible session in which readings are missing and much else happens."""
    events = [as_recorded(rng, event) for event in once(told(rng, steps).events)]
    events = within_cells(events)
    lossy = rng.choice([0.0, 0.0, 0.1, 0.4])
    events[1:] = [without(event, lost(rng, lossy)) for event in events[1:]]
    if rng.random() < 0.3:
        events[0] = without(events[0], lost(rng, 0.5))
    for _ in range(rng.randrange(3)):
        events = with_outage(rng, events)
    for _ in range(rng.randrange(6)):
        place = rng.randrange(1, len(events) + 1)
        events.insert(place, incident(rng, events[place - 1]))
    return [without_lone_details(event) for event in events]


def within_cells(events: list[Event]) -> list[Event]:
    """Spans name the cell that they are in."""
    cell, placed = None, []
    for event in events:
        if isinstance(event, CellStarted) and event.parent is None:
            cell = event.number
        is_span = isinstance(event, SpanStarted)
        placed.append(structs.replace(event, cell=cell) if is_span else event)
    return placed


def without_lone_details(event: Event) -> Event:
    """A package that cannot be read has no cores that can: their errors would stand for its."""
    lone = isinstance(event, Stamped) and event.uj.keys().isdisjoint(COUNTED)
    return without(event, NAMES) if lone else event


def as_recorded(rng: random.Random, event: Event) -> Event:
    if isinstance(event, PowerSampled):
        state = DeviceState(utilisation=rng.random())
        return structs.replace(event, error_uj={}, running=True, devices={"gpu-0": state})
    if isinstance(event, CellFinished):
        return structs.replace(event, tree_share=rng.random())
    if isinstance(event, CellStarted):
        event = structs.replace(event, suggested_stage=rng.choice([None, "training", "data"]))
        return structs.replace(event, source="x = 1", source_hash="f", identified_by="front end")
    if isinstance(event, SpanStarted):
        stage = rng.choice([None, "training", "evaluation"])
        type_ = "epoch" if stage is None else "evaluation"
        return structs.replace(event, type=type_, tags=Tags(stage=stage))
    if isinstance(event, MetricLogged):
        value = rng.choice([None, rng.random(), 0.5])
        text = None if value is not None else rng.choice(["nan", "inf", "-inf"])
        run = rng.choice([None, "a", "b"])
        return structs.replace(event, value=value, text=text, run=run, step=float(rng.randrange(9)))
    return event


def lost(rng: random.Random, share: float) -> set[str]:
    return {name for name in NAMES if rng.random() < share}


def without(event: Event, names: Iterable[str]) -> Event:
    if not isinstance(event, Stamped):
        return event
    gone = set(names)
    return structs.replace(
        event,
        uj={name: uj for name, uj in event.uj.items() if name not in gone},
        error_uj={name: uj for name, uj in event.error_uj.items() if name not in gone},
    )


def with_outage(rng: random.Random, events: list[Event]) -> list[Event]:
    """A counter is away for a while; it may be told, and it may have lost energy."""
    name = rng.choice(NAMES)
    start = rng.randrange(1, len(events) + 1)
    end = rng.randrange(start, len(events) + 1)
    away = [without(event, {name}) for event in events[start:end]]
    since, until = events[start - 1].t, (away or events)[-1].t if away else events[start - 1].t
    if rng.random() < 0.5:
        gone = CounterLost(t=since, counter=name, since=since, reason="away")
        away.insert(0, gone)
    if rng.random() < 0.7:
        back = CounterRestored(t=until, counter=name, since=since, lost=rng.random() < 0.5)
        away.append(back)
    return [*events[:start], *away, *events[end:]]


def incident(rng: random.Random, before: Event) -> Event:
    t = before.t
    uj = dict(before.uj) if isinstance(before, Stamped) else {}
    suspended_s = rng.choice([0.0, 0.0, 5.0, 9.0])
    return rng.choice(
        [
            ClockAnchored(t=t, uj=uj, wall_s=1_700_000_000.0 + t, suspended_s=suspended_s),
            RecorderRestarted(t=t, since=t, reason="it died"),
            JournalThinned(t=t, dropped=3, since=t, reason="the disk is full"),
            OverlapSeen(t=t, session="other", pid=3),
            CounterNoted(t=t, counter="gpu-0", note="seen"),
        ]
    )


sessions = st.integers(0, 2**32).map(random.Random)


# --- the same, however it is cut -------------------------------------------------------------


def handed_on(thinner: Thinner, events: Sequence[Event], kept: Iterable[int]) -> bytes:
    """Lines of the events that stay, as panels get them."""
    chosen = [events[index] for index in kept]
    thinner.follow(chosen)
    return b"".join(encode(slim(event, thinner.counted)) for event in chosen)


@settings(max_examples=300, deadline=None)
@given(sessions)
def test_a_session_thinned_as_a_whole_adds_up_to_the_same(rng: random.Random) -> None:
    events = recorded(rng)
    thinner = Thinner()
    kept = thinner.kept(events, over_session(rng.choice([events[-1].t, 10_000.0])), 10_000)
    fold = Fold()
    fold.feed_lines(handed_on(thinner, events, kept))
    whole = folded(events)
    assert_same(fold.session(), whole.session())
    assert metrics(fold.session()) == metrics(whole.session())
    assert_same(fold.session(orphan=True), whole.session(orphan=True))


@settings(max_examples=300, deadline=None)
@given(sessions)
def test_after_every_batch_it_is_the_same(rng: random.Random) -> None:
    events = recorded(rng)
    thinner, shown, whole = Thinner(), Fold(), Fold()
    most = rng.choice([2, 24])
    while events:
        size = rng.choice([1, 2, 5, 20])
        batch, events = events[:size], events[size:]
        shown.feed_lines(handed_on(thinner, batch, thinner.kept(batch, at_once, most)))
        for event in batch:
            whole.feed(event)
        assert_same(shown.session(), whole.session())


@settings(max_examples=200, deadline=None)
@given(sessions)
def test_what_was_thinned_can_be_thinned_again(rng: random.Random) -> None:
    """What did not fit into one message waits for the next, with what came since."""
    events = recorded(rng)
    thinner, shown, whole, waiting = Thinner(), Fold(), folded(events), list[Event]()
    for start in range(0, len(events), 4):
        waiting += events[start : start + 4]
        waiting = [waiting[index] for index in thinner.kept(waiting, at_once, 24)]
        now, waiting = waiting[:3], waiting[3:]
        shown.feed_lines(handed_on(thinner, now, range(len(now))))
    shown.feed_lines(handed_on(thinner, waiting, range(len(waiting))))
    assert_same(shown.session(), whole.session())


@settings(max_examples=200, deadline=None)
@given(sessions, st.data())
def test_a_snapshot_and_batches_after_it(rng: random.Random, data: st.DataObject) -> None:
    events = recorded(rng)
    cut = data.draw(st.integers(1, len(events)))
    before, after = events[:cut], events[cut:]
    thinner, shown = Thinner(), Fold()
    whole_session = over_session(before[-1].t)
    shown.feed_lines(handed_on(thinner, before, thinner.kept(before, whole_session, 2_000)))
    shown.feed_lines(handed_on(thinner, after, thinner.kept(after, at_once, 24)))
    assert_same(shown.session(), folded(events).session())


@pytest.mark.parametrize("journal", journals(), ids=lambda path: path.stem)
def test_golden_journals_are_shown_as_they_are(journal: Path) -> None:
    data = journal.read_bytes()
    whole, shown = Fold(), Fold()
    _, lines = packed(journal, len(data), [])
    shown.feed_lines(zlib.decompress(lines))
    try:
        whole.feed_lines(data)
    except NewerFormat:
        assert shown.header is None
        return
    assert_same(shown.session(), whole.session())
    assert metrics(shown.session()) == metrics(whole.session())


@settings(max_examples=200, deadline=None)
@given(first_lines, st.lists(any_event, max_size=40), st.floats(0, 100))
def test_any_stream_can_be_thinned(
    first: SessionStarted, events: list[Event], duration_s: float
) -> None:
    stream: list[Event] = [first, *events]
    for bucket, most in ((at_once, 0), (over_session(duration_s), 3)):
        thinner = Thinner()
        kept = thinner.kept(stream, bucket, most)
        assert kept == sorted(set(kept))
        left_out = {type(stream[index]) for index in set(range(len(stream))) - set(kept)}
        can_be = {PowerSampled, ClockAnchored, SpanStarted, SpanFinished, MetricLogged}
        assert left_out <= can_be
        fold = Fold()
        fold.feed_lines(handed_on(thinner, stream, kept))
        fold.session()
        assert fold.bad_lines == 0


# --- one by one ------------------------------------------------------------------------------


def thinned(*events: Event, most_metrics: int = MOST_METRICS) -> list[Event]:
    thinner = Thinner()
    kept = [events[index] for index in thinner.kept(events, at_once, most_metrics)]
    thinner.follow(kept)
    return [slim(event, thinner.counted) for event in kept]


def test_the_reading_before_a_boundary_without_one_stays() -> None:
    """Else what the cell used until then would be nobody's."""
    events = [
        header(uj={"package-0": 0, "gpu-0": 0}),
        stamped(CellStarted, 1, 10, 10, number=1, cell="a"),
        stamped(PowerSampled, 2, 40, 40),
        stamped(PowerSampled, 3, None, 60),
        stamped(CellFinished, 4, None, 90, number=1, status="ok"),
        stamped(PowerSampled, 5, 100, 100),
        stamped(PowerSampled, 6, 120, 120),
    ]
    kept = thinned(*events)
    assert [event.t for event in kept] == [0, 1, 2, 4, 5, 6]
    session = folded(kept).session()
    assert session.cells[0].energy.uj == {"package-0": 30, "gpu-0": 80}
    assert session.ledger.holes.total_uj == 60


def test_the_reading_before_the_end_of_a_stage_without_one_stays() -> None:
    """Else the stage would lack what it used until then."""
    training = Tags(stage="training")
    events = [
        header(uj={"package-0": 0, "gpu-0": 0}),
        stamped(CellStarted, 1, 10, 10, number=1, cell="a"),
        stamped(SpanStarted, 1, 10, 10, span=1, name="fit", type="span", tags=training, cell=1),
        stamped(PowerSampled, 2, 40, 40),
        stamped(SpanFinished, 3, None, 60, span=1, status="ok"),
        stamped(PowerSampled, 4, 80, 80),
        stamped(CellFinished, 5, 100, 100, number=1, status="ok"),
    ]
    (stage, *_) = by_stage(folded(thinned(*events)).session())
    assert (stage.name, stage.total_uj) == ("training", 30 + 50)


def test_the_reading_before_the_end_of_a_batch_stays_whatever_carries_it() -> None:
    """The next batch may begin with a boundary that lacks it."""
    start = header(uj={"package-0": 0, "gpu-0": 0})
    span = stamped(SpanFinished, 2, 50, 50, span=1)
    sample = stamped(PowerSampled, 3, None, 70)
    after = stamped(CellStarted, 4, None, 90, number=1, cell="a")
    kept = thinned(start, span, sample)
    assert [event.t for event in kept] == [0, 2, 3]
    assert folded([*kept, after]).session().ledger.between.total_uj == 140


def test_what_devices_do_is_not_forgotten_at_a_span() -> None:
    busy = DeviceState(utilisation=0.9)
    events = [
        header(uj={"package-0": 0}),
        stamped(PowerSampled, 1, 10, None, devices={"gpu-0": busy}),
        stamped(SpanStarted, 2, 20, 5, span=1, name="s"),
    ]
    session = folded(thinned(*events)).session()
    assert session.devices == {"gpu-0": busy}
    assert session.devices_s == 1
    assert session.spans == ()


def test_the_newest_errors_stay_for_the_bound() -> None:
    errors = {"package-0": (7, 9)}
    events = [
        header(uj={"package-0": 0}, error_uj={"package-0": (1, 2)}, counters=COUNTERS[:1]),
        stamped(SpanStarted, 1, 10, None, span=1, name="s", error_uj=errors),
        stamped(PowerSampled, 2, 20, None),
    ]
    shown, whole = folded(thinned(*events)).session(), folded(events).session()
    assert shown.total.bound_uj == whole.total.bound_uj > 0


def test_the_duration_is_that_of_the_last_event() -> None:
    anchor = ClockAnchored(t=9.0, wall_s=1.0)
    kept = thinned(header(uj={}), stamped(PowerSampled, 1, 10, 10), anchor)
    assert folded(kept).session().duration_s == 9


def test_a_whole_day_keeps_a_sample_a_stretch_and_the_last_minutes() -> None:
    day_s = 86_400
    samples = [stamped(PowerSampled, t, 10 * t, 10 * t) for t in range(1, day_s + 1)]
    thinner = Thinner()
    events = [header(uj={"package-0": 0, "gpu-0": 0}), *samples]
    kept = thinner.kept(events, over_session(day_s), MOST_METRICS)
    assert BUCKETS <= len(kept) <= BUCKETS + RECENT_S + 5
    recent = [events[index].t for index in kept if events[index].t >= day_s - RECENT_S]
    assert recent == list(range(int(day_s - RECENT_S), day_s + 1))
    older = [events[index].t for index in kept if 0 < events[index].t < day_s - RECENT_S]
    apart = {int(b - a) for a, b in itertools.pairwise(older)}
    assert max(apart) <= 2 * day_s / BUCKETS


def test_what_travels_together_holds_one_sample() -> None:
    samples = [stamped(PowerSampled, t, t, t) for t in range(1, 500)]
    assert [event.t for event in thinned(header(uj={}), *samples)] == [0, 1, 499]


@pytest.mark.parametrize("runs", [1, 3, 50])
def test_metrics_stay_within_their_number(runs: int) -> None:
    rng = random.Random(runs)
    logged = [
        MetricLogged(t=float(t), name="loss", run=str(t % runs), value=rng.random())
        for t in range(20_000)
    ]
    kept = [event for event in thinned(header(uj={}), *logged) if isinstance(event, MetricLogged)]
    assert MOST_METRICS / 2 <= len(kept) <= MOST_METRICS + 5 * runs
    session, whole = folded([header(), *kept]).session(), folded([header(), *logged]).session()
    assert telling(session.metrics) == telling(whole.metrics)
    # The first of each run, and evenly on.
    assert {event.t for event in kept} >= set(map(float, range(runs)))


def test_few_metrics_of_many_names_all_stay() -> None:
    logged = [MetricLogged(t=1.0, name=f"m{n}", value=1.0) for n in range(30)]
    assert len(thinned(header(uj={}), *logged, most_metrics=24)) == 31


def test_what_no_panel_shows_is_left_out_of_the_lines() -> None:
    first = header(uj=dict.fromkeys(NAMES, 5))
    events = [
        first,
        CellStarted(
            t=1, uj=dict.fromkeys(NAMES, 6), error_uj=dict.fromkeys(NAMES, (1, 2)), number=1,
            cell="c", first_line="x", source="secret", source_hash="secret",
            identified_by="front end",
        ),
        CellFinished(t=2, uj=dict.fromkeys(NAMES, 7), number=1, status="ok", tree_share=1 / 3),
    ]  # fmt: skip
    lines = b"".join(map(encode, thinned(*events)))
    assert b"core-0" not in lines
    assert b"secret" not in lines
    assert b"front end" not in lines
    assert b'"tree_share":0.333}' in lines
    start, *_ = map(decode, lines.splitlines())
    assert isinstance(start, SessionStarted)
    assert start.uj == dict.fromkeys(COUNTED, 5)


def test_the_first_line_needs_nothing_that_came_before() -> None:
    """It is thinned before it is followed, where a panel looks before the session has begun."""
    start = slim(header(uj=dict.fromkeys(NAMES, 5)), frozenset())
    assert isinstance(start, SessionStarted)
    assert start.uj == dict.fromkeys(COUNTED, 5)
