"""A window of a session around what a study does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_green.events import Tags
from jupyter_green.recorder.tracker import Tracker


@contextmanager
def span_around(
    tracker: Tracker,
    name: str,
    type_: str,
    tags: Tags | None = None,
    *,
    pruned: type[BaseException] | None = None,
) -> Iterator[int]:
    """A span that ends as what is done in it does; gives its number. What is raised passes through.

    Args:
        pruned: of a trial: what is raised where a search gives it up early, which is no error.
    """
    span = tracker.span_started(name, type_, tags)
    status, error = "ok", None
    try:
        yield span
    except BaseException as raised:
        if pruned is not None and isinstance(raised, pruned):
            status = "pruned"
        else:
            status = "interrupted" if isinstance(raised, KeyboardInterrupt) else "error"
            error = type(raised).__name__
        raise
    finally:
        tracker.span_finished(span, status, error)
