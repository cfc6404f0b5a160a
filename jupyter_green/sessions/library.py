"""The recorded sessions: find, load, list, and add up without counting twice."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jupyter_green.errors import JournalError, NotAJournal, SessionNotFound
from jupyter_green.events import Event, SessionEnded, SessionStarted, decode
from jupyter_green.processes import boot_id, host_name, is_alive
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from jupyter_green.sessions.running import recorder_lives
from jupyter_green.sessions.union import curves, union

SUFFIX = ".ndjson"
FIRST_LINES = 10
LONGEST_LINE = 1 << 20
TAIL_BYTES = 1 << 16
"""The last event of a journal is not longer."""
SILENT_S = 900.0
"""A session of another machine that has written nothing for so long is taken for ended."""


@dataclass(frozen=True)
class Listed:
    """A journal as the list shows it: its first line, without folding the rest."""

    path: Path
    header: SessionStarted
    size_bytes: int
    touched_wall_s: float

    @property
    def id(self) -> str:
        return self.header.session

    @property
    def alive(self) -> bool:
        """Its kernel or its recorder still runs (as far as can be told from here)."""
        return _alive(self.path, self.header, self.touched_wall_s)

    @property
    def state(self) -> str:
        """open, closed, or ended without goodbye: as of the last line and the kernel."""
        ended = _last_event(self.path, self.size_bytes)
        if isinstance(ended, SessionEnded):
            return "closed" if ended.reason == "goodbye" else "ended without goodbye"
        return "open" if self.alive else "ended without goodbye"


def sessions_dir(data_dir: str | Path) -> Path:
    """Where the journals lie."""
    return Path(data_dir) / "sessions"


def journal_path(data_dir: str | Path, session: str) -> Path:
    """The journal of a session id."""
    return sessions_dir(data_dir) / f"{session}{SUFFIX}"


def why_unwritable(data_dir: str | Path) -> str | None:
    """Why no session can be written there, and the remedy; None: it can."""
    directory = sessions_dir(data_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as error:
        return (
            f"no session can be written to {directory}: {error.strerror}. Make room there, or "
            "set JupyterGreen.data_dir in jupyter_green_config.json"
        )


def load(path: str | Path) -> Session:
    """Fold a journal. An orphan (kernel and recorder both dead) is closed at its last stamp.

    A session is open as long as one of the two lives: the recorder writes the end.

    Raises:
        NotAJournal: the file does not begin as a journal does.
        NewerFormat: it was written in a newer major version.
        JournalError: it cannot be read.
    """
    path = Path(path)
    fold, stat = _folded(path)
    if fold.ended is not None or _alive(path, _first(fold), stat.st_mtime):
        return fold.session()
    # Whoever was the last to live may have written the end between the two looks.
    if _stat(path).st_size != stat.st_size:
        fold, _ = _folded(path)
    return fold.session(orphan=fold.ended is None)


def _folded(path: Path) -> tuple[Fold, os.stat_result]:
    """A journal's fold, and what the file was before it was read."""
    stat = _stat(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror or error}") from error
    fold = Fold()
    fold.feed_lines(data)
    if fold.header is None:
        raise NotAJournal(
            f"{path} is no session journal: none of its {len(data.splitlines())} lines is a "
            "session_started event"
        )
    return fold, stat


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror or error}") from error


def _first(fold: Fold) -> SessionStarted:
    assert fold.header is not None
    return fold.header


def _alive(path: Path, header: SessionStarted, touched_wall_s: float) -> bool:
    if header.host != host_name():
        # From here its process cannot be seen; a live recorder writes every ten seconds.
        return time.time() - touched_wall_s < SILENT_S
    if header.boot_id != boot_id():
        return False
    if is_alive(header.pid, header.process_started):
        return True
    return recorder_lives(path.parent.parent, header.session)


def listed(data_dir: str | Path) -> list[Listed]:
    """All journals, the newest first. Files that are no journals are left out."""
    found = (_list_one(path, stat) for path, stat in journals(data_dir))
    return sorted(
        (one for one in found if one is not None),
        key=lambda one: one.header.wall_s,
        reverse=True,
    )


def journals(data_dir: str | Path) -> list[tuple[Path, os.stat_result]]:
    """All files that are named as journals are, by name, which is the order of their starts."""
    found = []
    try:
        with os.scandir(sessions_dir(data_dir)) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(OSError):
                        found.append((Path(entry.path), entry.stat()))
    except OSError:
        return []
    return sorted(found)


def _list_one(path: Path, stat: os.stat_result) -> Listed | None:
    header = read_header(path)
    return Listed(path, header, stat.st_size, stat.st_mtime) if header is not None else None


def read_header(path: Path) -> SessionStarted | None:
    """The first event, if the file can be read and is a journal.

    Where a recorder died in the middle of the first line, it follows again on the next.
    """
    try:
        with open(path, "rb") as file:
            for _ in range(FIRST_LINES):
                try:
                    event = decode(file.readline(LONGEST_LINE))
                except (ValueError, RecursionError):  # those of msgspec are ValueErrors, too
                    continue
                return event if isinstance(event, SessionStarted) else None
    except OSError:
        return None
    return None


def _last_event(path: Path, size_bytes: int) -> Event | None:
    """Only the file's end is read: it may be long."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, size_bytes - TAIL_BYTES))
            return decode(file.read().rstrip().rpartition(b"\n")[2])
    except (OSError, ValueError, RecursionError):
        return None


def find(data_dir: str | Path, name: str | None = None) -> Path:
    """The journal that ``name`` means.

    Args:
        name: a path, a session id or the beginning of one, the name or path of a notebook or of
            its executed copy (its newest session); None: the newest session of all.

    Raises:
        SessionNotFound: nothing answers to it, or an id's beginning fits several.
    """
    if name is not None:
        path = Path(name)
        if path.suffix == SUFFIX and path.is_file():
            return path
    sessions = listed(data_dir)
    if not sessions:
        raise SessionNotFound(
            f"no session is recorded in {sessions_dir(data_dir)}: run one with "
            "`jupyter green run NOTEBOOK`, or `%load_ext jupyter_green` in a notebook"
        )
    if name is None:
        return sessions[0].path
    return _by_name(sessions, name).path


def _by_name(sessions: Sequence[Listed], name: str) -> Listed:
    starts = [one for one in sessions if one.id.startswith(name)]
    if len(starts) == 1 or any(one.id == name for one in starts):
        return next((one for one in starts if one.id == name), starts[0])
    if len(starts) > 1:
        some = ", ".join(one.id for one in starts[:5])
        raise SessionNotFound(f"{name!r} begins {len(starts)} session ids: {some} ...")
    # A notebook may be called so itself.
    for of in (Path, executed):
        for one in sessions:
            if one.header.notebook and _names(name, of(one.header.notebook)):
                return one
    newest = ", ".join(one.id for one in sessions[:3])
    raise SessionNotFound(f"no session or notebook is called {name!r}; the newest: {newest}")


def _names(name: str, notebook: Path) -> bool:
    """The notebook's whole path, a path to it from here, its file name or its stem."""
    return name in (str(notebook), notebook.name, notebook.stem) or Path(name).resolve() == notebook


def executed(notebook: str | Path) -> Path:
    """Where a notebook that was run headless is saved, unless somebody says otherwise."""
    path = Path(notebook)
    return path.parent / f"{path.stem}.executed.ipynb"


def union_uj(sessions: Iterable[Session]) -> int:
    """Counted energy of several sessions, as the union in time and not the sum.

    What counts once, and what tells more where several sessions tell of the same time, says
    :mod:`jupyter_green.sessions.union`.
    """
    return union(curve for session in sessions for curve in curves(session)).total_uj
