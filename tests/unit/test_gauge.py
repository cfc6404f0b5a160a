"""Levels and limits: what is told, when, and that it is what the journal says."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise

import pytest

from jupyter_green.events import CounterInfo, Intensity, IntensityChanged, Pricing, SessionStarted
from jupyter_green.recorder import wire
from jupyter_green.recorder.gauge import EVERY_NS, SOONEST_NS, Gauge
from jupyter_green.recorder.levels import Levels, Limit
from jupyter_green.sessions.fold import Fold

MS = 1_000_000
S = 1_000_000_000


def counter(name: str, **more: object) -> CounterInfo:
    kind = {"domain": "package", "source": "rapl", "provenance": "measured", **more}
    return CounterInfo(name=name, resolution_s=0.001, **kind)  # type: ignore[arg-type]


def started(counters: Sequence[CounterInfo], uj: dict[str, int], **more: object) -> SessionStarted:
    return SessionStarted(
        t=0.0,
        n=1,
        format="1.0",
        session="s",
        version="0",
        wall_s=0.0,
        host="h",
        boot_id="b",
        pid=1,
        process_started=0.0,
        counters=list(counters),
        uj=uj,
        **more,  # type: ignore[arg-type]
    )


class Told(list[wire.Level]):
    def __init__(self, *counters: CounterInfo, **uj: int) -> None:
        super().__init__()
        self.gauge = Gauge(self.append)
        self.gauge.follow(started(counters, {k.replace("_", "-"): v for k, v in uj.items()}))

    def read(self, t_ns: int, **uj: int) -> int | None:
        by_name = {name.replace("_", "-"): value for name, value in uj.items()}
        return self.gauge.take(t_ns, t_ns / S, by_name)


def test_levels_are_told_a_few_times_a_second_while_somebody_asks() -> None:
    told = Told(counter("package-0"), package_0=1000)
    assert not told.gauge.wanted
    told.gauge.ask(wire.Gauge(True))
    assert told.gauge.wanted
    for i in range(1, 21):
        told.read(S + i * 50 * MS, package_0=1000 + i * 500_000)
    assert [level.uj for level in told] == [500_000, 3_000_000, 5_500_000, 8_000_000]
    assert all(later.t - e.t >= EVERY_NS / S for e, later in pairwise(told))
    assert told[-1].power_w == pytest.approx(10.0)
    told.gauge.ask(wire.Gauge(False))
    assert not told.gauge.wanted


def test_details_and_what_the_first_line_does_not_name_are_not_added() -> None:
    told = Told(counter("package-0"), counter("core-0", counted=False), package_0=0, core_0=0)
    told.gauge.ask(wire.Gauge(True))
    told.read(S, package_0=7, core_0=5, ghost=100)
    assert told[-1].uj == 7


def test_what_was_read_before_the_first_stamp_is_in_no_level() -> None:
    """The journal does not have it either."""
    told = Told(counter("package-0"))
    told.gauge.ask(wire.Gauge(True))
    told.read(S, package_0=50)
    assert told[-1].uj == 0
    assert told[-1].missing == []
    told.gauge.follow(IntensityChanged(t=1.1, uj={"package-0": 60}))
    told.read(2 * S, package_0=75)
    assert told[-1].uj == 15


def test_a_counter_that_cannot_be_read_is_missing_and_one_never_used_is_not() -> None:
    told = Told(
        counter("package-0"),
        counter("gpu-0", domain="gpu", scope="device"),
        counter("cpu-model", domain="cpu", provenance="modelled"),
        package_0=0,
        cpu_model=0,
    )
    told.gauge.ask(wire.Gauge(True))
    told.read(S, package_0=10, cpu_model=0)
    assert (told[-1].missing, told[-1].modelled) == ([], False)
    told.read(2 * S, cpu_model=5)
    assert (told[-1].uj, told[-1].missing, told[-1].modelled) == (15, ["package-0"], True)


def test_place_and_pue_in_force() -> None:
    told = Told(counter("package-0"), package_0=0)
    told.gauge.ask(wire.Gauge(True))
    told.read(S, package_0=1)
    told.gauge.follow(IntensityChanged(t=1.0, intensity=Intensity(g_per_kwh=44.0, place="FR")))
    told.read(2 * S, package_0=1)
    assert [level.g_per_kwh for level in told] == [None, 44.0]
    assert told[-1].pue == 1.0


def test_a_limit_is_told_once_and_foretold_from_the_power() -> None:
    told = Told(counter("package-0"), package_0=0)
    told.gauge.ask(wire.Gauge(False, [10_000_000]))
    assert told.read(S, package_0=0) is None  # of the power nothing is known yet
    due_ns = told.read(S + 100 * MS, package_0=1_000_000)
    assert due_ns == S + 1000 * MS  # 9 J more at 10 W
    assert told.read(due_ns - MS, package_0=9_990_000) == due_ns - MS + SOONEST_NS
    assert told == []
    assert told.read(due_ns + MS, package_0=10_010_000) is None
    assert [level.uj for level in told] == [10_010_000]
    told.read(due_ns + S, package_0=20_000_000)
    assert len(told) == 1
    assert not told.gauge.wanted


def test_resumed_where_the_journal_ended() -> None:
    events = [
        started([counter("package-0"), counter("gpu-0", scope="device")], {"package-0": 100}),
        IntensityChanged(t=1.0, n=2, uj={"package-0": 150, "gpu-0": 40}),
        IntensityChanged(
            t=2.0,
            n=3,
            uj={"package-0": 180, "gpu-0": 60},
            intensity=Intensity(g_per_kwh=9, place="x"),
        ),
    ]
    fold = Fold()
    for event in events:
        fold.feed(event)
    told: list[wire.Level] = []
    gauge = Gauge(told.append)
    gauge.resume(fold)
    gauge.ask(wire.Gauge(True))
    gauge.take(3 * S, 3.0, {"package-0": 200, "gpu-0": 60})
    total_uj = fold.session().total.total_uj
    assert total_uj == 100
    assert told[-1].uj == total_uj + 20
    assert told[-1].g_per_kwh == 9
    assert Pricing().pue == told[-1].pue


def test_a_recorder_that_has_nothing_yet_resumes_at_the_first_line() -> None:
    told: list[wire.Level] = []
    gauge = Gauge(told.append)
    gauge.resume(Fold())
    gauge.ask(wire.Gauge(True))
    assert not gauge.wanted
    gauge.follow(started([counter("package-0")], {"package-0": 5}))
    gauge.take(S, 1.0, {"package-0": 6})
    assert told[-1].uj == 1


# --- the kernel's side ----------------------------------------------------------------------


def level(t: float, uj: int) -> wire.Level:
    return wire.Level(t=t, uj=uj)


def test_askers_are_counted() -> None:
    asked: list[wire.Gauge] = []
    levels = Levels(asked.append)
    for on in (True, True, False, False, False):
        levels.ask(on)
    assert [message.on for message in asked] == [True, False]


def test_energy_at_a_moment_lies_on_the_line_between_levels() -> None:
    levels = Levels(lambda message: None)
    assert levels.latest is None
    assert levels.uj_at(1.0) is None
    for t, uj in ((1.0, 100), (2.0, 300), (2.5, 300)):
        levels.take(level(t, uj))
    assert levels.uj_at(1.5) == 200
    assert levels.uj_at(2.25) == 300
    assert levels.uj_at(0.5) is None
    assert levels.uj_at(3.0) is None


def test_limits_are_called_once_each_and_dropped_ones_never() -> None:
    asked: list[wire.Gauge] = []
    levels = Levels(asked.append)
    reached = threading.Barrier(2, timeout=5)
    seen: list[int] = []

    def take(at: wire.Level) -> None:
        seen.append(at.uj)
        # What is done at a limit may take its time, and ask for levels.
        levels.ask(True)
        reached.wait()

    limits = [Limit(uj, take) for uj in (10, 20, 30)]
    for limit in limits:
        levels.add(limit)
    levels.drop(limits[1])
    assert asked[-1].limits_uj == [10, 30]
    levels.take(level(1.0, 9))
    assert seen == []
    levels.take(level(2.0, 25))
    reached.wait()
    assert seen == [25]
    levels.take(level(3.0, 26))
    levels.drop(limits[0])
    assert levels.wanted().limits_uj == [30]
    levels.take(level(4.0, 30))
    reached.wait()
    assert seen == [25, 30]
