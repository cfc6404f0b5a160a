"""What kernel and recorder say to each other: lines of JSON over two pipes.

Marks are one-way. A mark is an event without its stamp: the kernel adds the time and what it
could read in place, the recorder completes the stamp and writes the event. The kernel keeps
every mark until its number is acknowledged, which happens when the journal has it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
from msgspec import Struct

from jupyter_green.events import AnyEvent
from jupyter_green.settings import Settings


class Hello(Struct, frozen=True, tag="hello"):
    """The recorder's first line of input."""

    settings: Settings
    journal: str
    session: str
    start_ns: int
    """Monotonic time of the session's start: t = 0."""
    kernel_pid: int
    kernel_started: float
    notebook: str | None = None
    visible: str | None = None
    """The kernel's ``CUDA_VISIBLE_DEVICES``."""
    restart: str = ""
    """Why an earlier recorder is replaced; empty for the first."""


class Mark(Struct, frozen=True, tag="mark", gc=False):
    """An event of the kernel, with what was read in place."""

    n: int
    t_ns: int
    spread_ns: int
    """Time between the clock readings before and after reading the counters."""
    raw: dict[str, int]
    """Raw microjoules of the counters that the kernel reads itself."""
    event: AnyEvent


class CatchUp(Struct, frozen=True, tag="catch_up"):
    """Asks for an answer as soon as every mark before it is in the journal."""

    request: int
    soon: bool = False
    """Or as soon as these marks wait for nothing but the next ticks of devices."""


class Visible(Struct, frozen=True, tag="visible"):
    """The kernel has changed its ``CUDA_VISIBLE_DEVICES``."""

    devices: str | None


class Watch(Struct, frozen=True, kw_only=True, tag="watch"):
    """Whether somebody looks at the stream, and from where on; answered by :class:`Told`."""

    on: bool
    refresh_s: float = 1.0
    """Seconds between two messages at the least."""
    stream: str | None = None
    next: int | None = None
    """What who asks has already; anything else than the present position asks for a snapshot."""
    fresh: bool = True
    """Somebody new looks; else only how often changes."""
    others: bool = False
    """Others look as well, and must not miss anything."""
    keyframes: bool = False
    """Nobody can ask while a cell runs: send snapshots unasked."""


class Gauge(Struct, frozen=True, tag="gauge"):
    """What somebody wants to know of the energy so far; see :class:`Level`."""

    on: bool
    """Levels a few times a second."""
    limits_uj: list[int] = []
    """A level at once when the session has used so much."""


class Ready(Struct, frozen=True, tag="ready"):
    """The recorder samples from now on."""

    pid: int


class Ack(Struct, frozen=True, tag="ack"):
    """All marks up to this number are in the journal."""

    n: int


class CaughtUp(Struct, frozen=True, tag="caught_up"):
    """The answer to :class:`CatchUp`."""

    request: int
    unwritten: list[AnyEvent] = []
    """Events that the disk has not taken yet; they follow what is in the journal."""
    problem: str = ""
    """Why they are not written, in one sentence."""
    provisional: list[AnyEvent] = []
    """Marks that are known, but for the next ticks of devices; they follow all others."""


class Told(Struct, frozen=True, kw_only=True, tag="told"):
    """A piece of the stream for those who look; see :class:`~jupyter_green.recorder.feed.Feed`."""

    what: str
    """snapshot, events or asleep."""
    stream: str = ""
    start: int = 0
    next: int = 0
    """Positions: events from ``start`` up to, and without, ``next``."""
    part: int = 0
    parts: int = 1
    data: bytes = b""
    """Lines of the journal, deflated (zlib, RFC 1950). A snapshot's parts are joined first."""
    problem: str = ""
    """Why the disk does not take the journal at present."""


class Level(Struct, frozen=True, kw_only=True, tag="level", gc=False):
    """How much the session has used so far."""

    t: float
    """When that was, in seconds since the session's start."""
    uj: int
    """Counted microjoules since the session's start, of the counters that can be read."""
    power_w: float | None = None
    """Over the last reading or so."""
    missing: list[str] = []
    """Counted counters that cannot be read now: the energy is this or more."""
    modelled: bool = False
    """A part of it is modelled."""
    g_per_kwh: float | None = None
    """Carbon intensity in force now, without the PUE; None: no place is set."""
    pue: float = 1.0


class Failed(Struct, frozen=True, tag="failed"):
    """The recorder ends because of an error of its own."""

    reason: str


ToRecorder = Hello | Mark | CatchUp | Visible | Watch | Gauge
ToKernel = Ready | Ack | CaughtUp | Told | Level | Failed

_encoder = msgspec.json.Encoder()
_to_recorder = msgspec.json.Decoder(ToRecorder)
_to_kernel = msgspec.json.Decoder(ToKernel)


def encode(message: ToRecorder | ToKernel) -> bytes:
    """One message as one line."""
    return _encoder.encode(message) + b"\n"


def decode_for_recorder(line: bytes) -> ToRecorder:
    """A line from the kernel."""
    message: ToRecorder = _to_recorder.decode(line)
    return message


def decode_for_kernel(line: bytes) -> ToKernel:
    """A line from the recorder."""
    message: ToKernel = _to_kernel.decode(line)
    return message


def read_lines(fd: int, put: Callable[[bytes], None]) -> None:
    """Hand on every line that arrives, until the pipe is closed."""
    rest = b""
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except OSError:
            return
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            put(line)
