"""The kernel's side of the recorder: sends marks, never waits, survives the recorder's death.

A mark costs a few microseconds: two looks at the clock, one ``pread`` a counter, one line of
JSON, one write to a pipe. Marks stay in a bounded ring until the journal has them, and are
sent again to a new recorder when the old one dies.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from jupyter_green.clock import Clock
from jupyter_green.events import AnyEvent
from jupyter_green.recorder import wire
from jupyter_green.recorder.inline import Inline
from jupyter_green.recorder.levels import Levels
from jupyter_green.sources.counter import Detection

_write = os.write  # users and their libraries replace functions, too

RING = 20_000
"""Marks that are kept until they are acknowledged."""
SPREAD_NS = 200_000
"""Readings that took longer than this between two looks at the clock are taken again ..."""
TRIES = 3
"""... at most so often; the narrowest one counts, with a wider bound."""
FULL_PIPE_S = 0.005
"""A pipe that was full is tried again after so long."""
RESTARTS = 5
RESTART_WINDOW_S = 60.0
"""A recorder that dies more often than this is not started again; cells keep their two
boundary readings, without samples in between."""

LAST_WORDS_S = 0.2

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from jupyter_green.recorder.process import main; sys.exit(main())"
)
"""The kernel may have found the package on a path of its own. At the end of the path it is
found as well, and shadows nothing of the standard library."""


class Client:
    """One session's connection to its recorder process."""

    def __init__(self, hello: wire.Hello, detection: Detection, clock: Clock) -> None:
        self.problem = ""
        """What went wrong with the recorder, in one sentence; empty while all is well."""
        self.told: Callable[[wire.Told], None] | None = None
        """Takes what the recorder tells those who watch; called from a thread of its own."""
        self.levels = Levels(self._gauge)
        """How much the session has used so far, for those who ask."""
        self._watch = wire.Watch(on=False)
        self._hello = hello
        self._detection = detection
        self._in_place = tuple(source for source in detection.sources if source.in_place)
        self._absolute = tuple(source for source in detection.sources if source.absolute)
        self._clock = clock
        self._lock = threading.Lock()
        self._n = 0
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=RING)
        self._acknowledged_n = 0
        self._outbox = bytearray()
        self._sender: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._inline: Inline | None = None
        self._ready = False
        self._closed = False
        self._starts: deque[float] = deque(maxlen=RESTARTS + 1)
        self._requests = 0
        self._pending: set[int] = set()
        self._answers: dict[int, wire.CaughtUp] = {}
        self._answered = threading.Condition()
        _clients.add(self)
        self._start(hello)

    # --- marks ---

    def mark(self, event: AnyEvent) -> int:
        """Stamp an event now. Returns the mark's number; 0 after ``close`` and in a fork."""
        with self._lock:
            if self._closed:
                return 0
            self._n += 1
            t_ns, spread_ns, raw = self._read()
            mark = wire.Mark(self._n, t_ns, spread_ns, raw, event)
            if self._inline is not None:
                self._inline.on_mark(mark)
                return self._n
            line = wire.encode(mark)
            self._ring.append((self._n, line))
            self._send(line)
            return self._n

    def show(self, visible: str | None) -> None:
        """Tell which devices the kernel lets itself see, if that has changed."""
        if visible == self._hello.visible:
            return
        with self._lock:
            self._hello = msgspec.structs.replace(self._hello, visible=visible)
            if not self._closed and self._inline is None:
                self._send(wire.encode(wire.Visible(visible)))

    def ask_nobody(self) -> None:
        """The user sets the place: a recorder that takes over must not ask a provider again."""
        with self._lock:
            replace = msgspec.structs.replace
            settings = replace(self._hello.settings, intensity_provider="")
            self._hello = replace(self._hello, settings=settings)

    def watch(self, watch: wire.Watch) -> None:
        """Tell that somebody looks at the stream, or that nobody does any more."""
        with self._lock:
            self._watch = watch
            if self._closed:
                return
            if self._inline is not None:
                self._inline.watch(watch, self._lock)
            else:
                self._send(wire.encode(watch))

    def _gauge(self, message: wire.Gauge) -> None:
        with self._lock:
            if self._closed:
                return
            if self._inline is not None:
                self._inline.gauge(message, self._lock)
            else:
                self._send(wire.encode(message))

    def _watch_anew(self) -> wire.Watch:
        """To one who takes over, everybody is new."""
        return msgspec.structs.replace(self._watch, fresh=True)

    def _read(self) -> tuple[int, int, dict[str, int]]:
        """Time and the readings taken at it, as close together as the machine allows."""
        now_ns = self._clock.now_ns
        # Until the recorder samples, nobody else reads the slower counters.
        sources = self._in_place if self._ready else self._absolute
        slow = len(sources) > len(self._in_place)
        best: tuple[int, int, dict[str, int]] | None = None
        for _ in range(TRIES):
            before_ns = now_ns()
            raw: dict[str, int] = {}
            for source in sources:
                raw.update(source.read(before_ns))
            spread_ns = now_ns() - before_ns
            if best is None or spread_ns < best[1]:
                best = (before_ns + spread_ns // 2, spread_ns, raw)
            if spread_ns < SPREAD_NS or slow:
                break
        assert best is not None
        return best

    def _send(self, line: bytes) -> None:
        """Write without waiting; what does not fit goes as soon as it does."""
        self._outbox += line
        try:
            while self._outbox:
                written = _write(self._pipe, self._outbox)
                del self._outbox[:written]
        except BlockingIOError:
            self._send_later()
        except OSError:
            self._outbox.clear()  # it has died; the listener starts another from the ring

    def _send_later(self) -> None:
        """Let a thread send the rest: the next mark may be far away, or never come."""
        if self._sender is not None:
            return
        self._sender = threading.Thread(
            target=self._send_on, name="jupyter_green sender", daemon=True
        )
        try:
            self._sender.start()
        except RuntimeError:
            self._sender = None  # the interpreter ends, and ``close`` sends what it can

    def _send_on(self) -> None:
        while True:
            time.sleep(FULL_PIPE_S)
            with self._lock:
                if self._outbox and not self._closed:
                    self._send(b"")
                if not self._outbox or self._closed:
                    self._sender = None
                    return

    # --- questions ---

    def catch_up(self, timeout_s: float, *, soon: bool = False) -> wire.CaughtUp | None:
        """Wait until the journal holds every mark so far; None if no answer came in time.

        ``soon``: do not wait for the next ticks of devices; marks that do come provisionally.
        """
        with self._lock:
            if self._closed:
                return None
            inline = self._inline
            if inline is not None:
                inline.complete()
        # The wait for the disk is outside the lock: marks go on.
        return inline.settle(timeout_s) if inline is not None else self._ask(timeout_s, soon)

    def _ask(self, timeout_s: float, soon: bool) -> wire.CaughtUp | None:
        with self._lock:
            self._requests += 1
            request = self._requests
            self._pending.add(request)
            self._send(wire.encode(wire.CatchUp(request, soon)))
        try:
            return self._await(request, timeout_s)
        finally:
            self._pending.discard(request)

    def _await(self, request: int, timeout_s: float) -> wire.CaughtUp | None:
        deadline = time.monotonic() + timeout_s
        with self._answered:
            while request not in self._answers:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._closed or self._inline is not None:
                    return None
                self._answered.wait(min(left_s, 0.05))
            return self._answers.pop(request)

    # --- the recorder process ---

    def _start(self, hello: wire.Hello) -> None:
        """Start a recorder and send it every mark that no journal has acknowledged."""
        self._starts.append(time.monotonic())
        try:
            process = subprocess.Popen(
                # -P: a random.py in the user's working directory is not for the recorder.
                [sys.executable, "-P", "-c", BOOT, PACKAGE_ROOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # For panels: a long message that the kernel is too busy to read must not keep
                # acknowledgements and answers waiting behind it.
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._go_inline(f"no recorder process could be started: {error}")
            return
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        with contextlib.suppress(OSError, AttributeError):
            os.set_blocking(pipe, False)
        with self._lock:
            self._process, self._pipe = process, pipe
            self._ready = False
            self._say_what_is_lost()
            self._outbox.clear()
            self._send(wire.encode(hello))
            for _, line in self._ring:
                self._send(line)
            for request in sorted(self._pending):
                self._send(wire.encode(wire.CatchUp(request)))
            if self._watch.on:
                self._send(wire.encode(self._watch_anew()))
            wanted = self.levels.wanted()
            if wanted.on or wanted.limits_uj:
                self._send(wire.encode(wanted))
        threading.Thread(
            target=self._listen, args=(process,), name="jupyter_green", daemon=True
        ).start()
        self._teller = threading.Thread(
            target=self._pass_on, args=(process,), name="jupyter_green panels", daemon=True
        )
        self._teller.start()

    def _say_what_is_lost(self) -> None:
        """Marks that the ring had to give up are with the dead recorder, or nowhere."""
        lost = self._ring[0][0] - self._acknowledged_n - 1 if self._ring else 0
        if lost > 0:
            self.problem = (
                f"{lost} marks may be lost: the recorder died with more than {RING:,} of them "
                "still to write"
            )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take acknowledgements and answers until the recorder ends."""
        assert process.stdout is not None
        wire.read_lines(process.stdout.fileno(), self._handle_line)
        process.stdout.close()
        status = _reap(process)
        self._hang_up(process)
        if not self._closed and process is self._process:
            self._replace(status)

    def _hang_up(self, process: subprocess.Popen[bytes]) -> None:
        """Close the pipe to a dead recorder; its number may be that of another file next."""
        assert process.stdin is not None
        with self._lock:
            if process is self._process:
                self._pipe = -1
            process.stdin.close()

    def _handle_line(self, line: bytes) -> None:
        try:
            message = wire.decode_for_kernel(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # torn by the recorder's death; what matters comes again
        match message:
            case wire.Ack():
                self._acknowledged(message.n)
            case wire.Ready():
                self._ready = True
            case wire.CaughtUp():
                with self._answered:
                    if message.request in self._pending:
                        self._answers[message.request] = message
                        self._answered.notify_all()
            case wire.Level():
                self._take_level(message)
            case wire.Failed():
                self.problem = f"the recorder failed: {message.reason.splitlines()[-1]}"

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        """Hand on what the recorder tells panels, until it ends."""
        assert process.stderr is not None
        wire.read_lines(process.stderr.fileno(), self._handle_told)
        process.stderr.close()

    def _handle_told(self, line: bytes) -> None:
        # Whatever else a process writes to its standard error is no message.
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            message = wire.decode_for_kernel(line)
            if isinstance(message, wire.Told):
                self._tell(message)

    def _tell(self, told: wire.Told) -> None:
        try:
            if self.told is not None:
                self.told(told)
        except Exception as error:
            self.problem = f"panels could not be told: {type(error).__name__}: {error}"

    def _take_level(self, level: wire.Level) -> None:
        try:
            self.levels.take(level)
        except Exception as error:
            self.problem = f"a limit could not be kept: {type(error).__name__}: {error}"

    def _acknowledged(self, n: int) -> None:
        with self._lock:
            self._acknowledged_n = max(n, self._acknowledged_n)
            while self._ring and self._ring[0][0] <= n:
                self._ring.popleft()

    def _replace(self, status: int | None) -> None:
        """The recorder died: start another, unless it dies again and again."""
        self._ready = False
        how = f"exit status {status}" if status is None or status >= 0 else f"signal {-status}"
        now_s = time.monotonic()
        if len(self._starts) > RESTARTS and now_s - self._starts[0] < RESTART_WINDOW_S:
            self._go_inline(
                f"the recorder died {len(self._starts)} times in {RESTART_WINDOW_S:.0f} s ({how})"
            )
            return
        hello = msgspec.structs.replace(self._hello, restart=f"the recorder died ({how})")
        self._start(hello)

    def _go_inline(self, reason: str) -> None:
        """No recorder: the kernel completes and writes its own marks."""
        self.problem = f"{reason}; cells are measured at their boundaries only, and GPUs not at all"
        with self._lock:
            if self._closed:
                return
            # Asking the kernel's own process to read everything costs it a little time.
            self._ready = False
            self._inline = Inline(
                self._hello,
                self._detection,
                self._clock,
                self.problem,
                self._tell,
                self._take_level,
            )
            for _, line in self._ring:
                mark = wire.decode_for_recorder(line)
                assert isinstance(mark, wire.Mark)
                self._inline.on_mark(mark)
            self._ring.clear()
            if self._watch.on:
                self._inline.watch(self._watch_anew(), self._lock)
            self._inline.gauge(self.levels.wanted(), self._lock)

    # --- the end ---

    def close(self, timeout_s: float = 1.0) -> None:
        """Let the recorder write the rest and end. The last mark must be session_ended."""
        deadline = time.monotonic() + timeout_s
        if self._inline is not None:
            self._inline.close(timeout_s)
        else:
            self._hand_in(deadline)
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            _let_go(process, max(0.1, deadline - time.monotonic()))
            # What the recorder told at its end is still to be passed on.
            self._teller.join(LAST_WORDS_S)
        self._detection.close()

    def _hand_in(self, deadline: float) -> None:
        """Wait until the last marks are in the pipe of a living recorder."""
        while time.monotonic() < deadline:
            with self._lock:
                if not self._outbox and self._process is not None:
                    # A recorder that died unseen would take the marks with it.
                    if self._process.poll() is None or not self._ring:
                        return
                else:
                    self._send(b"")
            time.sleep(0.005)

    def disown(self) -> None:
        """In a forked child: the recorder belongs to the parent."""
        self._lock = threading.Lock()
        self._answered = threading.Condition()
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # not ours to wait for
            for pipe in (process.stdin, process.stdout, process.stderr):
                # Unbuffered, so no thread of the parent can have held a lock on them.
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()


def _reap(process: subprocess.Popen[bytes]) -> int | None:
    """Exit status of a recorder whose output has ended; None if it does not end."""
    try:
        return process.wait(2.0)
    except subprocess.TimeoutExpired:
        return None


def _let_go(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Close the pipe to a recorder that ends by itself, perhaps (on a slow disk) after us."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.returncode = 0  # it is on its own; no warning about it at our exit


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
"""Those that a forked child has to give up."""


def _disown_all() -> None:
    for client in list(_clients):
        client.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
