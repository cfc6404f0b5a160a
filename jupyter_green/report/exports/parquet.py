"""The finished cells as Parquet, one row a run, with the columns of ``session.dataframe()``.

The schema's metadata hold, under ``jupyter_green``, what :func:`tabular.as_json` says of the whole
session (total, ledger, counters, refused ones, intensities, doubts), without cells, spans and
metrics. What is not known is null. pyarrow is loaded on use.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from typing import Any

from jupyter_green.optional import require
from jupyter_green.report.exports import tabular
from jupyter_green.sessions import frames
from jupyter_green.sessions.model import Session

PIP_NAME = '"jupyter-green[parquet]"'

_LISTS = ("cells", "open_cells", "spans", "metrics")
_TYPES = {"int64": "int64", "Int64": "int64", "float64": "float64", "bool": "bool_"}
"""Names of Arrow's types by those of pandas; all others are text."""
_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters: Python's text can hold them, Arrow's cannot."""


def render(session: Session) -> bytes:
    """The file's content.

    Raises:
        MissingPackage: pyarrow is not installed.
    """
    arrow = require("pyarrow", PIP_NAME)
    writer = require("pyarrow.parquet", PIP_NAME)
    records = frames.cell_records(session)
    counters = dict.fromkeys(frames.counter_columns(session), "float64")
    columns = {**frames.CELL_COLUMNS, **counters}
    arrays = {
        _whole(name): _array(arrow, [record.get(name) for record in records], kind)
        for name, kind in columns.items()
    }
    table = arrow.table(arrays).replace_schema_metadata({"jupyter_green": _about(session)})
    file = io.BytesIO()
    writer.write_table(table, file)
    return file.getvalue()


def _array(arrow: Any, values: Iterable[Any], kind: str) -> Any:
    made = [_whole(value) if isinstance(value, str) else value for value in values]
    return arrow.array(made, type=getattr(arrow, _TYPES.get(kind, "string"))())


def _whole(text: str) -> str:
    return _HALVES.sub("\ufffd", text)


def _about(session: Session) -> str:
    report = json.loads(tabular.as_json(session))
    return json.dumps({key: value for key, value in report.items() if key not in _LISTS})
