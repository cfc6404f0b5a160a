"""Hooks around every cell: two marks, and a display where one was asked for.

Cells are paired by the ``info`` object that IPython hands to both hooks, since cells nest,
run on subshell threads, and may have a beginning or an end alone.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_green.events import Tags
from jupyter_green.notebook import display
from jupyter_green.notebook.options import Options
from jupyter_green.notebook.transformer import EnergyLine, energy_options
from jupyter_green.recorder import gpu_sync
from jupyter_green.recorder.tracker import CellRun, Tracker

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NOT_FIRST = (
    "%%energy works on the first line of a cell only; this cell was tracked (see %green), "
    "but is not shown by itself"
)

PACKAGE = __name__.partition(".")[0]

INTERRUPTS = (KeyboardInterrupt, CancelledError)
"""The kernel cancels a cell that awaits."""


@dataclass
class Running:
    """A cell between its two hooks."""

    info: Any
    """Kept alive, so that no other object can have its ``id``."""
    run: CellRun
    options: Options | None
    thread: int
    stray_line: bool = False
    """An ``%%energy`` line was cut inside this cell, and no cell began with it."""


class Hooks:
    """Everything that is registered with one shell."""

    def __init__(self, shell: InteractiveShell, tracker: Tracker) -> None:
        self._shell = shell
        self._tracker = tracker
        self._running: dict[int, Running] = {}
        self._main_thread = threading.get_ident()
        self._transformer = EnergyLine(self._line_was_cut)

    def register(self) -> None:
        """From now on every cell is tracked."""
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        self._shell.input_transformers_cleanup.append(self._transformer)

    def unregister(self) -> None:
        """Leave the shell as it was; a cell that runs now is finished here."""
        self._shell.events.unregister("pre_run_cell", self._before)
        self._shell.events.unregister("post_run_cell", self._after)
        self._shell.input_transformers_cleanup.remove(self._transformer)
        for running in reversed(list(self._running.values())):
            self._tracker.cell_finished(running.run, "ok")
        self._running.clear()

    # --- the two hooks ---

    def _before(self, info: Any) -> None:
        self._never_raise(self._started, info)

    def _after(self, result: Any) -> None:
        self._never_raise(self._finished, result)

    def _never_raise(self, step: Callable[[Any], None], argument: Any) -> None:
        """An error of ours must not look like one of the user's."""
        try:
            step(argument)
        except Exception as error:
            problem = f"a cell could not be tracked: {type(error).__name__}: {error}"
            if problem not in self._tracker.problems:
                self._tracker.problems.append(problem)

    def _started(self, info: Any) -> None:
        if self._tracker.paused:
            return
        options = _options(info.raw_cell)
        thread = threading.get_ident()
        for outer in self._on_thread(thread):
            outer.stray_line = outer.stray_line and options is None
        run = self._tracker.cell_started(
            source=info.raw_cell,
            cell_id=getattr(info, "cell_id", None),
            tags=options.tags if options is not None else Tags(),
            thread="main" if thread == self._main_thread else "subshell",
            execution_count=self._prompt_number() if info.store_history else None,
        )
        self._running[id(info)] = Running(info, run, options, thread)

    def _prompt_number(self) -> int:
        """The number in the prompt of the cell that begins now.

        Newer versions of IPython count up before a cell runs, older ones after it. The display
        hook of each knows how to label the output.
        """
        return int(self._shell.displayhook.prompt_count)

    def _finished(self, result: Any) -> None:
        running = self._that_ends(result)
        if running is None:
            return
        waits = running.options is not None and running.options.sync
        surfaced = self._wait_for_devices(result) if waits else None
        status, error = _outcome(result)
        self._tracker.cell_finished(running.run, status, error, self._busy_devices())
        if surfaced is not None:
            self._shell.showtraceback(
                (type(surfaced), surfaced, surfaced.__traceback__), tb_offset=0
            )
        if running.options is not None:
            self._show(running, running.options)
        elif running.stray_line:
            print(NOT_FIRST)

    # --- GPUs ---

    def _wait_for_devices(self, result: Any) -> BaseException | None:
        """Wait for what an ``%%energy`` cell has begun.

        An error that surfaces is the user's: the cell fails with it, as if its last line had
        raised it, and it comes back to be shown. (A kernel makes its reply of the result after
        the hooks have run.) A cell that has failed before is not waited for: its user wants the
        prompt back.
        """
        if self._tracker.disowned or _outcome(result)[0] != "ok":
            return None
        try:
            gpu_sync.synchronize(self._tracker.problems)
        except (RuntimeError, KeyboardInterrupt) as error:
            result.error_in_exec = error
            self._shell.last_execution_succeeded = False
            return error.with_traceback(_without_ours(error.__traceback__))
        return None

    def _busy_devices(self) -> list[str]:
        if self._tracker.disowned:
            return []
        return gpu_sync.busy_devices(self._tracker.problems)

    # --- pairs ---

    def running_here(self) -> int | None:
        """Number of the innermost cell that runs on this thread."""
        for innermost in self._on_thread(threading.get_ident())[-1:]:
            return innermost.run.number
        return None

    def _that_ends(self, result: Any) -> Running | None:
        """The cell that a result belongs to; None where none was begun for it.

        When IPython fails or is interrupted itself, the result has another ``info``, or there
        is none at all.
        """
        info = getattr(result, "info", None)
        running = self._running.pop(id(info), None)
        if running is not None:
            return running
        for innermost in self._on_thread(threading.get_ident())[-1:]:
            if info is None or info.raw_cell == innermost.info.raw_cell:
                return self._running.pop(id(innermost.info))
        return None

    def _show(self, running: Running, options: Options) -> None:
        if self._tracker.closed or (options.quiet and options.output is None):
            return
        number = running.run.number
        if options.output is None and hasattr(self._shell, "kernel"):
            display.show_cell(self._tracker, number)
            return
        result = display.cell_result(self._tracker, number)
        if result is None:
            if not options.quiet:
                print(display.NOT_YET)
            return
        if options.output is not None:
            self._shell.push({options.output: result})
        if not options.quiet:
            display.show(result)

    # --- stray lines ---

    def _line_was_cut(self) -> None:
        """While a cell runs, only nested cells are transformed."""
        for running in self._on_thread(threading.get_ident())[-1:]:
            running.stray_line = True

    def _on_thread(self, thread: int) -> list[Running]:
        return [running for running in self._running.values() if running.thread == thread]


def _options(raw_cell: str) -> Options | None:
    try:
        return energy_options(raw_cell)
    except UsageError:
        return None  # the transformer has told the user, and the body does not run


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from where the user's libraries begin."""
    while trace is not None and trace.tb_next is not None:
        if not str(trace.tb_frame.f_globals.get("__name__")).startswith(f"{PACKAGE}."):
            break
        trace = trace.tb_next
    return trace


def _outcome(result: Any) -> tuple[str, str | None]:
    if result is None:
        return "interrupted", None
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return "ok", None
    kind = error if isinstance(error, type) else type(error)
    return ("interrupted" if issubclass(kind, INTERRUPTS) else "error"), kind.__name__
