"""``jupyter green enable`` and ``disable``: a start-up file in an IPython profile."""

from __future__ import annotations

from pathlib import Path

from traitlets import Unicode

from jupyter_green.cli.base import Command, options, usage

FILE_NAME = "50-jupyter-green.py"
MARKER = "# Written by `jupyter green enable`; `jupyter green disable` removes it."
SCRIPT = f"""{MARKER}
# Loads jupyter_green where it is installed, and does nothing in other environments.


def _load_jupyter_green():
    import importlib.util
    import sys

    try:
        if importlib.util.find_spec("jupyter_green") is not None:
            get_ipython().extension_manager.load_extension("jupyter_green")
    except Exception as error:
        print(f"jupyter_green cannot be loaded here: {{error}}", file=sys.stderr)


_load_jupyter_green()
del _load_jupyter_green
"""


class Startup(Command):
    """What enable and disable have in common."""

    aliases = options("Startup", profile="profile")
    profile = Unicode("default", help="Name of the IPython profile.").tag(config=True)

    def _file(self) -> Path | None:
        """Where the start-up file belongs; None: there is no such profile yet."""
        from IPython.core.profiledir import ProfileDir, ProfileDirError  # noqa: PLC0415
        from IPython.paths import get_ipython_dir  # noqa: PLC0415

        try:
            profile = ProfileDir.find_profile_dir_by_name(get_ipython_dir(), self.profile)
        except ProfileDirError:
            return None
        return Path(profile.startup_dir, FILE_NAME)

    def _create(self) -> Path:
        """The same, in a new default profile, as IPython itself makes it at its first start."""
        from IPython.core.profiledir import ProfileDir  # noqa: PLC0415
        from IPython.paths import get_ipython_dir  # noqa: PLC0415

        if self.profile != "default":
            raise usage(
                f"no IPython profile is called {self.profile!r} in {get_ipython_dir()}; make it "
                f"with: ipython profile create {self.profile}"
            )
        profile = ProfileDir.create_profile_dir_by_name(get_ipython_dir())
        return Path(profile.startup_dir, FILE_NAME)


class Enable(Startup):
    """Has IPython load the extension whenever it starts."""

    name = "jupyter-green enable"
    description = """Measure in every notebook and IPython shell from now on.

    Writes a start-up file into the IPython profile. It does nothing in environments that have
    no jupyter_green.
    """
    examples = """
        jupyter green enable
        jupyter green enable --profile work
    """

    def run(self) -> None:
        """Write the file, unless it is there already."""
        path = self._file() or self._create()
        there = _content(path)
        if there == SCRIPT:
            print(f"Already enabled: {path}")
            return
        if there is not None and MARKER not in there:
            raise usage(f"{path} was not written by jupyter green: move it away first")
        try:
            path.write_text(SCRIPT, encoding="utf-8")
        except OSError as error:
            raise usage(f"{path} cannot be written: {error.strerror}") from error
        print(f"Enabled for kernels that start from now on: {path}")


class Disable(Startup):
    """Removes what enable wrote."""

    name = "jupyter-green disable"
    description = "Undo enable: remove the start-up file from the IPython profile."
    examples = """
        jupyter green disable
        jupyter green disable --profile work
    """

    def run(self) -> None:
        """Remove the file, if it is there and ours."""
        path = self._file()
        there = _content(path) if path is not None else None
        if path is None or there is None:
            print(f"Not enabled in the IPython profile {self.profile!r}: nothing to do.")
            return
        if MARKER not in there:
            raise usage(f"{path} was not written by jupyter green, so it stays")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise usage(f"{path} cannot be removed: {error.strerror}") from error
        print(f"Disabled for kernels that start from now on: {path} is removed.")


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise usage(f"{path} cannot be read: {error.strerror}") from error
