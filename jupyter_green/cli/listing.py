"""``jupyter green list``: the recorded sessions."""

from __future__ import annotations

import time

from traitlets import Bool

from jupyter_green.cli.base import Command, switches
from jupyter_green.report.words import clean
from jupyter_green.sessions import library
from jupyter_green.sessions.library import Listed

NEWEST = 20
LONGEST_PATH = 60


class List(Command):
    """Lists the recorded sessions, the newest first."""

    name = "jupyter-green list"
    description = f"List the newest {NEWEST} sessions."
    examples = """
        jupyter green list
        jupyter green list --all
    """
    flags = switches("List", all=("everything", "List every session."))

    everything = Bool(False, help="List every session.").tag(config=True)

    def run(self) -> None:
        """Print one line a session."""
        data_dir = self.settings().data_dir
        sessions = library.listed(data_dir)
        if not sessions:
            print(f"No session is recorded in {library.sessions_dir(data_dir)}.")
            return
        shown = sessions if self.everything else sessions[:NEWEST]
        rows = [("SESSION", "STARTED", "STATE", "SIZE", "NOTEBOOK"), *map(_row, shown)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            # The notebook comes last: its name may have any width.
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            print(line.rstrip())
        if len(sessions) > len(shown):
            print(f"+ {len(sessions) - len(shown)} older ones (--all shows them)")


def _row(listed: Listed) -> tuple[str, str, str, str, str]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(listed.header.wall_s))
    notebook = _end_of(clean(listed.header.notebook or listed.header.front_end))
    return clean(listed.id), started, listed.state, _size(listed.size_bytes), notebook


def _end_of(path: str) -> str:
    """A long path without its beginning: its name stands at its end."""
    return path if len(path) <= LONGEST_PATH else f"…{path[-LONGEST_PATH + 1 :]}"


def _size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
