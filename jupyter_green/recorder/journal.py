"""The journal on disk: one NDJSON file a session, readable by its owner alone.

A thread writes, so that a slow disk freezes nothing; a full or read-only disk is tried again
until the recorder ends. Meanwhile lines wait in a bounded queue. Power samples are given up
first; cells and other boundaries last.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from jupyter_green.events import AnyEvent, Event, JournalThinned, PowerSampled, encode

QUEUE_EVENTS = 20_000
RETRY_S = 1.0


class Journal:
    """Appends events to a file, in order, from a thread of its own.

    Args:
        path: the file; it is created with mode 0600.
        on_written: called from the writing thread with the highest mark in the file.
    """

    def __init__(self, path: Path, on_written: Callable[[int], None]) -> None:
        self.path = path
        self.problem = ""
        """Why the disk does not take the events at present; empty when it does."""
        self._on_written = on_written
        self._queue: deque[AnyEvent] = deque()
        self._changed = threading.Condition()
        self._writing: list[AnyEvent] = []
        self._dropped = 0
        self._dropped_since = 0.0
        self._closing = False
        self._fd: int | None = None
        self._torn = path.exists()
        self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
        self._thread.start()

    def append(self, event: Event) -> None:
        """Queue one event; never blocks on the disk."""
        with self._changed:
            if len(self._queue) >= QUEUE_EVENTS:
                self._thin(event.t)
            self._queue.append(event)  # type: ignore[arg-type]
            self._changed.notify_all()

    def _thin(self, t: float) -> None:
        """Make room: every other power sample goes, or the oldest event if there are none."""
        kept: deque[AnyEvent] = deque()
        odd = False
        for event in self._queue:
            odd = odd != isinstance(event, PowerSampled)
            if not (isinstance(event, PowerSampled) and odd):
                kept.append(event)
        if len(kept) == len(self._queue):
            kept.popleft()
        self._dropped += len(self._queue) - len(kept)
        self._dropped_since = self._dropped_since or t
        self._queue = kept

    def settle(self, timeout_s: float) -> list[AnyEvent]:
        """Wait until all is written or the disk refuses; what is left, in order."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self.problem) or not (self._queue or self._writing), timeout_s
            )
            return [*self._writing, *self._queue]

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread. False: the disk did not take it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._fd is not None and not self._thread.is_alive():
            os.close(self._fd)
            self._fd = None
        return not self._thread.is_alive()

    # --- the writing thread ---

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                self._writing = self._take_all()
            while not self._write():
                time.sleep(RETRY_S)

    def _take_all(self) -> list[AnyEvent]:
        taken = list(self._queue)
        self._queue.clear()
        if self._dropped:
            reason = self.problem or "the disk was too slow"
            thinned = JournalThinned(
                t=taken[-1].t, dropped=self._dropped, since=self._dropped_since, reason=reason
            )
            taken.append(thinned)
            self._dropped, self._dropped_since = 0, 0.0
        return taken

    def _write(self) -> bool:
        """Write the batch, or as much of it as the disk takes. True: it is all in the file."""
        lines = [encode(event) for event in self._writing]
        # Whatever stands in an unfinished line before us is one bad line, not two.
        data = (b"\n" if self._torn else b"") + b"".join(lines)
        written = 0
        try:
            fd = self._open()
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError as error:
            self._refused(error)
        whole_lines = data[:written].count(b"\n") - (1 if self._torn and written else 0)
        if written:
            self._torn = not data[:written].endswith(b"\n")
        self._done(whole_lines)
        return not self._writing

    def _done(self, count: int) -> None:
        """The first ``count`` events of the batch are in the file."""
        numbers = [event.n for event in self._writing[:count] if event.n is not None]
        with self._changed:
            self._writing = self._writing[count:]
            if not self._writing:
                self.problem = ""
            self._changed.notify_all()
        if numbers:
            self._on_written(max(numbers))

    def _open(self) -> int:
        if self._fd is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._fd

    def _refused(self, error: OSError) -> None:
        with self._changed:
            self.problem = (
                f"the journal {self.path} cannot be written: {error.strerror or error}; "
                "free some space there or set JupyterGreen.data_dir"
            )
            self._changed.notify_all()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
