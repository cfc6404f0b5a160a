"""Software Carbon Intensity (ISO/IEC 21031:2024): grams of CO2 equivalent per functional unit.

SCI = (E x I + M) per R. E is the energy with the overhead of its place (PUE), I the carbon
intensity of that place, each stretch with the one then in force, M the share of the hardware's
embodied emissions, R the unit that the user names. Market-based instruments and offsets do not
count. M is left out unless it is given: published figures for one device differ several times
over, so that it is a range, and the sources are the reader's to judge.
"""

from __future__ import annotations

from msgspec import Struct

from jupyter_green.errors import SettingError
from jupyter_green.sessions.model import Energy, Session
from jupyter_green.units import uj_to_kwh

HOUR_S = 3600.0
YEAR_S = 365.25 * 24 * HOUR_S


class Embodied(Struct, frozen=True, kw_only=True):
    """What making the hardware has cost, and the share of it that is billed.

    M = TE x (TiR / EL) x (RR / ToR), with the names of the standard.
    """

    low_kg: float
    """TE, total embodied emissions in kg CO2e: the lowest published figure ..."""
    high_kg: float
    """... and the highest."""
    lifetime_years: float
    """EL, expected lifespan."""
    sources: tuple[str, ...]
    """Where the figures come from, at least one."""
    reserved_share: float = 1.0
    """RR / ToR: the share of the hardware that was reserved."""

    def range_g(self, reserved_s: float) -> tuple[float, float]:
        """Grams that belong to ``reserved_s`` seconds (TiR), low and high.

        Raises:
            SettingError: a figure cannot be right.
        """
        self._check()
        share = reserved_s / (self.lifetime_years * YEAR_S) * self.reserved_share
        return self.low_kg * 1000 * share, self.high_kg * 1000 * share

    def _check(self) -> None:
        if not 0 <= self.low_kg <= self.high_kg < float("inf"):
            raise SettingError(
                "embodied emissions must be a range from low to high, not "
                f"{self.low_kg:g} to {self.high_kg:g} kg"
            )
        if not 0 < self.lifetime_years < float("inf"):
            raise SettingError(f"the lifespan must be above 0, not {self.lifetime_years:g} years")
        if not 0 < self.reserved_share <= 1:
            raise SettingError(
                f"the reserved share must be above 0 and at most 1, not {self.reserved_share:g}"
            )
        if not any(source.strip() for source in self.sources):
            raise SettingError("embodied emissions need a source: name where they come from")


class Sci(Struct, frozen=True, kw_only=True):
    """A score, with everything that it depends on."""

    unit: str
    """R in words: training run, 1000 inferences, epoch."""
    count: float
    """So many of them."""
    energy_kwh: float
    """E, with PUE."""
    operational_g: float
    """E x I."""
    embodied_g: tuple[float, float] | None
    """M, low and high; None: left out."""
    sources: tuple[str, ...]
    """Of M."""
    at_least: bool
    """A part of the energy is missing: the score is this or more."""

    @property
    def low_g_per_unit(self) -> float:
        """Grams per unit, with the lowest embodied emissions."""
        return (self.operational_g + (self.embodied_g or (0.0, 0.0))[0]) / self.count

    @property
    def high_g_per_unit(self) -> float:
        """Grams per unit, with the highest embodied emissions."""
        return (self.operational_g + (self.embodied_g or (0.0, 0.0))[1]) / self.count


def score(
    session: Session,
    unit: str,
    count: float = 1.0,
    *,
    energy: Energy | None = None,
    reserved_s: float | None = None,
    embodied: Embodied | None = None,
) -> Sci:
    """The SCI score of a session, or of a window of it.

    Args:
        session: valued as it is to count; see its ``with_intensity`` and ``with_pue``.
        unit: R, the functional unit in words.
        count: how many units the energy was spent for.
        energy: of the window; None: the whole session's.
        reserved_s: seconds for which the hardware was reserved; None: the session's duration, which
            a window has to replace by its own where ``embodied`` is given.
        embodied: None: M is left out.

    Raises:
        SettingError: a figure cannot be right, or energy or intensity are not known.
    """
    if not 0 < count < float("inf"):
        raise SettingError(f"the number of functional units must be above 0, not {count:g}")
    if embodied is not None and energy is not None and reserved_s is None:
        raise SettingError("give reserved_s, the seconds of the window, for its embodied share")
    window = energy if energy is not None else session.total
    grams = session.co2_g(window)
    if grams is None:
        raise SettingError(
            "SCI needs the energy, and one carbon intensity basis for all of it: set a place "
            "(FR), or value the session with with_intensity()"
        )
    reserved_s = session.duration_s if reserved_s is None else reserved_s
    return Sci(
        unit=unit,
        count=count,
        energy_kwh=_energy_kwh(session, window),
        operational_g=grams,
        embodied_g=embodied.range_g(reserved_s) if embodied is not None else None,
        sources=embodied.sources if embodied is not None else (),
        at_least=window.at_least,
    )


def _energy_kwh(session: Session, energy: Energy) -> float:
    return sum(
        uj_to_kwh(uj) * session.periods[period].pricing.pue
        for period, uj in energy.by_period.items()
    )
