"""Batches of any size, cut from what the user has: arrays, tensors, frames, lists.

The first axis counts the items. Of a tuple or a mapping every part with such an axis is cut, and
the rest (a flag, a number, a text) goes along as it is. No package is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jupyter_green.errors import SettingError

HINT = "pass items=, the number of inferences of one call"


def size_of(batch: Any) -> int:
    """The number of items of a batch.

    Raises:
        SettingError: its parts disagree, or none of them has items.
    """
    sizes = set(_sizes(batch))
    if not sizes:
        raise SettingError(
            f"a {type(batch).__name__} does not tell how many items it holds: {HINT}"
        )
    if len(sizes) > 1:
        counts = " and ".join(map(str, sorted(sizes)))
        raise SettingError(
            f"the parts of the batch hold {counts} items along their first axis, and should hold "
            f"the same number: {HINT}"
        )
    (size,) = sizes
    if size == 0:
        raise SettingError("the batch is empty: an inference needs an item")
    return size


def cut(batch: Any, size: int) -> Any:
    """The first ``size`` items, begun again from the first where the batch holds fewer.

    Slices are views where the package makes them so.

    Raises:
        SettingError: a part cannot be cut to this size.
    """
    held = size_of(batch)
    return batch if size == held else _cut(batch, held, size)


def _parts(batch: Any) -> list[Any] | None:
    """Those of a tuple or mapping; None for anything else."""
    if isinstance(batch, Mapping):
        return list(batch.values())
    return list(batch) if isinstance(batch, tuple) else None


def _sizes(batch: Any) -> list[int]:
    parts = _parts(batch)
    if parts is not None:
        return [size for part in parts for size in _sizes(part)]
    size = _own_size(batch)
    return [] if size is None else [size]


def _own_size(part: Any) -> int | None:
    if isinstance(part, list):
        return len(part)
    shape = getattr(part, "shape", None)
    try:
        return int(shape[0]) if shape is not None and len(shape) else None
    except TypeError:  # a dimension that is not known yet
        return None


def _cut(batch: Any, held: int, size: int) -> Any:
    if isinstance(batch, Mapping):
        return {name: _cut(part, held, size) for name, part in batch.items()}
    if isinstance(batch, tuple):
        parts = [_cut(part, held, size) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if _own_size(batch) is None:
        return batch
    # Rows of pandas have names, too, and plain brackets ask for columns.
    rows = getattr(batch, "iloc", batch)
    try:
        part = rows[:size] if size < held else _repeated(rows, held, size)
        found = _own_size(part)
    except Exception as error:  # each package has its own
        raise SettingError(
            f"a {type(batch).__name__} of {held} items cannot be cut to {size} "
            f"({type(error).__name__}: {str(error)[:200]}): {HINT}, for one size at a time"
        ) from error
    if found != size:
        raise SettingError(
            f"a {type(batch).__name__} of {held} items, cut to {size}, holds {found}: {HINT}"
        )
    return part


def _repeated(rows: Any, held: int, size: int) -> Any:
    if isinstance(rows, list):
        return [rows[index % held] for index in range(size)]
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return rows[[index % held for index in range(size)]]
    # An array is an index everywhere; a list is none to JAX.
    return rows[numpy.arange(size) % held]
