"""TensorBoard: scalars are read as they are written, and joules stand beside them.

The writers of PyTorch and of tensorboardX are two classes of one shape. A run is a log directory,
named by its last two parts, as TensorBoard shows it below the directory it is pointed at.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import Any

from jupyter_green.errors import MissingPackage
from jupyter_green.integrations.calls import Steps
from jupyter_green.integrations.tracked_runs import ENERGY, PREFIX, SoFar, Totals, TrackedRuns
from jupyter_green.integrations.wrapping import Wrapping
from jupyter_green.optional import require

WRITERS = ("torch.utils.tensorboard", "tensorboardX")

_runs = TrackedRuns("tensorboard")
_writers: dict[str, weakref.ref[Any]] = {}
"""Weak, because a writer that its user has let go of is nobody's any more."""


def install() -> None:
    """Read the scalars of all writers from here on. Safe to call twice.

    Raises:
        MissingPackage: neither PyTorch with TensorBoard nor tensorboardX is installed.
    """
    _writer_classes()
    if not _runs.on:
        _wrapping.install()
        _runs.begin(_end_open_runs)


def uninstall() -> None:
    """Leave the writers as they were. Safe to call twice."""
    _wrapping.uninstall()
    _runs.end()
    _writers.clear()


def _wrap(wrapping: Wrapping) -> None:
    around = _runs.calls.around
    for writer in _writer_classes():
        wrapping.method(writer, "__init__", around(_beginning))
        wrapping.method(writer, "add_scalar", around(_adding_one))
        wrapping.method(writer, "add_scalars", around(_adding_many))
        wrapping.method(writer, "add_hparams", around(_adding_hyperparameters))
        wrapping.method(writer, "close", around(_closing))


_wrapping = Wrapping(_wrap)


def _writer_classes() -> list[Any]:
    found = []
    for module in WRITERS:
        try:
            found.append(require(module).SummaryWriter)
        except ModuleNotFoundError:
            continue  # PyTorch's needs the package tensorboard, too
        except MissingPackage:
            continue
    if not found:
        raise MissingPackage(
            "no writer for TensorBoard is installed here, neither PyTorch's nor tensorboardX: "
            "pip install tensorboard torch, or pip install tensorboardX"
        )
    return found


# --- calls ------------------------------------------------------------------------------------


def _beginning(call: dict[str, Any]) -> Steps:
    yield None
    _meet(call["self"])


def _adding_one(call: dict[str, Any]) -> Steps:
    yield None
    _take(call, {call["tag"]: call["scalar_value"]})


def _adding_many(call: dict[str, Any]) -> Steps:
    yield None
    main, values = call["main_tag"], call["tag_scalar_dict"]
    _take(call, {f"{main}/{tag}": value for tag, value in values.items()})


def _adding_hyperparameters(call: dict[str, Any]) -> Steps:
    """Its metrics go to a directory of their own, which is no run of its own."""
    yield None
    _runs.read(_meet(call["self"]), call.get("metric_dict") or {}, call.get("global_step"))


def _closing(call: dict[str, Any]) -> Steps:
    _write_totals(call["self"])
    yield None


def _take(call: dict[str, Any], values: Mapping[str, object]) -> None:
    writer, step = call["self"], call.get("global_step")
    key = _meet(writer)
    _runs.read(key, values, step)
    so_far = _runs.due(key, step)
    if so_far is not None:
        try:
            writer.add_scalar(ENERGY, so_far.energy_j, step, call.get("walltime"))
            if so_far.provenance is not None:
                _write_provenance(writer, so_far, step)
        except Exception as error:
            _runs.not_written(key, error)


def _meet(writer: Any) -> str:
    """The run of a writer; it is opened, or opened again after its end."""
    key = _directory(writer)
    if not _runs.is_open(key):
        _runs.opened(key, "/".join(key.split(os.sep)[-2:]))
    _writers[key] = weakref.ref(writer)
    return key


def _directory(writer: Any) -> str:
    # PyTorch calls it log_dir, tensorboardX logdir.
    given = getattr(writer, "log_dir", None) or getattr(writer, "logdir", "")
    return os.path.abspath(str(given))


# --- what is written --------------------------------------------------------------------------


def _write_totals(writer: Any) -> None:
    key = _directory(writer)
    if writer.all_writers is None:
        return  # it was closed before, and would open a new file
    known = _writers.pop(key, None)
    totals = _runs.ended(key) if known is not None else None
    if totals is None:
        return
    step = None if totals.last_step is None else int(totals.last_step)
    for tag, value in totals.metrics().items():
        writer.add_scalar(tag, value, step)
    _write_provenance(writer, totals, step)


def _write_provenance(writer: Any, told: SoFar | Totals, step: object) -> None:
    writer.add_text(PREFIX + "provenance", str(told.provenance), step)
    writer.add_text(PREFIX + "session", told.session, step)


def _end_open_runs() -> None:
    """The process ends, and with it the writers that nobody has closed."""
    for known in list(_writers.values()):
        writer = known()
        if writer is None:
            continue
        try:
            with _runs.calls.own():
                _write_totals(writer)
                writer.flush()
        except Exception as error:
            _runs.not_written(_directory(writer), error)
