"""Deferred imports: an absent package names its pip line, a broken one is not called absent."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from jupyter_green.errors import MissingPackage
from jupyter_green.optional import require


def test_present_package_is_returned() -> None:
    assert require("json") is json


def test_submodule_is_returned() -> None:
    assert require("json.decoder") is sys.modules["json.decoder"]


@pytest.mark.parametrize(
    ("module", "pip_name", "line"),
    [
        ("absent_package", None, "pip install absent_package"),
        ("absent_package.inner", None, "pip install absent_package"),
        ("absent_package", "absent-package[extra]", "pip install absent-package[extra]"),
    ],
)
def test_absent_package(module: str, pip_name: str | None, line: str) -> None:
    with pytest.raises(MissingPackage) as caught:
        require(module, pip_name)
    assert repr(module) in str(caught.value)
    assert str(caught.value).endswith(line)
    assert isinstance(caught.value, ImportError)


def test_package_that_lacks_another_is_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import absent_package\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError) as caught:
        require("needs_another")
    assert not isinstance(caught.value, MissingPackage)
    assert caught.value.name == "absent_package"


def test_missing_part_of_a_present_package_is_not_absent() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        require("json.absent_part")
    assert not isinstance(caught.value, MissingPackage)
