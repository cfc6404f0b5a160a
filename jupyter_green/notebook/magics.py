"""``%%energy``, ``%energy`` and ``%green``."""

from __future__ import annotations

import ast
import math
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from msgspec import structs

from jupyter_green.carbon.tables import ATTRIBUTION
from jupyter_green.carbon.timezone import guess
from jupyter_green.configurable import load_settings
from jupyter_green.errors import JupyterGreenError, ReportError, SettingError, UnknownPlace
from jupyter_green.notebook import budget, display, energyit
from jupyter_green.notebook.hooks import Hooks
from jupyter_green.notebook.options import USAGE, Options, parse
from jupyter_green.notebook.place import set_place
from jupyter_green.recorder import gpu_sync
from jupyter_green.recorder.budget import Keeper
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.report.summary import Result
from jupyter_green.sessions.model import Energy, Session
from jupyter_green.studies.baseline import DEFAULT_S, measure_baseline
from jupyter_green.units import format_power

GREEN_USAGE = """\
%green                 the session so far: cells, ledger, CO2
%green on | off        track cells, or pause tracking
%green place [CC]      show or set the place whose electricity this machine uses (FR, DEU ...)
%green place --unset   forget the place
%green budget [50 Wh]  show what the session may use, or set it; --stop interrupts the cell, off
%green baseline [S]    measure the idle machine for S seconds (10), for figures net of idle
%green report [PATH]   write the session into a file; its ending says the form (.md, .csv ...)
%green doctor          what is measured on this machine, what is not, and what opens it
%green help            show this"""


@magics_class
class GreenMagics(Magics):
    """The magics of one session."""

    def __init__(self, shell: Any, tracker: Tracker, hooks: Hooks) -> None:
        super().__init__(shell)
        self._shell = shell
        self._tracker = tracker
        self._hooks = hooks
        self._keeper = Keeper(tracker, budget.warn)

    @line_cell_magic
    def energy(self, line: str, cell: str | None = None) -> Any:
        """Measure a cell, or one statement, and show its energy.

        ::

            %%energy [--label NAME] [--stage STAGE] [--technique NAME] [-q] [-o VAR] [--no-sync]
            model.fit(x, y)

            %energy [options] model.predict(x)

        -l, --label NAME       what the cell is called; runs with another label are no reruns
        -s, --stage STAGE      stage of the lifecycle: infrastructure, data, modeling, training,
                               deployment, evaluation
        -t, --technique NAME   technique that is tried: mixed-precision, pruning ...
        -q, --quiet            measure without showing anything
        -o, --output VAR       keep the result (energy_j, bound_j, duration_s ...) in a variable
        --sync, --no-sync      wait for the GPU's work before the end is measured, as by default,
                               or leave it to whatever comes after

        The body runs as if the %%energy line were not there: exceptions, ``await``, the last
        expression and other cell magics below it work as always.
        """
        options, statement = parse(line)
        if options.help:
            print(USAGE)
            return None
        if cell is not None:
            # Only reached by run_cell_magic("energy", ...): in a notebook the line is cut before.
            return self._measured(options, statement or "%%energy", lambda: self._run_cell(cell))
        if not statement:
            raise UsageError(f"%energy needs a statement\n{USAGE}")
        return self._measured(options, statement, lambda: self._run_statement(statement))

    def _measured(self, options: Options, name: str, run: Any) -> Any:
        span = self._tracker.span_started(options.label or name[:120], "statement", options.tags)
        status, error = "ok", None
        try:
            value = run()
            if options.sync:
                gpu_sync.synchronize(self._tracker.problems)
            return value
        except BaseException as raised:
            status = "interrupted" if isinstance(raised, KeyboardInterrupt) else "error"
            error = type(raised).__name__
            raise
        finally:
            self._tracker.span_finished(span, status, error)
            self._show_span(span, options)

    def _show_span(self, span: int, options: Options) -> None:
        if options.quiet and options.output is None:
            return
        try:
            session = self._tracker.session()
            result = Result.of(session, session.span(span))
        except (JupyterGreenError, KeyError):
            print(display.NOT_YET)
            return
        if options.output is not None:
            self._shell.push({options.output: result})
        if not options.quiet:
            display.show(result)

    def _run_cell(self, cell: str) -> None:
        self._shell.run_cell(cell).raise_error()

    def _run_statement(self, statement: str) -> Any:
        """Execute as %time does: the value of a last expression comes back."""
        transformed = self._shell.transform_cell(statement)
        tree = self._shell.transform_ast(self._shell.compile.ast_parse(transformed))
        name = "<energy statement>"
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        namespace = self._shell.user_ns
        exec(self._shell.compile(tree, name, "exec"), self._shell.user_global_ns, namespace)
        if last is None:
            return None
        expression = self._shell.compile(ast.Expression(last.value), name, "eval")
        return eval(expression, self._shell.user_global_ns, namespace)

    @line_cell_magic
    def energyit(self, line: str, cell: str | None = None) -> Any:
        """Measure what is too short to be measured once, as %timeit does for time.

        ::

            %energyit [-n LOOPS] [-r RUNS] [-q] [-o VAR] [--no-sync] STATEMENT

            %%energyit [options] [SETUP STATEMENT]
            lines that are repeated

        -n, --loops LOOPS      loops in each run; by default so many that the counters' updates
                               are less than a hundredth of a run
        -r, --runs RUNS        runs, after one for warming up (7)
        -q, --quiet            show nothing
        -o, --output VAR       keep the result (energy_j, deviation_j, net_j ...) in a variable
        --sync, --no-sync      wait for the GPU's work at the end of each run, as by default, or not

        Shows mean and standard deviation per loop, and with `%green baseline` the energy above
        that of the idle machine.
        """
        return energyit.run(self._shell, self._tracker, line, cell)

    @line_magic
    def green(self, line: str) -> None:
        """Show the session so far, or switch tracking.

        ::

            %green                 the session so far: cells, ledger, CO2
            %green on | off        track cells, or pause tracking
            %green place [CC]      show or set the place whose electricity this machine uses
            %green place --unset   forget the place
            %green budget          how much of the budget is used
            %green budget 50 Wh    be warned when the session has used so much (J, kJ, Wh, kWh);
                                   with --stop the cell that runs then is interrupted
            %green budget off      drop the budget
            %green baseline [S]    measure the idle machine for S seconds (10)
            %green report [PATH]   write the session into a file; its ending says the form
            %green doctor          what is measured on this machine, what is not, and what opens it
            %green help            show this
        """
        match line.split():
            case []:
                self._show_session()
            case ["help"] | [*_, "-h" | "--help"]:
                print(GREEN_USAGE)
            case ["on"]:
                self._tracker.resume()
                print("Tracking: every cell from here on.")
            case ["off"]:
                self._tracker.pause()
                print("Tracking is paused; `%green on` goes on.")
            case ["place", *words]:
                self._place(words)
            case ["budget", *words]:
                self._budget(words)
            case ["baseline", *words] if len(words) < 2:
                self._measure_baseline(words[0] if words else str(DEFAULT_S))
            case ["report", *_]:
                self._write_report(line.strip().removeprefix("report").strip())
            case ["doctor"]:
                self._examine()
            case _:
                raise UsageError(f"%green does not know {line.strip()!r}\n{GREEN_USAGE}")

    def _show_session(self) -> None:
        try:
            session = self._tracker.session()
        except JupyterGreenError as error:
            print(error)
            return
        from jupyter_green.report import fragment, text  # noqa: PLC0415  (not at %load_ext)

        session = _without_asker(session, self._hooks.running_here())
        display.bundle(text.render(session), fragment.render(session))

    def _show_place(self) -> None:
        intensity = self._tracker.session().intensity
        if intensity is None:
            print("No place is set, so there is no CO2. `%green place FR` sets it for good.")
            guessed = guess()
            if guessed is not None:
                print(guessed.hint("%green place"))
            return
        print(f"{_told(intensity)}\n{ATTRIBUTION}")

    def _place(self, words: list[str]) -> None:
        if not words:
            self._show_place()
        else:
            self._set_place(None if words == ["--unset"] else " ".join(words))

    def _budget(self, words: list[str]) -> None:
        try:
            session = self._tracker.session()
            if words:
                print(budget.set_budget(self._keeper, words, session.total.total_uj))
            else:
                print(budget.told(session))
        except SettingError as error:
            raise UsageError(str(error)) from None
        except JupyterGreenError as error:
            print(error)

    def _measure_baseline(self, seconds: str) -> None:
        try:
            idle = measure_baseline(self._tracker, _seconds(seconds))
        except SettingError as error:
            raise UsageError(f"{error}\n{GREEN_USAGE}") from None
        except JupyterGreenError as error:
            print(error)
            return
        by_counter = ", ".join(f"{name} {format_power(w)}" for name, w in idle.power_w.items())
        print(f"Idle: {format_power(sum(idle.power_w.values()))} ({by_counter}).")
        if idle.doubt:
            print(idle.doubt)

    def _write_report(self, path: str) -> None:
        from jupyter_green.report import forms  # noqa: PLC0415  (not at %load_ext)

        if any(word.startswith("--") for word in path.split()):
            raise UsageError(
                "%green report takes a path only; to value a session for another place: "
                "jupyter green report --place DE --output report.html"
            )
        quoted = len(path) > 1 and path[0] == path[-1] and path[0] in "'\""
        try:
            session = _without_asker(self._tracker.session(), self._hooks.running_here())
            written = forms.save(session, path[1:-1] if quoted else path)
        except ReportError as error:
            raise UsageError(str(error)) from None
        except JupyterGreenError as error:
            print(error)
            return
        print(f"Written: {written}")

    def _examine(self) -> None:
        from jupyter_green.doctor import fragment, text  # noqa: PLC0415  (not at %load_ext)
        from jupyter_green.doctor.apart import examine_apart  # noqa: PLC0415

        loaded = load_settings(self._shell)
        try:
            found = examine_apart(loaded.settings, loaded.problems)
        except JupyterGreenError as error:
            print(error)
            return
        display.bundle(text.render(found), fragment.render(found))

    def _set_place(self, place: str | None) -> None:
        try:
            intensity, kept = set_place(self._tracker, place)
        except UnknownPlace as error:
            raise UsageError(str(error)) from None
        print(f"{_told(intensity) if intensity is not None else 'No place is set.'} {kept}")


def _without_asker(session: Session, number: int | None) -> Session:
    """The session without the cell that only asks for it; one that has done work stays."""
    used = {span.cell for span in session.spans}
    return structs.replace(
        session,
        open_cells=tuple(
            cell
            for cell in session.open_cells
            if cell.number != number or cell.number in used or _resolved(cell.so_far)
        ),
    )


def _resolved(energy: Energy) -> bool:
    return bool(energy.total_uj) and not energy.below_resolution


def _seconds(text: str) -> float:
    """A number of seconds.

    Raises:
        SettingError: it is none, or below zero.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise SettingError(f"{text} is no number of seconds")
    return seconds


def _told(intensity: Any) -> str:
    """An intensity with everything that belongs to it."""
    year = f", {intensity.year}" if intensity.year is not None else ""
    return (
        f"{intensity.place}: {intensity.g_per_kwh:g} gCO2e/kWh "
        f"({intensity.basis}{year}; {intensity.source})."
    )
