"""The kernel's side of the gauge: the newest level, and what waits for one to be reached."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_green.recorder import wire

AT_ONCE_S = 0.05
"""Whoever begins to ask is told within so long."""
KEPT = 512
"""Levels that are remembered; at four a second these are two minutes."""


@dataclass(frozen=True, eq=False)
class Limit:
    """Something to be done when the session has used so much."""

    uj: int
    reached: Callable[[wire.Level], None]
    """Called once, from a thread of its own."""


class Levels:
    """What was told, and to whom it matters.

    Args:
        ask: tells the recorder what is wanted from now on.
    """

    def __init__(self, ask: Callable[[wire.Gauge], None]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._askers = 0
        self._limits: list[Limit] = []
        self._told: deque[wire.Level] = deque(maxlen=KEPT)

    @property
    def latest(self) -> wire.Level | None:
        """The newest level; None until the first has come."""
        try:
            return self._told[-1]
        except IndexError:
            return None

    def uj_at(self, t: float) -> float | None:
        """Counted microjoules since the session's start at a moment, on a straight line between
        the levels around it.

        Args:
            t: seconds since the session's start.

        Returns:
            None where no level has been told on both sides of it. The first one stands for the
            moment at which it was asked for.
        """
        latest = self.latest
        if latest is None or t > latest.t:
            return None
        told = list(self._told)
        if told[0].t - AT_ONCE_S <= t < told[0].t:
            return told[0].uj
        for earlier, later in zip(reversed(told[:-1]), reversed(told[1:]), strict=True):
            if earlier.t <= t <= later.t:
                share = (t - earlier.t) / (later.t - earlier.t) if later.t > earlier.t else 1.0
                return earlier.uj + share * (later.uj - earlier.uj)
        return None

    def wanted(self) -> wire.Gauge:
        """What a recorder that takes over has to know."""
        with self._lock:
            return self._message()

    def _message(self) -> wire.Gauge:
        return wire.Gauge(self._askers > 0, sorted(limit.uj for limit in self._limits))

    def ask(self, on: bool) -> None:
        """One more asks for levels, or one less."""
        with self._lock:
            before, self._askers = self._askers, max(0, self._askers + (1 if on else -1))
            message = self._message() if (before > 0) != (self._askers > 0) else None
        if message is not None:
            self._ask(message)

    def refresh(self) -> None:
        """Have a level told now, for what was asked of moments since the last one."""
        with self._lock:
            message = self._message()
        if message.on:
            self._ask(message)

    def add(self, limit: Limit) -> None:
        """From now on this limit is watched."""
        with self._lock:
            self._limits.append(limit)
            message = self._message()
        self._ask(message)

    def drop(self, limit: Limit) -> None:
        """This limit is not watched any more; one that was reached or dropped is passed over."""
        with self._lock:
            if limit not in self._limits:
                return
            self._limits.remove(limit)
            message = self._message()
        self._ask(message)

    def take(self, level: wire.Level) -> None:
        """The recorder tells a level."""
        self._told.append(level)
        with self._lock:
            reached = [limit for limit in self._limits if limit.uj <= level.uj]
            self._limits = [limit for limit in self._limits if limit.uj > level.uj]
        for limit in reached:
            # What is done there may ask the recorder, and this thread is the one that hears it.
            threading.Thread(
                target=limit.reached, args=(level,), name="jupyter_green limit", daemon=True
            ).start()
