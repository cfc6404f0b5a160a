"""Lines of text that several views are made of: cut to columns, and tables of Markdown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from jupyter_green.report.inert import markdown, short

LONGEST_FACT = 600
"""Characters of a sentence; names in it are shorter."""

# --- columns of a terminal ----------------------------------------------------------------


def display_width(text: str) -> int:
    """Columns that a text takes in a terminal: wide characters two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """A text in at most ``width`` columns; what was cut off shows as an ellipsis."""
    # Marks that take no columns must not pile up without end.
    if len(text) <= 4 * width and display_width(text) <= width:
        return text
    kept, used = [], 0
    for character in text[: 4 * width]:
        used += _columns(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


# --- Markdown -----------------------------------------------------------------------------


def fact(text: str) -> str:
    """A sentence of facts as Markdown that shows just this text."""
    return markdown(short(text, LONGEST_FACT))


def grid(columns: Sequence[str], lines: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table; nothing where it has no lines. Cells come as plain text."""
    rows = [_pipes(map(fact, line)) for line in lines]
    rules = (":--" if index in left else "--:" for index in range(len(columns)))
    return "\n".join([_pipes(map(markdown, columns)), _pipes(rules), *rows]) if rows else ""


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
