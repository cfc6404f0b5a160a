"""How a time is given at the command line: as an age (``90d``) or as a date."""

from __future__ import annotations

import re
import time
from datetime import datetime

from jupyter_green.cli.base import usage

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGE = re.compile(r"(\d{1,9}(?:\.\d+)?)([hdw])")


def seconds(age: str) -> float:
    """``90d`` in seconds.

    Raises:
        Exit: it is no age.
    """
    match = _AGE.fullmatch(age.strip())
    if match is None:
        raise usage(f"--older-than must be hours, days or weeks (12h, 90d, 8w), not {age!r}")
    return float(match[1]) * _SECONDS[match[2]]


def since(text: str) -> float:
    """The wall time that an age or a date (its beginning, here) means.

    Raises:
        Exit: it is neither.
    """
    if _AGE.fullmatch(text.strip()):
        return time.time() - seconds(text)
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise usage(
            f"--since must be a date (2026-01-31) or an age (12h, 90d, 8w), not {text!r}"
        ) from None
