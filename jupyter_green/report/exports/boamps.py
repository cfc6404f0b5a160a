"""A session as a report in the BoAmps format of Boavizta (CC BY 4.0), version 1.1.0 of 2025.

https://github.com/Boavizta/BoAmps: ``model/report_schema.json`` and those that it refers to.
Energies are kWh of the machine, without PUE. The format asks for things that nobody has told us:
family of the task, algorithm, data. They say ``not stated`` or ``other``, for the author to fill
in, and the report is a draft for as long as they do.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from typing import Any

from jupyter_green.errors import ReportError
from jupyter_green.events import ModelDescribed
from jupyter_green.report.inert import short
from jupyter_green.report.statement import counted, gpus, intensities, listed, sentences
from jupyter_green.sessions.model import Cell, Session, Span
from jupyter_green.units import uj_to_kwh

SPECIFICATION = "https://github.com/Boavizta/BoAmps/tree/main/model"
VERSION = "1.1.0"
NOT_STATED = "not stated"

HIGH, MEDIUM = 0.10, 0.25
"""Relative error up to which the format calls the quality high, and medium."""

Object = dict[str, Any]


def render(session: Session) -> str:
    """The report as JSON.

    Raises:
        ReportError: no energy is known, without which the format has no report.
    """
    if session.total.total_uj is None:
        raise ReportError(
            "a BoAmps report has to state an energy, and no counter could be read in this "
            "session; `jupyter green doctor` says what opens one"
        )
    report = {
        "header": _header(session),
        "task": _task(session),
        "measures": [_measure(session)],
        "system": {"os": short(session.machine.system) or NOT_STATED},
        "software": _known(language="python", version=short(session.machine.python)),
        "infrastructure": {"infraType": "other", "components": list(_components(session))},
        "environment": _environment(session),
        "quality": _quality(session),
    }
    return json.dumps(_known(**report), indent=2, allow_nan=False)


def _known(**fields: Any) -> Object:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _moment(wall_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))


def _header(session: Session) -> Object:
    return {
        "formatVersion": VERSION,
        "formatVersionSpecificationUri": SPECIFICATION,
        # The same session gets the same identity, however often it is exported.
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"jupyter-green:{short(session.id)}")),
        "reportDatetime": _moment(session.ended_wall_s),
        "reportStatus": "draft",
    }


# --- task ---------------------------------------------------------------------------------


def _task(session: Session) -> Object:
    windows: tuple[Cell | Span, ...] = (*session.cells, *session.windows)
    stages = dict.fromkeys(one.tags.stage for one in windows if one.tags.stage)
    return {
        "taskStage": "+".join(short(stage) for stage in list(stages)[:8]) or NOT_STATED,
        "taskFamily": short(session.project or "") or NOT_STATED,
        "algorithms": _algorithms(session) or [{"algorithmType": NOT_STATED}],
        "dataset": [{"dataUsage": "input", "dataType": "other"}],
        "taskDescription": " ".join(sentences(session)),
    }


def _algorithms(session: Session) -> list[Object]:
    made = [_algorithm(model) for model in session.models]
    return [one for index, one in enumerate(made) if one and one not in made[:index]]


def _algorithm(model: ModelDescribed) -> Object:
    return _known(
        algorithmName=short(model.name or ""),
        # The format counts in billions.
        parametersNumber=None if model.parameters is None else model.parameters / 1e9,
        quantization=short(model.precision or ""),
    )


# --- measure ------------------------------------------------------------------------------


def _measure(session: Session) -> Object:
    total_uj = session.total.total_uj
    assert total_uj is not None
    return _known(
        measurementMethod="jupyter_green",
        version=short(session.version),
        cpuTrackingMode=_sources(session, "package", "cpu", "dram"),
        gpuTrackingMode=_sources(session, "gpu"),
        powerConsumption=uj_to_kwh(total_uj),
        measurementDuration=session.duration_s,
        measurementDateTime=_moment(session.started_wall_s),
        **_calibration(session),
    )


def _sources(session: Session, *domains: str) -> str:
    return listed(info.source for info in counted(session) if info.domain in domains)


def _calibration(session: Session) -> Object:
    """The last look at the idle machine."""
    if not session.baselines:
        return {}
    last = session.baselines[-1]
    joules = sum(last.power_w.values()) * last.duration_s
    return {
        "powerCalibrationMeasurement": uj_to_kwh(joules * 1e6),
        "durationCalibrationMeasurement": last.duration_s,
    }


def _quality(session: Session) -> str:
    """By the stated interval. A lower bound has no error that could be told."""
    total = session.total
    if total.at_least or not total.total_uj:
        return "low"
    error = total.bound_uj / total.total_uj
    return "high" if error <= HIGH else "medium" if error <= MEDIUM else "low"


# --- where --------------------------------------------------------------------------------


def _components(session: Session) -> Iterable[Object]:
    machine = session.machine
    packages = sum(info.domain == "package" for info in counted(session))
    yield _known(
        componentName=short(machine.cpu), componentType="cpu", nbComponent=max(1, packages)
    )
    for name, count in gpus(session).items():
        yield {"componentName": name, "componentType": "gpu", "nbComponent": count}
    if machine.memory_bytes:
        # What is sold as 32 GB of memory are GiB.
        size = machine.memory_bytes / 2**30
        yield {"componentType": "ram", "nbComponent": 1, "memorySize": size}


def _environment(session: Session) -> Object:
    known = intensities(session.periods)
    if not known:
        return {}
    intensity = known[0].g_per_kwh if len(known) == 1 else None
    places = listed(one.place for one in known) or NOT_STATED
    return _known(country=places, powerSourceCarbonIntensity=intensity)
