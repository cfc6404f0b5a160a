"""MLflow: its metrics are read, and joules stand beside them in the same run.

Everything that logs goes through two methods of ``MlflowClient``: the functions ``log_metric`` and
``log_metrics``, ``mlflow.autolog`` and the loggers of other packages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jupyter_green.integrations.calls import Steps
from jupyter_green.integrations.tracked_runs import (
    ENERGY,
    PREFIX,
    SoFar,
    Totals,
    TrackedRuns,
    number,
)
from jupyter_green.integrations.wrapping import Wrapping
from jupyter_green.optional import require

REMEMBERED = 5000
"""Points that are known to have been read: MLflow copies them when a model is logged."""
GOES_ON = frozenset({"RUNNING", "SCHEDULED"})
SYSTEM = "system/"
"""MLflow's own figures of the machine begin with it; they are nobody's metrics."""
TAG = "jupyter_green."

_runs = TrackedRuns("mlflow")
_clients: dict[str, Any] = {}
_points: dict[tuple[object, ...], None] = {}


def install() -> None:
    """Read MLflow's metrics from here on, and write joules beside them. Safe to call twice.

    Raises:
        MissingPackage: MLflow is not installed.
    """
    mlflow = require("mlflow")
    if _runs.on:
        return
    _wrapping.install()
    _runs.begin(_end_open_runs)
    run = mlflow.active_run()
    if run is not None:
        _runs.opened(run.info.run_id, run.info.run_name)


def uninstall() -> None:
    """Leave MLflow as it was. Safe to call twice."""
    _wrapping.uninstall()
    _runs.end()
    _clients.clear()
    _points.clear()


def _wrap(wrapping: Wrapping) -> None:
    mlflow, around = require("mlflow"), _runs.calls.around
    client = mlflow.MlflowClient
    wrapping.method(client, "create_run", around(_creating))
    wrapping.method(mlflow.ActiveRun, "__init__", around(_starting))
    wrapping.method(client, "log_metric", around(_logging_one))
    wrapping.method(client, "log_batch", around(_logging_many))
    wrapping.method(client, "set_terminated", around(_ending))


_wrapping = Wrapping(_wrap)


# --- calls ------------------------------------------------------------------------------------


def _creating(call: dict[str, Any]) -> Steps:
    run = yield None
    _clients[run.info.run_id] = call["self"]
    _runs.opened(run.info.run_id, run.info.run_name)


def _starting(call: dict[str, Any]) -> Steps:
    yield None
    info = call["run"].info
    _runs.opened(info.run_id, info.run_name)


def _logging_one(call: dict[str, Any]) -> Steps:
    yield None
    run_id, step, timestamp = call["run_id"], call.get("step") or 0, call.get("timestamp")
    _meet(call["self"], run_id)
    _read(run_id, call["key"], call["value"], step, timestamp)
    _write_beside(call, run_id, step, timestamp)


def _logging_many(call: dict[str, Any]) -> Steps:
    yield None
    run_id, metrics = call["run_id"], call.get("metrics") or ()
    theirs = [metric for metric in metrics if not metric.key.startswith((PREFIX, SYSTEM))]
    if not theirs:
        return
    _meet(call["self"], run_id)
    for metric in theirs:
        _read(run_id, metric.key, metric.value, metric.step, metric.timestamp)
    last = max(theirs, key=lambda metric: metric.step)
    _write_beside(call, run_id, last.step, last.timestamp)


def _ending(call: dict[str, Any]) -> Steps:
    if call.get("status") not in GOES_ON:
        _write_totals(call["run_id"], call["self"])
    yield None


def _meet(client: Any, run_id: str) -> None:
    """One that was begun elsewhere, or before we came, counts from its first metric here."""
    _clients.setdefault(run_id, client)
    if not _runs.is_open(run_id) and not _runs.has_ended(run_id):
        _runs.opened(run_id, client.get_run(run_id).info.run_name)


def _read(run_id: str, key: str, value: object, step: int, timestamp: int | None) -> None:
    # What MLflow itself takes for one point, if it is written twice or for several models.
    point = (run_id, key, step, timestamp, number(value))
    if key.startswith(SYSTEM) or (timestamp is not None and point in _points):
        return
    _points[point] = None
    if len(_points) > REMEMBERED:
        del _points[next(iter(_points))]
    _runs.read(run_id, {key: value}, step)


# --- what is written --------------------------------------------------------------------------


def _write_beside(call: dict[str, Any], run_id: str, step: int, timestamp: int | None) -> None:
    so_far = _runs.due(run_id, step)
    if so_far is None:
        return
    values, tags = {ENERGY: so_far.energy_j}, _tags(so_far) if so_far.provenance else {}
    try:
        _log(call["self"], run_id, values, tags, step, timestamp, call.get("synchronous"))
    except Exception as error:
        _runs.not_written(run_id, error)


def _write_totals(run_id: str, client: Any) -> None:
    totals = _runs.ended(run_id)
    _clients.pop(run_id, None)
    if totals is not None:
        step = int(totals.last_step or 0)
        _log(client, run_id, totals.metrics(), _tags(totals), step, None, True)


def _tags(told: SoFar | Totals) -> dict[str, str]:
    return {TAG + "session": told.session, TAG + "provenance": str(told.provenance)}


def _log(
    client: Any,
    run_id: str,
    values: Mapping[str, float],
    tags: Mapping[str, str],
    step: int,
    timestamp: int | None,
    synchronous: bool | None,
) -> None:
    entities = require("mlflow.entities")
    at_ms = timestamp if timestamp is not None else int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[entities.Metric(key, value, at_ms, step) for key, value in values.items()],
        tags=[entities.RunTag(key, value) for key, value in tags.items()],
        synchronous=synchronous,
    )


def _end_open_runs() -> None:
    """The process ends, and with it what is open."""
    for run_id in _runs.open_keys():
        client = _clients.get(run_id) or require("mlflow").MlflowClient()
        try:
            with _runs.calls.own():
                _write_totals(run_id, client)
        except Exception as error:
            _runs.not_written(run_id, error)
