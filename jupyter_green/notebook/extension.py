"""Loads and unloads everything that belongs to one shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_green.configurable import load_settings
from jupyter_green.notebook.hooks import Hooks
from jupyter_green.notebook.magics import GreenMagics
from jupyter_green.recorder import tracker as trackers

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_loaded: dict[int, Hooks] = {}


def load(shell: InteractiveShell) -> None:
    """Begin a session (or join the one that ``measure`` began) and track every cell."""
    if id(shell) in _loaded:
        return
    loaded = load_settings(shell)
    front_end = "ipykernel" if hasattr(shell, "kernel") else "ipython"
    tracker = trackers.start(front_end, loaded.settings, loaded.problems)
    hooks = Hooks(shell, tracker)
    hooks.register()
    shell.register_magics(GreenMagics(shell, tracker, hooks))
    _loaded[id(shell)] = hooks


def unload(shell: InteractiveShell) -> None:
    """End the session and leave the shell as it was."""
    hooks = _loaded.pop(id(shell), None)
    if hooks is None:
        return
    hooks.unregister()
    for kind, name in (
        ("cell", "energy"),
        ("line", "energy"),
        ("cell", "energyit"),
        ("line", "energyit"),
        ("line", "green"),
    ):
        shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(GreenMagics.__name__, None)
    trackers.stop()
