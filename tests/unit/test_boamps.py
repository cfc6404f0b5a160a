"""BoAmps reports, held to Boavizta's own schemas (tests/boamps)."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import structs
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from jupyter_green.errors import ReportError
from jupyter_green.events import BaselineMeasured, CounterLost, Machine, ModelDescribed
from jupyter_green.report.exports import boamps
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, EVERY, MODEL, PACKAGE, Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]
SCHEMAS = Path(__file__).parents[1] / "boamps"


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SCHEMAS / f"{name}_schema.json").read_text("utf-8"))
    return read


def validator() -> Draft202012Validator:
    """As Boavizta's tools/schema_validator does it."""
    names = ("algorithm", "dataset", "measure", "hardware")
    parts = [schema(name) for name in names]
    resources = [(one["id"], Resource.from_contents(one, DRAFT202012)) for one in parts]
    return Draft202012Validator(schema("report"), registry=Registry().with_resources(resources))


def report(session: Session) -> dict[str, Any]:
    """The report, found to be valid and to hold no key that the format does not know."""
    made: dict[str, Any] = json.loads(boamps.render(session))
    validator().validate(made)
    assert set(made) <= set(schema("report")["properties"])
    for key, part in schema("report")["properties"].items():
        if part.get("type") == "object":
            assert set(made.get(key, {})) <= set(part["properties"]), key
    for measure in made["measures"]:
        assert set(measure) <= set(schema("measure")["properties"])
    for component in made["infrastructure"]["components"]:
        assert set(component) <= set(schema("hardware")["properties"])
    for algorithm in made["task"]["algorithms"]:
        assert set(algorithm) <= set(schema("algorithm")["properties"])
    return made


def test_the_schema_can_refuse() -> None:
    made = report(training())
    del made["measures"][0]["powerConsumption"]
    with pytest.raises(ValidationError):
        validator().validate(made)


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_totals_are_the_folds(journal: Path) -> None:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    session = fold.session()
    if session.total.total_uj is None:
        with pytest.raises(ReportError):
            boamps.render(session)
        return
    (measure,) = report(session)["measures"]
    assert measure["powerConsumption"] == session.total.total_uj / 3.6e12
    assert measure["measurementDuration"] == session.duration_s


def test_without_energy_there_is_no_report() -> None:
    story = Story(unread=EVERY)
    story.sleep(1.0)
    with pytest.raises(ReportError, match=r"no counter could be read.*doctor"):
        boamps.render(story.close())


def test_measure() -> None:
    story = Story()
    story.sleep(5.0)
    idle = BaselineMeasured(duration_s=10.0, power_w={"package-0": 7.2}, **story.stamp())
    story.feed(idle)
    (measure,) = report(story.close())["measures"]

    assert measure["measurementMethod"] == "jupyter_green"
    assert measure["cpuTrackingMode"] == "rapl"
    assert "gpuTrackingMode" not in measure
    assert measure["powerCalibrationMeasurement"] == pytest.approx(72 / 3.6e6)
    assert measure["durationCalibrationMeasurement"] == 10.0
    assert measure["measurementDateTime"] == "2026-01-02 03:04:05"


def test_task_and_machine() -> None:
    machine = Machine(system="Linux", cpu="Xeon", cores=8, memory_bytes=2**35, python="3.11.7")
    card = structs.replace(DRAM, domain="gpu", source="nvml", device="A100", scope="device")
    story = Story(PACKAGE, card, machine=machine, project="digits")
    described = ModelDescribed(
        run="a", name="mlp", parameters=2_000_000, precision="fp16", **story.stamp()
    )
    story.feed(described)
    story.feed(described)
    for stage in ("data", "training", "training"):
        story.cell(stage, stage=stage)
    made = report(story.close())

    assert made["task"]["taskStage"] == "data+training"
    assert made["task"]["taskFamily"] == "digits"
    assert made["task"]["algorithms"] == [
        {"algorithmName": "mlp", "parametersNumber": 0.002, "quantization": "fp16"}
    ]
    assert "all of them counted" in made["task"]["taskDescription"]
    assert made["measures"][0]["gpuTrackingMode"] == "nvml"
    assert made["infrastructure"]["components"] == [
        {"componentName": "Xeon", "componentType": "cpu", "nbComponent": 1},
        {"componentName": "A100", "componentType": "gpu", "nbComponent": 1},
        {"componentType": "ram", "nbComponent": 1, "memorySize": 32.0},
    ]
    assert made["system"] == {"os": "Linux"}
    assert made["software"] == {"language": "python", "version": "3.11.7"}


def test_place() -> None:
    assert report(training())["environment"] == {
        "country": "France",
        "powerSourceCarbonIntensity": 44.0,
    }
    assert "environment" not in report(training(intensity=None))


def test_quality_follows_the_interval() -> None:
    modelled = Story(MODEL)
    modelled.sleep(10.0)
    rough = Story(lag_uj=20_000_000)
    rough.sleep(10.0)
    least = Story()
    least.sleep(10.0)
    least.feed(CounterLost(t=10.0, counter="dram-0", since=0.5, reason="gone"))

    assert report(training())["quality"] == "high"
    assert report(modelled.close())["quality"] == "low"
    assert report(rough.close())["quality"] in ("medium", "low")
    assert report(least.close())["quality"] == "low"


def test_a_session_keeps_its_identity() -> None:
    one, same = report(training()), report(training(pid=8))
    other = report(training(session="20260102T030405-fedcba"))
    assert one["header"]["reportId"] == same["header"]["reportId"] != other["header"]["reportId"]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_hostile_text_is_text(text: str) -> None:
    made = report(evil(text))
    assert max(map(len, json.dumps(made, indent=0).splitlines())) < 50_000
