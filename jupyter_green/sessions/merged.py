"""Which journals several names mean together: sessions, directories of journals, a project.

Journals that were copied from other machines lie in any directory; a copied data directory has
them in its ``sessions``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_green.errors import JournalError, SessionNotFound
from jupyter_green.events import SessionStarted
from jupyter_green.sessions import library

MOST_PROJECTS = 10
"""Projects that an error lists."""


@dataclass(frozen=True)
class Chosen:
    """Journals that are merged."""

    paths: tuple[Path, ...]
    """In the order in which they were named; of a directory by name, the order of their starts."""
    problems: tuple[str, ...] = ()
    """What was named and is left out, one sentence each."""


def choose(
    data_dir: str | Path,
    names: Sequence[str] = (),
    *,
    project: str | None = None,
    since_wall_s: float = -math.inf,
) -> Chosen:
    """The journals of some sessions, or of all of a project.

    Args:
        data_dir: where recorded sessions lie.
        names: each as :func:`jupyter_green.sessions.library.find` takes it, or a directory of
            journals; none: all recorded sessions.
        project: only sessions with this project tag.
        since_wall_s: only sessions that began at this wall time or later.

    Raises:
        SessionNotFound: a name means nothing, or no session is left; then the known projects are
            listed.
    """
    found = list(dict.fromkeys(path for name in names for path in journals_of(data_dir, name)))
    pool = found if names else [path for path, _ in library.journals(data_dir)]
    if not pool:
        raise SessionNotFound(f"no session is recorded in {library.sessions_dir(data_dir)}")
    if project is None and since_wall_s == -math.inf:
        return Chosen(tuple(pool))
    headers = {path: library.read_header(path) for path in pool}
    known = {path: header for path, header in headers.items() if header is not None}
    problems = tuple(_why_unknown(path) for path in pool if path not in known)
    kept = [path for path, one in known.items() if _fits(one, project, since_wall_s)]
    if not kept:
        raise SessionNotFound(_nothing(list(known.values()), project, problems))
    return Chosen(tuple(kept), problems)


def _why_unknown(path: Path) -> str:
    """Why nobody can tell what a journal is of."""
    try:
        library.load(path)
    except JournalError as error:
        return named(path, error)
    return f"{path} does not begin with what its session is of"


def named(path: Path, error: JournalError) -> str:
    """What is wrong with a journal, and with which: of one alone a reader knows that."""
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def journals_in(name: str) -> list[Path]:
    """The journals of a directory; none where the name means something else."""
    if not name or not os.path.isdir(name):
        return []
    for place in (Path(name), library.sessions_dir(name)):
        found = sorted(path for path in place.glob(f"*{library.SUFFIX}") if path.is_file())
        if found:
            return found
    return []


def journals_of(data_dir: str | Path, name: str | None) -> list[Path]:
    """All journals of a directory, or the one that a name means; None: the newest.

    Raises:
        SessionNotFound: it means nothing, or several sessions.
    """
    inside = journals_in(name or "")
    if inside:
        return inside
    try:
        return [library.find(data_dir, name)]
    except SessionNotFound:
        # A notebook may be called as the directory is in which it lies.
        if name and os.path.isdir(name):
            raise SessionNotFound(
                f"the directory {name} holds no session journal (*{library.SUFFIX}), and neither "
                "does its sessions/"
            ) from None
        raise


def _fits(header: SessionStarted, project: str | None, since_wall_s: float) -> bool:
    return project in (None, header.project) and header.wall_s >= since_wall_s


def _nothing(known: Sequence[SessionStarted], project: str | None, problems: Sequence[str]) -> str:
    if not known:
        return problems[0]
    projects = sorted({one.project for one in known if one.project})
    if project is None or project in projects:
        return f"none of {len(known)} sessions has begun since then"
    if not projects:
        return f"no session has the project {project!r}: none of {len(known)} has any"
    more = f" and {len(projects) - MOST_PROJECTS} more" if len(projects) > MOST_PROJECTS else ""
    listed = ", ".join(f"{one:.80}" for one in projects[:MOST_PROJECTS])
    return f"no session has the project {project!r}; there are {listed}{more}"
