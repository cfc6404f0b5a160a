"""Energy by layer as a picture: a bar a layer, forward and backward behind each other.

A small drawing of our own for the output of a cell, which needs no script and has the colours of
the text around it, and no style of its own. Where energy is modelled the bars show time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from jupyter_green.insight.layers import TRAINING, Amount, Figures, Layer
from jupyter_green.report.inert import short
from jupyter_green.units import UJ_PER_J, format_duration, format_energy

WIDTH = 640
_NAMES_WIDTH, _VALUES_WIDTH, _ROW, _TOP = 220, 90, 18, 22
_FORWARD, _BACKWARD = "#2f9e68", "#8ecfae"


def drawing(result: Figures, layers: Sequence[Layer]) -> str:
    """A bar for each of these layers; nothing where none was measured."""
    known = [(layer, one) for layer in layers if (one := layer.amount(result.main)) is not None]
    most = max((result.value(amount) for _, amount in known), default=0.0)
    if most <= 0:
        return ""
    trains = result.main == TRAINING
    shapes = [*_legend(trains)]
    for row, (layer, amount) in enumerate(known):
        shapes += _bar(result, layer, amount, _TOP + _ROW * row, most)
    height = _TOP + _ROW * len(known) + 4
    quantity = "time" if result.by_time else "energy"
    passes = "forward and backward" if trains else "forward"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" '
        f'aria-label="{escape(f"{quantity} of one pass by layer, {passes}")}" font-size="11" '
        f'font-family="inherit" fill="currentColor">{"".join(shapes)}</svg>'
    )


def _legend(trains: bool) -> Iterator[str]:
    x = _NAMES_WIDTH
    for name, colour in (("forward", _FORWARD), ("backward", _BACKWARD))[: 1 + trains]:
        yield f'<rect x="{x}" y="4" width="10" height="10" fill="{colour}"/>'
        yield _words(x + 15, 13, name, "start")
        x += 80


def _bar(result: Figures, layer: Layer, amount: Amount, y: int, most: float) -> Iterator[str]:
    yield _words(_NAMES_WIDTH - 8, y + 12, _title(layer), "end")
    scale = (WIDTH - _NAMES_WIDTH - _VALUES_WIDTH) / most
    whole = max(0.0, result.value(amount)) * scale
    # A backward pass below resolution may come out a little below nothing.
    forward = min(whole, max(0.0, result.value(layer.forward)) * scale)
    yield _part(_NAMES_WIDTH, y, forward, _FORWARD)
    yield _part(_NAMES_WIDTH + forward, y, whole - forward, _BACKWARD)
    yield _words(_NAMES_WIDTH + whole + 5, y + 12, _told(result, amount), "start")


def _told(result: Figures, amount: Amount) -> str:
    if not result.by_time and amount.below_resolution:
        return "below resolution"
    value = result.value(amount)
    return format_duration(value) if result.by_time else format_energy(value * UJ_PER_J)


def _title(layer: Layer) -> str:
    """The end of a name tells more than its beginning."""
    name = short(layer.name, 200)
    name = name if len(name) <= 20 else f"…{name[-19:]}"
    return f"{name} · {short(layer.type, 16)}" if layer.type != layer.name else name


def _part(x: float, y: int, width: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 5}" fill="{colour}"/>'
    )


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" unicode-bidi="isolate">'
        f"{escape(words)}</text>"
    )
