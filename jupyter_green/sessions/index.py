"""The summaries of finished sessions on disk, so that the history folds each journal once.

The index says nothing that the journals do not: where it is missing, damaged, of another version
or cannot be written, everything is folded again, which costs only time. It is replaced whole, so
of two processes that write it at once the last one is right, and nobody reads a part.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec import Struct

from jupyter_green import __version__
from jupyter_green.sessions.summary import Summary

NAME = "history.index"
VERSION = f"1 {__version__}"
"""Another version of this package may fold differently."""
CHECK_BYTES = 4


class Entry(Struct, frozen=True, array_like=True):
    """The summary of a journal that had this size and time."""

    size_bytes: int
    mtime_ns: int
    summary: Summary

    def is_of(self, stat: os.stat_result) -> bool:
        """Whether the journal is still the same."""
        return (self.size_bytes, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


class _Content(Struct, frozen=True):
    version: str
    entries: dict[str, Entry]


_decoder = msgspec.msgpack.Decoder(_Content)
_encoder = msgspec.msgpack.Encoder()


def index_path(data_dir: str | Path) -> Path:
    """The file."""
    return Path(data_dir) / NAME


def read(data_dir: str | Path) -> dict[str, Entry]:
    """Entries by the file name of their journals; none where the index cannot be used."""
    try:
        data = index_path(data_dir).read_bytes()
        if zlib.crc32(data[CHECK_BYTES:]).to_bytes(CHECK_BYTES, "big") != data[:CHECK_BYTES]:
            return {}
        content = _decoder.decode(data[CHECK_BYTES:])
    except (OSError, ValueError, RecursionError):  # those of msgspec are ValueErrors, too
        return {}
    return content.entries if content.version == VERSION else {}


def write(data_dir: str | Path, entries: Mapping[str, Entry]) -> None:
    """Replace the index, if it can be written."""
    path = index_path(data_dir)
    draft = path.with_name(f".{NAME}.{uuid4().hex}")
    data = _encoder.encode(_Content(VERSION, dict(entries)))
    try:
        # What sessions are called is for nobody else's eyes, as in the journals.
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(zlib.crc32(data).to_bytes(CHECK_BYTES, "big") + data)
        os.replace(draft, path)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def forget(data_dir: str | Path, names: Iterable[str]) -> None:
    """Remove the summaries of journals that were deleted."""
    entries = read(data_dir)
    left = {name: entry for name, entry in entries.items() if name not in frozenset(names)}
    if len(left) < len(entries):
        write(data_dir, left)
