"""How much the session has used so far: told a few times a second while somebody asks, and at
once when a limit is reached.

The journal says the same, later and in full: samples are written once a second, and stamps wait
for the readings after them. What shows progress or keeps a budget cannot wait for that. Between
readings a limit's moment is foretold from the power, so that a reading is taken just then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jupyter_green.events import (
    CounterInfo,
    Event,
    Intensity,
    IntensityChanged,
    Pricing,
    PricingChanged,
    SessionStarted,
    Stamped,
)
from jupyter_green.recorder import wire
from jupyter_green.sessions.fold import Fold

EVERY_NS = 250_000_000
"""While somebody asks, levels are told so often at the most."""
SOONEST_NS = 2_000_000
"""A limit that is foretold to be reached is looked at again after so long at the least."""
POWER_NS = 50_000_000
"""Power is told over this time at the least: counters move in steps."""


class Gauge:
    """Adds up the counted counters from the session's start.

    Args:
        tell: sends a level to who asked.
    """

    def __init__(self, tell: Callable[[wire.Level], None]) -> None:
        self._tell = tell
        self._on = False
        self._limits_uj: list[int] = []
        self._counters: dict[str, CounterInfo] = {}
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._intensity: Intensity | None = None
        self._pricing = Pricing()
        self._begun = False
        self._told_ns = 0
        self._earlier: tuple[int, int] | None = None
        """Time and level of the reading from which power is told."""
        self._power_w: float | None = None

    @property
    def wanted(self) -> bool:
        """Somebody asks, or there is a limit: readings are worth handing in."""
        return self._begun and (self._on or bool(self._limits_uj))

    def ask(self, message: wire.Gauge) -> None:
        """Somebody asks, or does not any more."""
        self._on = message.on
        self._limits_uj = sorted(message.limits_uj)
        self._told_ns = 0

    def resume(self, fold: Fold) -> None:
        """Go on where a recorder before has stopped."""
        if fold.header is None:
            return
        session = fold.session()
        self._begin(fold.header, session.periods[-1].intensity, session.periods[-1].pricing)
        self._last = {name: uj for name, uj in fold.last.items() if name in self._counters}
        used = session.total.uj
        self._first = {
            name: uj - used.get(name, 0) for name, uj in fold.last.items() if name in self._counters
        }

    def follow(self, event: Event) -> None:
        """An event of the stream: what it says of the counters, the place and the price."""
        match event:
            case SessionStarted() if not self._begun:
                self._begin(event, event.intensity, event.pricing)
            case IntensityChanged():
                self._intensity = event.intensity
            case PricingChanged():
                self._pricing = event.pricing
            case _:
                pass
        if isinstance(event, Stamped):
            for name, uj in event.uj.items():
                if name in self._counters:
                    # What was read before the first stamp is in no journal, and not in a level.
                    self._first.setdefault(name, uj)

    def _begin(self, header: SessionStarted, intensity: Intensity | None, pricing: Pricing) -> None:
        self._begun = True
        self._counters = {info.name: info for info in header.counters if info.counted}
        self._intensity, self._pricing = intensity, pricing

    # --- readings ---

    def take(self, t_ns: int, t: float, uj: Mapping[str, int]) -> int | None:
        """Readings of all counters that can be read now.

        Args:
            t_ns: when they were read; later than all before.
            t: the same in seconds since the session's start.
            uj: cumulative microjoules by counter.

        Returns:
            When to read again at the latest, for the next limit; None: there is none in sight.
        """
        for name, value in uj.items():
            if name in self._first:
                self._last[name] = max(value, self._last.get(name, value))
        used_uj = sum(last - self._first[name] for name, last in self._last.items())
        self._weigh(t_ns, used_uj)
        reached = bool(self._limits_uj) and used_uj >= self._limits_uj[0]
        if reached or (self._on and t_ns - self._told_ns >= EVERY_NS):
            self._limits_uj = [limit for limit in self._limits_uj if limit > used_uj]
            self._told_ns = t_ns
            self._tell(self._level(t, used_uj, set(uj)))
        return self._due_ns(t_ns, used_uj)

    def _weigh(self, t_ns: int, used_uj: int) -> None:
        if self._earlier is None:
            self._earlier = (t_ns, used_uj)
        elif t_ns - self._earlier[0] >= POWER_NS:
            self._power_w = (used_uj - self._earlier[1]) * 1e3 / (t_ns - self._earlier[0])
            self._earlier = (t_ns, used_uj)

    def _due_ns(self, t_ns: int, used_uj: int) -> int | None:
        if not self._limits_uj or not self._power_w:
            return None
        left_ns = (self._limits_uj[0] - used_uj) * 1e3 / self._power_w
        return t_ns + max(SOONEST_NS, round(left_ns)) if left_ns < 1e18 else None

    def _level(self, t: float, used_uj: int, read: set[str]) -> wire.Level:
        counted = self._counters.values()
        # A device that was never used has nothing to be missing of.
        lacking = [
            info.name
            for info in counted
            if info.name not in read and (info.scope != "device" or info.name in self._last)
        ]
        modelled = any(
            info.provenance == "modelled" and self._last.get(info.name, 0) for info in counted
        )
        return wire.Level(
            t=t,
            uj=used_uj,
            power_w=self._power_w,
            missing=lacking,
            modelled=modelled,
            g_per_kwh=None if self._intensity is None else self._intensity.g_per_kwh,
            pue=self._pricing.pue,
        )
