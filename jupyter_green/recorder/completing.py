"""Completes stamps: what is known of a boundary only by the readings after it.

A counter that moves every millisecond tells its bound 20 ms later, a device its energy three
ticks later. Until then a stamp waits here, and everything younger waits behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from msgspec import structs

from jupyter_green.events import (
    CellFinished,
    CellStarted,
    CounterNoted,
    SpanFinished,
    SpanStarted,
    Stamped,
    TrackingPaused,
    TrackingResumed,
)
from jupyter_green.recorder.device import DeviceTrack, Ledge
from jupyter_green.recorder.unwrap import NS_PER_S, Track

OVERDUE_NS = 100_000_000
"""A counter that cannot be read must not hold up the others for longer."""

BOUNDARIES = (CellStarted, CellFinished, SpanStarted, SpanFinished, TrackingPaused, TrackingResumed)
"""Power may change at these; other marks only tell a moment."""
BEGINNINGS = (CellStarted, SpanStarted, TrackingResumed)


@dataclass(frozen=True)
class Unfinished:
    """A stamp that waits for the readings just after it."""

    t_ns: int
    event: Stamped
    late_ns: dict[str, int]
    """By counter that was read at it: how far from it."""
    placed: bool = True
    """These counters wait for readings after it: a boundary's do, a sample's do not."""

    @property
    def is_boundary(self) -> bool:
        return isinstance(self.event, BOUNDARIES)


class Completer:
    """Knows the counters that are read here, and the devices that are watched."""

    def __init__(self, tracks: Mapping[str, Track], devices: Mapping[str, DeviceTrack]) -> None:
        self.notes: list[CounterNoted] = []
        """What completing has brought to light, for the recorder to take away."""
        self._tracks = tracks
        self._devices = devices
        self._ledges: dict[int, dict[str, Ledge]] = {}
        """By cell: where each device stood when it began."""

    def fork(self) -> Completer:
        """One that knows the same; what it completes leaves no trace in this one."""
        devices = {name: device.fork() for name, device in self._devices.items()}
        twin = Completer(self._tracks, devices)
        twin._ledges = copy(self._ledges)
        return twin

    # --- when ---

    def due_ns(self, unfinished: Unfinished) -> int:
        """When the counters that are read here have been read long enough after it."""
        look_ns = max((track.look_ahead_ns for track in self._readable()), default=0)
        return unfinished.t_ns + look_ns

    def awaits_readings(self, unfinished: Unfinished) -> bool:
        """The counters that are read here have not been read since it became due."""
        if not unfinished.placed:
            return False
        newest_ns = min((track.newest_ns for track in self._readable()), default=2**63)
        return newest_ns < self.due_ns(unfinished)

    def is_known_but_for_ticks(self, unfinished: Unfinished, now_ns: int) -> bool:
        """It waits for nothing but the next ticks of devices."""
        if self.awaits_readings(unfinished) and now_ns < self.due_ns(unfinished) + OVERDUE_NS:
            return False
        if not unfinished.is_boundary:
            return True
        return all(one.is_looked_at(unfinished.t_ns, now_ns) for one in self._devices.values())

    def is_complete(self, unfinished: Unfinished, now_ns: int) -> bool:
        """Nothing more will be learnt about it, or not in time."""
        return self.is_known_but_for_ticks(unfinished, now_ns) and all(
            device.is_complete(unfinished.t_ns, now_ns) for device in self._devices.values()
        )

    def _readable(self) -> list[Track]:
        return [track for track in self._tracks.values() if track.loss is None]

    # --- what ---

    def completed(self, unfinished: Unfinished) -> Stamped:
        """With the devices' energy, the bounds, and who used the devices. In order of time."""
        event = unfinished.event
        uj, error_uj = dict(event.uj), self._errors(unfinished)
        for name, device in self._devices.items():
            placed = device.place(unfinished.t_ns)
            if placed is not None:
                uj[name] = round(placed.uj)
                error_uj[name] = (round(placed.error_uj),) * 2
        if isinstance(event, CellStarted) and self._devices:
            self._ledges[event.number] = self._on_ledge(unfinished.t_ns, uj)
        elif isinstance(event, CellFinished) and self._devices:
            event = self._with_devices(event, unfinished.t_ns, uj)
        return structs.replace(event, uj=uj, error_uj=error_uj)

    def _errors(self, boundary: Unfinished) -> dict[str, tuple[int, int]]:
        """How far each reading may lag: one update, and the time by which it was off."""
        error_uj = {}
        for name, late_ns in boundary.late_ns.items():
            track = self._tracks[name]
            power_w = track.power_w(boundary.t_ns)
            if power_w is not None:
                lag_s = track.info.resolution_s + late_ns / NS_PER_S
                least, most = (max(track.info.quantum_uj, w * lag_s * 1e6) for w in power_w)
                error_uj[name] = (round(least), round(most))
        return error_uj

    def _on_ledge(self, t_ns: int, uj: dict[str, int]) -> dict[str, Ledge]:
        return {name: device.ledge(t_ns, uj.get(name)) for name, device in self._devices.items()}

    def _with_devices(self, event: CellFinished, t_ns: int, uj: dict[str, int]) -> CellFinished:
        """What the cell used, and what it shared."""
        began, ended = self._ledges.pop(event.number, {}), self._on_ledge(t_ns, uj)
        used = [name for name, ledge in began.items() if ended[name].is_used_since(ledge)]
        shared = [name for name in used if ended[name].is_shared_since(began[name])]
        shares = {name: ended[name].share_since(began[name]) for name in shared}
        for name in used:
            doubt = ended[name].doubt_since(began[name])
            if doubt:
                note = f"over run {event.number}, {doubt}"
                self.notes.append(CounterNoted(t=event.t, counter=name, note=note))
        return structs.replace(
            event,
            devices=used,
            devices_shared=shared,
            device_shares={name: share for name, share in shares.items() if share is not None},
        )
