"""The published factorial: archives of the same format with known effects, and the real ones."""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
from itertools import product
from pathlib import Path

import pytest

from jupyter_green.errors import SettingError
from jupyter_green.report.studies.factorial import DECIDES
from jupyter_green.studies.factorial import main_effects
from jupyter_green.studies.factorial_yarally import FACTORS, read_yarally

PUBLISHED = os.environ.get("JUPYTER_GREEN_YARALLY", "")
"""A folder with RQ2_FM.jasp and RQ2_C10.jasp, which are not ours to pass on."""
COLUMNS = {
    "nr_linear_layers": "integer",
    "nr_conv_layers": "integer",
    "relu": "integer",
    "relu_normalized": "integer",
    "lr": "number",
    "b1": "number",
    "b2": "number",
    "energy": "number",
    "accuracy": "number",
}
MISSING = (*[-(2**31)] * 4, *[math.nan] * 5)


def runs() -> list[tuple[float, ...]]:
    """Conv +100 %, linear +10 %, ReLU nothing; conv adds five points."""
    return [
        (
            linear,
            conv,
            relu * conv,
            relu,
            1e-4,
            0.9,
            0.8 + count / 100,
            (200.0 if conv == 4 else 100.0) * (1.1 if linear == 7 else 1.0) + count,
            0.85 if conv == 4 else 0.8,
        )
        for linear, conv, relu, count in product((3, 7), (1, 4), (0, 1), range(-2, 3))
    ]


def archive(
    path: Path, rows: list[tuple[float, ...]], described: object = None, cut: int = 0
) -> Path:
    kinds = {"integer": "i", "number": "d"}
    data = b"".join(
        struct.pack(f"<{len(rows)}{kinds[kind]}", *values)
        for kind, values in zip(COLUMNS.values(), zip(*rows, strict=True), strict=True)
    )
    fields = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    usual = {"dataSet": {"fields": fields, "rowCount": len(rows)}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", json.dumps(usual if described is None else described))
        file.writestr("data.bin", data[: len(data) - cut])
    return path


def test_runs_of_an_archive_have_their_effects(tmp_path: Path) -> None:
    rows = read_yarally(archive(tmp_path / "RQ2.jasp", [*runs(), MISSING, MISSING]))
    effects = main_effects(rows, FACTORS, metric="accuracy")

    assert len(rows) == 40
    assert rows[0] == {
        "conv_layers": 1, "linear_layers": 3, "relu": 0, "lr": 1e-4, "beta1": 0.9,
        "beta2": 0.78, "energy_j": 98.0, "accuracy": 0.8,
    }  # fmt: skip
    found = [effects.of(factor).changes[0].percent for factor in FACTORS]
    assert found == pytest.approx([100, 10, 0])
    assert effects.of("conv_layers", "metric").changes[0].difference == pytest.approx(0.05)
    assert effects.notes == (DECIDES,)


def test_single_missing_values_are_none(tmp_path: Path) -> None:
    partly = (*runs()[0][:7], math.nan, 0.8)
    rows = read_yarally(archive(tmp_path / "RQ2.jasp", [partly, *runs()]))

    assert rows[0]["energy_j"] is None
    assert rows[0]["conv_layers"] == 1


@pytest.mark.parametrize(
    ("described", "cut", "said"),
    [
        (None, 1, "data.bin has .* bytes, and .* are described"),
        ({}, 0, "dataSet"),
        ([], 0, "RQ2_FM.jasp"),
        ({"dataSet": {"fields": [], "rowCount": 0}}, 0, "data.bin has"),
        ({"dataSet": {"fields": [{"name": "a", "type": "text"}], "rowCount": 1}}, 0, "text"),
        ({"dataSet": {"fields": None, "rowCount": 1}}, 0, "RQ2_FM.jasp"),
        ({"dataSet": {"fields": [], "rowCount": None}}, 0, "RQ2_FM.jasp"),
    ],
)
def test_archives_of_another_kind(tmp_path: Path, described: object, cut: int, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read_yarally(archive(tmp_path / "RQ2.jasp", runs(), described, cut))


def test_files_of_another_kind(tmp_path: Path) -> None:
    other = tmp_path / "other.jasp"
    with pytest.raises(SettingError, match="cannot be read"):
        read_yarally(other)
    other.write_bytes(b"no archive")
    with pytest.raises(SettingError, match=r"is not read as RQ2_FM\.jasp"):
        read_yarally(other)
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(SettingError, match=r"metadata\.json"):
        read_yarally(other)
    whole = archive(other, runs()).read_bytes()
    other.write_bytes(whole[:60] + bytes(8) + whole[68:])
    with pytest.raises(SettingError, match="is not read as"):
        read_yarally(other)


def test_an_archive_that_unpacks_into_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "RQ2.jasp"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", bytes(65 * 2**20))
    with pytest.raises(SettingError, match=r"metadata\.json has 68,157,440 bytes"):
        read_yarally(path)


@pytest.mark.skipif(not PUBLISHED, reason="JUPYTER_GREEN_YARALLY names no folder with the data")
@pytest.mark.parametrize(
    ("name", "percent", "h", "eta_squared"),
    [
        ("RQ2_FM.jasp", [95.3, 4.9, 2.7], [2303.25, 481.80, 176.54], [0.75, 0.155, 0.055]),
        ("RQ2_C10.jasp", [66.4, 6.6, 2.9], None, [0.75, 0.160, 0.033]),
    ],
)
def test_the_published_effects(
    name: str, percent: list[float], h: list[float] | None, eta_squared: list[float]
) -> None:
    rows = read_yarally(Path(PUBLISHED, name))
    effects = [main_effects(rows, FACTORS, metric="accuracy").of(factor) for factor in FACTORS]
    found = [effect.ranks.h for effect in effects if effect.ranks is not None]

    assert len(rows) == 3072
    assert [effect.changes[0].percent for effect in effects] == pytest.approx(percent, abs=0.05)
    assert h is None or found == pytest.approx(h, abs=0.01)
    # As published, with k = 8 cells; ours has k = 2 groups.
    assert [(one - 7) / (3072 - 8) for one in found] == pytest.approx(eta_squared, abs=0.001)
    ours = [effect.ranks.eta_squared for effect in effects if effect.ranks is not None]
    assert ours == pytest.approx(eta_squared, abs=0.003)
