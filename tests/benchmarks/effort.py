"""How long a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Repetitions and durations."""

    rounds: int = 7
    cells: int = 500
    paced_cells: int = 25
    starts: int = 7
    watch_s: float = 30.0  # two of CodeCarbon's periods
    watch_rounds: int = 3
    folds: int = 5
    waits: int = 15
    session_cells: int = 10_000


QUICK = Effort(
    rounds=3, cells=200, paced_cells=8, starts=3, watch_s=5.0, watch_rounds=1, folds=2,
    waits=5, session_cells=2_000,
)  # fmt: skip
