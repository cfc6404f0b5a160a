"""``jupyter green run``: executes a notebook headless and reports what it cost."""

from __future__ import annotations

import sys
from pathlib import Path

from traitlets import Bool, Float, Unicode

from jupyter_green.cli import execution
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.report import text
from jupyter_green.sessions.library import executed


class Run(Command):
    """Executes a notebook in a kernel of its own, measured from the first cell on."""

    name = "jupyter-green run"
    description = """Execute a notebook from top to bottom, and report its energy.

    The executed notebook is saved as NOTEBOOK.executed.ipynb beside the notebook, also when a
    cell fails. The notebook runs in its own directory and need not load the extension. Exit
    code: 0; 1 if a cell failed or the kernel died; 2 if it could not be started as asked.
    """
    examples = """
        jupyter green run train.ipynb
        jupyter green run train.ipynb --output results/train.ipynb
        jupyter green run train.ipynb --inplace --timeout 600
        jupyter green run train.ipynb --no-output --kernel python3 --allow-errors
    """
    most_arguments = 1
    aliases = options("Run", output="output", kernel="kernel", timeout="timeout_s")
    flags = switches(
        "Run",
        inplace=("inplace", "Save into the notebook itself."),
        no_output=("no_output", "Do not save the executed notebook."),
        allow_errors=("allow_errors", "Go on after a cell that fails."),
    )

    output = Unicode("", help="Save the executed notebook here.").tag(config=True)
    inplace = Bool(False, help="Save into the notebook itself.").tag(config=True)
    no_output = Bool(False, help="Do not save the executed notebook.").tag(config=True)
    kernel = Unicode("", help="Name of the kernel; default: the notebook's own.").tag(config=True)
    timeout_s = Float(0.0, help="Seconds that one cell may take; default: any.").tag(config=True)
    allow_errors = Bool(False, help="Go on after a cell that fails.").tag(config=True)

    def run(self) -> None:
        """Execute, save, report; then fail if the notebook did."""
        job = execution.prepare(
            self._notebook(),
            self.settings(),
            kernel=self.kernel,
            timeout_s=self._timeout_s(),
            allow_errors=self.allow_errors,
        )
        target = self._target(job.path)
        outcome = execution.execute(job)
        if outcome.executed and target is not None:
            execution.save(job.notebook, target)
            print(f"Saved {target}", file=sys.stderr, flush=True)
        if outcome.message:
            print(outcome.message, file=sys.stderr, flush=True)
        session = execution.recorded(job)
        if session is not None:
            print(text.render(session), flush=True)
        if outcome.failure is not None:
            raise outcome.failure

    def _notebook(self) -> Path:
        if self.argument is None:
            raise usage("which notebook? jupyter green run NOTEBOOK")
        return Path(self.argument)

    def _timeout_s(self) -> int | None:
        if self.timeout_s < 0:
            raise usage(f"--timeout must be above 0 s, not {self.timeout_s:g} s")
        # nbclient counts whole seconds, and takes 0 for no limit.
        return max(1, round(self.timeout_s)) if self.timeout_s else None

    def _target(self, notebook: Path) -> Path | None:
        """Where the executed notebook goes; checked before the kernel runs for hours."""
        if sum((bool(self.output), self.inplace, self.no_output)) > 1:
            raise usage("give one of --output, --inplace and --no-output")
        if self.no_output:
            return None
        if self.inplace:
            return notebook
        if not self.output:
            return executed(notebook)
        target = Path(self.output)
        if target.is_dir() or not target.parent.is_dir():
            raise usage(f"--output {target}: no file can be made there")
        return target.absolute()
