"""What others have written, made harmless, and values in words: for every view.

All text that comes from users, notebooks or other programs goes through :func:`clean`, so that no
view has to think of it again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from jupyter_green.events import Intensity
from jupyter_green.sessions.model import Cell, Energy, Metric, Session
from jupyter_green.units import (
    format_co2,
    format_energy,
    format_energy_with_bound,
    format_share,
)

LONGEST_NAME = 200
"""Characters of a label that any view gets; most cut it further."""
LONGEST_TEXT = 1000
"""Characters of anything else that others have written: reasons, places, paths."""
NO_COUNTER = "no counter"
"""Stands where nothing could be read. Zero would be a measurement."""
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links
    r"|\x1b[ -/]*[0-~]?"
)
_JOINERS = "\u200c\u200d"
"""Invisible, and yet part of Persian words and of emoji."""


def clean(text: str) -> str:
    """Text on one line, without anything that steers a terminal or turns the reading order.

    What nobody would read to its end is cut, and shows an ellipsis.
    """
    plain = (_harmless(character) for character in _ANSI.sub("", text[: 10 * LONGEST_TEXT]))
    line = " ".join("".join(plain).split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT].rstrip()}…"


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cf":
        return character if character in _JOINERS else ""
    return "\ufffd" if category == "Cs" else character


def energy_words(energy: Energy) -> str:
    """``12.4 ± 0.3 J``, ``≥ 12 J`` where a part is missing, ``no counter``."""
    if energy.total_uj is None:
        return NO_COUNTER
    if energy.missing:
        return f"≥ {format_energy(energy.total_uj)}"
    if energy.below_resolution or not energy.bound_uj:
        return format_energy(energy.total_uj)
    return format_energy_with_bound(energy.total_uj, energy.bound_uj)


def missing_words(energy: Energy) -> str:
    """``dram-0 missing``, or nothing."""
    if energy.total_uj is None or not energy.missing:
        return ""
    return f"{', '.join(map(clean, energy.missing))} missing"


def provenance_words(energy: Energy) -> str:
    """``measured``, ``measured + modelled``, or nothing."""
    return " + ".join(energy.provenance)


def metric_words(metric: Metric) -> str:
    """``acc 0.914``. Values of any size, so with an exponent where it is needed."""
    return f"{clean(metric.name)} {metric.value:.6g}"


def intensity_words(intensity: Intensity) -> str:
    """``France 2024``; says when the value is only an estimate."""
    year = f" {intensity.year}" if intensity.year is not None else ""
    estimated = ", estimated" if intensity.estimated else ""
    return f"{clean(intensity.place)}{year}{estimated}"


def share_words(share: float | None) -> str:
    """``71 %``; never more digits than anyone needs."""
    if share is None:
        return ""
    return "< 0.1 %" if 0 < share < 0.001 else format_share(share)


def status_words(status: str, error: str | None) -> str:
    """What a status other than ok means, or nothing."""
    if status == "error":
        return f"failed: {clean(error)}" if error else "failed"
    return {"ok": "", "unfinished": "its end was not recorded"}.get(status, clean(status))


def shared_words(cell: Cell) -> Iterable[str]:
    """Devices that others used as well, and the share of the work that was the cell's."""
    for device in cell.devices_shared:
        share = cell.device_shares.get(device)
        yours = f", about {format_share(share)} of its work yours" if share is not None else ""
        yield f"{clean(device)} shared with others{yours}"


def co2_words(session: Session, energy: Energy) -> str:
    grams = session.co2_g(energy)
    return "" if grams is None else format_co2(grams)


def count_words(session: Session) -> str:
    """``9 cells``; of a plain script ``2 measured windows``."""
    if session.is_script:
        return plural(len(session.windows), "measured window")
    return plural(len(session.cells), "cell")


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
