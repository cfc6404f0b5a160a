"""The published schema of journals, and the codec that it describes."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest

import jupyter_green
from jupyter_green import events
from jupyter_green.events import UnknownKind, decode, encode

SCHEMA = Path(jupyter_green.__file__).parent / "data" / "events.schema.json"
COMMAND = "python -m jupyter_green.events > jupyter_green/data/events.schema.json"

STAMP = {"uj": {"package-0": 12_400_000, "gpu-0": 2**53}, "error_uj": {"package-0": (12, 61)}}
FRANCE = events.Intensity(
    g_per_kwh=44.2, place="France", year=2024, source="a table", estimated=True
)
PRICING = events.Pricing(pue=1.2, price_per_kwh=0.27, currency="CHF")
TAGS = events.Tags(label="baseline", stage="train", technique="pruning", deliberate=True)

EXAMPLES = [
    events.SessionStarted(
        t=0.0,
        n=1,
        **STAMP,
        format=events.FORMAT,
        session="20260102T030405-1a2b",
        version="0.1.0",
        wall_s=1_767_323_045.5,
        host="workstation",
        boot_id="0b2c",
        pid=4711,
        process_started=12.5,
        front_end="ipykernel",
        notebook="training.ipynb",
        project="thesis",
        machine=events.Machine(system="Linux", cpu="a CPU", cores=8, memory_bytes=2**35),
        counters=[
            events.CounterInfo(
                name="package-0",
                domain="package",
                source="rapl",
                provenance="measured",
                resolution_s=0.001,
                range_uj=262_143_328_850,
                max_power_w=250.0,
            ),
            events.CounterInfo(
                name="dram-0",
                domain="dram",
                source="rapl",
                provenance="measured",
                resolution_s=0.001,
                counted=False,
                part_of="package-0",
                band=0.4,
            ),
        ],
        refused=[events.Refusal(source="nvml", counter="gpu-1", reason="gone", remedy="reboot")],
        pricing=PRICING,
        intensity=FRANCE,
    ),
    events.CellStarted(
        t=1.0,
        n=2,
        **STAMP,
        number=1,
        cell="c0ffee",
        identified_by="front end",
        first_line="model.fit(x, y)  # größer",
        source_hash="abc",
        source="model.fit(x, y)\n",
        execution_count=3,
        tags=TAGS,
        thread="subshell",
        parent=1,
    ),
    events.CellFinished(
        t=2.0,
        **STAMP,
        number=1,
        status="error",
        error="ValueError",
        tree_share=0.71,
        devices=["gpu-0"],
        devices_busy=["gpu-0"],
    ),
    events.SpanStarted(t=2.0, **STAMP, span=1, name="epoch 1", type="epoch", cell=1, tags=TAGS),
    events.SpanFinished(t=3.0, **STAMP, span=1, status="error", error="ValueError"),
    events.MetricLogged(
        t=3.0, **STAMP, name="accuracy", value=0.93, step=1.0, run="a", direction="higher", cell=1
    ),
    events.ModelDescribed(
        t=3.0, **STAMP, run="a", parameters=10**9, flops=10**15, size_bytes=2**32, precision="bf16"
    ),
    events.PowerSampled(
        t=4.0,
        **STAMP,
        running=True,
        cpu_utilisation=0.5,
        devices={
            "gpu-0": events.DeviceState(
                utilisation=0.9,
                memory_bytes=1,
                power_w=300.5,
                processes=[events.DeviceProcess(pid=1, whose="mine", utilisation=0.5)],
            )
        },
    ),
    events.IntensityChanged(t=5.0, **STAMP, intensity=FRANCE, reason="%green place FR"),
    events.PricingChanged(t=5.0, **STAMP, pricing=PRICING),
    events.BudgetSet(t=5.0, **STAMP, budget_uj=180_000_000_000, stop=True),
    events.BaselineMeasured(t=6.0, **STAMP, duration_s=30.0, power_w={"package-0": 12.5}),
    events.TrackingPaused(t=7.0, **STAMP, reason="by hand"),
    events.TrackingResumed(t=8.0, **STAMP),
    events.OverlapSeen(t=9.0, session="other", pid=1, notebook="other.ipynb"),
    events.CounterLost(t=9.0, counter="gpu-0", since=8.5, reason="lost", remedy="wait"),
    events.CounterRestored(t=9.5, counter="gpu-0", since=8.5, lost=True, offset_uj=-5),
    events.CounterNoted(t=9.6, counter="gpu-0", note="the driver took 0.21 s", remedy="wait"),
    events.RecorderRestarted(t=10.0, since=9.9, reason="killed"),
    events.ClockAnchored(t=60.0, **STAMP, wall_s=1_767_323_105.5, suspended_s=3.25),
    events.JournalThinned(t=61.0, dropped=12, since=60.5, reason="the disk is full"),
    events.SessionEnded(t=62.0, **STAMP, reason="kernel died"),
]

by_kind = pytest.mark.parametrize(
    "event", EXAMPLES, ids=[type(event).__name__ for event in EXAMPLES]
)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_file_and_code_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_green.events"],
        cwd=SCHEMA.parents[2],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    published = SCHEMA.read_text(encoding="utf-8")
    assert published == done.stdout, f"events.py has changed; write the schema anew: {COMMAND}"


def test_file_is_what_the_module_describes() -> None:
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert published == events.schema(), f"write the schema anew: {COMMAND}"


def test_file_reads_well_in_diffs() -> None:
    text = SCHEMA.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_schema_names_format_and_dialect() -> None:
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert published["x-format"] == events.FORMAT
    assert published["$schema"].endswith("2020-12/schema")
    assert int(events.FORMAT.partition(".")[0]) == events.FORMAT_MAJOR


def test_every_kind_has_an_example() -> None:
    kinds = {json.loads(encode(event))["kind"] for event in EXAMPLES}
    assert kinds == events.KINDS


def test_kinds_read_as_words() -> None:
    assert {"session_started", "cell_finished", "counter_lost"} <= events.KINDS


@by_kind
def test_example_is_valid(
    event: events.AnyEvent, validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate(json.loads(encode(event)))


@by_kind
def test_example_survives_the_round_trip(event: events.AnyEvent) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event
    assert type(decode(line)) is type(event)


@by_kind
def test_unknown_fields_are_ignored(
    event: events.AnyEvent, validator: jsonschema.Draft202012Validator
) -> None:
    # A newer minor version may say more.
    line = json.loads(encode(event)) | {"invented_later": {"a": [1, None]}}
    assert decode(json.dumps(line).encode()) == event
    validator.validate(line)


@by_kind
def test_missing_time_is_damage(
    event: events.AnyEvent, validator: jsonschema.Draft202012Validator
) -> None:
    line = json.loads(encode(event))
    del line["t"]
    with pytest.raises(msgspec.DecodeError):
        decode(json.dumps(line).encode())
    assert not validator.is_valid(line)


@pytest.mark.parametrize(
    "uj", [{"package-0": -1}, {"package-0": 2**53 + 1}, {"package-0": 1.5}, {"package-0": None}]
)
def test_energy_is_whole_microjoules(
    uj: dict[str, object], validator: jsonschema.Draft202012Validator
) -> None:
    line = {"kind": "session_ended", "t": 1.0, "uj": uj}
    with pytest.raises(msgspec.DecodeError):
        decode(json.dumps(line).encode())
    assert not validator.is_valid(line)


def test_defaults_take_no_space() -> None:
    assert encode(events.TrackingResumed(t=1.5)) == b'{"kind":"tracking_resumed","t":1.5}\n'


@pytest.mark.parametrize(
    "line", [b'{"kind":"coffee_made","t":1}', b'{"cups":2,"kind":"coffee_made"}\n']
)
def test_unknown_kind(line: bytes, validator: jsonschema.Draft202012Validator) -> None:
    with pytest.raises(UnknownKind, match="coffee_made"):
        decode(line)
    assert not validator.is_valid(json.loads(line))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"\0\0\0\0",
        b"null",
        b"[]",
        b"{}",
        b'{"t":1}',
        b'{"kind":5,"t":1}',
        b'{"kind":"coffee_made"',
        b'{"kind":"session_ended","t":"one"}',
        b'{"kind":"session_ended","t":NaN}',
        b'{"kind":"session_ended","t":1e999}',
        b'{"kind":"session_ended","t":1}{"kind":"session_ended","t":1}',
        b'{"kind":"session_ended","t":1}\n{"kind":"session_ended","t":1}',
    ],
)
def test_damaged_line(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(line)


@by_kind
def test_torn_line(event: events.AnyEvent) -> None:
    line = encode(event).rstrip()
    for end in range(len(line)):
        with pytest.raises(msgspec.DecodeError):
            decode(line[:end])


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"session_ended","t":1,"reason":"\xff"}',
        b'{"kind":"session_ended","t":1,"uj":{"\xff":1}}',
        b'{"kind":"session_end\xff","t":1}',
    ],
)
def test_bytes_that_are_no_text(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(line)
