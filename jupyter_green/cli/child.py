"""Runs a program as if it had been started in our place: its streams, signals, exit code."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

_FROM_KEYS = ("SIGINT", "SIGQUIT", "SIGBREAK")
"""A terminal sends these to its whole foreground group: to us, and to the program as well."""
_FROM_OTHERS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


class Child:
    """A program that has our standard streams, and every other descriptor that we were given."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.interrupted = False
        """Somebody pressed Ctrl-C while it ran, or meant the same."""
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """Signals that we get go to the program, also those from before its start.

        We do not die of them: how long we live is up to the program.
        """
        before = {}
        for name in (*_FROM_KEYS, *_FROM_OTHERS):
            number = getattr(signal, name, None)
            # What is ignored here (nohup, a background job) is ignored by the program as well.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._relay)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _relay(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = self.interrupted or number == signal.SIGINT
        if self._process is None:
            self._early.append(number)
        elif signal.Signals(number).name not in _FROM_KEYS or not _has_the_terminal():
            self._send(number)

    def _send(self, number: int) -> None:
        # It may be gone, or belong to somebody else (sudo), whose keys we do not have.
        with suppress(OSError, ValueError):
            if self._process is not None:
                self._process.send_signal(number)

    def run(self) -> int:
        """Start the program and wait for its end, however long it takes.

        Returns:
            Its exit status; negative is the signal that it died of.

        Raises:
            OSError: it cannot be started.
        """
        # Our own descriptors are closed at its start, those that we were given are not: a pipe
        # on descriptor 3 is for the program.
        self._process = subprocess.Popen(self.command, close_fds=False)
        for number in self._early:
            self._send(number)
        return self._process.wait()


def _has_the_terminal() -> bool:
    """Whether keys reach the program without us: our group is in front of its terminal.

    A signal that was sent to us alone looks the same then, and is not passed on: the program
    must not get one press of Ctrl-C twice, the second into the middle of its clean-up.
    """
    if os.name == "nt":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
