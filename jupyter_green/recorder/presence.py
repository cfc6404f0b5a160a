"""Who else records on this machine: sessions that read the same counters at the same time.

Each recorder keeps one small file in ``running/`` while it lives. Nothing waits for anybody:
an overlap is only seen and said.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from jupyter_green.events import OverlapSeen
from jupyter_green.processes import boot_id, host_name, is_alive, process_started
from jupyter_green.sessions.running import SUFFIX, Present, running_dir


class Presence:
    """This recorder's file in ``running/``, and a look at those of others."""

    def __init__(
        self, data_dir: Path, session: str, kernel_pid: int, notebook: str | None = None
    ) -> None:
        self._dir = running_dir(data_dir)
        self._path = self._dir / f"{session}{SUFFIX}"
        pid = os.getpid()
        self._own = Present(
            session, host_name(), boot_id(), pid, process_started(pid), kernel_pid, notebook
        )
        self._seen = {session}

    def announce(self) -> None:
        """Write the file. A directory that cannot be written only hides this session."""
        with contextlib.suppress(OSError):
            self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "wb") as file:
                file.write(msgspec.json.encode(self._own))

    def leave(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def newly_seen(self) -> Iterable[OverlapSeen]:
        """Sessions on this machine that were not there at the last look."""
        for other in self._others():
            self._seen.add(other.session)
            yield OverlapSeen(
                t=0.0, session=other.session, pid=other.kernel_pid, notebook=other.notebook
            )

    def _others(self) -> list[Present]:
        try:
            names = [name for name in os.listdir(self._dir) if name.endswith(SUFFIX)]
        except OSError:
            return []
        found = (self._read(name) for name in names if name.removesuffix(SUFFIX) not in self._seen)
        return [other for other in found if other is not None and self._is_here(other)]

    def _read(self, name: str) -> Present | None:
        path = self._dir / name
        try:
            present = msgspec.json.decode(path.read_bytes(), type=Present)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if self._is_this_boot(present) and not is_alive(present.pid, present.started):
            with contextlib.suppress(OSError):
                path.unlink()  # its recorder was killed
            return None
        return present

    def _is_this_boot(self, present: Present) -> bool:
        return (present.host, present.boot_id) == (self._own.host, self._own.boot_id)

    def _is_here(self, present: Present) -> bool:
        return self._is_this_boot(present) and present.kernel_pid != self._own.kernel_pid
