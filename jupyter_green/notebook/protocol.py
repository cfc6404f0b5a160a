"""What panels and kernel say to each other. The twin is ``labextension/src/feed/protocol.ts``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from jupyter_green import __version__
from jupyter_green.recorder.wire import Told

PROTOCOL = 1
"""Raised when a message changes its meaning."""
COMM_ID = "jupyter_green"
"""The same in every kernel: a page that was reloaded finds the comm without asking."""
TARGET = "jupyter_green"

Text = Annotated[str, Meta(max_length=500)]
Client = Annotated[str, Meta(min_length=1, max_length=64)]
Position = Annotated[int, Meta(ge=0, le=2**53)]

# --- panel to kernel ---


class Preferences(Struct, frozen=True, kw_only=True):
    """What holds where nothing is configured for the kernel."""

    place: Text | None = None
    price_per_kwh: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    currency: Annotated[str, Meta(max_length=16)] | None = None


class Greeting(Struct, frozen=True, kw_only=True, tag="hello"):
    """A panel appears."""

    protocol: int
    version: Text
    client: Client
    preferences: Preferences = Preferences()


class Look(Struct, frozen=True, kw_only=True, tag="watch"):
    """Whether a panel can be seen, and what it has already."""

    client: Client
    visible: bool
    refresh_s: Annotated[float, Meta(ge=0.5, le=60)] = 1.0
    stream: Text | None = None
    next: Position | None = None


class Track(Struct, frozen=True, kw_only=True, tag="track"):
    """Pause or resume."""

    on: bool


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """Something that has an answer."""

    request: Position
    client: Client
    what: Literal["places", "place", "examine", "savings", "export"]
    argument: Text | None = None


ToKernel = Greeting | Look | Track | Ask


class NotUnderstood(ValueError):
    """A message that cannot be used; the text says why."""


class _Who(Struct):
    """What a refused message may still tell of its sender."""

    request: int | None = None
    client: Client | None = None


def parse(data: Any) -> ToKernel:
    """A message of a panel.

    Raises:
        NotUnderstood: it is none, or out of range.
    """
    try:
        message: ToKernel = msgspec.convert(data, ToKernel)
    except msgspec.ValidationError as error:
        raise NotUnderstood(f"the message cannot be used: {error}") from None
    return message


# --- kernel to panel ---


def hello(session: str) -> dict[str, Any]:
    """The answer to a greeting, and the announcement of a session that begins."""
    return {"type": "hello", "protocol": PROTOCOL, "version": __version__, "session": session}


def told(message: Told) -> dict[str, Any]:
    """A piece of the stream; its bytes travel beside it."""
    match message.what:
        case "snapshot":
            more = {"part": message.part, "parts": message.parts, "next": message.next}
        case "events":
            more = {"from": message.start, "next": message.next}
        case _:
            return {"type": message.what}
    return {"type": message.what, "stream": message.stream, **more}


def state(problems: tuple[str, ...]) -> dict[str, Any]:
    """All that is wrong beside the stream."""
    return {"type": "state", "problems": list(problems)}


def goodbye() -> dict[str, Any]:
    """The session was ended."""
    return {"type": "goodbye"}


def answer(ask: Ask, value: Any) -> dict[str, Any]:
    """What was asked for."""
    return {"type": "answer", "request": ask.request, "client": ask.client, "value": value}


def refused(data: Any, reason: str) -> dict[str, Any]:
    """Why a message cannot be used, to whoever sent it as far as that can be told."""
    try:
        who = msgspec.convert(data, _Who)
    except msgspec.ValidationError:
        who = _Who()
    return {"type": "refused", "request": who.request, "client": who.client, "reason": reason}
