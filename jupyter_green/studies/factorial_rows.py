"""Training runs of a factorial design, as users have them: read and checked, before any figure.

Rows are a pandas DataFrame, mappings, a CSV file with a header, or the labelled runs of a session.
What is missing in a row (NaN, None, an empty field) or not finite is left out of its own mean only,
and counted.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from jupyter_green.errors import SettingError, StatisticsError
from jupyter_green.insight.factorial import Columns, Design, Run
from jupyter_green.insight.factorial_front import Level, Levels
from jupyter_green.insight.statistics import LARGEST
from jupyter_green.report.inert import short
from jupyter_green.report.studies.factorial import level_text
from jupyter_green.sessions.model import Session
from jupyter_green.studies import arguments
from jupyter_green.studies.factorial_session import runs_of

PROVENANCE = "provenance"
"""The column that says where a row's energy is from, as jupyter_green's own frames have it."""
MODELLED = "modelled"
# "none" is not among them: it is a level that people give (an activation, a regularisation).
_ABSENT = frozenset({"", "na", "n/a", "nan", "null", "<na>"})
_SCALARS_OF_PANDAS = frozenset({"NAType", "NaTType"})


def design(rows: Any, factors: Any, columns: Columns) -> Design:
    """Read and check rows.

    Raises:
        SettingError: a column is unknown or named twice, a figure is no number, an energy or a
            time is below 0, or rows are given as something else.
        StatisticsError: there is no usable row, or a factor has one level only.
    """
    names = _factors(factors)
    is_session = isinstance(rows, Session)
    records = runs_of(rows, names, columns.metric) if is_session else _records(rows)
    _check_columns(records, [*names, *columns.figures])
    left_out: Counter[str] = Counter()
    runs = list(_runs(records, names, columns, left_out))
    levels = tuple(_in_order(run.levels[place] for run in runs) for place in range(len(names)))
    for name, own in zip(names, levels, strict=True):
        _check_levels(name, own, len(runs))
    modelled = sum(MODELLED in str(record.get(PROVENANCE, "")).lower() for record in records)
    reasons = Counter(record["left_out"] for record in records if is_session and record["left_out"])
    return Design(names, levels, tuple(runs), dict(left_out), modelled, dict(reasons))


# --- rows ---------------------------------------------------------------------------------

Record = Mapping[str, Any]


def _records(rows: Any) -> list[Record]:
    if isinstance(rows, str | PathLike):
        found = list(_read_csv(Path(rows)))
    elif hasattr(rows, "columns") and hasattr(rows, "iterrows"):
        if not rows.columns.is_unique:
            raise SettingError("two columns of the data frame have one name: rename one of them")
        found = rows.to_dict("records")
    elif isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise SettingError(
            "rows must be a pandas DataFrame, a list of mappings, the path of a CSV file, or a "
            f"Session; it is {arguments.shown(rows)}"
        )
    else:
        found = list(rows)
    for count, record in enumerate(found, 1):
        if not isinstance(record, Mapping):
            raise SettingError(
                f"row {count} must be a mapping of columns to values, it is "
                f"{arguments.shown(record)}"
            )
    if not found:
        raise StatisticsError("there is no row: give one for each training run")
    return found


def _read_csv(path: Path) -> Iterator[Record]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            if len(set(header)) < len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise SettingError(f"{short(str(path))} has two columns {short(twice)!r}")
            for line in lines:
                if len(line) > len(header):
                    raise SettingError(
                        f"line {lines.line_num} of {short(str(path))} has {len(line)} fields, and "
                        f"the header {len(header)}"
                    )
                if line:
                    yield dict(zip(header, map(_parsed, line), strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingError(f"{short(str(path))} cannot be read as CSV: {error}") from error


def _parsed(field: str) -> object:
    """A number where it is one, None where it is empty, else the text."""
    text = field.strip()
    if text.lower() in _ABSENT:
        return None
    if "_" in text:
        # Python would read 3_3 as 33.
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _runs(
    records: Sequence[Record], factors: Sequence[str], columns: Columns, left_out: Counter[str]
) -> Iterator[Run]:
    for count, record in enumerate(records, 1):
        levels = tuple(_level(count, name, record.get(name)) for name in factors)
        absent = [name for name, level in zip(factors, levels, strict=True) if level is None]
        if absent:
            left_out[absent[0]] += 1
            continue
        figures = []
        for name in (columns.energy, columns.duration, columns.metric):
            figure = None if name is None else _figure(count, name, record.get(name))
            if name is not None and figure is None:
                left_out[name] += 1
            if figure is not None and figure < 0 and name != columns.metric:
                raise SettingError(f"row {count}: {short(str(name))} is {figure:g}, below 0")
            figures.append(figure)
        yield Run(levels, *figures)


def _level(count: int, name: str, value: Any) -> Level | None:
    value = _scalar(value)
    if _is_missing(value):
        return None
    try:
        hash(value)
    except TypeError:
        raise SettingError(
            f"row {count}: a level of {short(name)} must be a number or a text, it is "
            f"{arguments.shown(value)}"
        ) from None
    level: Level = value
    return level


def _figure(count: int, name: str, value: Any) -> float | None:
    value = _scalar(value)
    if _is_missing(value):
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise SettingError(
            f"row {count}: {short(name)} must be a number, it is {arguments.shown(value)}"
        ) from None
    return number if abs(number) <= LARGEST else None


def _scalar(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in _SCALARS_OF_PANDAS:
        return True
    return isinstance(value, float) and math.isnan(value)


# --- factors and columns ------------------------------------------------------------------


def _factors(given: Any) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Iterable):
        raise SettingError(f"factors must be names of columns, it is {arguments.shown(given)}")
    found = tuple(arguments.text("a factor", name) for name in names)
    if not found:
        raise SettingError("give one factor at least: the name of a column, as 'conv_layers'")
    return found


def _check_columns(records: Sequence[Record], names: Sequence[str]) -> None:
    present = dict.fromkeys(name for record in records for name in record)
    for place, name in enumerate(names):
        if name not in present:
            known = short(", ".join(map(str, present)), 400) or "none"
            raise SettingError(f"there is no column {short(name)!r}; there are: {known}")
        if name in names[:place]:
            raise SettingError(f"the column {short(name)!r} is given twice: each may be one thing")


def _in_order(levels: Iterable[Level]) -> Levels:
    found = tuple(dict.fromkeys(levels))
    if all(isinstance(level, int | float) for level in found):
        return tuple(sorted(found))  # type: ignore[type-var]
    return found


def _check_levels(name: str, levels: Levels, count: int) -> None:
    if not levels:
        raise StatisticsError("no row has a level of every factor: nothing can be compared")
    if len(levels) == 1:
        raise StatisticsError(
            f"{short(name)} has one level only, {level_text(levels[0])}, in {count} rows: leave it "
            "out of the factors, or add runs at another level"
        )
