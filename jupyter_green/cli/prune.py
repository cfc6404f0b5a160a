"""``jupyter green prune``: deletes old sessions."""

from __future__ import annotations

from traitlets import Bool, Unicode

from jupyter_green.cli.ages import seconds
from jupyter_green.cli.base import Command, options, switches, usage
from jupyter_green.sessions import retention
from jupyter_green.settings import Settings


class Prune(Command):
    """Deletes the journals of sessions that ended long ago; those that still run stay."""

    name = "jupyter-green prune"
    description = """Delete the sessions that ended longer ago than a given time.

    Sessions that still run stay. The time is --older-than, or else the setting
    JupyterGreen.retention_days; there is no other default, and no way back. Damaged journals,
    which do not say what they are, go by the age of their files.
    """
    examples = """
        jupyter green prune --older-than 90d --dry-run    # only shows which
        jupyter green prune --older-than 90d              # also 12h, 8w
        jupyter green prune                               # by JupyterGreen.retention_days
    """
    aliases = options("Prune", older_than="older_than")
    flags = switches("Prune", dry_run=("dry_run", "Only show what would be deleted."))

    older_than = Unicode("", help="Age in hours, days or weeks: 12h, 90d, 8w.").tag(config=True)
    dry_run = Bool(False, help="Only show what would be deleted.").tag(config=True)

    def run(self) -> None:
        """Delete, and say what was deleted."""
        settings = self.settings()
        age_s = self._age_s(settings)
        work = retention.find_old if self.dry_run else retention.prune
        try:
            old = work(settings.data_dir, age_s)
        except OSError as error:
            raise usage(f"{error.filename} cannot be deleted: {error.strerror}") from error
        for path in old.sessions:
            print(path.stem)
        for path in old.unreadable:
            print(f"{path.stem} (damaged: it has no first line; by the age of its file)")
        count = "1 session" if len(old.paths) == 1 else f"{len(old.paths)} sessions"
        print(f"{count} would be deleted." if self.dry_run else f"{count} deleted.")

    def _age_s(self, settings: Settings) -> float:
        if self.older_than:
            return seconds(self.older_than)
        if settings.retention_days is None:
            raise usage(
                "say which sessions: jupyter green prune --older-than 90d, or set "
                "JupyterGreen.retention_days"
            )
        return settings.retention_days * retention.DAY_S
