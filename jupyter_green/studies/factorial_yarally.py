"""The published factorial of Yarally et al., read from the user's own copy.

Yarally, Cruz, Feitosa, Sallou and van Deursen, "Uncovering Energy-Efficient Practices in Deep
Learning Training: Preliminary Steps Towards Green AI", CAIN 2023 (arXiv 2303.13972), published
their second question's runs as archives of the statistics program JASP (0.16): ``RQ2_FM.jasp``
for FashionMNIST and ``RQ2_C10.jasp`` for CIFAR-10. Such an archive is a zip file. Its
``metadata.json`` names columns and types, and ``data.bin`` holds one column after the other,
little-endian: integers of 4 bytes, whose smallest one means missing, and doubles, where NaN does.

The H of Kruskal and Wallis come out as published. The published eta squared agree with
(H - k + 1) / (n - k) for k = 8, the cells of the design: 0.155 and 0.055 on FashionMNIST.
:func:`~jupyter_green.studies.factorial.main_effects` has k = 2, the groups that are compared:
0.157 and 0.057.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from jupyter_green.errors import SettingError
from jupyter_green.report.inert import short

FACTORS = ("conv_layers", "linear_layers", "relu")
"""The three factors of the design, as :func:`read_yarally` names them."""
_NAMES: Mapping[str, str] = {
    "nr_conv_layers": "conv_layers",
    "nr_linear_layers": "linear_layers",
    # Absent or present; their column "relu" counts one for each convolutional layer.
    "relu_normalized": "relu",
    "lr": "lr",
    "b1": "beta1",
    "b2": "beta2",
    "energy": "energy_j",
    "accuracy": "accuracy",
}
_KINDS = {"integer": ("i", 4), "number": ("d", 8)}
_MISSING = -(2**31)
_LARGEST_PART = 64 * 2**20
"""Bytes: four hundred times what was published."""


def read_yarally(path: str | PathLike[str]) -> list[dict[str, float | None]]:
    """The training runs of one published archive, ``RQ2_FM.jasp`` or ``RQ2_C10.jasp``.

    ::

        main_effects(read_yarally("RQ2_FM.jasp"), FACTORS, metric="accuracy")

    Each row has ``conv_layers`` (1, 4), ``linear_layers`` (3, 7), ``relu`` (0, 1), the
    hyper-parameters ``lr``, ``beta1`` and ``beta2``, ``energy_j`` (joules of the GPU for 25
    epochs: mean of the power that nvidia-smi gave, times the duration) and ``accuracy`` (of one).
    Missing values are None; rows without any value, which the archives have at their ends, are
    no runs.

    Raises:
        SettingError: the file cannot be read, or is no such archive.
    """
    file = Path(path)
    try:
        with zipfile.ZipFile(file) as archive:
            described = json.loads(_part(archive, "metadata.json"))["dataSet"]
            data = _part(archive, "data.bin")
        columns = _columns(described["fields"], int(described["rowCount"]), data)
        named = {ours: columns[theirs] for theirs, ours in _NAMES.items()}
    except OSError as error:
        raise SettingError(f"{short(str(file))} cannot be read: {error.strerror}") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise SettingError(
            f"{short(str(file))} is not read as RQ2_FM.jasp or RQ2_C10.jasp of "
            f"yarally/preliminary-green-ai: {short(str(error))}"
        ) from error
    rows = [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
    return [row for row in rows if any(value is not None for value in row.values())]


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _LARGEST_PART:
        raise ValueError(f"{name} has {size:,} bytes")
    return archive.read(name)


def _columns(
    fields: Sequence[Mapping[str, Any]], count: int, data: bytes
) -> dict[str, list[float | None]]:
    """Values by the name of their column."""
    kinds = [_KINDS[field["type"]] for field in fields]
    expected = count * sum(size for _, size in kinds)
    if count < 0 or expected != len(data):
        raise ValueError(f"data.bin has {len(data):,} bytes, and {expected:,} are described")
    found: dict[str, list[float | None]] = {}
    start = 0
    for field, (code, size) in zip(fields, kinds, strict=True):
        values = struct.unpack_from(f"<{count}{code}", data, start)
        found[field["name"]] = [None if _is_missing(value) else value for value in values]
        start += count * size
    return found


def _is_missing(value: float) -> bool:
    return value == _MISSING if isinstance(value, int) else math.isnan(value)
