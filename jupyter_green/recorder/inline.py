"""Where no recorder process can run, the kernel completes and writes its own marks.

Cells then have their two boundary readings and nothing in between: no samples, no live power,
and nothing after the kernel's death.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from jupyter_green.clock import Clock
from jupyter_green.recorder import wire
from jupyter_green.recorder.journal import Journal
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.sessions.fold import Fold
from jupyter_green.sources.counter import Detection


class Inline:
    """A recorder without a process."""

    def __init__(self, hello: wire.Hello, detection: Detection, clock: Clock, problem: str) -> None:
        self._journal = Journal(Path(hello.journal), lambda n: None)
        self._sampler = Sampler(
            detection, clock, hello.start_ns, hello.settings, self._journal.append
        )
        with contextlib.suppress(OSError):
            fold = Fold()
            fold.feed_lines(Path(hello.journal).read_bytes())
            self._sampler.resume(fold, problem)

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
        self._journal.close(timeout_s)
