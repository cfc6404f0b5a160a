"""The labelled cells of tests/recorded/stage_cells, see the README there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parents[1] / "recorded" / "stage_cells"
HALVES = ("tuning", "test")


@dataclass(frozen=True)
class LabelledCell:
    """A cell and what it is for."""

    stage: str | None
    """None: nothing in particular."""
    title: str
    source: str


def labelled_cells(half: str) -> list[LabelledCell]:
    """The cells of one half."""
    text = (PLACE / f"{half}.txt").read_text(encoding="utf-8")
    return [_cell(part) for part in re.split(r"^# %% ", text, flags=re.MULTILINE)[1:]]


def _cell(part: str) -> LabelledCell:
    heading, _, source = part.partition("\n")
    stage, _, title = heading.partition(" | ")
    return LabelledCell(None if stage == "-" else stage, title, source.strip("\n"))
