"""Workers that multiprocessing starts afresh know that their parent is measured.

A forked worker has its parent's tracker and gives it up. One that is spawned, or comes from a
fork server, has nothing: it would begin a session of its own at its first ``log()``. What
descends through multiprocessing is each process's configuration (the authentication key
travels in it), so the mark is put there: it reaches workers of workers and those of a fork
server that was started long before, needs no file and no environment variable, and does not
reach a plain subprocess, which is a program of its own.
"""

from __future__ import annotations

from multiprocessing import process
from typing import Any

_MARK = "jupyter_green"


def claim(session: str) -> None:
    """Processes that multiprocessing starts from now on are workers of this session."""
    _configuration()[_MARK] = session


def release() -> None:
    """The session is over: who is started later is nobody's worker."""
    _configuration().pop(_MARK, None)


def is_worker() -> bool:
    """This process was started by multiprocessing in, or below, one that was measured."""
    return process.parent_process() is not None and _MARK in _configuration()


def _configuration() -> dict[str, Any]:
    """What descends; of no use, but harmless, where a Python has it elsewhere."""
    configuration: dict[str, Any] = getattr(process.current_process(), "_config", {})
    return configuration
