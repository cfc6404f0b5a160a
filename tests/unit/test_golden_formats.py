"""Figures read as the golden table says, here and in every other language that reads it.

After a deliberate change: ``python -m tests.golden.regenerate``, and read the difference.
"""

import json
import math
from typing import Any

import pytest

from jupyter_green import units
from tests.golden import formats

ROWS: list[list[Any]] = json.loads(formats.PATH.read_text("utf-8"))


def number(argument: float | str) -> float:
    return float(argument)


def test_table_is_what_is_generated() -> None:
    assert json.loads(json.dumps(list(formats.cases()), allow_nan=False)) == ROWS


@pytest.mark.parametrize("name", sorted({row[0] for row in ROWS}))
def test_figures_read_as_they_did(name: str) -> None:
    for _, arguments, text in (row for row in ROWS if row[0] == name):
        given = [float(a) if isinstance(a, str) else a for a in arguments]
        assert getattr(units, name)(*given) == text


def test_every_function_that_formats_is_in_the_table() -> None:
    there = {name for name in vars(units) if name.startswith("format_")}
    assert there == {row[0] for row in ROWS}


def test_table_holds_halves_and_what_is_not_finite() -> None:
    values = [number(row[1][0]) for row in ROWS]
    assert any(math.isnan(value) for value in values)
    assert {0.125, 2.5, 100.5} <= set(values)
