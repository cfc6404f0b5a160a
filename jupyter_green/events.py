"""The vocabulary of events: a session is nothing but a stream of these.

A *stamp* is a time and the cumulative energy of every counter at that time; the energy of
anything is the difference of two stamps. Every line of a journal is one event in JSON. The
JSON schema of the vocabulary is published as ``jupyter_green/data/events.schema.json``.

Time ``t`` is in seconds since the session's start, on the monotonic clock. Energies are whole
microjoules. A reader skips kinds that it does not know, and refuses a newer major version.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

FORMAT_MAJOR = 1
FORMAT = "1.0"


Microjoules = Annotated[int, Meta(ge=0, le=2**53)]
"""Whole microjoules, within what every JSON reader holds exactly (up to 9 GJ)."""

# --- values inside events ---------------------------------------------------------------


class CounterInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about one monotonic energy counter."""

    name: str
    """Unique in the session: ``package-0``, ``dram-0``, ``gpu-0``, ``cpu-model`` ..."""
    domain: str
    """package, dram, core, uncore, psys, cpu (a model of it), gpu, module or other."""
    source: str
    """The file of ``sources/`` that reads it: rapl, modelled, nvml ..."""
    provenance: str
    """measured, integrated (from power readings) or modelled."""
    resolution_s: float
    """Seconds between two updates of the counter."""
    counted: bool = True
    """Part of the total. Detail (core, uncore) and wider scopes (psys) are not."""
    part_of: str | None = None
    """The counter whose energy already holds this one."""
    clock: str = ""
    """Counters with one clock update together, so that their errors add up."""
    quantum_uj: float = 1.0
    """Smallest step of the counter, in microjoules."""
    centred: bool = False
    """Its readings are placed between updates, so that ``error_uj`` reaches to both sides."""
    range_uj: int | None = None
    """The raw counter wraps at this value; None: it does not wrap."""
    max_power_w: float | None = None
    """Largest plausible power, to tell a wrap from a reset; None: unknown."""
    band: float = 0.0
    """Relative systematic uncertainty (0.4 for models: published errors reach 40 %)."""
    scope: str = "machine"
    """machine, container, device, module or platform: whose energy this is."""
    device: str = ""
    """Name of the device in words."""
    assumption: str = ""
    """For models, and for sensors whose readings are added up: how, in one line."""
    accuracy: str = ""
    """What is published about the sensor's own error, which no bound here holds."""


class Refusal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a source, or one of its counters, is not used."""

    source: str
    reason: str
    counter: str | None = None
    remedy: str = ""
    by_choice: bool = False
    """Nothing is wrong with it: another source serves, or the settings do not ask for it."""


class Intensity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A carbon intensity with its provenance. Bases must never be mixed in one total."""

    g_per_kwh: float
    place: str
    year: int | None = None
    basis: str = "lifecycle"
    source: str = ""
    estimated: bool = False


class Pricing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What turns energy into CO2 and cost, beside the intensity."""

    pue: float = 1.0
    price_per_kwh: float | None = None
    currency: str = "EUR"


class Machine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The machine in words, for the report."""

    system: str = ""
    cpu: str = ""
    cores: int = 0
    memory_bytes: int = 0
    python: str = ""
    virtual: str = ""
    """"vm", "container" or empty."""


class Tags(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the user says a cell or span is."""

    label: str | None = None
    stage: str | None = None
    technique: str | None = None
    deliberate: bool = False
    """A repeat on purpose (energyit, studies): never counted as superseded."""


class DeviceProcess(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process with a context on a device."""

    pid: int
    whose: str
    """mine (of this kernel's tree) or other."""
    memory_bytes: int | None = None
    utilisation: float | None = None


class DeviceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device is doing at a sample. Shares are of one."""

    utilisation: float | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    processes: list[DeviceProcess] | None = []
    """None: the driver does not tell."""


# --- events -----------------------------------------------------------------------------


def _kind(class_name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in class_name).lstrip("_")


class Event(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag=_kind, gc=False
):
    """Anything that happened in a session."""

    t: float
    n: int | None = None
    """Number of the kernel's mark, where the event came from one; each is recorded once."""


class Stamped(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event that carries a stamp."""

    uj: dict[str, Microjoules] = {}
    """Cumulative microjoules by counter. A counter that could not be read is absent."""
    error_uj: dict[str, tuple[Microjoules, Microjoules]] = {}
    """How far each reading may lag behind the truth: the energy of one update, in microjoules,
    at the least and at the most power that was seen around the stamp. Of a ``centred`` counter:
    how far the truth may lie to either side."""


class SessionStarted(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of every journal."""

    format: str
    session: str
    version: str
    wall_s: float
    host: str
    boot_id: str
    pid: int
    process_started: float
    """Start time of the kernel's process as the system gives it, to tell a reused pid."""
    front_end: str = ""
    """ipykernel, ipython, script or exec."""
    notebook: str | None = None
    project: str | None = None
    machine: Machine = Machine()
    counters: list[CounterInfo] = []
    refused: list[Refusal] = []
    pricing: Pricing = Pricing()
    intensity: Intensity | None = None


class CellStarted(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A cell begins to run."""

    number: int
    """Runs are numbered in their order in the session, reruns included."""
    cell: str
    """Hashed identity of the cell."""
    identified_by: str = "source"
    """"front end" (the cell's id) or "source" (the hash of its source)."""
    first_line: str = ""
    source_hash: str = ""
    source: str | None = None
    execution_count: int | None = None
    tags: Tags = Tags()
    thread: str = "main"
    """main, subshell or thread. Only main-shell cells own time in the ledger."""
    parent: int | None = None
    """Number of the run inside which this one is nested."""
    suggested_stage: str | None = None
    """The stage of the lifecycle that its source suggests, where it has no tag."""


class CellFinished(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A cell ended, or its kernel did."""

    number: int
    status: str
    """ok, error, interrupted or kernel died."""
    error: str | None = None
    """Class name of the exception."""
    tree_share: float | None = None
    """Estimate: CPU time of the kernel's process tree over that of the machine."""
    devices: list[str] = []
    """Counters of the devices that the kernel's tree used."""
    device_shares: dict[str, float] = {}
    """Estimate, for devices that other processes used as well: the share of the work of their
    multiprocessors that was the tree's."""
    devices_shared: list[str] = []
    """Devices that other processes had a context on."""
    devices_busy: list[str] = []
    """Devices that were still at work when the cell ended: late work lands between cells."""


class SpanStarted(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A named window inside or across cells begins; shown, never added."""

    span: int
    name: str
    type: str = "measure"
    """measure, statement, training, epoch, evaluation, run, trial, warm-up, baseline, task, or the
    name of a study: inference, layers."""
    parent: int | None = None
    cell: int | None = None
    thread: str = "main"
    tags: Tags = Tags()


class SpanFinished(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A named window ends."""

    span: int
    status: str = "ok"
    """ok, error, interrupted, or pruned: a trial that a search gave up early."""
    error: str | None = None


class MetricLogged(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A quality of the result, beside the energy it has cost so far."""

    name: str
    value: float | None = None
    """None: the value is not finite; ``text`` says which."""
    text: str | None = None
    step: float | None = None
    run: str | None = None
    direction: str | None = None
    """higher or lower is better; None: not known."""
    source: str = "user"
    """user, callback, or the tracker that it was read from."""
    cell: int | None = None


class ModelDescribed(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The size of the model that a run trains or uses."""

    run: str | None = None
    name: str | None = None
    parameters: int | None = None
    flops: int | None = None
    size_bytes: int | None = None
    precision: str | None = None
    cell: int | None = None


class PowerSampled(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A sample between boundaries, for the power line."""

    running: bool = False
    cpu_utilisation: float | None = None
    devices: dict[str, DeviceState] = {}


STANDS_IN = "stands in"
"""How the reason ends where a live intensity could not be had."""


class IntensityChanged(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """From now on another carbon intensity is in force."""

    intensity: Intensity | None = None
    reason: str = ""
    """What the provider published, what the user did, or why something else stands in."""


class PricingChanged(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """From now on another PUE or price is in force."""

    pricing: Pricing = Pricing()


class BudgetSet(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The user says what the session may use."""

    budget_uj: Microjoules | None = None
    """Counted energy from the session's start; None: there is no budget any more."""
    stop: bool = False
    """The cell that runs when it is used up is interrupted."""


class BaselineMeasured(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The power of the idle machine, measured on request."""

    duration_s: float
    power_w: dict[str, float] = {}
    busy: float | None = None
    """Share of the processors' time, of one, in which somebody else worked meanwhile."""


class TrackingPaused(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """Tracking was switched off."""

    reason: str = ""


class TrackingResumed(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """Tracking was switched on again."""


class OverlapSeen(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Another session reads the same counters at the same time."""

    session: str
    pid: int
    notebook: str | None = None


class CounterLost(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A counter cannot be read, or stands still: from ``since`` on its energy is unknown."""

    counter: str
    since: float
    reason: str
    remedy: str = ""


class CounterRestored(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A counter is back."""

    counter: str
    since: float
    reason: str = ""
    lost: bool = False
    """The energy between ``since`` and now is unknown: a hole."""
    offset_uj: int = 0
    """Cumulative minus raw energy from now on, modulo the counter's range."""


class CounterNoted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a reader of this counter's figures should know; nothing is lost."""

    counter: str
    note: str
    remedy: str = ""


class RecorderRestarted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The recorder died and another took over; no samples were taken since ``since``."""

    since: float
    reason: str = ""


class ClockAnchored(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """Ties monotonic to wall time, because monotonic time stops in suspend."""

    wall_s: float
    suspended_s: float = 0.0
    """Seconds spent in suspend since the session's start."""


class JournalThinned(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The disk was too slow or full for too long: power samples had to be dropped."""

    dropped: int
    since: float
    reason: str = ""


class SessionEnded(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The last event of a session."""

    reason: str = "goodbye"
    """goodbye or kernel died."""


AnyEvent = (
    SessionStarted
    | CellStarted
    | CellFinished
    | SpanStarted
    | SpanFinished
    | MetricLogged
    | ModelDescribed
    | PowerSampled
    | IntensityChanged
    | PricingChanged
    | BudgetSet
    | BaselineMeasured
    | TrackingPaused
    | TrackingResumed
    | OverlapSeen
    | CounterLost
    | CounterRestored
    | CounterNoted
    | RecorderRestarted
    | ClockAnchored
    | JournalThinned
    | SessionEnded
)

KINDS: frozenset[str] = frozenset(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__)

# --- codec ------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


class _JustKind(Struct):
    kind: str


_kind_decoder = msgspec.json.Decoder(_JustKind)


class UnknownKind(ValueError):
    """The line is an event of a kind that this version does not know."""


def encode(event: Event) -> bytes:
    """One event as one line of JSON, newline included."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes | bytearray | memoryview) -> AnyEvent:
    """One line of a journal.

    Raises:
        UnknownKind: a well-formed event of a kind that this version does not know.
        msgspec.DecodeError: no event at all (torn, damaged, or of another shape).
    """
    try:
        return _decoded(line)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from None


def _decoded(line: bytes | bytearray | memoryview) -> AnyEvent:
    try:
        event: AnyEvent = _decoder.decode(line)
    except msgspec.ValidationError:
        kind = _kind_decoder.decode(line).kind
        if kind in KINDS:
            raise
        raise UnknownKind(kind) from None
    return event


def schema() -> dict[str, Any]:
    """The JSON schema of one line of a journal."""
    described = msgspec.json.schema(AnyEvent)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jupyter_green session journal, one event a line",
        "x-format": FORMAT,
        **described,
    }


if __name__ == "__main__":
    # The file in data/ is made by this: see data/README.md.
    described = msgspec.json.encode(schema(), order="sorted")
    print(msgspec.json.format(described, indent=2).decode())
