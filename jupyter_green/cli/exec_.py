"""``jupyter green exec``: runs any program and reports what it cost."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs
from traitlets import Bool, Unicode

from jupyter_green.cli.base import Command, Exit, options, switches, usage
from jupyter_green.cli.child import Child
from jupyter_green.errors import JupyterGreenError, RecorderError
from jupyter_green.events import Tags
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.names import first_line
from jupyter_green.recorder.tracker import CellRun, Tracker
from jupyter_green.report import text
from jupyter_green.report.summary import describe
from jupyter_green.report.words import clean, share_words
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session
from jupyter_green.settings import Settings

CANNOT_RUN = 126
NOT_FOUND = 127
"""As env(1) and shells have them."""
DIED_OF_SIGNAL = 128

ITS_ENERGY = "the energy is the whole machine's"


class Exec(Command):
    """Runs a program and records it as a session of one cell."""

    name = "jupyter-green exec"
    description = """Run any program, and report its energy.

    Standard input, output and signals are the program's, and so is the exit code (128 and the
    number of the signal that it died of; 127: there is no such program; 126: it cannot be run).
    What was measured goes to stderr, and into a session like that of a notebook. The figure is
    what the whole machine drew meanwhile; the share of the program and its children in the
    machine's CPU time stands beside it, as an estimate.

    The session keeps the first 120 characters of the command line.
    """
    examples = """
        jupyter green exec -- python train.py --epochs 3
        jupyter green exec --label "resnet18 amp" --project thesis -- ./train.sh
        jupyter green exec --quiet -- sort < big.txt > sorted.txt
    """
    aliases = options("Exec", label="label", project="project")
    flags = switches(
        "Exec",
        report=("report", "Show the whole report instead of one line."),
        quiet=("quiet", "Show nothing."),
    )

    label = Unicode("", help="What the run is called; default: the command.").tag(config=True)
    project = Unicode("", help="Tag under which sessions are added up.").tag(config=True)
    report = Bool(False, help="Show the whole report instead of one line.").tag(config=True)
    quiet = Bool(False, help="Show nothing.").tag(config=True)

    command: Sequence[str] = ()

    def parse_command_line(self, argv: Any = None) -> None:
        """Ours is what stands before ``--``; what follows is not even looked at."""
        given = list(argv or ())
        ours = given[: given.index("--")] if "--" in given else given
        self.command = given[len(ours) + 1 :]
        if not self.command and not {"-h", "--help", "--help-all", "--version", "-V"} & {*ours}:
            raise usage("put the command behind --: jupyter green exec -- python train.py")
        super().parse_command_line(ours)

    def run(self) -> None:
        """Run the program, say what it cost, and end as it ended."""
        if self.report and self.quiet:
            raise usage("give one of --report and --quiet")
        settings = self.settings()
        if self.project:
            settings = structs.replace(settings, project=self.project)
        _check_program(self.command[0])
        child = Child(self.command)
        with child.relaying():
            measured = _begin(settings, self.command, self.label)
            ended = _run(child)
            if measured is not None:
                told = _end(*measured, ended, whole=self.report)
                if not self.quiet:
                    _say(told)
        raise Exit(ended.code, ended.message)


# --- the program --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ended:
    """How the program ended."""

    code: int
    """For whoever started us."""
    status: str
    error: str | None = None
    message: str = ""
    """For stderr: why there was nothing to run."""


def _check_program(program: str) -> None:
    """A program that is not there needs no session.

    Raises:
        Exit: it is not there, or must not be run.
    """
    if shutil.which(program) is not None:
        return
    directories = [""] if os.path.dirname(program) else os.get_exec_path()
    if any(os.path.exists(os.path.join(directory, program)) for directory in directories):
        raise Exit(CANNOT_RUN, f"{program} cannot be run: it is no executable file")
    raise Exit(NOT_FOUND, f"there is no program {program}")


def _run(child: Child) -> _Ended:
    try:
        status = child.run()
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        reason = f"{child.command[0]} cannot be run: {error.strerror}"
        return _Ended(code, "error", f"exit {code}", reason)
    code = status if status >= 0 else DIED_OF_SIGNAL - status
    if child.interrupted and code == DIED_OF_SIGNAL + signal.SIGINT:
        return _Ended(code, "interrupted")
    if status == 0:
        return _Ended(code, "ok")
    return _Ended(code, "error", f"exit {status}" if status > 0 else f"signal {-status}")


# --- measuring: whatever goes wrong here, the program runs ---------------------------------


def _begin(
    settings: Settings, command: Sequence[str], label: str
) -> tuple[Tracker, CellRun] | None:
    reason = library.why_unwritable(settings.data_dir)
    if reason is not None:
        _say(f"jupyter green: this session will be lost: {reason}")
    try:
        line = shlex.join(command)
        tracker = trackers.start("exec", settings, title=first_line(line))
        return tracker, tracker.cell_started(line, None, Tags(label=label or None), "main")
    except Exception as error:
        _say(f"jupyter green: not measured: {type(error).__name__}: {error}")
        return None


def _end(tracker: Tracker, run: CellRun, ended: _Ended, *, whole: bool) -> str:
    """Close the session; what is to be said of it."""
    try:
        tracker.cell_finished(run, ended.status, ended.error)
        session = _closed(tracker, tracker.session())
        return _report(session, run) if whole else _summary(session, run)
    except Exception as error:
        words = str(error) if isinstance(error, JupyterGreenError) else repr(error)
        return f"jupyter green: the figures are not known: {words}"


def _closed(tracker: Tracker, so_far: Session) -> Session:
    trackers.stop()
    try:
        session = tracker.session()
    except RecorderError:
        return so_far  # nothing of it could be written
    return session if session.cells else so_far


def _report(session: Session, run: CellRun) -> str:
    return f"{text.render(session)}\n\n{_whose(session, run)}"


def _summary(session: Session, run: CellRun) -> str:
    line = describe(session, session.cell(run.number))
    lines = (line, _whose(session, run), *map(clean, session.problems))
    return "\n".join(f"jupyter green: {line}" for line in lines)


def _whose(session: Session, run: CellRun) -> str:
    share = session.cell(run.number).tree_share
    if share is None:
        return ITS_ENERGY
    return f"{ITS_ENERGY}; {share_words(share)} of its busy CPU time was the command's (estimated)"


def _say(message: str) -> None:
    """On stderr, if there is one: the program's exit code must not depend on it."""
    if sys.stderr is None:
        return
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        # Python would try again at its end, and complain by an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
