"""Vega, Vega-Lite and Vega-Embed as one script that needs no network."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

EXPORTS = "window.vegaEmbed = vegaEmbed;"


@cache
def script() -> str:
    """The JavaScript that defines ``vegaEmbed``.

    It is made by vl-convert in some seconds, and so kept in the user's cache directory.
    """
    import vl_convert  # noqa: PLC0415  (loads on use)

    path = user_cache_path("jupyter_green") / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeError):
        return path.read_text(encoding="utf-8")
    made = vl_convert.javascript_bundle(EXPORTS)
    with suppress(OSError):
        _write(path, made)
    return made


def _write(path: Path, text: str) -> None:
    """All at once: another process may read, or make, the same file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(name, path)
    finally:
        # Still there if the disk was full.
        with suppress(FileNotFoundError):
            os.unlink(name)
