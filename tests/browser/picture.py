"""PNG files with a palette: a screenshot in few colours looks the same, at a third of its size."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS, AREAS = 192, 96
RGB, UP = 2, 2


def simply_told(browser: Browser, png: bytes) -> bytes:
    """The same picture with one filter for all rows: a browser decodes faster than we do."""
    width, height = struct.unpack_from(">II", chunks_of(png)[b"IHDR"])
    page = browser.new_page(viewport={"width": width, "height": height})
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    page.set_content(f'<body style="margin: 0"><img style="display: block" src="{source}">')
    options = {"format": "png", "optimizeForSpeed": True}
    answer = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    page.close()
    return base64.b64decode(answer["data"])


def save(png: bytes, path: Path) -> None:
    """Write such a picture with a palette."""
    palette, indices = reduced(pixels(png))
    height, width = indices.shape
    rows = np.insert(indices, 0, 0, axis=1)  # no filter: neighbours are alike as they are
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    path.write_bytes(SIGNATURE + b"".join(chunk(*one) for one in chunks))


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


# --- reading ------------------------------------------------------------------------------------


def pixels(png: bytes) -> Any:
    """Height, width and three colours.

    Raises:
        ValueError: the rows are not told as their differences to the row above.
    """
    chunks = chunks_of(png)
    width, height, _, colours = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    if colours != RGB or set(rows[:, 0]) != {UP}:
        raise ValueError("not a picture as browsers make it in a hurry")
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def chunks_of(png: bytes) -> dict[bytes, bytes]:
    """By kind; what was told in several pieces is put together."""
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind = png[at + 4 : at + 8]
        found[kind] = found.get(kind, b"") + png[at + 8 : at + 8 + size]
        at += size + 12
    return found


# --- fewer colours ------------------------------------------------------------------------------


def reduced(image: Any) -> tuple[Any, Any]:
    """The palette, and for each pixel its place in it."""
    colours, where, counts = np.unique(
        image.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    palette = chosen(colours, counts)
    index = np.concatenate(
        [closest(part, palette) for part in np.array_split(colours, len(colours) // 500 + 1)]
    )
    return palette, index[where.ravel()].astype(np.uint8).reshape(image.shape[:2])


def chosen(colours: Any, counts: Any) -> Any:
    """The most frequent ones, which are areas, and a selection of those that shade edges."""
    ordered = colours[np.argsort(-counts)]
    areas, edges = ordered[:AREAS], ordered[AREAS:]
    return np.concatenate([areas, spread(edges, COLOURS - len(areas))])


def spread(colours: Any, count: int) -> Any:
    """At the most so many, no two of which are near to each other; the first ones if possible."""
    for distance in range(8, 256, 4):
        _, first = np.unique(colours // distance, axis=0, return_index=True)
        if len(first) <= count:
            break
    return colours[np.sort(first)]


def closest(colours: Any, palette: Any) -> Any:
    far = colours[:, None, :].astype(int) - palette[None, :, :].astype(int)
    return (far**2).sum(axis=2).argmin(axis=1)
