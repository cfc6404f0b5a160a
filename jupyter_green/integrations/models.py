"""How large a model is, as its framework tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """What is known of a model; None: not known."""

    name: str
    parameters: int | None = None
    size_bytes: int | None = None
    """Of the parameters, in memory."""
    precision: str | None = None
    """Of most parameters, or of the computation where the framework has a policy for it."""


def of_module(module: Any, precision: str | None = None) -> Facts:
    """Of a ``torch.nn.Module``. A lazy layer that has not seen a batch counts as nothing yet."""
    sizes = [
        (one.numel(), one.element_size(), str(one.dtype).removeprefix("torch."))
        for one in module.parameters()
        if not hasattr(one, "materialize")
    ]
    return _summed(type(module).__name__, sizes, precision)


def of_arrays(name: str, arrays: Iterable[Any]) -> Facts:
    """Of a model whose parameters are NumPy arrays."""
    sizes = [(int(one.size), int(one.itemsize), str(one.dtype)) for one in arrays]
    return _summed(name, sizes, None)


def _summed(name: str, sizes: list[tuple[int, int, str]], precision: str | None) -> Facts:
    """Of parameters by their number, bytes each, and type."""
    if not sizes:
        return Facts(name, precision=precision)
    by_type: Counter[str] = Counter()
    for count, _, kind in sizes:
        by_type[kind] += count
    return Facts(
        name,
        parameters=sum(count for count, _, _ in sizes),
        size_bytes=sum(count * each for count, each, _ in sizes),
        precision=precision or by_type.most_common(1)[0][0],
    )
