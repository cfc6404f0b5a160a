"""What panels may send, and that both ends mean the same by it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green import __version__
from jupyter_green.notebook import protocol
from jupyter_green.notebook.protocol import Ask, Greeting, Look, NotUnderstood, Preferences, Track
from jupyter_green.recorder.wire import Told

TYPESCRIPT = Path(__file__).parents[2] / "labextension" / "src" / "feed" / "protocol.ts"

GOOD: list[dict[str, Any]] = [
    {"type": "hello", "protocol": 1, "version": "0.1.0", "client": "c"},
    {"type": "hello", "protocol": 1, "version": "", "client": "c", "preferences": {"place": "FR"}},
    {"type": "watch", "client": "c", "visible": True, "refresh_s": 2, "stream": None, "next": None},
    {"type": "watch", "client": "c", "visible": False, "stream": "a", "next": 7},
    {"type": "track", "on": False},
    {"type": "ask", "request": 3, "client": "c", "what": "place", "argument": "FR"},
    {"type": "ask", "request": 4, "client": "c", "what": "places"},
]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["hello", "watch", "track", "ask", "places", "c"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
keys = sorted({key for message in GOOD for key in message})
nearly = st.builds(
    lambda good, changes, without: {
        key: value for key, value in {**good, **changes}.items() if key not in without
    },
    st.sampled_from(GOOD),
    st.dictionaries(st.sampled_from(keys), anything, max_size=2),
    st.sets(st.sampled_from(keys), max_size=1),
)


@pytest.mark.parametrize("message", GOOD, ids=lambda message: str(message["type"]))
def test_messages_of_a_panel_are_understood(message: dict[str, Any]) -> None:
    parsed = msgspec.to_builtins(protocol.parse(message))
    assert {**parsed, "preferences": 0} == {**parsed, **message, "preferences": 0}


def test_what_may_be_left_out() -> None:
    assert protocol.parse(GOOD[0]) == Greeting(protocol=1, version="0.1.0", client="c")
    look = protocol.parse({"type": "watch", "client": "c", "visible": True})
    assert look == Look(client="c", visible=True, refresh_s=1.0, stream=None, next=None)
    assert protocol.parse(GOOD[4]) == Track(on=False)
    ask = protocol.parse(GOOD[6])
    assert isinstance(ask, Ask)
    assert ask.argument is None


def test_what_a_newer_panel_adds_is_passed_over() -> None:
    assert protocol.parse({**GOOD[4], "since": "2.0"}) == Track(on=False)


@settings(max_examples=500, deadline=None)
@given(anything | nearly)
def test_anything_is_understood_or_refused_with_a_reason(data: Any) -> None:
    message, reason = understood(data)
    if message is None:
        assert "cannot be used" in reason
        assert len(reason) < 500
        return
    assert isinstance(message, Greeting | Look | Track | Ask)
    if isinstance(message, Look):
        assert 0.5 <= message.refresh_s <= 60
        assert 1 <= len(message.client) <= 64
        assert message.next is None or 0 <= message.next <= 2**53


def understood(data: Any) -> tuple[protocol.ToKernel | None, str]:
    try:
        return protocol.parse(data), ""
    except NotUnderstood as error:
        return None, str(error)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x" * 10_000,
        {},
        {"type": None},
        {"type": "Watch", "client": "c", "visible": True},
        {**GOOD[0], "protocol": "1"},
        {**GOOD[0], "client": ""},
        {**GOOD[0], "client": "c" * 65},
        {**GOOD[0], "version": "v" * 501},
        {**GOOD[0], "preferences": {"price_per_kwh": -0.1}},
        {**GOOD[0], "preferences": {"price_per_kwh": math.inf}},
        {**GOOD[0], "preferences": {"price_per_kwh": math.nan}},
        {**GOOD[0], "preferences": {"currency": "x" * 17}},
        {**GOOD[2], "refresh_s": 0.49},
        {**GOOD[2], "refresh_s": 60.1},
        {**GOOD[2], "refresh_s": math.nan},
        {**GOOD[2], "refresh_s": math.inf},
        {**GOOD[2], "refresh_s": "1"},
        {**GOOD[2], "next": -1},
        {**GOOD[2], "next": 2**53 + 1},
        {**GOOD[2], "next": 1.5},
        {**GOOD[2], "visible": 1},
        {"type": "track", "on": "yes"},
        {**GOOD[5], "what": "rm -rf"},
        {**GOOD[5], "argument": ["FR"]},
        {**GOOD[5], "request": None},
        {**GOOD[5], "request": True},
    ],
)
def test_garbage_is_refused(data: Any) -> None:
    with pytest.raises(NotUnderstood):
        protocol.parse(data)


# --- answers -----------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(anything | nearly, st.text(max_size=30))
def test_a_refusal_is_always_possible(data: Any, reason: str) -> None:
    refused = protocol.refused(data, reason)
    assert refused.keys() == {"type", "request", "client", "reason"}
    assert (refused["type"], refused["reason"]) == ("refused", reason)
    assert refused["request"] is None or type(refused["request"]) is int
    assert refused["client"] is None or isinstance(refused["client"], str)
    json.dumps(refused, allow_nan=False)


def test_a_refusal_names_who_asked() -> None:
    told = protocol.refused({"type": "ask", "request": 9, "client": "c", "what": "?"}, "no")
    assert (told["request"], told["client"]) == (9, "c")
    assert protocol.refused({"request": "nine", "client": 3}, "no")["request"] is None


def test_pieces_of_the_stream() -> None:
    snapshot = Told(what="snapshot", stream="s", next=9, part=1, parts=3, data=b"x", problem="full")
    assert protocol.told(snapshot) == {
        "type": "snapshot", "stream": "s", "part": 1, "parts": 3, "next": 9,
    }  # fmt: skip
    events = Told(what="events", stream="s", start=4, next=9, data=b"x")
    assert protocol.told(events) == {"type": "events", "stream": "s", "from": 4, "next": 9}
    assert protocol.told(Told(what="asleep", stream="s")) == {"type": "asleep"}


def test_other_messages() -> None:
    ask = Ask(request=3, client="c", what="places")
    assert protocol.answer(ask, {"places": []}) == {
        "type": "answer", "request": 3, "client": "c", "value": {"places": []},
    }  # fmt: skip
    assert protocol.hello("id") == {
        "type": "hello", "protocol": protocol.PROTOCOL, "version": __version__, "session": "id",
    }  # fmt: skip
    assert protocol.state(("a",)) == {"type": "state", "problems": ["a"]}
    assert protocol.goodbye() == {"type": "goodbye"}


# --- the twin ----------------------------------------------------------------------------------


def source() -> str:
    """The contract in TypeScript, without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", TYPESCRIPT.read_text("utf-8"), flags=re.S)


def interfaces() -> dict[str, dict[str, str]]:
    """The type of each member of each interface; a ``?`` after the name belongs to the name."""
    return {
        name: dict(re.findall(r"(\w+\??): ([^;]+);", body))
        for name, body in re.findall(r"export interface (\w+) \{(.*?)\n\}", source(), re.S)
    }


def union(name: str) -> list[dict[str, str]]:
    found = re.search(rf"export type {name} =([^;]+);", source())
    assert found, name
    return [interfaces()[member.strip()] for member in found[1].split("|")]


def by_type(messages: Iterable[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {literals(message["type"])[0]: message for message in messages}


def literals(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def constant(name: str) -> str:
    found = re.search(rf"export const {name} = ([^;]+);", source())
    assert found, name
    return found[1].strip("'")


def test_constants_agree() -> None:
    assert int(constant("PROTOCOL")) == protocol.PROTOCOL
    assert constant("COMM_ID") == protocol.COMM_ID
    assert constant("TARGET") == protocol.TARGET


def test_messages_to_the_kernel_agree() -> None:
    there = by_type(union("ToKernel"))
    here = {struct.__struct_config__.tag: struct for struct in get_args(protocol.ToKernel)}
    assert there.keys() == here.keys()
    for kind, struct in here.items():
        names = {name.rstrip("?") for name in there[kind]} - {"type"}
        assert names == set(struct.__struct_fields__), kind
        assert_optional(there[kind], struct)


def assert_optional(interface: dict[str, str], struct: type[msgspec.Struct]) -> None:
    """What TypeScript may leave out or set to null, Python takes so."""
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    assert not required & {name.rstrip("?") for name in interface if name.endswith("?")}
    nullable = {name.rstrip("?") for name, kind in interface.items() if "null" in kind}
    taken = {
        field.name for field in msgspec.structs.fields(struct) if type(None) in get_args(field.type)
    }
    assert nullable == taken


def test_preferences_agree() -> None:
    interface = interfaces()["Preferences"]
    assert set(interface) == set(Preferences.__struct_fields__)
    assert_optional(interface, Preferences)


def test_questions_agree() -> None:
    (what,) = (f.type for f in msgspec.structs.fields(Ask) if f.name == "what")
    assert literals(by_type(union("ToKernel"))["ask"]["what"]) == list(get_args(what))


def test_messages_of_the_kernel_agree() -> None:
    ask = Ask(request=1, client="c", what="places")
    sent = [
        protocol.hello("id"),
        protocol.told(Told(what="snapshot")),
        protocol.told(Told(what="events")),
        protocol.told(Told(what="asleep")),
        protocol.state(()),
        protocol.goodbye(),
        protocol.answer(ask, None),
        protocol.refused({}, "no"),
    ]
    there = by_type(union("FromKernel"))
    assert {kind: set(message) for kind, message in there.items()} == {
        message["type"]: set(message) for message in sent
    }
