"""SCI by hand, and what is refused; other prices and bases from the journal alone."""

import math

import pytest
from msgspec import structs

from jupyter_green.carbon.sci import YEAR_S, Embodied, score
from jupyter_green.carbon.tables import intensity_of
from jupyter_green.errors import SettingError
from jupyter_green.events import Intensity, IntensityChanged, Pricing
from jupyter_green.sessions.model import Session
from tests.simulators.story import FRANCE, PACKAGE, Story

J_PER_KWH = 3.6e6


def story(intensity: Intensity | None = FRANCE, pue: float = 1.0) -> Session:
    """10 W for 100 s, in 20 s of it a cell."""
    told = Story(PACKAGE, intensity=intensity, pricing=Pricing(pue=pue))
    told.sleep(40.0)
    number = told.begin("train()")
    told.sleep(20.0)
    told.end(number)
    told.sleep(40.0)
    return told.close()


def test_operational_only() -> None:
    sci = score(story(pue=1.5), "1000 inferences", 4)
    kwh = 1000 / J_PER_KWH * 1.5
    assert sci.energy_kwh == pytest.approx(kwh)
    assert sci.operational_g == pytest.approx(kwh * 44)
    assert sci.embodied_g is None
    assert sci.low_g_per_unit == sci.high_g_per_unit == pytest.approx(kwh * 44 / 4)
    assert (sci.unit, sci.sources, sci.at_least) == ("1000 inferences", (), False)


def embodied(**changes: object) -> Embodied:
    usual: dict[str, object] = {
        "low_kg": 164.0,
        "high_kg": 575.0,
        "lifetime_years": 4.0,
        "sources": ("a published life-cycle assessment",),
    }
    return Embodied(**{**usual, **changes})  # type: ignore[arg-type]


def test_embodied_is_a_range() -> None:
    sci = score(story(), "training run", embodied=embodied(reserved_share=0.5))
    share = 100 / (4 * YEAR_S) * 0.5
    assert sci.embodied_g == pytest.approx((164_000 * share, 575_000 * share))
    assert sci.low_g_per_unit == pytest.approx(1000 / J_PER_KWH * 44 + 164_000 * share)
    assert sci.high_g_per_unit == pytest.approx(1000 / J_PER_KWH * 44 + 575_000 * share)
    assert sci.sources == ("a published life-cycle assessment",)


def test_of_a_window() -> None:
    session = story()
    cell = session.cells[0]
    sci = score(
        session, "epoch", 2, energy=cell.energy, reserved_s=cell.duration_s, embodied=embodied()
    )
    assert sci.operational_g == pytest.approx(200 / J_PER_KWH * 44)
    assert sci.embodied_g is not None
    assert sci.embodied_g[0] == pytest.approx(164_000 * 20 / (4 * YEAR_S))


def test_a_window_needs_its_own_time() -> None:
    session = story()
    with pytest.raises(SettingError, match="reserved_s"):
        score(session, "epoch", energy=session.cells[0].energy, embodied=embodied())


def test_a_missing_part_makes_it_a_lower_bound() -> None:
    session = story()
    total = structs.replace(session.total, missing=("gpu-0",))
    assert score(structs.replace(session, total=total), "run").at_least


@pytest.mark.parametrize("count", [0, -1, math.inf, math.nan])
def test_no_number_of_units(count: float) -> None:
    with pytest.raises(SettingError, match="functional units"):
        score(story(), "run", count)


@pytest.mark.parametrize(
    "changes",
    [
        {"low_kg": -1.0},
        {"low_kg": 600.0},
        {"high_kg": math.inf},
        {"low_kg": math.nan},
        {"lifetime_years": 0.0},
        {"lifetime_years": math.nan},
        {"reserved_share": 0.0},
        {"reserved_share": 1.5},
        {"sources": ()},
        {"sources": (" ",)},
    ],
)
def test_embodied_figures_that_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        score(story(), "run", embodied=embodied(**changes))


def test_no_place() -> None:
    with pytest.raises(SettingError, match="set a place"):
        score(story(None), "run")


def test_no_mixed_bases() -> None:
    told = Story(PACKAGE, intensity=FRANCE)
    direct = intensity_of("gcp:europe-west9")
    told.feed(IntensityChanged(intensity=direct, **told.stamp(50.0)))
    told.sleep(50.0)
    session = told.close()
    assert session.co2_g(session.total) is None
    with pytest.raises(SettingError, match="one carbon intensity basis"):
        score(session, "run")
    assert score(session.with_intensity(direct), "run").operational_g == pytest.approx(
        1000 / J_PER_KWH * 16.3
    )


# --- valued anew --------------------------------------------------------------------------


def test_another_price() -> None:
    session = story(pue=1.5)
    assert session.cost(session.total) is None
    priced = session.with_price(0.36, "CHF")
    assert priced.cost(priced.total) == pytest.approx(1000 / J_PER_KWH * 1.5 * 0.36)
    assert priced.pricing.currency == "CHF"
    assert priced.pricing.pue == 1.5
    assert priced.co2_g(priced.total) == session.co2_g(session.total)
    assert session.cost(session.total) is None, "what was recorded stays as it is"


def test_another_basis() -> None:
    session = story(intensity_of("gcp:europe-west9"))
    assert session.intensity is not None
    lifecycle = session.with_intensity(intensity_of(session.intensity.place, "lifecycle"))
    assert session.co2_g(session.total) == pytest.approx(1000 / J_PER_KWH * 16.3)
    assert lifecycle.co2_g(lifecycle.total) == pytest.approx(1000 / J_PER_KWH * 44.18, rel=1e-3)
