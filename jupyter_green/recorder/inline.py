"""Where no recorder process can run, the kernel completes and writes its own marks.

Cells then have their two boundary readings and nothing after the kernel's death. There are
samples in between only while somebody looks, as long as the cell lets other threads run.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from jupyter_green.clock import Clock
from jupyter_green.events import Event
from jupyter_green.recorder import wire
from jupyter_green.recorder.feed import Feed
from jupyter_green.recorder.gauge import Gauge
from jupyter_green.recorder.journal import Journal
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.sessions.fold import Fold
from jupyter_green.sources.counter import Detection

SETTLE_S = 0.2
TELL_EVERY_S = 0.5


class Inline:
    """A recorder without a process."""

    def __init__(
        self,
        hello: wire.Hello,
        detection: Detection,
        clock: Clock,
        problem: str,
        tell: Callable[[wire.Told], None],
        level: Callable[[wire.Level], None],
    ) -> None:
        self._journal = Journal(Path(hello.journal), lambda n: None)
        self._feed = Feed(
            Path(hello.journal), tell, lambda: self._journal.settle(SETTLE_S), time.monotonic
        )
        self._telling: threading.Thread | None = None
        self._gauge = Gauge(level)
        self._sampler = Sampler(detection, clock, hello.start_ns, hello.settings, self._emit)
        self._sampler.gauge = self._gauge
        with contextlib.suppress(OSError):
            fold = Fold()
            fold.feed_lines(Path(hello.journal).read_bytes())
            self._sampler.resume(fold, problem)
            self._gauge.resume(fold)

    def _emit(self, event: Event) -> None:
        self._journal.append(event)
        self._feed.take(event)
        self._gauge.follow(event)

    def watch(self, watch: wire.Watch, lock: AbstractContextManager[object]) -> None:
        """Somebody begins or ceases to look; ``lock`` guards the marks."""
        self._sampler.complete()
        self._feed.watch(watch)
        if watch.on:
            self._begin_telling(lock)

    def gauge(self, message: wire.Gauge, lock: AbstractContextManager[object]) -> None:
        """Somebody asks how much was used, or does not any more."""
        self._gauge.ask(message)
        self._sampler.look()
        if self._gauge.wanted:
            self._begin_telling(lock)

    def _begin_telling(self, lock: AbstractContextManager[object]) -> None:
        if self._telling is None or not self._telling.is_alive():
            self._telling = threading.Thread(
                target=self._tell_on, args=(lock,), name="jupyter_green feed", daemon=True
            )
            self._telling.start()

    def _tell_on(self, lock: AbstractContextManager[object]) -> None:
        """Sample and tell, until nobody looks or there is nothing to say."""
        awake = True
        while awake:
            time.sleep(TELL_EVERY_S)
            with lock:
                wanted = self._feed.awake or self._gauge.wanted
                awake = wanted and not self._sampler.ended
                self._sampler.watched = awake
                self._sampler.on_time()
                self._feed.on_time(self._sampler.running)

    def on_mark(self, mark: wire.Mark) -> None:
        """Complete a mark and queue it for the journal."""
        self._sampler.on_mark(mark)

    def complete(self) -> None:
        """Hand all marks so far to the journal."""
        self._sampler.complete()

    def settle(self, timeout_s: float) -> wire.CaughtUp:
        """Wait until all of them are in it."""
        unwritten = self._journal.settle(timeout_s)
        return wire.CaughtUp(0, unwritten, self._journal.problem)

    def close(self, timeout_s: float) -> None:
        """Write the rest."""
        self._sampler.complete()
        self._feed.close()
        self._journal.close(timeout_s)
