"""Deleting old sessions: on request, and by the setting ``retention_days``.

A session is as old as the last line of its journal. Sessions that still run stay, however long
they have been silent, and so does every file that is not named as a journal is.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jupyter_green.sessions import index
from jupyter_green.sessions.library import Listed, journals, read_header
from jupyter_green.sessions.running import recorder_lives
from jupyter_green.settings import Settings

DAY_S = 86_400.0
_SESSION_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class Old:
    """Journals that are older than was asked for."""

    sessions: tuple[Path, ...]
    unreadable: tuple[Path, ...]
    """Named as journals, and without a first line that says what they are. Whether they ended
    is not known; that nobody has written to them for so long is."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*self.sessions, *self.unreadable)


def find_old(data_dir: str | Path, older_than_s: float) -> Old:
    """The journals that nobody has written to for so long, and nobody has open."""
    limit = time.time() - older_than_s
    sessions, unreadable = [], []
    # Files that are young need not be opened.
    for path, stat in journals(data_dir):
        if stat.st_mtime >= limit:
            continue
        header = read_header(path)
        if header is not None:
            if not Listed(path, header, stat.st_size, stat.st_mtime).alive:
                sessions.append(path)
        elif _was_journal(path) and not recorder_lives(data_dir, path.stem):
            unreadable.append(path)
    return Old(tuple(sessions), tuple(unreadable))


def _was_journal(path: Path) -> bool:
    return path.is_file() and _SESSION_ID.fullmatch(path.stem) is not None


def prune(data_dir: str | Path, older_than_s: float) -> Old:
    """Delete what :func:`find_old` finds, and what the history has kept of it.

    Returns:
        What was deleted.

    Raises:
        OSError: a file cannot be deleted; those before it are.
    """
    old = find_old(data_dir, older_than_s)
    try:
        for path in old.paths:
            path.unlink(missing_ok=True)
    finally:
        if old.paths:
            index.forget(data_dir, [path.name for path in old.paths if not path.exists()])
    return old


def prune_expired(settings: Settings) -> None:
    """Delete what is older than ``retention_days``; without that setting, nothing.

    For the end of a session: whatever cannot be deleted stays for the next one.
    """
    if settings.retention_days is not None:
        with suppress(OSError):
            prune(settings.data_dir, settings.retention_days * DAY_S)
