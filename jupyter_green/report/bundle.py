"""Vega, Vega-Lite and Vega-Embed as one script that needs no network."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

EXPORTS = "window.vegaEmbed = vegaEmbed;"


@cache
def script() -> str:
    """The JavaScript that defines ``vegaEmbed``.

    vl-convert makes it in more than a second, and so it is kept in the user's cache directory:
    by the version of vl-convert and by what we ask of it. What was damaged there is made anew.
    """
    path = user_cache_path("jupyter_green") / _file_name()
    with suppress(OSError, ValueError):
        return _read(path)
    import vl_convert  # noqa: PLC0415  (loads on use)

    made = vl_convert.javascript_bundle(EXPORTS)
    with suppress(OSError):
        _write(path, made)
    return made


def _file_name() -> str:
    return f"vega-{version('vl-convert-python')}-{_sum(EXPORTS)[:8]}.js"


def _sum(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _read(path: Path) -> str:
    """What was kept.

    Raises:
        ValueError: it is not what was written: the first line is the sum of the rest.
    """
    found, _, text = path.read_bytes().decode().partition("\n")
    if found != f"//{_sum(text)}":
        raise ValueError(f"{path} is damaged")
    return text


def _write(path: Path, text: str) -> None:
    """All at once: another process may read, or make, the same file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(f"//{_sum(text)}\n{text}")
        os.replace(name, path)
    finally:
        # Still there if the disk was full.
        with suppress(FileNotFoundError):
            os.unlink(name)
