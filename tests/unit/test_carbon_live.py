"""Follows a provider without ever waiting for it: what changes, when it is asked again."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jupyter_green.carbon.intensity import Published
from jupyter_green.carbon.live import FIRST_RETRY_S, REFUSED_RETRY_S, Live, Shelf
from jupyter_green.errors import IntensityUnavailable
from jupyter_green.events import Intensity, IntensityChanged, SessionEnded
from tests.unit.test_sampling import Bench, counter

TABLE = Intensity(g_per_kwh=44.0, place="France", year=2024, source="a table")
TIME = datetime(2026, 11, 21, 14, tzinfo=UTC)
INTERVAL_S = 1800.0
J_PER_KWH = 3.6e6
SECRET = "s3cret"


def value(g_per_kwh: float) -> Published:
    intensity = Intensity(g_per_kwh=g_per_kwh, place="FR", year=2026, source="a service")
    return Published(intensity=intensity, time=TIME)


class Service:
    """A provider that gives, in order, what it is told to."""

    name = "a service"
    basis = "lifecycle"

    def __init__(self, *answers: Published | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    def latest(self) -> Published:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Watch:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


Make = Callable[..., Live]


@pytest.fixture
def follow(tmp_path: Path, watch: Watch) -> Make:
    def make(service: Service, stand_in: Intensity | None = TABLE) -> Live:
        return Live(lambda: service, stand_in, INTERVAL_S, Shelf(tmp_path / "a" / "b.json"), watch)

    return make


def step(live: Live, watch: Watch) -> IntensityChanged | None:
    """Wait as it wants, and ask."""
    watch.now_s += live.wait_s
    return live.ask()


def test_values_that_change(follow: Make, watch: Watch) -> None:
    service = Service(value(30), value(30), value(31))
    live = follow(service)
    assert live.wait_s == 0
    changed = step(live, watch)
    assert changed is not None
    assert changed.intensity == value(30).intensity
    assert changed.reason == "published for 2026-11-21 14:00 UTC"
    assert live.wait_s == INTERVAL_S
    assert step(live, watch) is None
    again = step(live, watch)
    assert again is not None
    assert again.intensity == value(31).intensity
    assert service.asked == 3


def test_a_failure_is_told_once_and_the_table_stands_in(follow: Make, watch: Watch) -> None:
    down = IntensityUnavailable("a service is down")
    live = follow(Service(value(30), down, down, down, value(30)))
    assert step(live, watch) is not None
    failed = step(live, watch)
    assert failed is not None
    assert failed.intensity == TABLE
    assert "a service is down" in failed.reason
    assert "table" in failed.reason
    assert step(live, watch) is None
    assert step(live, watch) is None
    back = step(live, watch)
    assert back is not None
    assert back.intensity == value(30).intensity


def test_two_failures_are_told_twice(follow: Make, watch: Watch) -> None:
    down = IntensityUnavailable("down")
    live = follow(Service(down, value(30), down))
    told = [step(live, watch) for _ in range(3)]
    assert [one is not None for one in told] == [True, True, True]


def test_nothing_stands_in(follow: Make, watch: Watch) -> None:
    failed = step(follow(Service(IntensityUnavailable("down")), None), watch)
    assert failed is not None
    assert failed.intensity is None
    assert failed.reason == "down; no other value stands in"


def test_back_off(follow: Make, watch: Watch) -> None:
    down = IntensityUnavailable("down")
    live = follow(Service(*[down] * 10, value(30), down))
    waits = []
    for _ in range(10):
        step(live, watch)
        waits.append(live.wait_s)
    assert waits[:4] == [FIRST_RETRY_S * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == INTERVAL_S
    step(live, watch)
    assert live.wait_s == INTERVAL_S
    step(live, watch)
    assert live.wait_s == FIRST_RETRY_S, "after a value it begins anew"


def test_retry_after_is_kept(follow: Make, watch: Watch) -> None:
    live = follow(Service(IntensityUnavailable("busy", again_s=7200), value(30)))
    step(live, watch)
    assert live.wait_s == 7200


def test_a_short_retry_after_does_not_hurry(follow: Make, watch: Watch) -> None:
    live = follow(Service(IntensityUnavailable("busy", again_s=0)))
    step(live, watch)
    assert live.wait_s == FIRST_RETRY_S


def test_what_is_refused_is_not_asked_again_soon(follow: Make, watch: Watch) -> None:
    live = follow(Service(IntensityUnavailable("no such zone", refused=True)))
    step(live, watch)
    assert live.wait_s == REFUSED_RETRY_S


def test_an_error_of_ours_ends_nothing_and_tells_no_secret(follow: Make, watch: Watch) -> None:
    live = follow(Service(RuntimeError(f"header {SECRET}"), value(30)))
    failed = step(live, watch)
    assert failed is not None
    assert "RuntimeError" in failed.reason
    assert SECRET not in failed.reason
    assert step(live, watch) is not None


def test_a_provider_that_cannot_be_opened(tmp_path: Path, watch: Watch) -> None:
    def opened() -> Service:
        raise IntensityUnavailable("no token", refused=True)

    failed = step(Live(opened, TABLE, INTERVAL_S, Shelf(tmp_path / "x"), watch), watch)
    assert failed is not None
    assert "no token" in failed.reason


# --- the shelf ----------------------------------------------------------------------------


def test_sessions_share_a_value(follow: Make, watch: Watch) -> None:
    service = Service(value(30), value(31))
    step(follow(service), watch)
    watch.now_s += 600
    other = follow(service)
    changed = step(other, watch)
    assert changed is not None
    assert changed.intensity == value(30).intensity
    assert service.asked == 1
    assert other.wait_s == INTERVAL_S - 600
    later = step(other, watch)
    assert later is not None
    assert later.intensity == value(31).intensity


def test_a_clock_that_was_set_back(follow: Make, watch: Watch) -> None:
    service = Service(value(30), value(31))
    step(follow(service), watch)
    watch.now_s -= 7200
    step(follow(service), watch)
    assert service.asked == 2


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"asked_wall_s": 1}', b"\xff"])
def test_a_damaged_file(follow: Make, watch: Watch, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a" / "b.json"
    path.parent.mkdir()
    path.write_bytes(text)
    service = Service(value(30))
    assert step(follow(service), watch) is not None
    assert service.asked == 1


def test_a_directory_that_cannot_be_made(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "file").write_text("")
    service = Service(value(30))
    live = Live(lambda: service, TABLE, INTERVAL_S, Shelf(tmp_path / "file" / "x"), watch)
    assert step(live, watch) is not None


def test_nothing_but_the_value_lies_there(follow: Make, watch: Watch, tmp_path: Path) -> None:
    step(follow(Service(value(30))), watch)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


# --- in the stream ------------------------------------------------------------------------


def test_each_stretch_has_its_own_intensity() -> None:
    """50 W for 10 s before the first value, 20 s at 30 g, 10 s at 60 g; a cell lies across."""
    bench = Bench(counter(watts=50.0))
    bench.start(1, 5.0)
    for t_s, g_per_kwh in ((10.0, 30.0), (30.0, 60.0)):
        bench.run(t_s)
        bench.sampler.stamp(IntensityChanged(t=0.0, intensity=value(g_per_kwh).intensity))
    bench.finish(1, 35.0)
    bench.mark(SessionEnded(t=0.0), 40.0)
    recorded = bench.session()
    assert len(recorded.periods) == 3
    # Before the first value there was none, and the machine has not moved.
    total_g = 50 * (10 * 30 + 20 * 30 + 10 * 60) / J_PER_KWH
    assert recorded.co2_g(recorded.total) == pytest.approx(total_g, rel=1e-4)
    cell = recorded.cells[0].energy
    cell_g = 50 * (5 * 30 + 20 * 30 + 5 * 60) / J_PER_KWH
    assert recorded.co2_g(cell) == pytest.approx(cell_g, rel=1e-4)
    elsewhere = recorded.with_intensity(TABLE)
    assert elsewhere.co2_g(cell) == pytest.approx(30 * 50 * 44 / J_PER_KWH, rel=1e-4)


def test_nothing_is_stamped_after_the_end() -> None:
    bench = Bench(counter())
    bench.run(1.0)
    bench.sampler.on_death()
    count = len(bench.events)
    bench.sampler.stamp(IntensityChanged(t=0.0, intensity=TABLE))
    bench.sampler.complete()
    assert not any(isinstance(event, IntensityChanged) for event in bench.events[count - 1 :])
