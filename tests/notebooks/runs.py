"""Running a notebook headless as a user does, with a data directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .kept import NOTEBOOKS, Kept, read

LIMIT_S = 180
"""A notebook takes less, on two CPUs that do nothing else."""
PATIENCE_S = 3 * LIMIT_S


class RunFailed(Exception):
    """``jupyter green run`` gave up."""


def run(name: str, place: Path) -> tuple[Kept, Path]:
    """Execute a notebook; what it shows, and its journal.

    Args:
        place: an empty directory for everything that it leaves.

    Raises:
        RunFailed: a cell failed, or it took far too long.
    """
    executed = place / f"{name}.ipynb"
    source = NOTEBOOKS / f"{name}.ipynb"
    words = ["jupyter_green.cli.app", "run", str(source), "--output", str(executed)]
    own = {"JUPYTER_DATA_DIR": str(place), "JUPYTER_CONFIG_DIR": str(place / "config")}
    try:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"{name} took more than {PATIENCE_S} s") from error
    if done.returncode != 0:
        raise RunFailed(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    # A journal for each kernel that tracked; a notebook may begin processes of its own.
    journals = sorted((place / "jupyter_green" / "sessions").glob("*.ndjson"))
    return read(executed, journals[0]), journals[0]


def claims_hold(name: str, place: Path) -> bool:
    """Whether a notebook that is run now says something, and its journal says the same.

    Tests of this are in three files, which run beside each other.

    Raises:
        RunFailed: it does not run.
    """
    one, _ = run(name, place)
    print(one.claimed)
    return bool(one.claimed.strip()) and one.recomputed == one.claimed
