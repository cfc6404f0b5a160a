"""Which recorders run: one small file each in ``running/``, beside the journals.

A recorder outlives its kernel for a moment, to write the end. Whoever judges a journal whose
kernel is dead looks here first.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from jupyter_green.processes import boot_id, host_name, is_alive

SUFFIX = ".json"


class Present(Struct, frozen=True):
    """One running recorder."""

    session: str
    host: str
    boot_id: str
    pid: int
    started: float
    kernel_pid: int
    notebook: str | None = None


def running_dir(data_dir: str | Path) -> Path:
    """Where the files lie."""
    return Path(data_dir) / "running"


def recorder_lives(data_dir: str | Path, session: str) -> bool:
    """Whether a recorder of this machine still has the journal of ``session`` in hand."""
    path = running_dir(data_dir) / f"{session}{SUFFIX}"
    try:
        present = msgspec.json.decode(path.read_bytes(), type=Present)
    except (OSError, ValueError):  # those of msgspec are ValueErrors, too
        return False
    here = (present.host, present.boot_id) == (host_name(), boot_id())
    return here and is_alive(present.pid, present.started)
