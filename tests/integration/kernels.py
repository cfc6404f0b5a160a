"""Real kernels, their journals and their machine: what the integration tests share.

Nothing here patches anything: kernels run as Jupyter starts them, cells are sent as a front end
sends them, and what is asserted is read from the journal on disk. All waiting is polling with an
end, because a loaded machine may take its time.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

import msgspec
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from jupyter_green.errors import JournalError
from jupyter_green.events import AnyEvent, decode
from jupyter_green.processes import is_alive
from jupyter_green.recorder.names import digest
from jupyter_green.recorder.presence import Present
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Cell, Session, Span

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
PATIENCE_S = 15.0
"""What takes milliseconds may take seconds on a machine that does other things."""

T = TypeVar("T")

CELL_TOOLS = """
import ctypes, os, sys, time

def draw(key, watts):
    with open({fifo!r}, "w") as commands:
        commands.write(f"power {{key}} {{watts}}\\n")

def wave(key, low_w, high_w, period_s):
    with open({fifo!r}, "w") as commands:
        commands.write(f"square {{key}} {{low_w}} {{high_w}} {{period_s}} 0.5 0\\n")

def say(name):
    open(os.path.join({work!r}, name), "w").close()

def wait_for(name, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not os.path.exists(os.path.join({work!r}, name)):
        assert time.monotonic() < deadline, name
        time.sleep(0.005)
"""


def until(look: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "") -> T:
    """What ``look`` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what or 'what was waited for'}")
        time.sleep(0.01)
    return found


class Home:
    """A user's directories, with settings in them, and the sessions that were recorded."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.work = root / "work"
        self.config, self.jupyter = root / "config", root / "jupyter"
        self.ipython, self.runtime = root / "ipython", root / "runtime"
        for directory in (self.work, self.config, self.jupyter, self.ipython, self.runtime):
            directory.mkdir(parents=True)
        self.configure(**settings)

    def configure(self, **settings: object) -> None:
        # Where the machine that runs the tests stands, if it knows, is none of their business.
        text = json.dumps({"JupyterGreen": {"instance_data": "", **settings}})
        (self.config / "jupyter_green_config.json").write_text(text, encoding="utf-8")

    @property
    def data(self) -> Path:
        return self.jupyter / "jupyter_green"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "TZ": "UTC",
            # What is left open in a user's process is our fault; the kernel prints it.
            "PYTHONWARNINGS": "default::ResourceWarning",
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_DATA_DIR": str(self.jupyter),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_NO_CONFIG": "",
            "IPYTHONDIR": str(self.ipython),
        }

    def journals(self) -> list[Path]:
        return sorted((self.data / "sessions").glob("*.ndjson"))

    def sessions(self) -> list[Session]:
        """Every session, the oldest first."""
        loaded = [library.load(path) for path in self.journals()]
        return sorted(loaded, key=lambda session: session.started_wall_s)

    def recorders(self) -> list[Present]:
        """The recorders that live, as their presence files tell."""
        found = []
        for path in (self.data / "running").glob("*.json"):
            with suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Present))
        return [one for one in found if is_alive(one.pid, one.started)]

    def script(self, code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a plain Python script."""
        path = self.work / f"script{len(list(self.work.glob('script*.py')))}.py"
        path.write_text(code, encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, str(path), *arguments],
            cwd=self.work,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def close(self) -> None:
        """No recorder outlives its test."""
        psutil.wait_procs(self._recorder_processes(), PATIENCE_S)
        for process in self._recorder_processes():
            kill(process.pid)

    def _recorder_processes(self) -> list[psutil.Process]:
        """All of them, also those that have not begun to record, or still write the rest."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("JUPYTER_DATA_DIR") == str(self.jupyter)
                if ours and any("jupyter_green.recorder" in word for word in process.cmdline()):
                    found.append(process)
        return found


@dataclass
class Reply:
    """How a cell ended, and what it showed."""

    status: str = ""
    ename: str = ""
    evalue: str = ""
    execution_count: int | None = None
    out: str = ""
    err: str = ""
    shown: list[str] = field(default_factory=list)
    """The text forms of displays and results, in order."""
    renewed: list[str] = field(default_factory=list)
    """The text forms of displays that took the place of others."""
    bundles: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Tracebacks as they reach the front end."""
    expressions: dict[str, Any] = field(default_factory=dict)
    idle: bool = False

    @property
    def silent(self) -> bool:
        return not (self.out or self.err or self.shown or self.errors)

    @property
    def everything(self) -> str:
        return "\n".join([self.out, self.err, *self.shown, *self.errors])

    def take(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        if kind == "execute_reply":
            self.status = content["status"]
            self.ename, self.evalue = content.get("ename", ""), content.get("evalue", "")
            self.execution_count = content.get("execution_count")
            self.expressions = content.get("user_expressions") or {}
        elif kind == "stream" and content["name"] == "stdout":
            self.out += content["text"]
        elif kind == "stream":
            self.err += content["text"]
        elif kind in ("display_data", "execute_result"):
            self.bundles.append(content["data"])
            self.shown.append(content["data"].get("text/plain", ""))
        elif kind == "update_display_data":
            self.renewed.append(content["data"].get("text/plain", ""))
        elif kind == "error":
            self.errors.append("\n".join(content["traceback"]))
        elif kind == "status":
            self.idle = self.idle or content["execution_state"] == "idle"

    @property
    def complete(self) -> bool:
        return self.idle and bool(self.status)


class Kernel:
    """One kernel as a front end has it."""

    def __init__(
        self,
        home: Home,
        argv: Sequence[str] = (),
        load: bool = True,
        fifo: Path | None = None,
        **environment: str,
    ) -> None:
        self.home = home
        self._environment = {**home.environment, **environment}
        self._fifo = str(fifo or os.devnull)
        self._replies: dict[str, Reply] = {}
        self.manager = _manager(home, argv)
        self.manager.start_kernel(env=self._environment, cwd=str(home.work))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self._begin(load)
        except BaseException:
            self.close()
            raise

    def _begin(self, load: bool) -> None:
        self.client.wait_for_ready(timeout=TIMEOUT_S)
        tools = CELL_TOOLS.format(fifo=self._fifo, work=str(self.home.work))
        assert self.run(tools, silent=True).status == "ok"
        if load:
            self.load()

    def load(self) -> None:
        reply = self.run("%load_ext jupyter_green")
        assert reply.status == "ok", reply.evalue
        assert reply.silent, reply.everything
        self.look_up()

    def look_up(self) -> None:
        """Which session it is. Silent requests are not tracked, so asking changes nothing."""
        tracker = "__import__('jupyter_green.recorder.tracker', fromlist=['x']).current()"
        self.journal = Path(str(self.ask(f"str({tracker}.journal)")))
        # The journal tells seconds since the start; only the client knows when that was.
        self.start_ns = int(self.ask(f"{tracker}._client._hello.start_ns"))

    # --- talking ---

    def send(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        silent: bool = False,
        subshell: str | None = None,
        expressions: dict[str, str] | None = None,
    ) -> str:
        """Send a cell; returns the message's id."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": expressions or {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def reply(self, message_id: str, timeout_s: float = TIMEOUT_S) -> Reply:
        """Wait for a cell's end."""
        deadline = time.monotonic() + timeout_s
        reply = self._replies.setdefault(message_id, Reply())
        while not reply.complete:
            assert time.monotonic() < deadline, f"no answer in {timeout_s:g} s: {reply}"
            self._receive(self.client.get_iopub_msg, 0.02)
            self._receive(self.client.get_shell_msg, 0)
        return self._replies.pop(message_id)

    def _receive(self, get: Callable[..., dict[str, Any]], timeout_s: float) -> None:
        with suppress(Empty):
            while True:
                message = get(timeout=timeout_s)
                parent = message["parent_header"].get("msg_id", "")
                self._replies.setdefault(parent, Reply()).take(message)

    def run(self, code: str, *, timeout_s: float = TIMEOUT_S, **how: Any) -> Reply:
        return self.reply(self.send(code, **how), timeout_s)

    def ok(self, code: str, **how: Any) -> Reply:
        """Run what must not fail."""
        reply = self.run(code, **how)
        assert reply.status == "ok", (code, reply)
        return reply

    def ask(self, expression: str) -> Any:
        """The value of an expression, without a cell."""
        reply = self.run("pass", silent=True, expressions={"it": expression})
        answer = reply.expressions["it"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def open_subshell(self) -> str | None:
        """Its id; None where this kernel has no subshells."""
        self.client.kernel_info()
        features: list[str] = []

        def informed() -> bool:
            with suppress(Empty):
                message = self.client.get_shell_msg(timeout=0.1)
                if message["msg_type"] == "kernel_info_reply":
                    features[:] = message["content"].get("supported_features", ["none"])
            return bool(features)

        until(informed)
        if "kernel subshells" not in features:
            return None
        message = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(message)
        return str(self.client.get_control_msg(timeout=TIMEOUT_S)["content"]["subshell_id"])

    # --- what was recorded ---

    def session(self) -> Session:
        return library.load(self.journal)

    def events(self) -> list[AnyEvent]:
        lines = self.journal.read_bytes().split(b"\n")[:-1]
        return [decode(line) for line in lines if line]

    def cell(self, reply: Reply) -> Cell:
        """The finished run that a reply belongs to, as soon as the journal has it."""
        assert reply.execution_count is not None
        count = reply.execution_count
        return until(lambda: self._find(count), what=f"cell {count} in {self.journal}")

    def so_far(self) -> Session | None:
        """The session, if the journal has begun."""
        try:
            return self.session()
        except JournalError:
            return None

    def _find(self, execution_count: int) -> Cell | None:
        session = self.so_far()
        finished = session.cells if session is not None else ()
        cells = [cell for cell in finished if cell.execution_count == execution_count]
        assert len(cells) < 2, "a cell was recorded twice"
        return cells[0] if cells else None

    def measured(self, code: str, **how: Any) -> Cell:
        """Run a cell that must not fail; what was recorded of it."""
        return self.cell(self.ok(code, **how))

    def cells_of(self, cell_id: str) -> list[Cell]:
        session = self.so_far()
        finished = session.cells if session is not None else ()
        return [cell for cell in finished if cell.cell == digest(cell_id)]

    def span(self, name: str) -> Span:
        """The only finished span of a name."""
        found = until(lambda: self.spans(name), what=f"span {name!r}")
        assert len(found) == 1
        return found[0]

    def spans(self, name: str) -> list[Span]:
        session = self.so_far()
        finished = session.spans if session is not None else ()
        return [span for span in finished if span.name == name]

    def ns(self, t: float) -> int:
        """Monotonic nanoseconds of a time in the session."""
        return self.start_ns + round(t * 1e9)

    # --- processes ---

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)

    def recorder(self, other_than: int = 0) -> Present:
        """The living recorder of this kernel's session."""
        session = self.journal.stem

        def look() -> list[Present]:
            present = self.home.recorders()
            return [one for one in present if one.session == session and one.pid != other_than]

        return until(look, what="a living recorder")[0]

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        self.manager.restart_kernel(env=self._environment, cwd=str(self.home.work))
        self._replies.clear()
        self._begin(load=True)

    def shutdown(self) -> None:
        """As a front end does it: asks the kernel to end."""
        self.manager.shutdown_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def _manager(home: Home, argv: Sequence[str]) -> KernelManager:
    """Of this very Python, or of the command that is given."""
    specs = home.jupyter / "test-kernels"
    command = argv or (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    spec = {"argv": list(command), "display_name": "test", "language": "python"}
    (specs / "test").mkdir(parents=True, exist_ok=True)
    (specs / "test" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    finder = KernelSpecManager(kernel_dirs=[str(specs)], ensure_native_kernel=False)
    connection = home.runtime / f"kernel-{len(list(home.runtime.iterdir()))}.json"
    return KernelManager(
        kernel_name="test",
        kernel_spec_manager=finder,
        connection_file=str(connection),
        shutdown_wait_time=PATIENCE_S,
    )


@contextmanager
def running(home: Home, **how: Any) -> Iterator[Kernel]:
    """A kernel for one block."""
    kernel = Kernel(home, **how)
    try:
        yield kernel
    finally:
        kernel.close()


# --- processes ----------------------------------------------------------------------------


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(one: Present) -> bool:
    return not is_alive(one.pid, one.started)


def wait_gone(one: Present, timeout_s: float = PATIENCE_S) -> None:
    until(lambda: gone(one), timeout_s, f"the end of process {one.pid}")
