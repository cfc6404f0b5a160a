"""The table of a study's figures, in every form in which studies are shown.

Names in it are the user's: made harmless here, for the form at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.lines import cut, display_width, grid

EMPTY = ("", "-")
"""What stands where nothing is known."""
NAME_IN_TEXT = 30
"""Columns of a terminal for the first column."""
SHORT = 24
"""Characters of a name that stands on one line in a page."""

_TABLE = "border-collapse:collapse;margin:10px 0 0;font-size:inherit;color:inherit"
_CELL = "padding:2px 12px 2px 0;vertical-align:top"
_RULE = "background:none;border-top:1px solid rgba(128,128,128,.35)"
_SUMS = "background:none;border-top:2px solid rgba(128,128,128,.5)"


@dataclass(frozen=True)
class StudyTable:
    """Titles and lines of plain text."""

    titles: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset()
    """Columns of words, which begin at the left; figures end at the right."""
    sums: int = 0
    """Lines at the end that add up the others."""

    @classmethod
    def of(
        cls,
        titles: Sequence[str],
        lines: Iterable[Sequence[str]],
        words: Collection[int] = (),
        sums: int = 0,
    ) -> StudyTable:
        """Without the columns in which nothing stands."""
        known = list(lines)
        used = [
            place for place in range(len(titles)) if any(line[place] not in EMPTY for line in known)
        ]
        return cls(
            titles=tuple(titles[place] for place in used),
            lines=tuple(tuple(line[place] for place in used) for line in known),
            words=frozenset(new for new, place in enumerate(used) if place in words),
            sums=sums,
        )

    @property
    def text(self) -> list[str]:
        """Lines of a terminal, the columns below each other."""
        shown = [self.titles, *((cut(one[0], NAME_IN_TEXT), *one[1:]) for one in self.lines)]
        widths = [max(map(display_width, column)) for column in zip(*shown, strict=True)]

        def aligned(place: int, text: str) -> str:
            blank = " " * (widths[place] - display_width(text))
            return text + blank if place in self.words else blank + text

        return ["  ".join(aligned(*one) for one in enumerate(line)).rstrip() for line in shown]

    @property
    def markdown(self) -> str:
        """A table of Markdown."""
        return grid(self.titles, self.lines, left=tuple(self.words))

    @property
    def html(self) -> str:
        """For the output of a cell: no style sheet, colours of the text around it."""
        head = "".join(
            f'<th scope="col" style="{self._style(place)}">{escape(title)}</th>'
            for place, title in enumerate(self.titles)
        )
        first_sum = len(self.lines) - self.sums if self.sums else None
        body = "".join(
            f'<tr style="{_SUMS if number == first_sum else _RULE}">{self._cells(line)}</tr>'
            for number, line in enumerate(self.lines)
        )
        return (
            f'<table style="{_TABLE}"><thead><tr style="background:none">{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def _cells(self, line: Sequence[str]) -> str:
        return "".join(
            f'<td style="{self._style(place)}"><bdi>{escape(text)}</bdi></td>'
            for place, text in enumerate(line)
        )

    def _style(self, place: int) -> str:
        side = "left;min-width:7em" if place in self.words else "right;white-space:nowrap"
        return f"{_CELL};text-align:{side}"

    def part(self, caption: str) -> str:
        """A part of the HTML report, where nothing may have a style of its own."""
        columns = (
            html_parts.Column(title, self._kind(place))
            if place in self.words
            else html_parts.number(title)
            for place, title in enumerate(self.titles)
        )
        lines = ([html_parts.text(text) for text in line] for line in self.lines)
        return html_parts.table(caption, tuple(columns), lines)

    def _kind(self, place: int) -> str:
        """Of a column of words: names are not broken, unless they are long."""
        longest = max((len(line[place]) for line in self.lines), default=0)
        if longest <= SHORT:
            return "short"
        return "name" if place == 0 else ""
