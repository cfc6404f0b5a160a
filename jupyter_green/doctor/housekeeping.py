"""Our own house: the recorder and its cost, the place of the journals, settings, place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jupyter_green.configurable import CONFIG_NAME
from jupyter_green.doctor.findings import JournalPlace, RecorderCost
from jupyter_green.errors import JournalError
from jupyter_green.processes import boot_id, host_name, is_alive
from jupyter_green.recorder.client import BOOT, PACKAGE_ROOT
from jupyter_green.sessions import library
from jupyter_green.sessions.running import SUFFIX, Present, running_dir

MOST_ENDS = 200
"""The newest sessions whose end is looked at; each takes a fraction of a millisecond."""
MOST_READ = 5
"""The newest sessions that are read as a whole, line by line ..."""
MOST_READ_BYTES = 32_000_000
"""... unless they are larger than this together."""
START_S = 20.0
"""A recorder that has not started and ended by then does not work."""


# --- the recorder -------------------------------------------------------------------------


def try_recorder() -> tuple[str, float]:
    """Start a recorder process that finds nothing to do. Why it failed, and seconds it took."""
    began_s = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", BOOT, PACKAGE_ROOT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=START_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"no recorder process can be started: {error}", 0.0
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"the recorder process ends at once ({done.returncode}): {last}", 0.0
    return "", time.perf_counter() - began_s


def running_recorders(data_dir: str) -> tuple[RecorderCost, ...]:
    """Each recorder of this user that runs now, and what it takes."""
    costs = (_cost(present) for present in _present(running_dir(data_dir)))
    return tuple(cost for cost in costs if cost is not None)


def _present(directory: Path) -> Iterator[Present]:
    try:
        paths = sorted(directory.glob(f"*{SUFFIX}"))
    except OSError:
        return
    for path in paths:
        try:
            present = msgspec.json.decode(path.read_bytes(), type=Present)
        except (OSError, ValueError):  # those of msgspec are ValueErrors, too
            continue
        if (present.host, present.boot_id) == (host_name(), boot_id()):
            yield present


def _cost(present: Present) -> RecorderCost | None:
    import psutil  # noqa: PLC0415 - not before it is needed

    if not is_alive(present.pid, present.started):
        return None
    try:
        process = psutil.Process(present.pid)
        times, memory = process.cpu_times(), process.memory_info()
        running_s = max(0.01, time.time() - process.create_time())
    except (psutil.Error, OSError):
        return None
    return RecorderCost(
        session=present.session,
        pid=present.pid,
        kernel_pid=present.kernel_pid,
        notebook=present.notebook,
        running_s=running_s,
        cpu_s_per_min=60 * (times.user + times.system) / running_s,
        memory_bytes=memory.rss,
    )


# --- journals -----------------------------------------------------------------------------


def journal_place(data_dir: str) -> JournalPlace:
    """The place of the journals, tried by writing, and how the sessions in it fare."""
    directory = library.sessions_dir(data_dir)
    sessions = library.listed(data_dir)
    ends = sessions[:MOST_ENDS]
    damaged: dict[str, int] = {}
    read = 0
    left_bytes = MOST_READ_BYTES
    for session in sessions[:MOST_READ]:
        left_bytes -= session.size_bytes
        if left_bytes < 0:
            break
        try:
            bad_lines = library.load(session.path).bad_lines
        except JournalError:
            continue
        read += 1
        if bad_lines:
            damaged[session.id] = bad_lines
    return JournalPlace(
        path=str(directory),
        problem=_why_not_writable(directory),
        free_bytes=_free_bytes(directory),
        sessions=len(sessions),
        size_bytes=sum(session.size_bytes for session in sessions),
        looked_at=len(ends),
        no_goodbye=sum(session.state == "ended without goodbye" for session in ends),
        read=read,
        damaged=damaged,
    )


def _why_not_writable(directory: Path) -> str:
    """Tried with a file that is gone again at once; a directory is made only by a session."""
    existing = _existing(directory)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\n")
            file.flush()
    except OSError as error:
        return f"{existing}: {error.strerror or error}"
    return ""


def _free_bytes(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(_existing(directory)).free
    except OSError:
        return None


def _existing(path: Path) -> Path:
    """The path, or the nearest of its parents that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


# --- settings -----------------------------------------------------------------------------


def settings_files() -> tuple[str, ...]:
    """The configuration files that are there, the weakest first."""
    from jupyter_core.paths import jupyter_config_path  # noqa: PLC0415 - not at %load_ext

    directories = reversed(dict.fromkeys(filter(None, jupyter_config_path())))
    paths = (
        os.path.join(directory, f"{CONFIG_NAME}.{suffix}")
        for directory in directories
        for suffix in ("py", "json")
    )
    return tuple(path for path in paths if os.path.exists(path))


def own_settings_file() -> str:
    """The file that takes this user's settings."""
    from jupyter_core.paths import jupyter_config_dir  # noqa: PLC0415

    return os.path.join(jupyter_config_dir(), f"{CONFIG_NAME}.json")
