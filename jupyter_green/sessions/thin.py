"""Thins a stream of events to what a panel can draw, without changing what it adds up to.

Stamps are cumulative: the energy of a sample that is left out is in the next stamp, and belongs
to the same owner, because every boundary stays, and around a boundary that lacks a reading those
before and after it. So cells, ledger and totals of the thinned stream are those of the whole one.
Only the trace gets coarser, metrics of very long runs get sparser, and details (counters that
are not counted) are left out, and spans, but for those that have a stage of the lifecycle: what
is used by stage stays the same.
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
LONGEST_NAME = 200
"""Characters of a label or name: users may give any text, and a message has its size."""
MOST_METRICS = 2000
"""Logged values that stay, first, last and extremes of each run among them."""

MOST_SPANS = 10_000
"""Spans with a stage of their own; of what more there is, the energy is told with its cell."""

Bucket = Callable[[float], Hashable]

BETWEEN = PowerSampled | ClockAnchored | SpanStarted | SpanFinished
"""Stamps at which the energy does not change hands."""
ERRORS = ""
"""Beside the names of counters: how far the readings lag."""


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
            counted = _counted_of(event)
            counters = [info for info in event.counters if info.counted]
            event = structs.replace(event, counters=counters)
        case CellStarted():
            event = structs.replace(
                event,
                source=None,
                source_hash="",
                identified_by="source",
                tags=structs.replace(event.tags, label=_short(event.tags.label)),
            )
        case MetricLogged():
            name, run = event.name[:LONGEST_NAME], _short(event.run)
            event = structs.replace(event, name=name, run=run)
        case CellFinished(tree_share=float(share)):
            event = structs.replace(event, tree_share=round(share, 3))
        case SpanStarted() if _has_stage(event):
            tags = structs.replace(event.tags, label=_short(event.tags.label))
            event = structs.replace(event, name=event.name[:LONGEST_NAME], tags=tags)
        case SpanStarted() | SpanFinished():
            # Its reading may be needed, its window is not shown: the end of an unknown one.
            event = SpanFinished(t=event.t, uj=event.uj, error_uj=event.error_uj, span=event.span)
        case _:
            pass
    if isinstance(event, Stamped) and not event.uj.keys() <= set(counted):
        return structs.replace(
            event,
            uj={name: uj for name, uj in event.uj.items() if name in counted},
            error_uj={name: uj for name, uj in event.error_uj.items() if name in counted},
        )
    return event


def _has_stage(event: SpanStarted) -> bool:
    """Epochs have that of the training around them."""
    return bool(event.tags.stage) and event.type != "epoch"


def _short(name: str | None) -> str | None:
    return name and name[:LONGEST_NAME]


def _counted_of(first: SessionStarted) -> frozenset[str]:
    return frozenset(info.name for info in first.counters if info.counted)


def _read_in(event: Stamped) -> set[str]:
    """What a stamp tells."""
    return {*event.uj, ERRORS} if event.uj and event.error_uj else set(event.uj)


class Thinner:
    """Decides, stretch by stretch of one stream, what can be left out.

    A boundary without a reading of a counter leaves open whose energy it was, from the reading
    before to the next: both must stay, whatever carries them.
    """

    def __init__(self) -> None:
        self.counted: frozenset[str] = frozenset()
        self._lacking: set[str] = set()
        self._staged: set[int] = set()
        """Open spans that were handed on ..."""
        self._spans = 0
        """... and how many there have been."""

    def follow(self, events: Iterable[Event]) -> None:
        """These were handed on: what comes next is thinned with regard to them."""
        for event in events:
            self._pass(event)

    def kept(self, events: Sequence[Event], bucket: Bucket, most_metrics: int) -> list[int]:
        """Indices of the events that must be handed on, in order."""
        of_stages = self._of_stages(events)
        droppable = _between(events, bucket) - of_stages
        droppable |= _superfluous(events, most_metrics)
        # It says how long the session is.
        droppable.discard(len(events) - 1)
        droppable -= self._next_readings(events, droppable)
        droppable -= self._last_readings(events, droppable, of_stages)
        return [index for index in range(len(events)) if index not in droppable]

    def _of_stages(self, events: Sequence[Event]) -> set[int]:
        """Both ends of spans that have a stage."""
        before = set(self._staged), self._spans
        found = {index for index, event in enumerate(events) if self._is_of_stage(event)}
        self._staged, self._spans = before
        return found

    def _is_of_stage(self, event: Event) -> bool:
        if isinstance(event, SpanStarted) and _has_stage(event) and self._spans < MOST_SPANS:
            self._spans += 1
            self._staged.add(event.span)
            return True
        if isinstance(event, SpanFinished) and event.span in self._staged:
            self._staged.discard(event.span)
            return True
        return False

    def _next_readings(self, events: Sequence[Event], droppable: Collection[int]) -> set[int]:
        """The first readings after boundaries that lack them."""
        before = self.counted, set(self._lacking), set(self._staged), self._spans
        needed = set()
        for index, event in enumerate(events):
            if index in droppable:
                assert isinstance(event, Stamped)
                if self._lacking.isdisjoint(_read_in(event)):
                    continue
                needed.add(index)
            self._pass(event)
        self.counted, self._lacking, self._staged, self._spans = before
        return needed

    def _last_readings(
        self, events: Sequence[Event], droppable: Collection[int], of_stages: Collection[int]
    ) -> set[int]:
        """The last readings before such boundaries, and before ends of spans that have a stage:
        their energy is counted from there; and before the end, as what follows may be one."""
        started = (event for event in events if isinstance(event, SessionStarted))
        counted = next(map(_counted_of, started), self.counted)
        wanted = {ERRORS, *counted}
        needed = set()
        for index in range(len(events) - 1, -1, -1):
            event = events[index]
            if not isinstance(event, Stamped):
                continue
            read = _read_in(event)
            if index in droppable:
                if wanted.isdisjoint(read):
                    continue
                needed.add(index)
            wanted -= read
            if not isinstance(event, BETWEEN) or index in of_stages:
                wanted |= counted - read
        return needed

    def _pass(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self.counted = _counted_of(event)
            self._lacking = {ERRORS}
        self._is_of_stage(event)
        if isinstance(event, Stamped):
            if not isinstance(event, BETWEEN):
                self._lacking |= self.counted
            self._lacking -= _read_in(event)


def _between(events: Sequence[Event], bucket: Bucket) -> set[int]:
    """Stamps that can be left out: the last sample of each bucket, and suspends, stay."""
    last_of: dict[Hashable, int] = {}
    suspended_s = 0.0
    droppable: set[int] = set()
    for index, event in enumerate(events):
        if isinstance(event, ClockAnchored) and event.suspended_s != suspended_s:
            suspended_s = event.suspended_s
        elif isinstance(event, BETWEEN):
            droppable.add(index)
            if isinstance(event, PowerSampled):
                last_of[bucket(event.t)] = index
    return droppable - set(last_of.values())


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
