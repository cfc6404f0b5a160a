"""Text that users, notebooks and other programs chose, made harmless for each form.

``short`` is for all forms: one line, nothing that steers a terminal or turns the reading order,
and no longer than anyone reads. ``markdown``, ``latex`` and ``yaml`` take whole sentences, the
user's words in them and ours alike, so that no form has to tell the two apart.
"""

from __future__ import annotations

import json
import re
import unicodedata

from jupyter_green.report.words import LONGEST_NAME, clean

TIMES = "\N{MULTIPLICATION SIGN}"

_MARKDOWN = re.compile(r"[\\`*_\[\]|~${}@]|:(?=//)|(?<=www)\.")
"""What begins code, emphasis, links, addresses, tables, strokes, formulas and templates."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_DASH = re.compile(r"-(?=-)")
"""Two of them would join into a dash in LaTeX."""
_BLOCK = re.compile(r"^(?:\d+(?=[.)](?:\s|$))|(?=[-+=#:]))")
"""What would begin a list, a heading or a rule at the start of a line: an escape follows it."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # German, among others, gives the quotation mark a meaning.
    '"': r"{\char34}",
    "±": r"\ensuremath{\pm}",
    "≥": r"\ensuremath{\geq}",
    TIMES: r"\ensuremath{\times}",
    "µ": r"\ensuremath{\mu}",
    "°": r"\ensuremath{^\circ}",
    "·": r"\ensuremath{\cdot}",
    "₂": r"\ensuremath{_2}",
    "…": r"\ldots{}",
    "\ufffd": "?",
}


def short(text: str, most: int = LONGEST_NAME) -> str:
    """Text on one line, with at most that many characters; what was cut shows as an ellipsis."""
    name = clean(text)
    return name if len(name) <= most else f"{name[:most].rstrip()}…"


def markdown(text: str) -> str:
    """A line of text as Markdown that shows just this text, also in the cell of a table."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", "".join(_ENTITIES.get(c, c) for c in text))
    return _BLOCK.sub(lambda found: f"{found[0]}\\", escaped)


def latex(text: str) -> str:
    """A line of text as LaTeX that prints just this text, whatever encoding the fonts have."""
    return _DASH.sub("-{}", "".join(_LATEX.get(character, character) for character in text))


def yaml(text: str) -> str:
    """A line of text as a quoted scalar of YAML.

    JSON's quoting is YAML's, too, but for characters that are none: YAML takes no file with them.
    """
    known = (c if unicodedata.category(c) != "Cn" else "\ufffd" for c in text)
    return json.dumps("".join(known), ensure_ascii=False)
