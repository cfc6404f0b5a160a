"""Parquet as pandas reads it back: the frame of the session, and its totals beside it."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from jupyter_green.errors import MissingPackage
from jupyter_green.report import forms
from jupyter_green.report.exports import parquet, tabular
from jupyter_green.sessions import frames
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import EVERY, Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]


def frame(session: Session) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(parquet.render(session)))


def about(session: Session) -> dict[str, Any]:
    schema = pq.read_schema(io.BytesIO(parquet.render(session)))
    told: dict[str, Any] = json.loads(schema.metadata[b"jupyter_green"])
    return told


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_figures_are_the_folds(journal: Path) -> None:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    session = fold.session()
    read, expected = frame(session), session.dataframe()

    assert list(read.columns) == list(expected.columns)
    for name in ("energy_j", "bound_j", "co2_g", "duration_s"):
        pairs = zip(read[name].astype(float), expected[name].astype(float), strict=True)
        assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs), name
    told = about(session)
    assert told["total"] == json.loads(tabular.as_json(session))["total"]
    assert told["total"]["energy_j"] == session.total.energy_j


def test_types() -> None:
    read = pq.read_table(io.BytesIO(parquet.render(training())))
    kinds = {name: str(read.schema.field(name).type) for name in read.schema.names}

    assert (kinds["number"], kinds["execution_count"]) == ("int64", "int64")
    assert (kinds["energy_j"], kinds["package-0_j"]) == ("double", "double")
    assert (kinds["at_least"], kinds["label"]) == ("bool", "string")
    assert list(kinds) == [*frames.CELL_COLUMNS, *frames.counter_columns(training())]


def test_what_is_not_known_is_null() -> None:
    story = Story(unread=EVERY)
    story.cell("x")
    read = pq.read_table(io.BytesIO(parquet.render(story.close())))
    assert read.column("energy_j").null_count == 1
    assert read.column("co2_g").null_count == 1


def test_an_empty_session_has_the_same_columns() -> None:
    read = frame(Story().close())
    assert len(read) == 0
    assert list(read.columns[: len(frames.CELL_COLUMNS)]) == list(frames.CELL_COLUMNS)


def test_method_and_doubts_travel_along() -> None:
    told = about(training())
    assert told["refused"][0]["reason"] == "no NVIDIA driver"
    assert told["intensity_periods"][0]["basis"] == "lifecycle"
    assert "cells" not in told


@pytest.mark.parametrize("text", NASTY[:-2], ids=range(len(NASTY) - 2))
def test_text_is_kept_whole(text: str) -> None:
    session = evil(text)
    read = frame(session)
    (cell,) = session.cells
    halves = {code: "\ufffd" for code in range(0xD800, 0xE000)}
    assert read["first_line"][0] == cell.first_line.translate(halves)


def test_without_pyarrow_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r'pip install "jupyter-green\[parquet\]"'):
        forms.form_of("parquet").render(training())
