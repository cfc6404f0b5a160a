"""A budget of energy for the session: warned of in time, and kept if that is asked for.

The recorder sees when a part of it is used up, and says so within milliseconds; the kernel warns,
or interrupts the cell that runs then, as a person does who presses the stop button.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_green.recorder.levels import Limit
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.recorder.wire import Level

WARN_AT = 0.8
"""Of the budget, of one: a first warning."""


@dataclass(frozen=True)
class Passed:
    """A part of the budget was used up."""

    budget_uj: int
    used_uj: int
    all_used: bool
    """The whole budget, and not only the part that is warned of."""
    interrupts: bool
    """The cell that runs now is interrupted."""
    at_least: bool
    """A counter cannot be read: more may have been used."""
    modelled: bool


class Keeper:
    """Keeps the budget of one session, one at a time.

    Args:
        tell: takes what was passed; called from a thread of its own, before a cell is interrupted.
    """

    def __init__(self, tracker: Tracker, tell: Callable[[Passed], None]) -> None:
        self._tracker = tracker
        self._tell = tell
        self._limits: list[Limit] = []

    def keep(self, budget_uj: int, *, stop: bool) -> None:
        """From now on the session may use so much, counted from its start.

        Args:
            budget_uj: microjoules.
            stop: interrupt the cell that runs when they are used up. Cells that are run after
                that are the user's decision, and run.
        """
        self.drop(mark=False)
        self._tracker.budget_set(budget_uj, stop=stop)

        def near(level: Level) -> None:
            if level.uj < budget_uj:
                self._tell(_passed(budget_uj, level, interrupts=False))

        def used_up(level: Level) -> None:
            interrupts = stop and self._tracker.current_cell is not None
            self._tell(_passed(budget_uj, level, interrupts=interrupts))
            if interrupts:
                interrupt_main()

        for uj, reached in ((round(WARN_AT * budget_uj), near), (budget_uj, used_up)):
            self._limits.append(self._tracker.limit(uj, reached))

    def drop(self, *, mark: bool = True) -> None:
        """There is no budget any more."""
        for limit in self._limits:
            self._tracker.forget(limit)
        if self._limits and mark:
            self._tracker.budget_set(None)
        self._limits.clear()


def _passed(budget_uj: int, level: Level, *, interrupts: bool) -> Passed:
    return Passed(
        budget_uj=budget_uj,
        used_uj=level.uj,
        all_used=level.uj >= budget_uj,
        interrupts=interrupts,
        at_least=bool(level.missing),
        modelled=level.modelled,
    )


def interrupt_main() -> None:
    """Raise KeyboardInterrupt in the main thread, as Ctrl-C does: also where it sleeps."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
