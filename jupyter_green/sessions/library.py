"""The recorded sessions: find, load, list, prune, and add up without counting twice."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from jupyter_green.errors import JournalError, NotAJournal, SessionNotFound
from jupyter_green.events import Event, SessionEnded, SessionStarted, decode
from jupyter_green.processes import boot_id, host_name, is_alive
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session

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
        """The kernel still runs (as far as can be told from here)."""
        return _alive(self.header, self.touched_wall_s)

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
        header = _header(path)
        stat = path.stat()
    except OSError:
        return None
    return Listed(path, header, stat.st_size, stat.st_mtime) if header is not None else None


def _header(path: Path) -> SessionStarted | None:
    """The first event, if the file is a journal.

    Where a recorder died in the middle of the first line, it follows again on the next.
    """
    with open(path, "rb") as file:
        for _ in range(FIRST_LINES):
            try:
                event = decode(file.readline(LONGEST_LINE))
            except (ValueError, RecursionError):  # those of msgspec are ValueErrors, too
                continue
            return event if isinstance(event, SessionStarted) else None
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
        name: a path, a session id or the beginning of one, the name or path of a notebook (its
            newest session); None: the newest session of all.

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
        if one.header.notebook and _names(name, Path(one.header.notebook)):
            return one
    newest = ", ".join(one.id for one in sessions[:3])
    raise SessionNotFound(f"no session or notebook is called {name!r}; the newest: {newest}")


def _names(name: str, notebook: Path) -> bool:
    """The notebook's whole path, a path to it from here, its file name or its stem."""
    return name in (str(notebook), notebook.name, notebook.stem) or Path(name).resolve() == notebook


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

Stretch = tuple[float, float]
"""From one wall time to another."""


def union_uj(sessions: Iterable[Session]) -> int:
    """Counted energy of several sessions, as the union in time and not the sum.

    Two kernels on one machine read the same counters; what one session has told of a counter
    in a stretch of time is not billed again by another. Stretches are cut by wall time, on a
    straight line between stamps. Where a session had lost a counter, any other that had not
    tells more, and comes first.
    """
    curves: dict[tuple[str, str, str], list[_Curve]] = {}
    for session in sessions:
        for name, info in session.counters.items():
            if info.counted and session.trace.uj.get(name):
                key = (session.host, session.boot_id, name)
                curves.setdefault(key, []).append(_Curve(session, name))
    return sum(map(_union_uj, curves.values()))


def _union_uj(curves: Sequence[_Curve]) -> int:
    """The union of several sessions' readings of one counter."""
    cover = _Cover()
    known_uj = sum(cover.add(curve, stretch) for curve in curves for stretch in curve.known())
    lost_uj = sum(cover.add(curve, stretch) for curve in curves for stretch in curve.lost)
    # A straight line between far stamps may give a neighbour too much: no session tells less.
    return max(known_uj + lost_uj, *(curve.total_uj for curve in curves), 0)


class _Curve:
    """Cumulative microjoules of one counter in one session, by wall time."""

    def __init__(self, session: Session, counter: str) -> None:
        column = session.trace.uj[counter]
        read = [(t, uj) for t, uj in zip(session.trace.t, column, strict=True) if uj >= 0]
        self._wall = [session.wall_at(t) for t, _ in read]
        # As in the fold, a reading that was taken before the last one takes nothing back.
        self._uj = list(accumulate((uj for _, uj in read), max))
        self.lost: list[Stretch] = []
        """Where the energy is unknown, and at least what the curve says."""
        for hole in session.holes:
            if hole.counter == counter and hole.lost and read:
                until = self._wall[-1] if hole.until_s is None else session.wall_at(hole.until_s)
                self._add_lost(session.wall_at(hole.since_s), until)

    def _add_lost(self, begin: float, end: float) -> None:
        begin, end = max(begin, self._wall[0]), min(end, self._wall[-1])
        if begin < end:
            self.lost.append((begin, end))

    def known(self) -> Iterator[Stretch]:
        """Everything else, in the order of time."""
        if not self._wall:
            return
        at = self._wall[0]
        for begin, end in sorted(self.lost):
            if begin > at:
                yield at, begin
            at = max(at, end)
        yield at, self._wall[-1]

    @property
    def total_uj(self) -> int:
        """From the first reading to the last."""
        return self._uj[-1] - self._uj[0] if self._uj else 0

    def between(self, begin: float, end: float) -> int:
        """Energy of a stretch. Adjacent stretches add up exactly."""
        return self._at(end) - self._at(begin)

    def _at(self, wall_s: float) -> int:
        """Cumulative microjoules at a wall time, on a straight line between stamps."""
        after = bisect_left(self._wall, wall_s)
        if after == 0:
            return self._uj[0]
        if after == len(self._wall):
            return self._uj[-1]
        t0, t1 = self._wall[after - 1], self._wall[after]
        v0, v1 = self._uj[after - 1], self._uj[after]
        return v0 + round((v1 - v0) * (wall_s - t0) / (t1 - t0))


class _Cover:
    """The stretches of time in which a counter's energy has been told already."""

    def __init__(self) -> None:
        self._told: list[Stretch] = []
        """They do not overlap."""

    def add(self, curve: _Curve, stretch: Stretch) -> int:
        """Energy of the parts of a stretch that were not told before; from now on they are."""
        begin, end = stretch
        fresh_uj = curve.between(begin, end)
        apart: list[Stretch] = []
        for told in self._told:
            if told[1] < begin or told[0] > end:
                apart.append(told)
            else:
                fresh_uj -= curve.between(max(told[0], begin), min(told[1], end))
                stretch = (min(told[0], stretch[0]), max(told[1], stretch[1]))
        self._told = [*apart, stretch]
        return fresh_uj
