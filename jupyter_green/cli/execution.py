"""Executes one notebook in a measured kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

import nbformat
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from jupyter_green.cli.base import FAILED, INTERRUPTED, Exit, usage
from jupyter_green.cli.progress import Progress
from jupyter_green.errors import JupyterGreenError
from jupyter_green.recorder.names import new_session_id
from jupyter_green.recorder.tracker import STARTING_S
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session
from jupyter_green.settings import Settings

DEFAULT_KERNEL = "python3"
GOODBYE_S = 5.0
"""The recorder has stamped the end of a session by then, however the kernel went."""
INTERRUPTED_S = 2.0
"""A cell that does not heed its interruption for so long is killed with its kernel."""
POLL_S = 0.02
LOAD = "__import__('jupyter_green').load_ipython_extension(get_ipython())"


@dataclass(frozen=True)
class Job:
    """A notebook that can be executed."""

    path: Path
    notebook: nbformat.NotebookNode
    kernel: str
    python: str
    """The program that the kernel runs in."""
    data_dir: str
    session: str
    timeout_s: int | None
    allow_errors: bool

    @property
    def journal(self) -> Path:
        return library.journal_path(self.data_dir, self.session)


@dataclass(frozen=True)
class Outcome:
    """How it went."""

    executed: bool = True
    """A kernel ran, so there is something to save."""
    message: str = ""
    """For stderr: the traceback of the cell that failed."""
    failure: Exit | None = None


# --- before -------------------------------------------------------------------------------


def prepare(
    path: Path, settings: Settings, *, kernel: str, timeout_s: int | None, allow_errors: bool
) -> Job:
    """Read the notebook and find its kernel.

    Raises:
        Exit: there is no such file, no notebook in it, no such kernel, or not one of Python.
    """
    notebook = _read(path)
    reason = library.why_unwritable(settings.data_dir)
    if reason is not None:
        # Sessions are lost where none can be written; better to know before hours of training.
        raise usage(reason)
    name = kernel or _kernel_of(notebook, path)
    return Job(
        path=path.absolute(),
        notebook=notebook,
        kernel=name,
        python=_python_of(name),
        data_dir=settings.data_dir,
        session=new_session_id(),
        timeout_s=timeout_s,
        allow_errors=allow_errors,
    )


def _read(path: Path) -> nbformat.NotebookNode:
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise usage(f"there is no file {path}") from error
    except OSError as error:
        raise usage(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise usage(f"{path} is no notebook: it is not even text") from error
    try:
        notebook: nbformat.NotebookNode = nbformat.reads(content, as_version=4)
    # nbformat lets through whatever its converters and the JSON reader stumble over.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise usage(f"{path} is no notebook: {reason}") from error
    return notebook


def _kernel_of(notebook: nbformat.NotebookNode, path: Path) -> str:
    spec = notebook.metadata.get("kernelspec", {})
    language = str(spec.get("language") or "python")
    if language.lower() != "python":
        raise usage(f"{path} is written in {language}; only Python can be measured")
    return str(spec.get("name") or DEFAULT_KERNEL)


def _python_of(kernel: str) -> str:
    manager = KernelSpecManager()
    try:
        spec = manager.get_kernel_spec(kernel)
    except NoSuchKernel as error:
        known = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        raise usage(
            f"no kernel is called {kernel!r}; there are: {known}. Choose one with --kernel"
        ) from error
    if spec.language.lower() != "python":
        raise usage(f"kernel {kernel!r} speaks {spec.language}; only Python can be measured")
    return str(spec.argv[0])


# --- the kernel ---------------------------------------------------------------------------


class _NotMeasured(JupyterGreenError):
    """The kernel is there and no session began."""


class _Client(NotebookClient):
    """Starts its kernel measured, and stops it so that the energy so far is kept.

    nbclient's own way cleans up in a signal handler, beside the cell that still runs.
    """

    def __init__(self, job: Job, progress: Progress) -> None:
        super().__init__(
            job.notebook,
            kernel_name=job.kernel,
            timeout=job.timeout_s,
            allow_errors=job.allow_errors,
            resources={"metadata": {"path": str(job.path.parent)}},
            # The kernel could be configured to record elsewhere; here it must be found.
            extra_arguments=[
                # As an extension, a later %load_ext would print that it is there already.
                f"--IPKernelApp.exec_lines={LOAD}",
                f"--JupyterGreen.data_dir={job.data_dir}",
                # Notes of the kernel about its transport are not for who runs a notebook.
                "--log-level=ERROR",
            ],
            on_cell_execute=progress.cell_begins,
            on_cell_executed=progress.cell_ended,
        )
        self._job = job
        self._progress = progress

    @contextlib.asynccontextmanager
    async def async_setup_kernel(self, **kwargs: Any) -> AsyncIterator[None]:
        self.km = self.create_kernel_manager()
        try:
            await self.async_start_new_kernel(**kwargs)
            await self.async_start_new_kernel_client()
            await self._until_measured()
            yield
        finally:
            await self._stop()

    async def _until_measured(self) -> None:
        patience = time.monotonic() + STARTING_S
        while not self._job.journal.exists():
            if time.monotonic() > patience:
                raise _NotMeasured
            await asyncio.sleep(POLL_S)

    async def _stop(self) -> None:
        """Ends a cell that still runs; then the kernel says goodbye to its recorder."""
        kernel, channels = self.km, self.kc
        if kernel is not None and kernel.has_kernel:
            # A dead kernel's group may hold forked children, to whom an interrupt is an error
            # that brings them back into a copy of the kernel's own loop.
            alive = await ensure_async(kernel.is_alive())
            if alive and channels is not None and self._progress.running:
                await ensure_async(kernel.interrupt_kernel())
                with contextlib.suppress(Empty):
                    await ensure_async(channels.shell_channel.get_msg(timeout=INTERRUPTED_S))
            await ensure_async(kernel.shutdown_kernel())
        if channels is not None:
            channels.stop_channels()


def execute(job: Job) -> Outcome:
    """Run all cells. The notebook of the job is filled with what they put out."""
    environment = {
        **os.environ,
        "JPY_SESSION_NAME": str(job.path),
        "JUPYTER_GREEN_SESSION": job.session,
    }
    with Progress(job.notebook) as progress:
        try:
            asyncio.run(_until_done(_Client(job, progress), environment))
        except CellExecutionError as error:
            return Outcome(message=str(error), failure=Exit(FAILED))
        except (CellTimeoutError, DeadKernelError, KeyboardInterrupt) as error:
            return Outcome(failure=_stopped(error, job, progress))
        except (_NotMeasured, RuntimeError, OSError) as error:
            return Outcome(executed=False, failure=_not_started(error, job))
    return Outcome()


async def _until_done(client: _Client, environment: dict[str, str]) -> None:
    try:
        await client.async_execute(env=environment)
    except DeadKernelError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # nbclient takes any cancellation for the kernel's death; this one is Ctrl-C.
            raise asyncio.CancelledError from None
        raise


def _stopped(error: BaseException, job: Job, progress: Progress) -> Exit:
    where = f"in cell {progress.begun} of {progress.total}"
    if isinstance(error, KeyboardInterrupt):
        return Exit(INTERRUPTED, f"interrupted {where}")
    if isinstance(error, DeadKernelError):
        return Exit(FAILED, f"the kernel died {where}")
    return Exit(FAILED, f"timed out {where}: it took longer than {job.timeout_s} s")


def _not_started(error: Exception, job: Job) -> Exit:
    if not isinstance(error, _NotMeasured):
        reason = " ".join(str(error).split())
        return Exit(FAILED, f"kernel {job.kernel!r} cannot be started: {reason}")
    return usage(
        f"kernel {job.kernel!r} runs, but nothing is recorded: its environment has no working "
        f"jupyter_green. Install it there: {job.python} -m pip install jupyter-green"
    )


# --- after --------------------------------------------------------------------------------


def save(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Write the notebook, whole or not at all.

    Raises:
        Exit: it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        nbformat.write(notebook, draft)
        os.replace(draft, target)
    except OSError as error:
        raise Exit(FAILED, f"{target} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def recorded(job: Job) -> Session | None:
    """The session once its end is written; None if it never began."""
    if not job.journal.exists():
        return None
    patience = time.monotonic() + GOODBYE_S
    session = library.load(job.journal)
    # A kernel that is dead while its recorder still writes looks like an orphan.
    while not _has_end(session) and time.monotonic() < patience:
        time.sleep(POLL_S)
        session = library.load(job.journal)
    return session


def _has_end(session: Session) -> bool:
    return session.state != "open" and session.reason != "kernel and recorder died"
