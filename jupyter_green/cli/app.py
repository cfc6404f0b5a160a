"""``jupyter green``: finds the command, and turns errors into lines and exit codes."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path

from jupyter_core.application import NoStart

from jupyter_green.cli.base import (
    BROKEN_PIPE,
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    Command,
    Exit,
    complain,
    usage,
)
from jupyter_green.errors import JupyterGreenError

_COMMANDS = {
    "run": ("jupyter_green.cli.run.Run", "Execute a notebook and report its energy."),
    "report": ("jupyter_green.cli.report.Report", "Show a recorded session."),
    "compare": ("jupyter_green.cli.compare.Compare", "Show what changed between two sessions."),
    "exec": ("jupyter_green.cli.exec_.Exec", "Run any program and report its energy."),
    "list": ("jupyter_green.cli.listing.List", "List the recorded sessions."),
    "history": ("jupyter_green.cli.history.History", "Show totals of all sessions."),
    "doctor": ("jupyter_green.cli.doctor.Doctor", "Show what is measured here, and what is not."),
    "prune": ("jupyter_green.cli.prune.Prune", "Delete old sessions."),
    "place": ("jupyter_green.cli.place.Place", "Show or set where the machine stands."),
    "techniques": (
        "jupyter_green.cli.techniques.Techniques",
        "Show techniques that save energy, and who says so.",
    ),
    "enable": ("jupyter_green.cli.startup.Enable", "Measure in every notebook from now on."),
    "disable": ("jupyter_green.cli.startup.Disable", "Undo enable."),
}


class Green(Command):
    """The command that holds the others."""

    name = "jupyter-green"
    description = "Measures the energy of every notebook cell."
    subcommands = _COMMANDS
    examples = """
        jupyter green run train.ipynb      # execute a notebook, show what it cost
        jupyter green report               # the newest session again
        jupyter green place FR             # from now on with CO2
        jupyter green enable               # measure in every notebook from now on
    """

    def start(self) -> None:
        """Hand over to the command."""
        if self.subapp is None:
            given = f"no command is called {self.argument!r}" if self.argument else "no command"
            raise usage(f"{given}; there are {', '.join(_COMMANDS)} (see --help)")
        super().start()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script.

    Raises:
        SystemExit: always, with the exit code.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: nobody wants to read it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (until the end)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no plus-minus sign gets a question mark and not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has read enough. Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(f"the output cannot be written: {error.strerror}")
        code = FAILED
    raise SystemExit(code)


def _run(argv: list[str]) -> int:
    try:
        app = Green()
        app.initialize(argv)
        app.start()
    except NoStart:
        return OK
    except Exit as ended:
        if str(ended):
            complain(str(ended))
        return ended.code
    except ArgumentError as error:
        complain(f"{error}; see --help")
        return USAGE
    except JupyterGreenError as error:
        complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


if __name__ == "__main__":
    main()
