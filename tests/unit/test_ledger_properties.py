"""The ledger adds up to the microjoule, whatever the stream of events is.

The first half throws any sequence of events at the fold, however senseless. The second half
tells sensible sessions with a known truth, and damages their journals.
"""

import copy
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.errors import NewerFormat, NotAJournal
from jupyter_green.events import (
    KINDS,
    BaselineMeasured,
    BudgetSet,
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterInfo,
    CounterLost,
    CounterNoted,
    CounterRestored,
    Event,
    Intensity,
    IntensityChanged,
    JournalThinned,
    MetricLogged,
    ModelDescribed,
    OverlapSeen,
    PowerSampled,
    Pricing,
    PricingChanged,
    RecorderRestarted,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Stamped,
    Tags,
    TrackingPaused,
    TrackingResumed,
    decode,
    encode,
)
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Energy, Entry, Session

NAMES = ("package-0", "gpu-0", "core-0")
COUNTERS = [
    CounterInfo(
        name=name,
        domain=name.partition("-")[0],
        source="virtual",
        provenance="measured",
        resolution_s=0.001,
        counted=name != "core-0",
    )
    for name in NAMES
]


def header(**fields: Any) -> SessionStarted:
    usual: dict[str, Any] = {
        "t": 0.0,
        "format": "1.0",
        "session": "s",
        "version": "0",
        "wall_s": 1_700_000_000.0,
        "host": "h",
        "boot_id": "b",
        "pid": 1,
        "process_started": 0.0,
        "counters": COUNTERS,
    }
    return SessionStarted(**{**usual, **fields})


def folded(events: Iterable[Event]) -> Fold:
    fold = Fold()
    for event in events:
        fold.feed(event)
    return fold


# --- what must always hold -------------------------------------------------------------------


def assert_sound(session: Session) -> None:
    assert_partition(session)
    energies = [session.total, *(cell.so_far for cell in session.open_cells)]
    energies += [window.energy for window in (*session.cells, *session.spans)]
    for energy in energies:
        assert_energy(energy, session)
    assert_categories(session)
    assert session.duration_s >= 0
    assert all(cell.duration_s >= 0 for cell in session.cells)
    assert all(metric.session_uj is None or metric.session_uj >= 0 for metric in session.metrics)
    assert all(metric.cell_uj is None or metric.cell_uj >= 0 for metric in session.metrics)
    assert session.power_w is None or session.power_w >= 0
    assert {len(column) for column in session.trace.uj.values()} <= {len(session.trace.t)}
    assert list(session.trace.t) == sorted(session.trace.t)


def assert_partition(session: Session) -> None:
    entries = session.ledger.entries.values()
    assert len(entries) == 7
    known = {*session.counters, *itertools.chain(*(entry.uj for entry in entries))}
    for counter in known:
        assert sum(e.uj.get(counter, 0) for e in entries) == session.total.uj.get(counter, 0)
    assert sum(entry.total_uj for entry in entries) == (session.total.total_uj or 0)
    assert sum(entry.seconds for entry in entries) == pytest.approx(session.duration_s)
    for entry in entries:
        assert entry.seconds >= 0
        assert all(uj >= 0 for uj in entry.uj.values())
        assert entry.total_uj == counted(entry, session)
        assert entry.total_uj == sum(entry.by_period.values())


def counted(energy: Energy | Entry, session: Session) -> int:
    return sum(
        uj
        for name, uj in energy.uj.items()
        if name in session.counters and session.counters[name].counted
    )


def assert_energy(energy: Energy, session: Session) -> None:
    assert all(type(uj) is int and uj >= 0 for uj in energy.uj.values())
    assert energy.bound_uj >= energy.lag_uj >= 0
    assert sum(energy.by_period.values()) == (energy.total_uj or 0)
    assert all(0 <= period < len(session.periods) for period in energy.by_period)
    assert all(uj > 0 for uj in energy.by_period.values())
    assert set(energy.missing) <= {n for n, info in session.counters.items() if info.counted}
    assert all(energy.uj.get(name) != 0 for name in energy.missing)
    if energy.total_uj is None:
        assert counted(energy, session) == 0
    else:
        assert energy.total_uj == counted(energy, session)


def assert_categories(session: Session) -> None:
    """The cells that own time are the four upper lines of the ledger."""
    ledger = session.ledger
    owners = [cell for cell in session.cells if cell.owns_time]
    assert {cell.number for cell in owners} == set(ledger.category_of)
    for category in ("productive", "superseded", "failed"):
        entry = ledger.entries[category]
        cells = [c for c in owners if ledger.category_of[c.number] == category]
        for counter in session.counters:
            uj = sum(cell.energy.uj.get(counter, 0) for cell in cells)
            assert uj == entry.uj.get(counter, 0)


# --- any sequence of events ------------------------------------------------------------------

times = st.floats(-1, 50, allow_nan=False) | st.sampled_from([0.0, 1.0, 2.0, 2.0, 3.0])
numbers = st.integers(0, 4)
names = st.sampled_from([*NAMES, "ghost"])
parents = st.none() | numbers
threads = st.sampled_from(["main", "main", "main", "subshell", "thread", "other"])
tags = st.builds(Tags, label=st.none() | st.sampled_from(["a", "b"]), deliberate=st.booleans())
intensities = st.none() | st.builds(
    Intensity, g_per_kwh=st.floats(0, 1000), place=st.sampled_from(["x", "y"])
)
pricings = st.builds(Pricing, pue=st.floats(1, 2), price_per_kwh=st.none() | st.floats(0, 1))
stamp: dict[str, st.SearchStrategy[Any]] = {
    "t": times,
    "n": st.none() | st.none() | st.integers(-1, 40),
    "uj": st.dictionaries(names, st.integers(0, 1000) | st.integers(0, 2**53), max_size=4),
    "error_uj": st.dictionaries(
        names, st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=2
    ),
}
bare = {"t": times, "n": stamp["n"]}
any_event: st.SearchStrategy[Event] = st.one_of(
    st.builds(PowerSampled, **stamp),
    st.builds(
        CellStarted,
        **stamp,
        number=numbers,
        cell=st.sampled_from("ab"),
        tags=tags,
        thread=threads,
        parent=parents,
        suggested_stage=st.none() | st.sampled_from(["training", "Data"]),
    ),
    st.builds(
        CellFinished,
        **stamp,
        number=numbers,
        status=st.sampled_from(["ok", "ok", "error", "interrupted", "kernel died", "new"]),
    ),
    st.builds(SpanStarted, **stamp, span=numbers, name=st.just("s"), parent=parents, cell=parents),
    st.builds(SpanFinished, **stamp, span=numbers),
    st.builds(
        MetricLogged,
        **stamp,
        name=st.just("m"),
        value=st.none() | st.floats(0, 1),
        text=st.none() | st.sampled_from(["inf", "-inf", "nan", "?"]),
        cell=parents,
    ),
    st.builds(TrackingPaused, **stamp),
    st.builds(TrackingResumed, **stamp),
    st.builds(IntensityChanged, **stamp, intensity=intensities),
    st.builds(PricingChanged, **stamp, pricing=pricings),
    st.builds(BudgetSet, **stamp, budget_uj=st.none() | st.integers(0, 2**53), stop=st.booleans()),
    st.builds(CounterLost, **bare, counter=names, since=times, reason=st.just("gone")),
    st.builds(
        CounterRestored,
        **bare,
        counter=names,
        since=times,
        lost=st.booleans(),
        offset_uj=st.integers(0, 5),
    ),
    st.builds(CounterNoted, **bare, counter=names, note=st.just("seen")),
    st.builds(SessionEnded, **stamp, reason=st.sampled_from(["goodbye", "kernel died"])),
    st.builds(ModelDescribed, **stamp),
    st.builds(BaselineMeasured, **stamp, duration_s=times),
    st.builds(OverlapSeen, **bare, session=st.sampled_from("xy"), pid=numbers),
    st.builds(RecorderRestarted, **bare, since=times),
    st.builds(ClockAnchored, **stamp, wall_s=times, suspended_s=times),
    st.builds(JournalThinned, **bare, dropped=numbers, since=times, reason=st.sampled_from("pq")),
    st.builds(
        header, t=times, uj=stamp["uj"], counters=st.sampled_from([COUNTERS, [], COUNTERS[:1]])
    ),
)
first_lines = st.builds(
    header,
    t=times,
    uj=stamp["uj"],
    error_uj=stamp["error_uj"],
    intensity=intensities,
    counters=st.sampled_from([COUNTERS, COUNTERS, COUNTERS[:1], []]),
)


def test_every_kind_of_event_is_thrown() -> None:
    """A new kind has to be added here."""
    built = str(any_event)
    for kind in KINDS - {"session_started"}:
        assert "".join(part.title() for part in kind.split("_")) in built


@settings(max_examples=400, deadline=None)
@given(first_lines, st.lists(any_event, max_size=40))
def test_any_sequence_adds_up(first: SessionStarted, events: list[Event]) -> None:
    fold = Fold()
    for event in [first, *events]:
        fold.feed(event)
        assert_sound(fold.session())
        assert_sound(fold.session(orphan=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(any_event, max_size=20), first_lines, st.lists(any_event, max_size=20))
def test_events_before_the_first_line_are_not_taken(
    before: list[Event], first: SessionStarted, after: list[Event]
) -> None:
    before = [event for event in before if not isinstance(event, SessionStarted)]
    fold = folded(before)
    with pytest.raises(NotAJournal):
        fold.session()
    whole = folded([*before, first, *after]).session()
    assert_sound(whole)
    assert repr(whole) == repr(folded([first, *after]).session())


@settings(max_examples=100, deadline=None)
@given(first_lines, st.lists(any_event, max_size=20), st.lists(any_event, max_size=10))
def test_a_copy_goes_its_own_way(
    first: SessionStarted, events: list[Event], more: list[Event]
) -> None:
    """A display feeds a copy with what the disk has not taken yet."""
    fold = folded([first, *events])
    before = repr(fold.session())
    other = copy.deepcopy(fold)
    for event in more:
        other.feed(event)
    assert repr(fold.session()) == before
    assert repr(other.session()) == repr(folded([first, *events, *more]).session())


@settings(max_examples=100, deadline=None)
@given(first_lines, st.lists(any_event, max_size=30))
def test_the_codec_changes_nothing(first: SessionStarted, events: list[Event]) -> None:
    fold = Fold()
    fold.feed_lines(b"".join(encode(event) for event in [first, *events]))
    assert fold.bad_lines == 0
    assert repr(fold.session()) == repr(folded([first, *events]).session())


# --- sensible sessions with a known truth ----------------------------------------------------


@dataclass
class Teller:
    """Tells a well-formed session; every boundary is read. Keeps its own books."""

    rng: random.Random
    events: list[Event] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    cells: dict[int, dict[str, int]] = field(default_factory=dict)
    """What each outermost cell used, pauses left out."""
    between: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    pause: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    windows: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    """Nested cells, other threads' cells and spans: truth at their start, then differences."""
    open: dict[tuple[str, int], str] = field(default_factory=dict)
    owner: int | None = None
    paused: bool = False
    t: float = 0.0
    n: int = 0
    number: int = 0
    start: dict[str, int] = field(default_factory=dict)

    def work(self) -> None:
        """Time passes and energy is used by whoever has the machine."""
        self.t = round(self.t + self.rng.choice([0.0, 0.001, 0.5, 30]), 6)
        if self.paused:
            books = self.pause
        else:
            books = self.between if self.owner is None else self.cells[self.owner]
        for name in NAMES:
            used_uj = self.rng.choice([0, 1, 999, 10**9])
            self.truth[name] += used_uj
            books[name] += used_uj

    def tell(self, kind: type[Stamped], numbered: bool = True, **fields: Any) -> None:
        if numbered:
            self.n += 1
            fields["n"] = self.n
        error = {name: (5, 9) for name in NAMES}
        event = kind(t=self.t, uj=dict(self.truth), error_uj=error, **fields)
        self.events.append(event)
        if self.rng.random() < 0.1 and numbered:
            self.events.append(event)  # sent twice

    def begin(self) -> None:
        # Counters do not begin at zero.
        self.truth = {name: self.rng.randrange(10**12) for name in NAMES}
        self.start = dict(self.truth)
        self.tell(
            SessionStarted,
            **{
                key: value
                for key in SessionStarted.__struct_fields__
                if key not in ("t", "n", "uj", "error_uj")
                and (value := getattr(header(), key, None))
            },
            process_started=0.0,
        )

    def step(self) -> None:
        self.work()
        often = [self._outer, self._outer, self._outer, self._span, self._span, self._sample]
        seldom = [self._inner, self._thread, self._pause, self._period, self._metric]
        self.rng.choice([*often, *seldom])()

    def _outer(self) -> None:
        if self.owner is not None:
            self._close_inner()
            self.tell(CellFinished, number=self.owner, status=self.rng.choice(["ok", "error"]))
            self.owner = None
        elif not self.paused:
            self.number += 1
            self.tell(CellStarted, number=self.number, cell=self.rng.choice("abc"))
            self.owner = self.number
            self.cells[self.number] = dict.fromkeys(NAMES, 0)

    def _close_inner(self) -> None:
        for kind, number in [key for key, what in self.open.items() if what == "inner"]:
            self._close(kind, number)

    def _inner(self) -> None:
        if self.owner is not None:
            self._toggle("cell", "inner", parent=self.owner)

    def _thread(self) -> None:
        self._toggle("cell", "thread", thread="subshell")

    def _span(self) -> None:
        self._toggle("span", "span")

    def _toggle(self, kind: str, what: str, **fields: Any) -> None:
        same = [number for (k, number), w in self.open.items() if (k, w) == (kind, what)]
        if same and self.rng.random() < 0.5:
            self._close(kind, self.rng.choice(same))
            return
        self.number += 1
        if kind == "cell":
            self.tell(CellStarted, number=self.number, cell="inner", **fields)
        else:
            self.tell(SpanStarted, span=self.number, name="s", **fields)
        self.open[kind, self.number] = what
        self.windows[kind, self.number] = dict(self.truth)

    def _close(self, kind: str, number: int) -> None:
        if kind == "cell":
            self.tell(CellFinished, number=number, status="ok")
        else:
            self.tell(SpanFinished, span=number)
        del self.open[kind, number]
        began = self.windows[kind, number]
        self.windows[kind, number] = {name: self.truth[name] - began[name] for name in NAMES}

    def _sample(self) -> None:
        self.tell(PowerSampled, numbered=False)

    def _pause(self) -> None:
        self.tell(TrackingResumed if self.paused else TrackingPaused)
        self.paused = not self.paused

    def _period(self) -> None:
        if self.rng.random() < 0.5:
            self.tell(IntensityChanged, intensity=Intensity(g_per_kwh=50.0, place="x"))
        else:
            self.tell(PricingChanged, pricing=Pricing(pue=1.5))

    def _metric(self) -> None:
        self.tell(MetricLogged, name="m", value=0.5, cell=self.owner)


def told(rng: random.Random, steps: int = 60) -> Teller:
    teller = Teller(rng)
    teller.begin()
    for _ in range(rng.randrange(steps)):
        teller.step()
    return teller


randoms = st.randoms(use_true_random=False)


@settings(max_examples=300, deadline=None)
@given(randoms)
def test_every_owner_has_its_true_energy(rng: random.Random) -> None:
    teller = told(rng)
    teller.work()
    teller.tell(SessionEnded)
    session = folded(teller.events).session()
    assert_sound(session)
    assert session.total.uj == {n: teller.truth[n] - teller.start[n] for n in NAMES}
    assert not session.total.missing
    ledger = session.ledger
    assert uj(ledger.between) == teller.between
    assert uj(ledger.paused) == teller.pause
    assert not any(uj(ledger.holes).values())
    finished = {cell.number: cell for cell in session.cells}
    for number, books in teller.cells.items():
        assert finished[number].energy.uj == books
        assert finished[number].energy.missing == ()
    for (kind, number), difference in teller.windows.items():
        if (kind, number) in teller.open:
            began = difference
            difference = {name: teller.truth[name] - began[name] for name in NAMES}  # noqa: PLW2901
        window = finished[number] if kind == "cell" else session.span(number)
        assert window.energy.uj == difference


def uj(entry: Entry) -> dict[str, int]:
    return {name: entry.uj.get(name, 0) for name in NAMES}


@settings(max_examples=150, deadline=None)
@given(randoms)
def test_metrics_tell_what_they_cost(rng: random.Random) -> None:
    teller = told(rng)
    session = folded(teller.events).session()
    logged = {e.n: e for e in teller.events if isinstance(e, MetricLogged)}
    assert len(session.metrics) == len(logged)
    for metric, event in zip(session.metrics, logged.values(), strict=True):
        since_start = {name: event.uj[name] - teller.start[name] for name in NAMES}
        assert metric.session_uj == since_start["package-0"] + since_start["gpu-0"]
        assert (metric.cell_uj is None) == (metric.cell is None)


@settings(max_examples=150, deadline=None)
@given(randoms)
def test_missing_readings_are_flagged_and_never_negative(rng: random.Random) -> None:
    """Drop readings at random: what is not flagged as missing is still exactly true."""
    teller = told(rng)
    events = [teller.events[0]]
    for event in teller.events[1:]:
        assert isinstance(event, Stamped)
        kept = {name: value for name, value in event.uj.items() if rng.random() < 0.8}
        events.append(structs.replace(event, uj=kept))
    session = folded(events).session()
    assert_sound(session)
    for cell in session.cells:
        books = teller.cells.get(cell.number)
        if books is None:
            books = teller.windows["cell", cell.number]
        for name in ("package-0", "gpu-0"):
            if name not in cell.energy.missing:
                assert cell.energy.uj[name] == books[name]
            else:
                assert cell.energy.uj.get(name, 0) <= books[name]


# --- damaged journals ------------------------------------------------------------------------


def journal(rng: random.Random) -> list[bytes]:
    return [encode(event) for event in told(rng, steps=25).events]


def fed(*parts: bytes) -> Fold:
    fold = Fold()
    for part in parts:
        fold.feed_lines(part)
    return fold


@settings(max_examples=100, deadline=None)
@given(randoms, st.data())
def test_journal_may_be_read_in_parts(rng: random.Random, data: st.DataObject) -> None:
    lines = journal(rng)
    cut = data.draw(st.integers(0, len(lines)))
    whole = fed(b"".join(lines)).session()
    assert repr(fed(b"".join(lines[:cut]), b"".join(lines[cut:])).session()) == repr(whole)
    assert repr(fed(*lines).session()) == repr(whole)


@settings(max_examples=150, deadline=None)
@given(randoms, st.data())
def test_truncated_journal_keeps_its_whole_lines(rng: random.Random, data: st.DataObject) -> None:
    lines = journal(rng)
    text = b"".join(lines)
    end = data.draw(st.integers(len(lines[0]), len(text)))
    torn = fed(text[:end])
    whole = text[:end].count(b"\n")
    # The last line may be whole, but for its newline.
    if text[end : end + 1] == b"\n":
        whole += 1
    torn_bytes = end - len(b"".join(lines[:whole]))
    assert torn.bad_lines == (torn_bytes > 0)
    torn.bad_lines = 0
    assert repr(torn.session()) == repr(fed(b"".join(lines[:whole])).session())
    assert_sound(torn.session(orphan=True))


GARBAGE = [
    b"\x00" * 4096,
    b"\xff\xfe\x80",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"-",
    b"1e999",
    b"{" * 5000,
    b"[" * 100_000,
    b'{"kind":"power_sampled","t":' + b"[" * 100_000,
    b'{"kind":"power_sampled","t":1e999}',
    b'{"kind":"power_sampled","t":' + b"9" * 5000 + b"}",
    b'{"kind":"power_sampled","t":NaN}',
    b'{"kind":"power_sampled","t":"1"}',
    b'{"kind":"power_sampled","t":true}',
    b'{"kind":"power_sampled","t":null}',
    b'{"kind":"power_sampled"}',
    b'{"kind":"power_sampled","t":1,"uj":[1]}',
    b'{"kind":"power_sampled","t":1,"uj":{"package-0":-1}}',
    b'{"kind":"power_sampled","t":1,"uj":{"package-0":1.5}}',
    b'{"kind":"power_sampled","t":1,"uj":{"package-0":' + b"9" * 30 + b"}}",
    b'{"kind":"power_sampled","t":1,"uj":{"\xff":1}}',
    b'{"kind":"cell_started","t":1,"number":"1","cell":"c"}',
    b'{"kind":"cell_started","t":1,"number":' + b"9" * 5000 + b',"cell":"c"}',
    b'{"kind":"cell_started","t":1,"number":1,"cell":"\\ud800"}',
    b'{"kind":"cell_started","t":1,"number":1,"cell":"c\x00"}',
    b'{"kind":"cell_finished","t":1,"number":1,"status":"ok"',
    b'{"kind":null,"t":1}',
    b'{"kind":7,"t":1}',
    b'{"kind":"\xff","t":1}',
    b'{"t":1}',
    b'{"kind":"session_started","t":0}',
    b'{"kind":"session_started","format":7}',
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:50]))
def test_garbage_costs_one_line(garbage: bytes) -> None:
    rng = random.Random(4)
    lines = journal(rng) + journal(rng)[1:]
    clean = fed(b"".join(lines))
    for place in (0, 1, len(lines) // 2, len(lines)):
        damaged = fed(b"".join([*lines[:place], garbage + b"\n", *lines[place:]]))
        assert damaged.bad_lines == 1
        damaged.bad_lines = 0
        assert repr(damaged.session()) == repr(clean.session())


@settings(max_examples=200, deadline=None)
@given(randoms, st.binary(max_size=200), st.data())
def test_random_bytes_cost_the_lines_they_hit(
    rng: random.Random, noise: bytes, data: st.DataObject
) -> None:
    """Overwriting a stretch of the file never hurts what is not in it."""
    lines = journal(rng)
    text = b"".join(lines)
    place = data.draw(st.integers(len(lines[0]), len(text)))
    damaged = text[:place] + noise + text[place + len(noise) :]
    fold = fed(damaged)
    assert_sound(fold.session())
    if any(_is_event(line) for line in noise.split(b"\n")):
        return
    whole_before = lines[: text[:place].count(b"\n")]
    whole_after = lines[text[: place + len(noise)].count(b"\n") + 1 :]
    # The lines that were hit at their edges may have stayed events; all others did.
    hit = damaged[len(b"".join(whole_before)) : len(damaged) - len(b"".join(whole_after))]
    left = b"".join(line + b"\n" for line in hit.split(b"\n") if _is_event(line))
    fold.bad_lines = fold.unknown_events = 0
    expected = fed(b"".join(whole_before), left, b"".join(whole_after))
    assert repr(fold.session()) == repr(expected.session())


def _is_event(line: bytes) -> bool:
    try:
        decode(line)
    except (ValueError, RecursionError):
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(randoms, st.data())
def test_flipped_bits_never_raise(rng: random.Random, data: st.DataObject) -> None:
    lines = journal(rng)
    text = bytearray(b"".join(lines))
    first = len(lines[0])
    for _ in range(data.draw(st.integers(1, 20))):
        place = data.draw(st.integers(first, max(first, len(text) - 1)))
        if place < len(text):
            text[place] ^= 1 << data.draw(st.integers(0, 7))
    fold = fed(bytes(text))
    assert_sound(fold.session())
    assert_sound(fold.session(orphan=True))


# --- versions --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.7", "1", "0.9", "1.x"])
def test_minor_versions_are_read(version: str) -> None:
    assert folded([header(format=version)]).session().format == version


@pytest.mark.parametrize("version", ["2.0", "10.0", "2", "", "x", "²", "-1", "1" * 5000, "٢.0"])
def test_other_major_versions_are_refused(version: str) -> None:
    with pytest.raises(NewerFormat, match="pip install"):
        folded([header(format=version)])


def test_newer_first_line_of_another_shape_is_refused_by_its_version() -> None:
    with pytest.raises(NewerFormat, match=r"format 2\.0"):
        fed(b'{"kind":"session_started","format":"2.0","start":{"wall":1}}\n')


# --- one by one ------------------------------------------------------------------------------


def stamped(
    kind: type[Stamped], t: float, package: int | None, gpu: int | None, **fields: Any
) -> Stamped:
    read = {"package-0": package, "gpu-0": gpu}
    uj = {name: value for name, value in read.items() if value is not None}
    return kind(t=t, uj=uj, **fields)


def test_cell_whose_end_was_never_told() -> None:
    """The next one takes over at its own stamp, and loses nothing to the holes."""
    session = folded(
        [
            header(uj={"package-0": 100, "gpu-0": 10}),
            stamped(CellStarted, 1, 200, 20, number=1, cell="a"),
            stamped(CellStarted, 3, 500, 50, number=2, cell="b"),
            stamped(CellFinished, 4, 900, 90, number=2, status="ok"),
        ]
    ).session()
    first, second = session.cells
    assert (first.status, first.energy.total_uj) == ("unfinished", 330)
    assert first.energy.at_least
    assert (second.energy.total_uj, second.energy.missing) == (440, ())
    assert session.ledger.holes.total_uj == 0


def test_cell_that_starts_while_paused() -> None:
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            stamped(TrackingPaused, 1, 10, 0),
            stamped(CellStarted, 2, 30, 0, number=1, cell="a"),
            stamped(TrackingResumed, 3, 70, 0),
            stamped(CellFinished, 4, 150, 0, number=1, status="ok"),
        ]
    ).session()
    assert session.cells[0].energy.total_uj == 80
    assert session.ledger.paused.total_uj == 60
    assert session.ledger.productive.seconds == 1


def test_boundary_that_changes_nothing_makes_no_hole() -> None:
    """Resuming what was not paused: the owner is the same on both sides."""
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            stamped(CellStarted, 1, 10, 0, number=1, cell="a"),
            stamped(TrackingResumed, 2, None, None),
            stamped(CellFinished, 3, 30, 0, number=1, status="ok"),
        ]
    ).session()
    assert session.cells[0].energy.total_uj == 20
    assert session.cells[0].energy.missing == ()


@pytest.mark.parametrize("unread", [2, 3])
def test_pause_with_one_unread_boundary(unread: int) -> None:
    """Whichever end of the pause it is, a part of the cell's energy may be the pause's."""
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            stamped(CellStarted, 1, 10, 0, number=1, cell="a"),
            stamped(TrackingPaused, 2, None if unread == 2 else 20, 0),
            stamped(TrackingResumed, 3, None if unread == 3 else 30, 0),
            stamped(CellFinished, 4, 40, 0, number=1, status="ok"),
        ]
    ).session()
    assert session.cells[0].energy.missing == ("package-0",)
    assert session.cells[0].energy.total_uj == 10
    assert session.ledger.holes.total_uj == 20


def test_counter_that_is_lost_twice_was_lost_from_the_first_time_on() -> None:
    """A new recorder finds again what the one before had found."""
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            CounterLost(t=3, counter="gpu-0", since=1.0, reason="stood still"),
            CounterLost(t=9, counter="gpu-0", since=8.0, reason="gone"),
            CounterRestored(t=12, counter="gpu-0", since=8.0, lost=True),
        ]
    ).session()
    (hole,) = session.holes
    assert (hole.since_s, hole.until_s, hole.reason) == (1.0, 12.0, "stood still")


def test_counter_that_appears_within_nested_windows() -> None:
    """Read at no start of theirs, it is no part of them; nor of their periods."""
    session = folded(
        [
            header(uj={"package-0": 0}),
            stamped(CellStarted, 1, 10, None, number=1, cell="a"),
            stamped(CellStarted, 2, 20, None, number=2, cell="b", parent=1),
            stamped(PowerSampled, 3, 30, 1000),
            IntensityChanged(t=3.5, uj={"package-0": 35, "gpu-0": 1500}),
            stamped(CellFinished, 4, 40, 2000, number=2, status="ok"),
            stamped(CellFinished, 5, 50, 3000, number=1, status="ok"),
        ]
    ).session()
    inner, outer = session.cells
    assert inner.energy.uj == {"package-0": 20}
    assert inner.energy.by_period == {0: 15, 1: 5}
    assert inner.energy.missing == outer.energy.missing == ("gpu-0",)
    assert outer.energy.uj == {"package-0": 40, "gpu-0": 2000}


def test_start_that_is_behind_the_last_reading() -> None:
    """A window takes nothing that was given away before it was known to have begun."""
    session = folded(
        [
            header(uj={"package-0": 0}, counters=COUNTERS[:1]),
            stamped(CellStarted, 1, 10, None, number=1, cell="a"),
            stamped(PowerSampled, 2.1, 25, None),
            stamped(SpanStarted, 2, 20, None, span=1, name="s"),
            stamped(SpanFinished, 3, 30, None, span=1),
        ]
    ).session()
    assert session.spans[0].energy.total_uj == 5
    assert session.spans[0].energy.missing == ("package-0",)


def test_lost_detail_counter_is_no_missing_part_of_the_total() -> None:
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0, "core-0": 0}),
            stamped(CellStarted, 1, 10, 0, number=1, cell="a"),
            stamped(CellFinished, 2, 20, 0, number=1, status="ok"),
            CounterLost(t=3, counter="core-0", since=1.5, reason="stood still"),
            CounterLost(t=3, counter="ghost", since=1.5, reason="never heard of"),
        ]
    ).session()
    assert session.cells[0].energy.missing == ()
    assert not session.total.at_least
    assert [hole.counter for hole in session.holes] == ["core-0", "ghost"]


def test_loss_found_later_is_told_of_those_that_ended_since() -> None:
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            stamped(CellStarted, 1, 10, 10, number=1, cell="a"),
            stamped(CellFinished, 2, 20, 20, number=1, status="ok"),
            stamped(CellStarted, 3, 30, 20, number=2, cell="a"),
            stamped(CellFinished, 4, 40, 20, number=2, status="ok"),
            stamped(CellStarted, 5, 50, 20, number=3, cell="a"),
            CounterLost(t=6, counter="gpu-0", since=2.0, reason="stood still"),
            CounterRestored(t=7, counter="gpu-0", since=2.0, lost=True),
            stamped(PowerSampled, 7, 70, 100),
            stamped(CellFinished, 8, 80, 110, number=3, status="ok"),
        ]
    ).session()
    first, second, third = session.cells
    assert (first.energy.uj["gpu-0"], first.energy.missing) == (10, ())
    assert (second.energy.uj, second.energy.missing) == ({"package-0": 10}, ("gpu-0",))
    assert (third.energy.uj["gpu-0"], third.energy.missing) == (90, ("gpu-0",))


def test_metric_of_a_cell_without_reading_costs_nobody_knows_what() -> None:
    session = folded(
        [
            header(uj={"package-0": 0}, counters=COUNTERS[:1]),
            stamped(CellStarted, 1, None, None, number=1, cell="a"),
            MetricLogged(t=2, name="acc", value=0.5, cell=1),
        ]
    ).session()
    assert session.metrics[0].cell_uj is None
    assert session.metrics[0].session_uj == 0


def test_power_of_counters_that_the_newest_stamp_lacks() -> None:
    """A slower counter's last reading counts, if it is of the last two seconds."""
    session = folded(
        [
            header(uj={"package-0": 0, "gpu-0": 0}),
            stamped(PowerSampled, 1.0, 10_000_000, 100_000_000),
            stamped(PowerSampled, 2.0, 20_000_000, 200_000_000),
            stamped(CellStarted, 2.5, 25_000_000, None, number=1, cell="a"),
        ]
    ).session()
    assert session.power_w == pytest.approx(10 + 100)


def test_orphan_keeps_what_was_open() -> None:
    fold = folded(
        [
            header(uj={"package-0": 0}, counters=COUNTERS[:1]),
            stamped(CellStarted, 1, 10, None, number=1, cell="a", source="train()"),
            stamped(SpanStarted, 2, 20, None, span=1, name="epoch"),
            stamped(PowerSampled, 3, 30, None),
        ]
    )
    session = fold.session(orphan=True)
    assert (session.cells[0].status, session.cells[0].source) == ("kernel died", "train()")
    assert session.cells[0].energy.total_uj == 20
    assert (session.spans[0].status, session.spans[0].energy.total_uj) == ("kernel died", 10)
    assert session.open_cells == ()
    assert session.ledger.failed.total_uj == 20
    assert fold.session().spans == ()


def test_place_that_is_set_late_counts_from_the_start() -> None:
    france, poland = (Intensity(g_per_kwh=g, place=p) for g, p in ((50, "fr"), (700, "pl")))
    session = folded(
        [
            header(uj={"package-0": 0}, counters=COUNTERS[:1]),
            PricingChanged(t=1, uj={"package-0": 1_000_000_000}, pricing=Pricing(pue=2.0)),
            IntensityChanged(t=2, uj={"package-0": 2_000_000_000}, intensity=france),
            IntensityChanged(t=3, uj={"package-0": 3_000_000_000}),
            IntensityChanged(t=4, uj={"package-0": 4_000_000_000}, intensity=poland),
            stamped(SessionEnded, 5, 5_000_000_000, None),
        ]
    ).session()
    places = [p.intensity.place if p.intensity else None for p in session.periods]
    assert places == ["fr", "fr", "fr", None, "pl"]
    assert session.total.by_period == dict.fromkeys(range(5), 1_000_000_000)
    assert session.co2_g(session.total) is None, "for one stretch nobody said where it was"


def test_bases_of_intensity_are_never_mixed() -> None:
    lifecycle = Intensity(g_per_kwh=50, place="fr")
    direct = Intensity(g_per_kwh=40, place="fr", basis="direct")
    session = folded(
        [
            header(uj={"package-0": 0}, counters=COUNTERS[:1], intensity=lifecycle),
            stamped(CellStarted, 1, 3_600_000, None, number=1, cell="a"),
            IntensityChanged(t=2, uj={"package-0": 7_200_000}, intensity=direct),
            stamped(CellFinished, 3, 10_800_000, None, number=1, status="ok"),
            stamped(CellStarted, 3, 10_800_000, None, number=2, cell="b"),
            stamped(CellFinished, 4, 14_400_000, None, number=2, status="ok"),
        ]
    ).session()
    assert session.co2_g(session.cells[0].energy) is None
    assert session.co2_g(session.cells[1].energy) == pytest.approx(3.6 / 3.6e6 * 40)
    assert session.co2_g(session.total) is None
