"""Which call is the training: the outermost one, to its end.

A search fits hundreds of models, a pipeline its steps, and an evaluation runs inside a fit. The
outermost call of a thread is the run; what is inside it is a part of that. Calls that autolog
has wrapped have a known end (:class:`Entry`). A callback that the user has passed is not told
of errors by most frameworks: what it leaves open ends with the cell, or with the script.
"""

from __future__ import annotations

import atexit
import sys
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Run(Protocol):
    """What can be left open."""

    @property
    def in_its_cell(self) -> bool:
        """The cell that it was begun in is the innermost that runs now."""

    def finish(self, status: str = "ok", error: str | None = None) -> None: ...


@dataclass
class Place:
    """What goes on in one thread."""

    depth: int = 0
    """Wrapped calls that are open."""
    runs: list[Run] = field(default_factory=list)
    awaited: bool = False
    """Somebody looks after them when the cell or script ends."""


_places: WeakKeyDictionary[threading.Thread, Place] = WeakKeyDictionary()


class Entry:
    """A wrapped call of a framework; its value as a context: whether it is the outermost one.

    What was begun inside and left open ends with the outermost one, as that ends.
    """

    def __enter__(self) -> bool:
        self._place = _place()
        self._around = len(self._place.runs)
        self._place.depth += 1
        return self._place.depth == 1 and not self._around and not in_pool_of_another()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._place.depth -= 1
        if self._place.depth == 0:
            _finish_all(self._place, *outcome(kind), around=self._around)


def may_begin() -> bool:
    """Whether what begins now is a run of its own.

    Without a wrapped call around it, a run that is still open in this thread has failed: its
    framework would have told of its end.
    """
    place = _place()
    if place.depth == 0:
        _finish_all(place, "error")
    return place.depth < 2 and not place.runs and not in_pool_of_another()


def opened(run: Run) -> None:
    """A run has begun in this thread."""
    place = _place()
    place.runs.append(run)
    if place.depth == 0:
        _await_end(place)


def forget(run: Run) -> None:
    """It has ended."""
    for place in list(_places.values()):
        if run in place.runs:
            place.runs.remove(run)


def outcome(error: type[BaseException] | BaseException | None) -> tuple[str, str | None]:
    """Status and class name of how something ended."""
    if error is None:
        return "ok", None
    kind = error if isinstance(error, type) else type(error)
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "error", kind.__name__


def in_pool_of_another() -> bool:
    """This thread works in a pool that a thread has made which is inside a wrapped call, as those
    of joblib's threading backend do."""
    thread = getattr(threading.current_thread(), "_parent", None)
    while isinstance(thread, threading.Thread):
        place = _places.get(thread)
        if place is not None and (place.depth or place.runs):
            return True
        thread = getattr(thread, "_parent", None)
    return False


def _place() -> Place:
    thread = threading.current_thread()
    place = _places.get(thread)
    if place is None:
        place = _places[thread] = Place()
    return place


def _finish_all(place: Place, status: str, error: str | None = None, *, around: int = 0) -> None:
    """End the runs that are open, but for the first ones, which are around these."""
    while len(place.runs) > around:
        run = place.runs.pop()
        try:
            run.finish(status, error)
        except Exception:  # its marks are guarded one by one; nothing may reach the user
            continue


# --- what nobody tells the end of ---


def _await_end(place: Place) -> None:
    """End what is left open with the cell or the script."""
    if place.awaited:
        return
    place.awaited = True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        atexit.register(_script_ended, place)
        return

    def cell_ended(result: Any = None) -> None:
        # Others end meanwhile: of another thread, a subshell's, or within the cell.
        if place.runs and not (_place() is place and place.runs[-1].in_its_cell):
            return
        place.awaited = False
        shell.events.unregister("post_run_cell", cell_ended)
        _finish_all(place, *_failure(_error_of(result)))

    # Before the hook that marks the cell's end: a span does not outlast its cell.
    shell.events.callbacks["post_run_cell"].insert(0, cell_ended)


def _error_of(result: Any) -> BaseException | type[BaseException] | None:
    before = getattr(result, "error_before_exec", None)
    return before or getattr(result, "error_in_exec", None)


def _script_ended(place: Place) -> None:
    _finish_all(place, *_failure(getattr(sys, "last_value", None)))


def _failure(error: BaseException | type[BaseException] | None) -> tuple[str, str | None]:
    """Of a run that was left open: where there is no error, somebody has caught it."""
    return outcome(error) if error is not None else ("error", None)
