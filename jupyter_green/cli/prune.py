"""``jupyter green prune``: deletes old sessions."""

from __future__ import annotations

import re

from traitlets import Bool, Unicode

from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.sessions import library

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


class Prune(Command):
    """Deletes the journals of sessions that ended long ago; those that still run stay."""

    name = "jupyter-green prune"
    description = """Delete the sessions that ended longer ago than a given time.

    Sessions that still run stay. There is no default for the time, and no way back.
    """
    examples = """
        jupyter green prune --older-than 90d --dry-run    # only shows which
        jupyter green prune --older-than 90d              # also 12h, 8w
    """
    aliases = options("Prune", older_than="older_than")
    flags = switches("Prune", dry_run=("dry_run", "Only show what would be deleted."))

    older_than = Unicode("", help="Age in hours, days or weeks: 12h, 90d, 8w.").tag(config=True)
    dry_run = Bool(False, help="Only show what would be deleted.").tag(config=True)

    def run(self) -> None:
        """Delete, and say what was deleted."""
        if not self.older_than:
            raise usage("say which sessions: jupyter green prune --older-than 90d")
        age_s = seconds(self.older_than)
        try:
            old = library.prune(self.settings().data_dir, age_s, dry_run=self.dry_run)
        except OSError as error:
            raise usage(f"{error.filename} cannot be deleted: {error.strerror}") from error
        for path in old:
            print(path.stem)
        count = "1 session" if len(old) == 1 else f"{len(old)} sessions"
        print(f"{count} would be deleted." if self.dry_run else f"{count} deleted.")


def seconds(age: str) -> float:
    """``90d`` in seconds.

    Raises:
        Exit: it is no age.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([hdw])", age.strip())
    if match is None:
        raise usage(f"--older-than must be hours, days or weeks (12h, 90d, 8w), not {age!r}")
    return float(match[1]) * _SECONDS[match[2]]
