"""Thins a stream of events to what a panel can draw, without changing what it adds up to.

Stamps are cumulative: the energy of a sample that is left out is in the next stamp, and belongs
to the same owner, because every boundary stays. So cells, ledger and totals of the thinned
stream are those of the whole one. Only the trace gets coarser, metrics of very long runs get
sparser, and spans and details (counters that are not counted) are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

from msgspec import structs

from jupyter_green.events import (
    CellFinished,
    CellStarted,
    ClockAnchored,
    Event,
    MetricLogged,
    PowerSampled,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Stamped,
)

RECENT_S = 300.0
"""All samples of the last five minutes stay ..."""
BUCKETS = 600
"""... and of all time before, one for each of so many equal stretches."""
MOST_METRICS = 2000
"""Logged values that stay, first, last and extremes of each run among them."""

Bucket = Callable[[float], Hashable]


def over_session(duration_s: float) -> Bucket:
    """Which samples of a whole session share a place on the chart."""
    stretch_s = max(1.0, duration_s / BUCKETS)
    recent_s = duration_s - RECENT_S

    def bucket(t: float) -> Hashable:
        return t if t >= recent_s else int(t / stretch_s)

    return bucket


def at_once(t: float) -> Hashable:
    """Samples that travel together: only the last is new when they arrive."""
    del t
    return None


def slim(event: Event, counted: Collection[str]) -> Event:
    """The event without what no panel shows."""
    match event:
        case SessionStarted():
            counters = [info for info in event.counters if info.counted]
            event = structs.replace(event, counters=counters)
        case CellStarted():
            event = structs.replace(event, source=None, source_hash="", identified_by="source")
        case CellFinished(tree_share=float(share)):
            event = structs.replace(event, tree_share=round(share, 3))
        case SpanStarted() | SpanFinished():
            # Its reading may be needed, its window is not shown.
            event = PowerSampled(t=event.t, uj=event.uj, error_uj=event.error_uj)
        case _:
            pass
    if isinstance(event, Stamped) and not event.uj.keys() <= set(counted):
        return structs.replace(
            event,
            uj={name: uj for name, uj in event.uj.items() if name in counted},
            error_uj={name: uj for name, uj in event.error_uj.items() if name in counted},
        )
    return event


class Thinner:
    """Decides, stretch by stretch of one stream, what can be left out.

    A boundary without a reading of a counter leaves open whose energy it was, until the next
    reading: that reading must stay, whatever carries it.
    """

    def __init__(self) -> None:
        self.counted: frozenset[str] = frozenset()
        self._lacking: set[str] = set()

    def follow(self, events: Iterable[Event]) -> None:
        """These were handed on: what comes next is thinned with regard to them."""
        for event in events:
            self._pass(event)

    def kept(self, events: Sequence[Event], bucket: Bucket, most_metrics: int) -> list[int]:
        """Indices of the events that must be handed on, in order."""
        last_of: dict[Hashable, int] = {}
        suspended_s = 0.0
        droppable: set[int] = set()
        for index, event in enumerate(events):
            if isinstance(event, ClockAnchored) and event.suspended_s != suspended_s:
                suspended_s = event.suspended_s
            elif isinstance(event, PowerSampled | ClockAnchored | SpanStarted | SpanFinished):
                droppable.add(index)
                if isinstance(event, PowerSampled):
                    last_of[bucket(event.t)] = index
        droppable -= set(last_of.values())
        droppable |= _superfluous(events, most_metrics)
        return self._with_needed(events, droppable)

    def _with_needed(self, events: Sequence[Event], droppable: Collection[int]) -> list[int]:
        before = self.counted, set(self._lacking)
        kept = []
        for index, event in enumerate(events):
            if index not in droppable or (
                isinstance(event, Stamped) and not self._lacking.isdisjoint(event.uj)
            ):
                kept.append(index)
                self._pass(event)
        self.counted, self._lacking = before
        return kept

    def _pass(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self.counted = frozenset(info.name for info in event.counters if info.counted)
            self._lacking = set(self.counted)
        if isinstance(event, PowerSampled | ClockAnchored | SpanStarted | SpanFinished):
            self._lacking.difference_update(event.uj)
        elif isinstance(event, Stamped):
            self._lacking = set(self.counted.difference(event.uj))


def _superfluous(events: Sequence[Event], most: int) -> set[int]:
    """Metrics that can be left out: those between the evenly chosen ones of each run."""
    groups: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        if isinstance(event, MetricLogged):
            groups[event.name, event.run].append(index)
    total = sum(map(len, groups.values()))
    if total <= most:
        return set()
    superfluous: set[int] = set()
    for indices in groups.values():
        share = max(2, most * len(indices) // total)
        stride = -(-len(indices) // share)
        superfluous.update(set(indices) - set(indices[::stride]) - _telling(events, indices))
    return superfluous


def _telling(events: Sequence[Event], indices: Sequence[int]) -> set[int]:
    """The last value of a run, and its extremes: one of them is its best."""

    def value(index: int) -> float:
        event = events[index]
        assert isinstance(event, MetricLogged)
        return event.value if event.value is not None else 0.0

    finite = [index for index in indices if getattr(events[index], "value", None) is not None]
    extremes = {max(finite, key=value), min(finite, key=value)} if finite else set()
    return {indices[-1], *extremes}
