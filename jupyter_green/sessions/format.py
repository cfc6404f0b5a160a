"""Which versions of the journal's format this version reads."""

from __future__ import annotations

import re

import msgspec

from jupyter_green.errors import NewerFormat
from jupyter_green.events import FORMAT_MAJOR


def check_format(version: str) -> None:
    """Refuse a journal of a newer major version.

    Raises:
        NewerFormat: with both versions and the remedy.
    """
    major = version.partition(".")[0]
    if not re.fullmatch("[0-9]{1,9}", major) or int(major) > FORMAT_MAJOR:
        raise NewerFormat(
            f"this journal has format {version}, and this jupyter_green reads up to "
            f"{FORMAT_MAJOR}.x: pip install --upgrade jupyter-green"
        )


class _FirstLine(msgspec.Struct):
    """What any first line has, whatever else a newer version makes of it."""

    kind: str
    format: str


_first_line = msgspec.json.Decoder(_FirstLine)


def refuse_newer(line: bytes) -> None:
    """A first line that cannot be read may be of a newer major version.

    Raises:
        NewerFormat: it is.
    """
    try:
        first = _first_line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if first.kind == "session_started":
        check_format(first.format)
