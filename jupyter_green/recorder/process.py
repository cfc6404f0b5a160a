"""The recorder process: ``python -m jupyter_green.recorder.process``.

Standard input brings marks, standard output takes acknowledgements and answers, standard error
what panels are told. It lives in an OS session
of its own, because Jupyter kills a kernel's whole process group. It ends when the kernel says
goodbye or dies; a closed pipe alone does not tell, since forked workers of the kernel keep the
pipe open, so the kernel's process is watched as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

import msgspec

from jupyter_green.clock import Clock, SystemClock
from jupyter_green.events import AnyEvent, Event, IntensityChanged
from jupyter_green.processes import is_alive
from jupyter_green.recorder import watching, wire
from jupyter_green.recorder.attribution import CpuMeter, ProcessTree
from jupyter_green.recorder.feed import Feed
from jupyter_green.recorder.gauge import Gauge
from jupyter_green.recorder.intensity import follow
from jupyter_green.recorder.journal import Journal
from jupyter_green.recorder.presence import Presence
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.recorder.teller import Teller
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.retention import prune_expired
from jupyter_green.sources.counter import Device
from jupyter_green.sources.detect import detect

LOOK_AROUND_S = 5.0
"""Seconds between two looks for other sessions."""
SETTLE_S = 1.0
"""A question waits so long for the disk before it is answered without."""
CLOSE_S = 20.0
"""So long a full or slow disk is tried again after the session's end."""
LAST_WORDS_S = 0.03
"""After the kernel's death the pipe is read for so long: its last marks are in there."""
WATCH_S = 0.25
"""Where the kernel's death makes no sound, it is looked for this often."""


class Gone:
    """Put into the inbox when the kernel is dead."""


class Closed:
    """Put into the inbox at the end of standard input."""


Message = bytes | type[Gone] | type[Closed] | watching.Message | IntensityChanged
Inbox = SimpleQueue[Message]


class Question(NamedTuple):
    """The kernel waits for the marks up to one."""

    mark: int
    request: int
    soon: bool


class Replies:
    """Writes to the kernel without ever waiting for it.

    Acknowledgements are cumulative, so one that does not fit is simply left out. An answer to
    a question is tried for a moment.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        if hasattr(os, "set_blocking"):
            with contextlib.suppress(OSError):
                os.set_blocking(fd, False)

    def send(self, message: wire.ToKernel, patience_s: float = 0.0) -> None:
        data = wire.encode(message)
        until = time.monotonic() + patience_s
        written = 0
        with self._lock:
            while written < len(data):
                try:
                    written += os.write(self._fd, data[written:])
                except BlockingIOError:
                    # A line that was begun must be finished, or the next is damaged as well.
                    if not written and time.monotonic() >= until:
                        return
                    time.sleep(0.005)
                except OSError:
                    return  # the kernel is gone; its watcher says so


class Recorder:
    """Joins the sampler to pipes, journal and the watch over the kernel."""

    def __init__(
        self, hello: wire.Hello, inbox: Inbox, replies: Replies, teller: Teller, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._replies = replies
        self._teller = teller
        self._journal = Journal(Path(hello.journal), self._acknowledge)
        self._presence = Presence(
            Path(hello.settings.data_dir), hello.session, hello.kernel_pid, hello.notebook
        )
        self._looked_s = 0.0
        self._questions: deque[Question] = deque()
        self._settings = hello.settings
        self._feed = Feed(
            Path(hello.journal), self._tell, lambda: self._journal.settle(SETTLE_S), time.monotonic
        )
        self._gauge = Gauge(replies.send)
        self._intensity = follow(hello.settings, inbox.put)
        detection = detect(hello.settings, devices=True)
        self._watches = self._watch(detection.devices, hello, clock)
        self._sampler = Sampler(
            detection,
            clock,
            hello.start_ns,
            hello.settings,
            self._emit,
            CpuMeter(hello.kernel_pid, hello.settings.procfs_root),
            self._watches,
        )
        self._sampler.gauge = self._gauge
        if hello.restart:
            self._resume(Path(hello.journal), hello.restart)
        for watch in self._watches:
            watch.start()

    def _watch(
        self, devices: Iterable[Device], hello: wire.Hello, clock: Clock
    ) -> list[watching.WatchThread]:
        """One thread a device."""
        tree = ProcessTree(hello.kernel_pid)
        all_visible = hello.settings.gpus == "visible"
        watches = []
        for device in devices:
            watcher = watching.Watcher(device, clock, tree, all_visible=all_visible)
            watcher.visible = hello.visible
            watches.append(watching.WatchThread(watcher, self._inbox.put, clock))
        return watches

    def _resume(self, journal: Path, reason: str) -> None:
        fold = Fold()
        with contextlib.suppress(OSError):  # the recorder before may have written nothing
            fold.feed_lines(journal.read_bytes())
        self._sampler.resume(fold, reason)
        self._gauge.resume(fold)
        self._acknowledge(fold.marks)

    def _emit(self, event: Event) -> None:
        self._journal.append(event)
        self._feed.take(event)
        self._gauge.follow(event)

    def _tell(self, told: wire.Told) -> None:
        self._teller.send(msgspec.structs.replace(told, problem=self._journal.problem))

    def _acknowledge(self, n: int) -> None:
        self._replies.send(wire.Ack(n))

    def run(self) -> None:
        """Until the kernel says goodbye or dies."""
        self._presence.announce()
        self._replies.send(wire.Ready(os.getpid()))
        while not self._sampler.ended:
            due_s = min(self._sampler.due_s(), self._feed.due_s())
            for message in received(self._inbox, due_s):
                self._handle(message)
                # A burst of marks must not keep the samples away that place them, nor the panels
                # from what has come.
                self._sampler.sample_if_due()
                self._feed.on_time(self._sampler.running)
            # What is told before the session's first mark would stand before its header.
            if self._intensity is not None and self._sampler.marks:
                self._intensity.start()
            self._sampler.watched = self._feed.awake
            self._sampler.on_time()
            self._feed.on_time(self._sampler.running)
            self._answer_questions()
            self._look_around()
        for watch in self._watches:
            watch.stop()
        if self._intensity is not None:
            self._intensity.stop()
        self._sampler.complete()
        self._feed.close()
        self._teller.close()
        self._journal.close(CLOSE_S)
        self._presence.leave()
        prune_expired(self._settings)

    def _handle(self, message: Message) -> None:
        if message is Closed:
            self._sampler.on_death()
        elif message is Gone:
            self._hear_out()
            self._sampler.on_death()
        elif isinstance(message, bytes):
            self._handle_line(message)
        elif isinstance(message, IntensityChanged):
            if self._intensity is not None and not self._intensity.stopped:
                self._sampler.stamp(message)
        elif isinstance(message, watching.Message):
            self._sampler.on_seen(message)

    def _hear_out(self) -> None:
        """Marks that the kernel sent before it died may still be on their way."""
        until = time.monotonic() + LAST_WORDS_S
        while (left_s := until - time.monotonic()) > 0:
            for message in received(self._inbox, left_s):
                if isinstance(message, bytes):
                    self._handle_line(message)

    def _handle_line(self, line: bytes) -> None:
        try:
            message = wire.decode_for_recorder(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a mark that was torn when its writer died comes again
        if isinstance(message, wire.Mark):
            if self._intensity is not None and isinstance(message.event, IntensityChanged):
                self._intensity.stop()  # the user has the last word
            self._sampler.on_mark(message)
        elif isinstance(message, wire.CatchUp):
            self._questions.append(Question(self._sampler.marks, message.request, message.soon))
        elif isinstance(message, wire.Visible):
            for watch in self._watches:
                watch.show(message.devices)
        elif isinstance(message, wire.Watch):
            self._feed.watch(message)
        elif isinstance(message, wire.Gauge):
            self._gauge.ask(message)
            self._sampler.look()

    def _answer_questions(self) -> None:
        """Answer those whose marks are all complete, or complete enough for who asks."""
        for question in list(self._questions):
            provisional: list[AnyEvent] | None = []
            if question.mark > self._sampler.finished:
                provisional = self._sampler.provisional(question.mark) if question.soon else None
            if provisional is not None:
                self._questions.remove(question)
                self._answer(question.request, provisional)

    def _answer(self, request: int, provisional: list[AnyEvent]) -> None:
        self._sampler.flush(2**63)
        unwritten = self._journal.settle(SETTLE_S)
        problem = self._journal.problem if unwritten else ""
        answer = wire.CaughtUp(request, unwritten, problem, provisional)
        self._replies.send(answer, patience_s=1.0)

    def _look_around(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_AROUND_S:
            return
        self._looked_s = now_s
        for overlap in self._presence.newly_seen():
            self._sampler.note(overlap)


def received(inbox: Inbox, timeout_s: float) -> Iterator[Message]:
    """What is in the inbox, after waiting for the first message at most ``timeout_s``."""
    try:
        yield inbox.get(timeout=timeout_s) if timeout_s > 0 else inbox.get_nowait()
        while True:
            yield inbox.get_nowait()
    except Empty:
        return


def watch(pid: int, started: float) -> None:
    """Return as soon as the process is dead."""
    if not is_alive(pid, started):
        return
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        # macOS, Windows, sandboxes without pidfd.
        while is_alive(pid, started):
            time.sleep(WATCH_S)
        return
    try:
        select.select([pidfd], [], [])
    finally:
        os.close(pidfd)


def let_the_kernel_go_first() -> None:
    """Every mark wakes the recorder; it must not take the CPU from the cell that sent it.

    Batch scheduling (sched(7)) takes away the preemption on waking, and no share of the CPU:
    it halves what tracking adds to a short cell.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> int:
    """Run as a recorder. Exit status 0 unless the recorder itself is at fault."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    let_the_kernel_go_first()
    replies = Replies(sys.stdout.fileno())
    inbox: Inbox = SimpleQueue()

    def listen() -> None:
        wire.read_lines(sys.stdin.fileno(), inbox.put)
        inbox.put(Closed)

    threading.Thread(target=listen, name="pipe", daemon=True).start()
    first = inbox.get()
    if not isinstance(first, bytes):
        return 0
    try:
        hello = wire.decode_for_recorder(first)
        if not isinstance(hello, wire.Hello):
            raise ValueError(f"the first line must be hello, it is {first[:80]!r}")

        def wait_for_death() -> None:
            watch(hello.kernel_pid, hello.kernel_started)
            inbox.put(Gone)

        threading.Thread(target=wait_for_death, name="kernel watch", daemon=True).start()
        Recorder(hello, inbox, replies, Teller(sys.stderr.fileno()), SystemClock()).run()
    except Exception:
        replies.send(wire.Failed(traceback.format_exc(limit=-3)), patience_s=0.5)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
