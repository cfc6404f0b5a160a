"""The recorded sessions: find, load, list, prune, and add up without counting twice."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jupyter_green.errors import JournalError, NotAJournal, SessionNotFound
from jupyter_green.events import SessionStarted, UnknownKind, decode
from jupyter_green.processes import boot_id, host_name, is_alive
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session

SUFFIX = ".ndjson"
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
        """The kernel still runs (as far as can be told from here)."""
        return _alive(self.header, self.touched_wall_s)


def sessions_dir(data_dir: str | Path) -> Path:
    """Where the journals lie."""
    return Path(data_dir) / "sessions"


def journal_path(data_dir: str | Path, session: str) -> Path:
    """The journal of a session id."""
    return sessions_dir(data_dir) / f"{session}{SUFFIX}"


def load(path: str | Path) -> Session:
    """Fold a journal. An orphan (kernel and recorder both killed) is closed at its last stamp.

    Raises:
        NotAJournal: the file does not begin as a journal does.
        NewerFormat: it was written in a newer major version.
        JournalError: it cannot be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        touched_s = path.stat().st_mtime
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror or error}") from error
    fold = Fold()
    fold.feed_lines(data)
    if fold.header is None:
        raise NotAJournal(
            f"{path} is no session journal: none of its {len(data.splitlines())} lines is a "
            "session_started event"
        )
    orphan = fold.ended is None and not _alive(fold.header, touched_s)
    return fold.session(orphan=orphan)


def _alive(header: SessionStarted, touched_wall_s: float) -> bool:
    if header.host != host_name():
        # From here its process cannot be seen; a live recorder writes every ten seconds.
        return time.time() - touched_wall_s < SILENT_S
    if header.boot_id != boot_id():
        return False
    return is_alive(header.pid, header.process_started)


def listed(data_dir: str | Path) -> list[Listed]:
    """All journals, the newest first. Files that are no journals are left out."""
    found = (_list_one(path) for path in _journals(data_dir))
    return sorted(
        (one for one in found if one is not None),
        key=lambda one: one.header.wall_s,
        reverse=True,
    )


def _journals(data_dir: str | Path) -> Iterator[Path]:
    try:
        yield from sorted(sessions_dir(data_dir).glob(f"*{SUFFIX}"))
    except OSError:
        return


def _list_one(path: Path) -> Listed | None:
    try:
        with open(path, "rb") as file:
            header = decode(file.readline())
        stat = path.stat()
    except (OSError, UnknownKind, msgspec.DecodeError):
        return None
    if not isinstance(header, SessionStarted):
        return None
    return Listed(path, header, stat.st_size, stat.st_mtime)


def find(data_dir: str | Path, name: str | None = None) -> Path:
    """The journal that ``name`` means.

    Args:
        name: a path, a session id or the beginning of one, the name of a notebook (its newest
            session); None: the newest session of all.

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
    for one in sessions:
        notebook = one.header.notebook or ""
        if notebook and name in (notebook, Path(notebook).name, Path(notebook).stem):
            return one
    newest = ", ".join(one.id for one in sessions[:3])
    raise SessionNotFound(f"no session or notebook is called {name!r}; the newest: {newest}")


def prune(data_dir: str | Path, older_than_s: float, *, dry_run: bool = False) -> list[Path]:
    """Delete the journals of sessions that ended longer ago than this; live ones stay.

    Returns:
        The files that were (or, with ``dry_run``, would be) deleted.
    """
    limit = time.time() - older_than_s
    old = [one.path for one in listed(data_dir) if one.touched_wall_s < limit and not one.alive]
    if not dry_run:
        for path in old:
            path.unlink(missing_ok=True)
    return old


# --- totals over several sessions ---------------------------------------------------------


def union_uj(sessions: Iterable[Session]) -> int:
    """Counted energy of several sessions, as the union in time and not the sum.

    Two kernels on one machine read the same counters; what one session has told of a counter
    in a stretch of time is not billed again by another. Stretches are cut by wall time, on a
    straight line between stamps.
    """
    covered: dict[tuple[str, str, str], _Cover] = {}
    total = 0.0
    for session in sorted(sessions, key=lambda one: one.started_wall_s):
        for name, info in session.counters.items():
            if not info.counted:
                continue
            key = (session.host, session.boot_id, name)
            total += covered.setdefault(key, _Cover()).add(_curve(session, name))
    return round(total)


def _curve(session: Session, counter: str) -> list[tuple[float, int]]:
    """Wall time and cumulative microjoules of one counter, stamp by stamp."""
    column = session.trace.uj.get(counter)
    if column is None:
        return []
    start = session.started_wall_s
    return [(start + t, uj) for t, uj in zip(session.trace.t, column, strict=True) if uj >= 0]


class _Cover:
    """How far into wall time a counter's energy has been told already.

    Sessions come in the order of their start, so one moment is enough: what begins later and
    lies before it is covered. (The pause between two sessions of which neither is covered by a
    third belongs to nobody.)
    """

    def __init__(self) -> None:
        self._until = float("-inf")

    def add(self, curve: Sequence[tuple[float, int]]) -> float:
        """Energy of the part of a curve that no earlier session covers."""
        if len(curve) < 2:
            return 0.0
        begin, end = curve[0][0], curve[-1][0]
        fresh = curve[-1][1] - _value(curve, max(begin, min(end, self._until)))
        self._until = max(self._until, end)
        return float(fresh)


def _value(curve: Sequence[tuple[float, int]], wall_s: float) -> float:
    """Cumulative microjoules at a wall time, on a straight line between stamps."""
    index = bisect_left(curve, wall_s, key=lambda point: point[0])
    if index == 0:
        return curve[0][1]
    (t0, v0), (t1, v1) = curve[index - 1], curve[min(index, len(curve) - 1)]
    return v0 if t1 <= t0 else v0 + (v1 - v0) * (wall_s - t0) / (t1 - t0)
