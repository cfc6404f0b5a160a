"""What panels are told of the stream: a snapshot when they look, then what comes, thinned.

Only while somebody looks, and only while there is something to say: when nothing has run for a
minute, the feed says so and falls silent, so that an idle kernel with an open panel can be
culled. What happens meanwhile is in the first message after.
"""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from jupyter_green.events import AnyEvent, Event, UnknownKind, decode, encode
from jupyter_green.recorder import wire
from jupyter_green.sessions.thin import MOST_METRICS, Thinner, at_once, over_session, slim

AWAKE_S = 60.0
"""The feed goes on so long after the last cell."""
MOST_BYTES = 8_000
"""Of lines in one message; deflated that is about 2 kB."""
MOST_PENDING = 4_000
"""Events that wait for nobody to look; with more, the next look takes a snapshot."""
MESSAGES_PER_S = 2
"""On the average, while much happens."""
PART_BYTES = 128 * 1024
"""Of a snapshot, in one message."""
LIVE_METRICS = 24
"""Logged values in one message."""
KEYFRAME_S = 1.0
KEYFRAME_BYTES_PER_S = 4_000
"""Where a page that was reloaded cannot ask while a cell runs, a snapshot is sent every second,
or less often if it is larger."""

Told = Callable[[wire.Told], None]


class Feed:
    """Collects the events of one recorder, and tells them.

    Args:
        journal: the session's file.
        tell: sends a message to the kernel.
        settle: waits until the journal holds all events so far; what it could not take.
        now_s: the clock.
    """

    def __init__(
        self,
        journal: Path,
        tell: Told,
        settle: Callable[[], Sequence[AnyEvent]],
        now_s: Callable[[], float],
    ) -> None:
        self.stream = secrets.token_hex(4)
        self._journal = journal
        self._tell = tell
        self._settle = settle
        self._now_s = now_s
        self._watch = wire.Watch(on=False)
        self._thinner = Thinner()
        self._pending: list[tuple[int, Event]] = []
        """Events that were not told yet, each with the position after it."""
        self._from: int | None = 0
        """Position up to which events were told or dropped; None: the thread is lost."""
        self._position = 0
        self._awake_until_s = now_s() + AWAKE_S
        self._next_s = 0.0
        self._running = False
        self._said_asleep = False
        self._snapshot: threading.Thread | None = None
        self._keyframe_s = 0.0
        self._snapshot_bytes = 0

    # --- from the recorder ---

    def take(self, event: Event) -> None:
        """One event of the stream, in order."""
        self._position += 1
        if event.n is not None:
            # Everything that a user does carries a mark.
            self._awake_until_s = self._now_s() + AWAKE_S
        if self._from is None:
            return
        self._pending.append((self._position, event))
        if len(self._pending) > MOST_PENDING and not self._is_making_snapshot():
            self._compact()

    def _compact(self) -> None:
        kept = self._kept(self._pending)
        if len(kept) > MOST_PENDING // 2:
            self._pending, self._from = [], None
        else:
            self._pending = kept

    def _kept(self, pairs: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
        events = [event for _, event in pairs]
        return [pairs[index] for index in self._thinner.kept(events, at_once, LIVE_METRICS)]

    @property
    def awake(self) -> bool:
        """Somebody looks, and there is something to say."""
        return self._watch.on and (self._running or self._now_s() < self._awake_until_s)

    def due_s(self) -> float:
        """Seconds until :meth:`on_time` may have something to do."""
        if not self._watch.on or self._said_asleep:
            return float("inf")
        if not self._pending and self._running:
            return float("inf")
        until_s = self._next_s if self._pending else max(self._next_s, self._awake_until_s)
        return max(0.02, until_s - self._now_s())

    def on_time(self, running: bool) -> None:
        """Tell what has come, if it is time to."""
        self._running = running
        if not self._watch.on:
            return
        now_s = self._now_s()
        if now_s < self._next_s or self._is_making_snapshot():
            return
        if self._from is None:
            # More has come than the next message could tell.
            self._make_snapshot()
            self._next_s = now_s + self._watch.refresh_s
        elif self.awake:
            self._said_asleep = False
            if self._pending:
                self._tell_some()
                self._next_s = now_s + self._watch.refresh_s
            if self._watch.keyframes and running and now_s >= self._keyframe_s:
                self._make_snapshot()
        elif not self._said_asleep:
            self._tell_all()
            self._say("asleep")
            self._said_asleep = True

    # --- watching ---

    def watch(self, watch: wire.Watch) -> None:
        """Somebody begins or ceases to look."""
        before, self._watch = self._watch, watch
        if not (watch.on and watch.fresh):
            return
        self._said_asleep = False
        self._next_s = 0.0
        continues = self._from is not None and (
            (watch.stream, watch.next) == (self.stream, self._from)
        )
        if not before.on and not watch.others and not continues:
            self._pending = []
            self._from = None
        if not continues:
            self._make_snapshot()

    def close(self) -> None:
        """Tell the rest: the session is over."""
        if self._watch.on:
            if self._from is None:
                self._make_snapshot()
            self._finish_snapshot()
            self._tell_all()

    def _is_making_snapshot(self) -> bool:
        return self._snapshot is not None and self._snapshot.is_alive()

    def _finish_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.join()

    def _make_snapshot(self) -> None:
        """All events so far; those who have them already pass it over."""
        if self._from is not None:
            self._tell_all()
        unwritten = list(self._settle())
        try:
            size = self._journal.stat().st_size
        except OSError:
            size = 0
        self._from, self._pending = self._position, []
        self._finish_snapshot()
        self._snapshot = threading.Thread(
            target=self._send_snapshot,
            args=(size, unwritten, self._position),
            name="snapshot",
            daemon=True,
        )
        self._snapshot.start()

    def _send_snapshot(self, size: int, unwritten: list[AnyEvent], position: int) -> None:
        thinner, data = packed(self._journal, size, unwritten)
        self._thinner = thinner
        pauses_s = max(KEYFRAME_S, len(data) / KEYFRAME_BYTES_PER_S)
        self._keyframe_s = self._now_s() + pauses_s
        parts = range(0, len(data), PART_BYTES)
        for part, start in enumerate(parts):
            self._tell(
                wire.Told(
                    what="snapshot",
                    stream=self.stream,
                    next=position,
                    part=part,
                    parts=len(parts),
                    data=data[start : start + PART_BYTES],
                )
            )

    # --- telling ---

    def _tell_all(self) -> None:
        while self._pending and self._from is not None:
            self._tell_next()

    def _tell_some(self) -> None:
        """Who looks more rarely gets more at a time."""
        for _ in range(max(1, round(self._watch.refresh_s * MESSAGES_PER_S))):
            if self._pending:
                self._tell_next()

    def _tell_next(self) -> None:
        """As much of what waits as fits into one message."""
        assert self._from is not None
        pairs = self._kept(self._pending)
        lines = list(self._fitting(event for _, event in pairs))
        told, rest = pairs[: len(lines)], pairs[len(lines) :]
        # Without a rest, what was thinned out after the last line is told as well.
        next_ = told[-1][0] if rest else self._pending[-1][0]
        self._say("events", start=self._from, next=next_, data=zlib.compress(b"".join(lines)))
        self._from, self._pending = next_, rest

    def _fitting(self, events: Iterable[Event]) -> Iterator[bytes]:
        """Lines of the first events, as many as one message holds; one at the least."""
        size = 0
        for event in events:
            line = encode(slim(event, self._thinner.counted))
            if size and size + len(line) > MOST_BYTES:
                return
            size += len(line)
            self._thinner.follow([event])
            yield line

    def _say(self, what: str, start: int = 0, next: int = 0, data: bytes = b"") -> None:
        self._tell(wire.Told(what=what, stream=self.stream, start=start, next=next, data=data))


def packed(journal: Path, size: int, unwritten: Sequence[AnyEvent]) -> tuple[Thinner, bytes]:
    """The first ``size`` bytes of a journal and what is not in it yet: thinned and deflated,
    and what has to be known to thin on."""
    events = list(_once([*_events(journal, size), *unwritten]))
    duration_s = max((event.t for event in events), default=0.0)
    thinner = Thinner()
    kept = [events[i] for i in thinner.kept(events, over_session(duration_s), MOST_METRICS)]
    thinner.follow(kept)
    lines = b"".join(encode(slim(event, thinner.counted)) for event in kept)
    return thinner, zlib.compress(lines, 9)


def _once(events: Iterable[Event]) -> Iterator[Event]:
    """Without marks that were sent twice, and so without their numbers."""
    marks = 0
    for event in events:
        if event.n is None:
            yield event
        elif event.n > marks:
            marks = event.n
            yield msgspec.structs.replace(event, n=None)


def _events(journal: Path, size: int) -> Iterator[AnyEvent]:
    try:
        with journal.open("rb") as file:
            data = file.read(size)
    except OSError:
        return
    for line in data.split(b"\n"):
        try:
            yield decode(line)
        except (UnknownKind, msgspec.DecodeError, RecursionError):
            continue  # the panel cannot show what nobody can read; reports count such lines
