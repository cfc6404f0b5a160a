"""Writes what panels are told, from a thread of its own, to a pipe of its own.

A kernel that holds its interpreter's lock reads nothing for a while. Then messages wait here, up
to a number, and no sample, mark or answer waits behind them; those beyond are left out, and a
panel that sees the gap asks for all.
"""

from __future__ import annotations

import contextlib
import os
import threading
from queue import Full, Queue

from jupyter_green.recorder import wire

MOST_WAITING = 64
SNAPSHOT_S = 10.0
"""A part of a snapshot waits so long for its place; whoever sends it has the time."""
LAST_S = 0.5


class Teller:
    """The pipe to the kernel's panels."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: Queue[bytes | None] = Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def send(self, told: wire.Told) -> None:
        """Queue a message; one that finds no place is left out."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="teller", daemon=True)
            self._thread.start()
        patience_s = SNAPSHOT_S if told.what == "snapshot" else 0.0
        with contextlib.suppress(Full):
            self._waiting.put(wire.encode(told), block=patience_s > 0, timeout=patience_s)

    def close(self) -> None:
        """Write what waits, if the kernel takes it."""
        if self._thread is not None:
            with contextlib.suppress(Full):
                self._waiting.put_nowait(None)
            self._thread.join(LAST_S)

    def _write_on(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                return  # the kernel is gone; its watcher says so
